"""Makes run files."""

import json
import os
import re
import sys
import tempfile

from ._file import File
from ._program import flags, run, words


def ingest(model=None, out=None, prompts=None, heads=None, text=None, progress=True, **options):
    """Runs a model over prompts and writes the contributions to its heads' scores; gives the opened file.

    model: a model folder, a .gguf file, or "demo"; or, in its place, activations: a folder that ducklens.capture has made.
    out: the file to write, such as "run.duckdb".
    prompts: a file, a list of dicts (text, query, key, baseline), or a DataFrame with these columns; None: the ioi generator.
    heads: such as ["10.7", "11.10"], or "all".
    text: in place of prompts: a file, a list of texts, or a DataFrame with a column text.
    Flags of "ducklens ingest" are keyword arguments: edges=["top:3"], query_basis=["none"], logits=True, force=True.

    Progress is shown on one line. An interrupt stops the run; what is written can be resumed with resume=True.
    """
    if out is None:
        raise TypeError("ingest() needs out, the file to write")
    with tempfile.TemporaryDirectory(prefix="ducklens-") as folder:
        for name, value in (("prompts", prompts), ("text", text)):
            if value is not None:
                options[name] = value if isinstance(value, (str, os.PathLike)) else _records(folder, name, value)
        if heads is not None:
            options["head"] = words(heads)
        line = _Line(os.fspath(out))
        try:
            run("ingest", *flags({"model": model}), "-o", os.fspath(out), *flags(options), said=line, progress=progress)
        finally:
            line.end()
    return File(out)


def _records(folder, name, records):
    """Writes records as a file of JSON lines."""
    if hasattr(records, "to_dict"):  # a DataFrame; missing values are left out
        records = [{k: v for k, v in r.items() if v == v and v is not None} for r in records.to_dict("records")]
    path = os.path.join(folder, name + ".jsonl")
    with open(path, "w", encoding="utf-8") as out:
        for record in records:
            record = {"text": record} if isinstance(record, str) else record
            out.write(json.dumps(record, ensure_ascii=False, default=_plain) + "\n")
    return path


def _plain(value):
    """A number of numpy as one of Python."""
    return value.item()


class _Line:
    """Shows how far a run is: each state in place of the one before."""

    def __init__(self, out):
        self.shown, self.out = 0, out

    def __call__(self, said):
        if said.startswith((self.out + ": run ", "largest closure residual ")):  # what the command line says at the end
            return True
        if not re.match(r"\d+ of \d+ prompts", said):
            return False
        print("\r" + said.ljust(self.shown), end="", file=sys.stderr, flush=True)
        self.shown = len(said)
        return True

    def end(self):
        if self.shown:
            print("\r" + " " * self.shown + "\r", end="", file=sys.stderr, flush=True)
