"""In the child: somebody's code run so that whatever it raises becomes one message, with the place and a way on."""

from __future__ import annotations

import re
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

from harness.mininet.graph import Refused

# What a parser of arguments that did not like them ends with is 2.
ARGV = 'give its arguments: argv: ["--name", "value"] in the experiment file, or after -- on the command line'
# What is not Mininet itself but is imported as if it were: by a word of the error, what to make of it.
_KIN = {
    "mn_wifi": "it is made for Mininet-WiFi: stations share a medium, and a testbed has links",
    "Containernet": "it is made for Containernet, whose hosts are Docker containers: a testbed's hosts are namespaces",
    "Docker": "it is made for Containernet, whose hosts are Docker containers: a testbed's hosts are namespaces",
    "p4utils": "it is made for P4 switches (p4utils): a testbed's switches are bridges",
    "p4_mininet": "it is made for P4 switches (bmv2): a testbed's switches are bridges",
}
_PYTHON_2_NAMES = {
    "xrange",
    "raw_input",
    "unicode",
    "basestring",
    "unichr",
    "long",
    "execfile",
    "reduce",
    "cmp",
    "file",
}
_PYTHON_2_MODULES = {
    "ConfigParser",
    "Queue",
    "StringIO",
    "Tkinter",
    "cPickle",
    "commands",
    "httplib",
    "urllib2",
    "urlparse",
}
_PYTHON_2_METHODS = {"has_key", "iteritems", "itervalues", "iterkeys"}
_PYTHON_2_SYNTAX = (
    (re.compile(rb"^\s*print\s+[^\s(=]|^\s*print\s*$|^\s*print\s*>>", re.M), "a print statement"),
    (re.compile(rb"^\s*except\s+[\w.()\s,]+,\s*\w+\s*:", re.M), '"except X, e"'),
    (re.compile(rb"^\s*raise\s+\w+\s*,", re.M), '"raise X, text"'),
    (re.compile(rb"^\s*exec\s+[\"'\w]", re.M), "an exec statement"),
    (re.compile(rb"\s<>\s"), 'the operator "<>"'),
    (re.compile(rb"[\s(=,]0[0-7]+[\s),:]"), "an octal number such as 0755"),
    (re.compile(rb"`[^`\n]+`"), "backquotes"),
)


def convert_hint(path: str) -> str:
    """How to have a file of Python 2 translated."""
    return f"translate it: pollbench topology {path} --convert -o NEW.py"


def python_2(source: bytes) -> str:
    """What in a file, that is not of this Python, is of Python 2; "" for nothing."""
    return next((words for pattern, words in _PYTHON_2_SYNTAX if pattern.search(source)), "")


def guarded(act: Callable[[], Any], path: str, doing: str, call: str = "") -> Any:
    """Run the user's code; whatever it raises, also SystemExit, becomes Refused with the place in the user's file.

    call: how it was named, for a message that says how to give it arguments.
    """
    try:
        return act()
    except Refused:
        raise
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else (error.code or 0)
        _refuse(
            error,
            path,
            f"{doing}: it called sys.exit({code})",
            ARGV if code == 2 or "usage" in str(code).lower() else "",
        )
    except ImportError as error:
        todo = next((words for name, words in _KIN.items() if name in str(error)), "install the module it imports")
        if error.name in _PYTHON_2_MODULES:
            todo = f"{error.name} is of Python 2; {convert_hint(path)}"
        _refuse(error, path, f"{doing}: {error}", todo)
    except BaseException as error:  # noqa: BLE001  # foreign code may raise anything, KeyboardInterrupt too
        words = " ".join(str(error).split())[:300]
        got = f"{doing}: {type(error).__name__}" + (f": {words}" if words else "")
        _refuse(error, path, got, _way_on(error, path, call))


def place_of(error: BaseException, path: str) -> str:
    """file:line:column of the innermost line of the user's file that an error went through; "" for none."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    if not frames:
        return ""
    return f"{path}:{frames[-1].lineno}:{(getattr(frames[-1], 'colno', None) or 0) + 1}"


def _way_on(error: BaseException, path: str, call: str) -> str:
    named = getattr(error, "name", None)
    if isinstance(error, NameError) and named in _PYTHON_2_NAMES:
        return f"{named} is of Python 2; {convert_hint(path)}"
    if isinstance(error, AttributeError) and named in _PYTHON_2_METHODS:
        return f"{named}() is of Python 2; {convert_hint(path)}"
    if isinstance(error, IndexError) and "argv" in str(traceback.extract_tb(error.__traceback__)[-1].line):
        return ARGV
    missing = re.search(r"missing \d+ required (?:positional|keyword-only) arguments?: (.*)", str(error))
    if isinstance(error, TypeError) and missing and call and not place_of(error, path):
        names = re.findall(r"'(\w+)'", missing[1])
        settings = " ".join(f"--set args.{name}=2" for name in names)
        return f"give {'them' if len(names) > 1 else 'it'}, e.g. {call}{',2' * len(names)}, or {settings}"
    return ""


def _refuse(error: BaseException, path: str, got: str, todo: str = "") -> NoReturn:
    raise Refused(got, todo, place_of(error, path) or (f"{path}:1:1" if path else "")) from None
