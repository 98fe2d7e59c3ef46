"""Rows of a runs table by simple expressions over its columns: `case!=base`, `contention.load=100%`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import pandas as pd

from harness.errors import InputError
from harness.tables.reading.seen import number_form

_EXPRESSION = re.compile(r"\s*([^\s=!<>]+)\s*(!=|<=|>=|==|=|<|>)\s*(.*?)\s*", re.DOTALL)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_COMPARE = {"<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal}
_COMPARE |= {"=": np.equal, "==": np.equal, "!=": np.not_equal}
_TODO = "write COLUMN=VALUE, or with != < <= > >=; in a text, * stands for anything"


def filtered(runs: pd.DataFrame, expressions: Iterable[str]) -> pd.DataFrame:
    """The rows for which every expression holds; a blank is smaller and greater than nothing.

    Texts are compared as they are (1.0 is 1), `*` standing for any letters; < and > read the number at the start of a
    text. Raises InputError for an expression that cannot be read and for a column that is not there.
    """
    keep = np.ones(len(runs), dtype=bool)
    for text in expressions:
        keep &= _holds(runs, text)
    return runs if keep.all() else runs[keep].reset_index(drop=True)


def _holds(runs: pd.DataFrame, text: str) -> Any:
    match = _EXPRESSION.fullmatch(text)
    if match is None:
        raise InputError("filter runs", got=f"{text!r} is no condition", todo=_TODO, where="--filter")
    name, operator, operand = match.groups()
    if name not in runs.columns:
        close = difflib.get_close_matches(name, map(str, runs.columns), n=1)
        todo = f"did you mean {close[0]!r}?" if close else ""
        raise InputError("filter runs", on=f"column {name!r}", got="no run has it", todo=todo, where="--filter")
    values = runs[name]
    numeric = pd.api.types.is_numeric_dtype(values.dtype)
    if operator in ("=", "==", "!=") and not (numeric and operand):
        same = values.map({value: _alike(value, operand) for value in values.unique()}).to_numpy(dtype=bool)
        return ~same if operator == "!=" else same
    bound = _number(operand)
    if bound is None:
        got = f"{operand!r} is no number"
        raise InputError("filter runs", on=f"column {name!r}", got=got, todo=_TODO, where="--filter")
    if not numeric:
        values = values.map({value: _number(str(value)) for value in values.unique()})
    return _COMPARE[operator](values.to_numpy(dtype=np.float64), bound)


def _alike(value: Any, operand: str) -> bool:
    text = "" if value is None or value != value else str(value)
    # Brackets are letters here, not sets of letters.
    if "*" in operand:
        return fnmatchcase(text, operand.replace("[", "[[]"))
    return number_form(text) == number_form(operand)


def _number(text: str) -> float | None:
    match = _NUMBER.match(text)
    return float(match[0]) if match else None
