"""A topology file of Python 2 translated to Python 3, by what the fixers of 2to3 know of both."""

from __future__ import annotations

import importlib
import io
import logging
import re
import tokenize
import warnings
from typing import Any

from harness.errors import InputError, MissingError

# 2to3 itself left Python with 3.13; fissix is the same with its own grammar.
_LIBRARIES = ("fissix", "lib2to3")


def translated(source: bytes, name: str) -> str:
    """The text of a file, `name` in messages, in Python 3; what is that already stays as it is.

    Raises InputError for what is not Python 2 either, MissingError where there is no library that could translate.
    """
    library, tool = _tool()
    text = _lines(source)
    try:
        done = str(tool.refactor_string(text, name))
    except (importlib.import_module(f"{library}.pgen2.parse").ParseError, tokenize.TokenError) as error:
        line = getattr(error, "context", ("", (1, 0)))[1][0]
        got = f"it is not Python 2 either: {' '.join(str(error).split())[:120]}"
        raise InputError(f"translate {name}", got=got, where=f"{name}:{line}:1") from None
    try:
        compile(done, name, "exec")
    except SyntaxError as error:
        where = f"{name}:{error.lineno or 1}:{error.offset or 1}"
        raise InputError(f"translate {name}", got=f"the result is not Python 3: {error.msg}", where=where) from None
    return done


def _tool() -> tuple[str, Any]:
    for library in _LIBRARIES:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                refactor = importlib.import_module(f"{library}.refactor")
        except ImportError:
            continue
        logging.getLogger("RefactoringTool").setLevel(logging.ERROR)
        logging.getLogger(f"{library}.main").setLevel(logging.ERROR)
        return library, refactor.RefactoringTool(refactor.get_fixers_from_package(f"{library}.fixes"))
    got = "neither fissix nor lib2to3 is installed"
    raise MissingError("translate Python 2", got=got, todo="install it: pip install fissix")


def _lines(source: bytes) -> str:
    """Its text, with the tabs that indent as Python 2 reads them: to the next multiple of eight."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
        text = source.decode(encoding)
    except (SyntaxError, ValueError):
        text = source.decode("latin-1")
    text = text.replace("\r\n", "\n")
    spaced = re.sub(r"^[ \t]+", lambda match: match[0].expandtabs(8), text, flags=re.M)
    return spaced if spaced.endswith("\n") else spaced + "\n"
