"""Finds and runs the program."""

import contextvars
import difflib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
import warnings


class Error(Exception):
    """An error of the program, with a hint about what to do."""

    __module__ = "ducklens"


class Note(UserWarning):
    """A note of the program about an answer, such as that it mixes several runs."""

    __module__ = "ducklens"


def program():
    """The path of the program: $DUCKLENS_PROGRAM, the one installed with this package, or the one on the
    PATH."""
    name = "ducklens.exe" if os.name == "nt" else "ducklens"
    schemes = [None, "posix_user" if os.name == "posix" else "nt_user"]
    places = [
        sysconfig.get_path("scripts", scheme) if scheme else sysconfig.get_path("scripts")
        for scheme in schemes
    ]
    candidates = [os.environ.get("DUCKLENS_PROGRAM"), *(os.path.join(place, name) for place in places)]
    for candidate in candidates:
        if candidate and os.path.isfile(candidate):
            return candidate
    found = shutil.which(name)
    if found:
        return found
    raise Error(
        "the program ducklens is neither beside this Python (%s) nor on the PATH; pip install "
        "--force-reinstall ducklens"
        % places[0]
    )


def version():
    """The version of the program."""
    return json.loads(run("version", "--json"))["ducklens"]


def run(*args, text=None, said=None, progress=False, names={}, keywords=()):
    """Runs the program and returns its standard output.

    text is its standard input. said is called with each line of standard error, and returns whether it has
    shown the line as progress; the other lines become notes at the end. names maps paths of temporary files
    to the names that errors and notes use for them. keywords are arguments of the caller that are no flags,
    for the error about an unknown one. An interrupt stops the program as Ctrl-C does, and is
    raised after it has stopped."""
    # In its own session, the program does not get the terminal's Ctrl-C in addition to the signal sent below.
    process = subprocess.Popen(
        [program(), *map(str, args)],
        stdin=subprocess.PIPE if text is not None else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
        env={**os.environ, "DUCKLENS_PROGRESS": "lines"} if progress else None,
    )
    lines = []

    def listen():
        for line in process.stderr:
            if said is None or not said(line.rstrip("\n")):
                lines.append(line)

    # The context of the caller tells a notebook which cell the progress belongs to.
    listener = threading.Thread(target=contextvars.copy_context().run, args=(listen,), daemon=True)
    listener.start()
    try:
        if text is not None:
            try:
                process.stdin.write(text)
                process.stdin.close()
            except BrokenPipeError:
                pass  # the program ended early, and its error says why
        out = process.stdout.read()
        process.wait()
    except BaseException:
        process.send_signal(signal.SIGINT)
        process.wait()
        raise
    finally:
        listener.join()
        process.stdout.close()
        process.stderr.close()
    notes, error = _told("".join(lines), names)
    if process.returncode != 0 and not error:  # it failed before it could report an error
        notes, error = "", notes
    if notes:
        warnings.warn(notes, Note, stacklevel=_callers_level())
    if process.returncode != 0:
        error = _unknown(args[0], error, keywords)
        raise Error(
            "\n".join(filter(None, (out.strip(), error)))
            or "ducklens ended with status %d" % process.returncode
        )
    return out


def _told(text, names):
    """The notes of the program, and its error."""
    for path, name in names.items():
        text = text.replace(path, name)
    notes, _, error = ("\n" + text).partition("\nducklens: ")
    return "\n".join(line.removeprefix("note: ") for line in notes.splitlines()).strip(), error.strip()


def _unknown(command, error, keywords):
    """The program's error about an unknown flag, in terms of keyword arguments; other errors as they are."""
    flag = re.match(r"unknown flag: --(\S+)", error)
    if not flag:
        return error
    name = flag[1].replace("-", "_")
    hint = error.partition("did you mean")[2]
    near = [n.replace("-", "_") for n in re.findall(r"--([a-z-]+)", hint)]
    near = difflib.get_close_matches(name, keywords) + near
    if command == "ingest":  # what is called differently here
        near = [{"output": "out", "head": "heads"}.get(n, n) for n in near]
    return "unknown keyword argument %s\nhint: %s" % (
        name,
        "did you mean %s?" % " or ".join(near)
        if near
        else "flags of ducklens %s are keyword arguments, with _ instead of -; ducklens %s --help lists them"
        % (command, command),
    )


def _callers_level():
    """The number of frames between run and the first caller outside this package."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back and os.path.dirname(frame.f_code.co_filename) == os.path.dirname(__file__):
        level, frame = level + 1, frame.f_back
    return level


def needs(name, what):
    """Imports an optional package, or raises an error that says what needs it."""
    try:
        return __import__(name)
    except ImportError:
        raise ImportError(
            "%s needs %s, which is not installed: pip install %s" % (what, name, name)
        ) from None


def words(value):
    """A value as the text of a flag; the values of a list are separated by commas."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple, set, frozenset, range)):
        return ",".join(quoted(words(v)) for v in value)
    return str(value)


def quoted(word):
    return '"%s"' % word.replace('"', '""') if "," in word or '"' in word else word


def head_names(value):
    """Names of heads: "10.7" for "10.7" and for (10, 7). Numbers are refused, because 11.10 is 11.1."""
    if isinstance(value, tuple) and len(value) == 2 and all(hasattr(v, "__index__") for v in value):
        return "%d.%d" % value
    if hasattr(value, "__iter__") and not isinstance(value, str):
        return [head_names(v) for v in value]
    if not isinstance(value, (str, type(None))):
        raise TypeError(
            'a head is %r of type %s, want text such as "10.7": as a number, 11.10 is 11.1'
            % (value, type(value).__name__)
        )
    return value


def flags(options):
    """Keyword arguments as flags: x_title="q" is --x-title=q, and True is a flag that is set. None is left
    out."""
    return [
        "--%s=%s" % (name.replace("_", "-"), words(value))
        for name, value in options.items()
        if value is not None
    ]
