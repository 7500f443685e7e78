"""Puts the program into the wheel and names the platform that it runs on."""

import os
import re
import subprocess
import sysconfig

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ProgramHook(BuildHookInterface):
    PLUGIN_NAME = "custom"

    def initialize(self, version, build_data):
        program = os.environ.get("DUCKLENS_PROGRAM") or os.path.join(self.root, "..", "bin", "ducklens")
        name = "ducklens.exe" if program.endswith(".exe") else "ducklens"
        build_data["pure_python"] = False
        build_data["shared_scripts"] = {os.path.abspath(program): name}
        build_data["tag"] = "py3-none-" + platform_tag(program)


def platform_tag(program):
    """On Linux, a tag for the oldest GNU C library that has all symbols of the program; otherwise Python's
    own tag."""
    tag = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    machine = re.fullmatch(r"linux_(\w+)", tag)
    if not machine:
        return tag
    symbols = subprocess.run(["objdump", "-T", program], check=True, capture_output=True, text=True).stdout
    needed = max((int(major), int(minor)) for major, minor in re.findall(r"\(?GLIBC_(\d+)\.(\d+)", symbols))
    return "manylinux_%d_%d_%s" % (*needed, machine[1])
