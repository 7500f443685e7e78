"""Finds and runs the program."""

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
import warnings


class Error(Exception):
    """What the program says when it cannot do what it was asked: the error, and what to do about it."""


class Note(UserWarning):
    """What the program says beside an answer, such as which run it is about."""


def program():
    """The path of the program: $DUCKLENS_PROGRAM, the one installed with this package, or the one on the PATH."""
    name = "ducklens.exe" if os.name == "nt" else "ducklens"
    schemes = [None, "posix_user" if os.name == "posix" else "nt_user"]
    places = [sysconfig.get_path("scripts", scheme) if scheme else sysconfig.get_path("scripts") for scheme in schemes]
    candidates = [os.environ.get("DUCKLENS_PROGRAM"), *(os.path.join(place, name) for place in places)]
    for candidate in candidates:
        if candidate and os.path.isfile(candidate):
            return candidate
    found = shutil.which(name)
    if found:
        return found
    raise Error("the program ducklens is neither beside this Python (%s) nor on the PATH; pip install --force-reinstall ducklens"
                % places[0])


def version():
    """The version of the program."""
    return json.loads(run("version", "--json"))["ducklens"]


def run(*args, text=None, said=None, progress=False):
    """Runs the program and gives what it wrote to standard output.

    text is its standard input. Lines of its standard error that said takes, as they come, are progress; the others become notes
    when it is done.
    An interrupt stops the program as Ctrl-C does, and is raised when it has stopped.
    """
    # A session of its own: a Ctrl-C at a terminal would reach the program beside the one that is passed on.
    process = subprocess.Popen([program(), *map(str, args)], stdin=subprocess.PIPE if text is not None else subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", start_new_session=True,
                               env={**os.environ, "DUCKLENS_PROGRESS": "lines"} if progress else None)
    lines = []

    def listen():
        for line in process.stderr:
            if said is None or not said(line.rstrip("\n")):
                lines.append(line)

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        if text is not None:
            try:
                process.stdin.write(text)
                process.stdin.close()
            except BrokenPipeError:
                pass  # it ended before it read all, and says why
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
    message = "".join(line.removeprefix("note: ") for line in lines).strip().removeprefix("ducklens: ")
    if process.returncode != 0:
        raise Error(message or out.strip() or "ducklens ended with status %d" % process.returncode)
    if message:
        warnings.warn(message, Note, stacklevel=_callers_level())
    return out


def _callers_level():
    """How many frames above run's the first one outside of this package is."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back and os.path.dirname(frame.f_code.co_filename) == os.path.dirname(__file__):
        level, frame = level + 1, frame.f_back
    return level


def needs(name, what):
    """Imports a package that is not required, or says what it is needed for."""
    try:
        return __import__(name)
    except ImportError:
        raise ImportError("%s needs %s, which is not installed: pip install %s" % (what, name, name)) from None


def words(value):
    """A value as a flag takes it; those of a list have commas between them."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple, set, frozenset, range)):
        return ",".join(quoted(words(v)) for v in value)
    return str(value)


def quoted(word):
    return '"%s"' % word.replace('"', '""') if "," in word or '"' in word else word


def flags(options):
    """Keyword arguments as flags: x_title="q" is --x-title=q, a flag alone is True. None leaves one out."""
    return ["--%s=%s" % (name.replace("_", "-"), words(value)) for name, value in options.items() if value is not None]
