"""Runs a notebook from top to bottom and compares what its cells show with what is stored in it.

python notebook.py NOTEBOOK [--update]: it ends with 1 where they differ, and with 3 where what it takes is not installed.
Cells with the tag needs-X are left out where Python has no X. With --update the outputs are written, which takes all of them."""

import contextlib
import importlib.util
import os
import platform
import re
import sys
import tempfile


CANNOT = 3


def missing(cell):
    """What the cell needs and Python does not have."""
    needs = [tag.removeprefix("needs-") for tag in cell.metadata.get("tags", []) if tag.startswith("needs-")]
    return [name for name in needs if importlib.util.find_spec(name) is None]


def execute(notebook, folder):
    """Runs the cells in a folder of their own."""
    from nbclient import NotebookClient

    settings = {"IPYTHONDIR": "ipython", "JUPYTER_RUNTIME_DIR": "runtime", "JUPYTER_DATA_DIR": "data", "JUPYTER_CONFIG_DIR": "config"}
    for name, below in settings.items():
        os.environ[name] = os.path.join(folder, below)
    work = os.path.join(folder, "work")
    os.mkdir(work)
    NotebookClient(notebook, timeout=300, kernel_name="python3", record_timing=False, resources={"metadata": {"path": work}}).execute()


def told(outputs):
    """The outputs that the notebook's own cells make: of warnings, those of ducklens, without the path of the cell's code."""
    kept = []
    for output in outputs:
        if output.get("name") == "stderr":
            note = re.search(r"Note: .*", output["text"])
            if not note:
                continue
            output["text"] = note[0] + "\n"
        kept.append(output)
    return kept


def shown(output):
    """What an output shows, by its kind: text, figures, and no HTML, which pandas writes in another way from release to release."""
    data = {"text/plain": output["text"]} if output["output_type"] == "stream" else output.get("data", {})
    return {kind: data[kind] for kind in ("text/plain", "image/svg+xml") if kind in data}


def steady(text):
    """Without times and the commit of the program, which are others from run to run, and what a figure says of its making."""
    text = re.sub(r"(?s)<metadata>.*?</metadata>", "", text)
    return re.sub(r"-dev\+[0-9a-f]+", "-dev", re.sub(r"\b[0-9.]+m?s\b", "(time)", text))


NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?")


def same(got, want):
    """Whether two texts are the same, but for spaces and for one in the last digit of numbers with a fraction."""
    got, want = (" ".join(steady(text).split()) for text in (got, want))
    if NUMBER.split(got) != NUMBER.split(want):
        return False
    return all(a == b or "." in b and abs(float(a) - float(b)) < 1.01 * unit(b) for a, b in zip(NUMBER.findall(got), NUMBER.findall(want)))


def unit(number):
    """One in the last digit of a number."""
    mantissa, _, exponent = number.partition("e")
    return 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))


def compare(got, want, bits):
    """What differs between the outputs of a cell and those stored; of figures, with bits every bit, and else their texts."""
    if len(got) != len(want):
        return "%d outputs, and %d are stored" % (len(got), len(want))
    for a, b in zip(map(shown, got), map(shown, want)):
        if a.keys() != b.keys():
            return "it shows %s, and %s is stored" % (", ".join(a), ", ".join(b))
        for kind in a:
            one, two = a[kind], b[kind]
            if kind == "image/svg+xml" and not bits:
                one, two = (" ".join(re.findall(r"<text[^>]*>(.*?)</text>", svg)) for svg in (one, two))
            equal = steady(one) == steady(two) if kind == "image/svg+xml" and bits else same(one, two)
            if not equal:
                return "it shows\n%.2000s\nand this is stored\n%.2000s" % (one, two)
    return ""


def tidy(notebook):
    """Leaves in the notebook what does not depend on who ran it."""
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}, "language_info": {"name": "python"}}
    for number, cell in enumerate(notebook.cells):
        cell.id = "cell-%02d" % number
        if cell.cell_type == "code":
            cell.outputs = told(cell.outputs)


def main():
    path, update = sys.argv[1], "--update" in sys.argv[2:]
    absent = [name for name in ("nbformat", "nbclient", "ipykernel") if importlib.util.find_spec(name) is None]
    if absent:
        print("Python has no " + ", ".join(absent))
        sys.exit(CANNOT)
    import nbformat

    stored = nbformat.read(path, as_version=4)
    fresh = nbformat.from_dict({**stored, "cells": [c for c in stored.cells if not missing(c)]})
    left = sorted({name for cell in stored.cells for name in missing(cell)})
    if left:
        print("%d cells are left out, because Python has no %s" % (len(stored.cells) - len(fresh.cells), ", ".join(left)))
        if update:
            sys.exit(CANNOT)
    code = [cell for cell in fresh.cells if cell.cell_type == "code"]
    wanted = [cell.outputs for cell in code]
    for cell in code:
        cell.outputs = []
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(sys.stderr):
        execute(fresh, folder)
    if update:
        tidy(fresh)
        nbformat.validate(fresh)
        nbformat.write(fresh, path)
        return
    # What torch computes may be rounded in another way by another release, as all may be on another processor.
    bits = lambda cell: platform.machine() == "x86_64" and "needs-torch" not in cell.metadata.get("tags", [])
    faults = [(cell.source, compare(told(cell.outputs), want, bits(cell))) for cell, want in zip(code, wanted)]
    for source, fault in faults:
        if fault:
            print("the cell\n%s\n%s\n" % (source, fault))
    sys.exit(any(fault for _, fault in faults))


if __name__ == "__main__":
    main()
