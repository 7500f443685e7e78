"""Makes run files."""

import json
import os
import re
import sys
import tempfile

from ._file import File
from ._program import flags, head_names, run


def ingest(model=None, out=None, prompts=None, heads=None, text=None, progress=True, **options):
    """Runs a model over prompts, writes the contributions to its heads' scores, and returns the opened file.

    model: a model folder, a .gguf file, or "demo". Instead of a model you can give activations, a folder that
    ducklens.capture has made.
    out: the file to write, such as "run.duckdb".
    prompts: a file, a list of dicts (text, query, key, baseline), or a DataFrame with these columns; None
    uses the ioi generator.
    heads: such as ["10.7", "11.10"], or "all".
    text: instead of prompts, a file, a list of texts, or a DataFrame with a column text. Flags of "ducklens
    ingest" are keyword arguments: edges=["top:3"], query_basis=["none"], logits=True, force=True.

    Progress is shown on one line. An interrupt stops the run; resume=True continues it.
    """
    if out is None:
        raise TypeError("ingest() needs out, the file to write")
    if not isinstance(model, (str, os.PathLike, type(None))):
        raise TypeError(
            'model is of type %s, want a model folder, a .gguf file or "demo"; ducklens.capture(model, ...) '
            'takes a '
            "model of transformers or TransformerLens" % type(model).__name__
        )
    with tempfile.TemporaryDirectory(prefix="ducklens-") as folder:
        names = {}
        for name, value in (("prompts", prompts), ("text", text)):
            if value is not None:
                options[name] = value
                if not isinstance(value, (str, os.PathLike)):
                    options[name] = _records(folder, name, value)
                    names[options[name]] = "<%s>" % name
                    options.setdefault(
                        "prompts_name", "a DataFrame" if hasattr(value, "to_dict") else "a list"
                    )
        if heads is not None:
            options["head"] = heads
        options["head"] = head_names(options.get("head"))
        line = _Line(os.fspath(out))
        try:
            run(
                "ingest",
                *flags({"model": model}),
                "-o",
                os.fspath(out),
                *flags(options),
                said=line,
                progress=progress,
                names=names,
                keywords=("heads",),
            )
        finally:
            line.end()
    return File(out)


def _records(folder, name, records):
    """Writes records as a file of JSON lines."""
    if hasattr(records, "to_dict"):  # a DataFrame; leave out missing values
        records = [
            {k: v for k, v in r.items() if v == v and v is not None} for r in records.to_dict("records")
        ]
    if isinstance(records, dict) or not hasattr(records, "__iter__"):
        raise TypeError(
            "%s is of type %s, want a file, a list or a DataFrame" % (name, type(records).__name__)
        )
    path = os.path.join(folder, name + ".jsonl")
    with open(path, "w", encoding="utf-8") as out:
        for record in records:
            record = {"text": record} if isinstance(record, str) else record
            out.write(json.dumps(record, ensure_ascii=False, default=_plain) + "\n")
    return path


def _plain(value):
    """Converts a number of numpy to one of Python."""
    if not hasattr(value, "item"):
        raise TypeError(
            "a value of type %s in a record, want a text, a number or a list" % type(value).__name__
        )
    return value.item()


class _Line:
    """Shows the progress of a run, overwriting the line. In a notebook, the last line says what was
    written."""

    def __init__(self, out):
        self.shown, self.out, self.output = 0, out, None

    def __call__(self, said):
        done = said.startswith(
            (self.out + ": run ", "largest closure residual ", "ask it: ")
        )  # the last lines of the command
        if not done and not re.match(r"\d+ of \d+ prompts", said):
            return False
        if _in_notebook():
            if not said.startswith(("largest", "ask it")):
                self.show(said)
        elif not done:
            print("\r" + said.ljust(self.shown), end="", file=sys.stderr, flush=True)
            self.shown = len(said)
        return True

    def show(self, said):
        from IPython.display import display

        if self.output is None:
            self.output = display({"text/plain": said}, raw=True, display_id=True)
        else:
            self.output.update({"text/plain": said}, raw=True)

    def end(self):
        if self.shown:
            print("\r" + " " * self.shown + "\r", end="", file=sys.stderr, flush=True)


def _in_notebook():
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return hasattr(shell, "kernel")
