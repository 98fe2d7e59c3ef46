"""Starts another Python for code of ours: it imports from where we are, never from the directory it is started in."""

from __future__ import annotations

import os
import site
import sys
from pathlib import Path
from typing import NamedTuple

# What leads to our package: site-packages, or a checkout.
_ROOT = str(Path(__file__).resolve().parents[2])
# Of the variables that Python reads, those that cannot make it import anything. Isolated mode (-I) would drop them,
# and with the first the order of sets that a guest's runs have in common.
_HARMLESS = ("PYTHONHASHSEED", "PYTHONDONTWRITEBYTECODE", "PYTHONUTF8", "PYTHONIOENCODING")


class Interpreter(NamedTuple):
    """How to start it: the words of the command, and its whole environment."""

    argv: list[str]
    environment: dict[str, str]


def isolated(module: str, *arguments: str) -> Interpreter:
    """An interpreter that runs a module of ours, or an installed one, as the main program.

    -P: neither the current directory nor a script's is on its path; -s: nor is a home directory's, unless it is on
    ours. Its path is a fixed one, handed down in PYTHONPATH. -u: its last words are not lost, however it ends.
    """
    return Interpreter([sys.executable, "-u", "-P", "-s", "-m", module, *arguments], _environment())


def alone(script: Path, *arguments: str) -> list[str]:
    """The command of an interpreter for a file of ours that needs the standard library alone and no variables."""
    return [sys.executable, "-I", "-S", str(script), *arguments]


def needed() -> list[str]:
    """What an interpreter for code of ours must be able to read: itself, and our package."""
    return [sys.executable, str(Path(__file__).parent)]


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON") or name in _HARMLESS}
    return kept | {"PYTHONPATH": os.pathsep.join(_path())}


def _path() -> list[str]:
    """Our package, what the caller's own PYTHONPATH names for good, and a home directory's packages where we use them.

    A relative or empty entry means the current directory, whatever that is.
    """
    named = filter(os.path.isabs, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    home = [site.getusersitepackages()] if site.ENABLE_USER_SITE else []
    return list(dict.fromkeys([_ROOT, *named, *(path for path in home if path in sys.path)]))
