"""Rows of a runs table by simple expressions over its columns: `case!=base`, `contention.load=100%`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from harness.errors import InputError
from harness.tables.columnar import Numbers, Table, table_of
from harness.tables.reading.seen import number_form

if TYPE_CHECKING:
    import pandas as pd

_EXPRESSION = re.compile(r"\s*([^\s=!<>]+)\s*(!=|<=|>=|==|=|<|>)\s*(.*?)\s*", re.DOTALL)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_COMPARE = {"<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal}
_COMPARE |= {"=": np.equal, "==": np.equal, "!=": np.not_equal}
_TODO = "write COLUMN=VALUE, or with != < <= > >=; in a text, * stands for anything"


def filtered(runs: Table | pd.DataFrame, expressions: Iterable[str]) -> Table:
    """The rows for which every expression holds; a blank is smaller and greater than nothing.

    Texts are compared as they are (1.0 is 1), `*` standing for any letters; < and > read the number at the start of a
    text. Raises InputError for an expression that cannot be read and for a column that is not there.
    """
    table = table_of(runs)
    keep = np.ones(len(table), dtype=bool)
    for text in expressions:
        keep &= _holds(table, text)
    return table if keep.all() else table.take(keep)


def _holds(table: Table, text: str) -> npt.NDArray[np.bool_]:
    match = _EXPRESSION.fullmatch(text)
    if match is None:
        raise InputError("filter runs", got=f"{text!r} is no condition", todo=_TODO, where="--filter")
    name, operator, operand = match.groups()
    if name not in table:
        close = difflib.get_close_matches(name, table.names, n=1)
        todo = f"did you mean {close[0]!r}?" if close else ""
        raise InputError("filter runs", on=f"column {name!r}", got="no run has it", todo=todo, where="--filter")
    column = table[name]
    if operator in ("=", "==", "!=") and not (isinstance(column, Numbers) and operand):
        same = table.texts(name).are(lambda value: _alike(value, operand))
        return ~same if operator == "!=" else same
    bound = _number(operand)
    if bound is None:
        got = f"{operand!r} is no number"
        raise InputError("filter runs", on=f"column {name!r}", got=got, todo=_TODO, where="--filter")
    values = column.values if isinstance(column, Numbers) else column.numbers(_number_or_blank)
    return _COMPARE[operator](values, bound)


def _alike(text: str, operand: str) -> bool:
    # Brackets are letters here, not sets of letters.
    if "*" in operand:
        return fnmatchcase(text, operand.replace("[", "[[]"))
    return number_form(text) == number_form(operand)


def _number_or_blank(text: str) -> float:
    number = _number(text)
    return np.nan if number is None else number


def _number(text: str) -> float | None:
    match = _NUMBER.match(text)
    return float(match[0]) if match else None
