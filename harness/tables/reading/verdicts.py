"""Columns that say which rows count: what passed, exit codes, status codes, flags and texts of errors."""

from __future__ import annotations

from collections.abc import Callable

from harness.tables.reading.numbers import BLANKS
from harness.tables.reading.seen import Seen
from harness.tables.reading.vocabulary import BAD, GOOD, VERDICTS, words_of

Counts = Callable[[str], bool]

_EXITS = ("rc", "exitcode", "exitstatus", "returncode", "retcode", "retval", "errno")
_STATUS = frozenset(("http", "status", "code", "response", "resp"))
_PASSED = frozenset(("ok", "valid", "success", "passed", "successful"))
_FAILED = frozenset(("failed", "failure", "error", "errored", "crashed", "aborted", "invalid", "killed"))
_ERRORS = frozenset(("error", "err", "exception", "failure"))
_BESIDE = frozenset(("message", "msg", "text", "type", "reason"))
_YES, _NO = frozenset(("true", "yes", "y", "t", "1")), frozenset(("false", "no", "n", "f", "0", ""))
_NONE = GOOD | {blank.lower() for blank in BLANKS} | {"0"}


def counting(one: Seen) -> Counts | None:
    """By the text of a cell, whether its row counts; None where the column does not say it of any."""
    words = words_of(one.name)
    named = frozenset(words)
    if not words or one.blank:
        return None
    return _of_numbers(one, named, "".join(words)) if one.numeric else _of_texts(one, named)


def _of_numbers(one: Seen, named: frozenset[str], joined: str) -> Counts | None:
    """Of exit codes, status codes of HTTP and flags; where all rows count a number says nothing."""
    values = {float(value) for value in one.values}
    judge: Counts | None = None
    if joined in _EXITS and all(value.is_integer() and abs(value) < 256 for value in values):
        judge = ("", "0").__contains__
    elif _is_status(named) and _is_http(values):
        judge = _is_answer
    elif named <= _PASSED | {"is"} and values <= {0.0, 1.0}:
        judge = ("", "1").__contains__
    return judge if judge and not all(map(judge, one.texts().distinct())) else None


def _of_texts(one: Seen, named: frozenset[str]) -> Counts | None:
    if VERDICTS & named and one.words <= GOOD | BAD:
        return lambda text: text.lower() not in BAD
    if named <= _FAILED | {"is", "has"} and one.words <= _YES | _NO:
        return lambda text: text.lower() not in _YES
    if named & _ERRORS and named <= _ERRORS | _BESIDE:
        messages = one.words - _NONE
        # Beside rows without one: an error of measurement is in every row, and has no words.
        if messages and one.words & _NONE and all(any(map(str.isalpha, text)) for text in messages):
            return lambda text: text.lower() in _NONE
    texts = [str(text) for text in one.values]
    # curl's 000, for no answer, makes a text of the whole column.
    if _is_status(named) and all(map(str.isdecimal, texts)) and _is_http({float(text) for text in texts}):
        return None if all(map(_is_answer, texts)) else _is_answer
    return None


def _is_status(named: frozenset[str]) -> bool:
    return named <= _STATUS and bool(named & {"status", "code"})


def _is_http(values: set[float]) -> bool:
    codes = values - {0.0}
    return bool(codes) and all(100 <= code < 600 and code == int(code) for code in codes)


def _is_answer(text: str) -> bool:
    """Is this the code of what was asked for; 0 stands for no answer at all."""
    return not text or 100 <= int(text) < 400
