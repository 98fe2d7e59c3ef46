"""A file's text, whatever it was packed and encoded with; what is no text is named as what it is."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import NoReturn

from harness.errors import InputError
from harness.store import packed
from harness.store.regular import read_input

# An object, or a list of what may be in one: "[READ], Operations, 95" is none.
_JSON = re.compile(rb"\s*(\{|\[\s*[\[{\"\d\]-])")
_UTF8 = re.compile(rb"[\xc3-\xf4][\x80-\xbf]")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f]")
MOST_BYTES = 2 << 30
"""Unpacked bytes beyond which a file is refused: a few kB can unpack to more than any memory holds."""

# Texts that programs print and no table, by how they begin; what they are and what to type.
_TEXTS = (
    (
        rb"Linux \S+ \([^)\n]*\)[ \t]",
        "it is sar's text, or mpstat's or pidstat's",
        "of sar's file `sadf -d FILE -- -n DEV` makes CSV",
    ),
    (rb"procs -+memory", "it is vmstat's text, an interval a row", "write a row a run, with its case and its means"),
    (rb"(goos|goarch|pkg): \S", "it is the text of Go's benchmarks", "`benchstat -format csv FILE` makes CSV of it"),
    (rb"NIC statistics:", "it is what ethtool counted up to one moment, and no run", "write what runs added to it"),
    (
        rb"[\d.]+,[^,\n]*,[a-z][\w.:/-]*,\d+,\d+\.\d+,",
        "it is what perf stat writes with -x, without a header",
        "write a row a run, with a column for each event",
    ),
)
_COMPARISON = re.compile(rb"(?m)^,.*\bvs base\b")

ATTEMPT = "read a runs table"
_NOT_TEXT = (
    (b"PAR1", "it is a Parquet file", "write it as CSV: pandas.read_parquet(...).to_csv(...)"),
    (b"PK\x03\x04", "it is a spreadsheet or a zip archive", "save its sheet as CSV, or unpack it"),
    (b"\xd0\xcf\x11\xe0", "it is an old Excel file", "save its sheet as CSV"),
    (b"\x1f\x9d", "it is packed by compress", "unpack it"),
    (b"7z\xbc\xaf", "it is a 7z archive", "unpack it"),
)


def bad(path: Path, line: int, got: str, todo: str = "", column: int = 0) -> NoReturn:
    """Raise InputError for what is wrong at a line, and a column where one is known."""
    where = f"{path}:{line}:{column}" if column else f"{path}:{line}"
    raise InputError(ATTEMPT, got=got, todo=todo, where=where)


def text_of(path: Path) -> tuple[bytes, tuple[str, ...]]:
    """The file's text as UTF-8 without a byte order mark, unpacked if need be (gzip, xz, bzip2, zstd); notes, in words.

    Raises InputError for a file that cannot be opened or unpacked, or holds no text, with the line where one is known.
    """
    try:
        data = read_input(path, MOST_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise InputError(ATTEMPT, on=str(path), got=getattr(error, "strerror", None) or str(error)) from error
    data, notes = _unpacked(path, data), ()  # type: bytes, tuple[str, ...]
    for magic, got, todo in _NOT_TEXT:
        if data.startswith(magic):
            bad(path, 1, got, todo)
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            data = data.decode("utf-16").encode()
        except UnicodeError:
            bad(path, 1, "it is not UTF-16 text, though it begins as such")
    data = data.removeprefix(b"\xef\xbb\xbf")
    try:
        if not data.isascii():
            data.decode("utf-8")
    except UnicodeDecodeError as error:
        older = _of_windows(data)
        if not older:
            bad(path, data.count(b"\n", 0, error.start) + 1, "it is not UTF-8 text", "save it as UTF-8")
        data, notes = older, ("it is no UTF-8: read as Windows-1252, as spreadsheets save it",)
    zero = data.find(b"\0")
    if zero >= 0:
        bad(path, data.count(b"\n", 0, zero) + 1, "it is not text: it holds a zero byte")
    if _JSON.match(data):
        bad(path, 1, "it is JSON, not CSV", "write it as CSV: a header line, then one row a run")
    for begins, got, todo in _TEXTS:
        if re.match(begins, data.lstrip()) and not _COMPARISON.search(data[: 1 << 16]):
            bad(path, 1, got, todo)
    if data.lstrip()[:1] == b"<":
        bad(path, 1, "it is HTML or XML, not CSV", "save the table itself as CSV")
    return data, notes


def _of_windows(data: bytes) -> bytes:
    """Text of Windows-1252 as UTF-8; empty where it can be none, or is UTF-8 but for a damaged byte."""
    if _UTF8.search(data):
        return b""
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        return b""
    return b"" if _CONTROL.search(text) else text.encode()


def _unpacked(path: Path, data: bytes) -> bytes:
    unpack = packed.unpacker(data[: packed.FIRST_BYTES])
    if unpack is None:
        return _bounded(path, data)
    try:
        with unpack(io.BytesIO(data)) as inside:
            data = packed.read_most(inside, MOST_BYTES)
    except (OSError, *packed.DAMAGED) as error:
        raise InputError(ATTEMPT, on=str(path), got=f"it cannot be unpacked ({error})", todo="is it whole?") from error
    return _bounded(path, data)


def _bounded(path: Path, data: bytes) -> bytes:
    if len(data) > MOST_BYTES:
        raise InputError(ATTEMPT, on=str(path), got=f"it unpacks to more than {MOST_BYTES >> 30} GiB")
    return data
