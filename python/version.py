"""The version of the program in the wheel."""

import json
import os
import subprocess

program = os.environ.get("DUCKLENS_PROGRAM") or os.path.join(
    os.path.dirname(__file__), "..", "bin", "ducklens"
)
said = subprocess.run([program, "version", "--json"], check=True, capture_output=True, text=True).stdout
# 0.2.0-dev+0123456789ab is written 0.2.0.dev0+0123456789ab in Python.
__version__ = json.loads(said)["ducklens"].replace("-dev", ".dev0")
