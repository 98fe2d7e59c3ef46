"""Files that say how a link changes: mahimahi's packet-delivery traces, and CSV of time, rate, delay and loss. Pure."""

from __future__ import annotations

import base64
import binascii
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

from harness.units import parse_duration, parse_rate, parse_share

MAX_BYTES = 8 << 20
LEAST_BPS = 1000
# What one delivery opportunity of mahimahi is taken for: a full frame, as queues count it.
FRAME_BYTES = 1514
_MS = 1_000_000
_COLUMNS: dict[str, Callable[[object], int | float]] = {
    "time": parse_duration, "rate": parse_rate, "delay": parse_duration, "loss": parse_share,
}  # fmt: skip
_FORM = "expected one whole number of milliseconds a line (mahimahi), or CSV with the columns time,rate,delay,loss"


class TraceError(ValueError):
    """What is wrong with a trace, and in which line and column of it."""

    def __init__(self, line: int, column: int, text: str) -> None:
        super().__init__(text)
        self.line, self.column = line, column


class TracePoint(NamedTuple):
    """From at_ns on the link has these; None: as it was before."""

    at_ns: int
    rate_bps: int | None = None
    delay_ns: int | None = None
    loss: float | None = None


class LinkTrace(NamedTuple):
    """A trace as points in time. period_ns: after which it begins anew, if it says so itself; else 0."""

    points: tuple[TracePoint, ...]
    period_ns: int


def packed(text: str) -> str:
    """A trace's text in the form in which plans carry it."""
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def unpacked(data: str) -> str:
    """The text again. Raises ValueError for what `packed` has not made."""
    try:
        inflate = zlib.decompressobj()
        text = inflate.decompress(base64.b64decode(data, validate=True), MAX_BYTES + 1)
        if len(text) > MAX_BYTES:
            raise ValueError("a trace of more than 8 MiB")
        if not inflate.eof:
            raise zlib.error("cut off")
        return text.decode()
    except (binascii.Error, zlib.error, UnicodeDecodeError):
        raise ValueError("nothing that was filled in; leave it out: the file that is named is read") from None


def parse_trace(text: str) -> LinkTrace:
    """The points of a trace, the first at 0. Raises TraceError."""
    lines = _lines(text)
    if not lines:
        raise TraceError(1, 1, f"it has no line; {_FORM}")
    return _deliveries(_opportunities(lines)) if lines[0][1].isdecimal() else _table(lines)


def slots_of(text: str) -> dict[int, int]:
    """Of a packet-delivery trace: in which milliseconds how many frames may pass, the last being that of a turn's end.

    Empty for any other trace. Raises TraceError.
    """
    lines = _lines(text)
    return _opportunities(lines) if lines and lines[0][1].isdecimal() else {}


def _lines(text: str) -> list[tuple[int, str]]:
    """What is not blank and no comment, with its number."""
    lines = ((number, line.strip()) for number, line in enumerate(text.splitlines(), 1))
    return [(number, line) for number, line in lines if line and not line.startswith("#")]


def _opportunities(lines: list[tuple[int, str]]) -> dict[int, int]:
    slots: Counter[int] = Counter()
    latest = 0
    for number, line in lines:
        if not line.isdecimal() or len(line) > 9:
            raise TraceError(number, 1, f'"{line[:20]}" is no millisecond; {_FORM}')
        if int(line) < latest:
            raise TraceError(number, 1, f"{line} ms comes after {latest} ms; opportunities stand in order of time")
        latest = int(line)
        slots[latest] += 1
    if not latest:
        raise TraceError(lines[-1][0], 1, "it ends at 0 ms; the last line is the time after which it begins anew")
    # What is due at 0 is due at the end of each turn as well, so that it is counted there.
    slots[latest] += slots.pop(0, 0)
    return slots


def _deliveries(slots: dict[int, int]) -> LinkTrace:
    """Between two opportunities the link has the rate at which just as many frames pass as the second one lets through.

    So a packet that waits has left when its opportunity comes; of several in one millisecond, evenly before it.
    """
    points, before = [], 0
    for slot, count in slots.items():
        rate = max(LEAST_BPS, count * FRAME_BYTES * 8 * 1000 // (slot - before))
        if not points or points[-1].rate_bps != rate:
            points.append(TracePoint(before * _MS, rate))
        before = slot
    return LinkTrace(tuple(points), before * _MS)


def _table(lines: list[tuple[int, str]]) -> LinkTrace:
    """The rows of a CSV trace; the unit of a column stands in its cells, or after its name: time_s, rate_mbit."""
    number, head = lines[0]
    columns = [(name, unit) for name, _, unit in (cell.strip().partition("_") for cell in head.split(","))]
    names = [name for name, _ in columns]
    if names[0] != "time" or len(names) < 2 or set(names) - set(_COLUMNS) or len(set(names)) != len(names):
        raise TraceError(number, 1, f'"{head[:60]}" is no head of such a table; {_FORM}')
    points: list[TracePoint] = []
    for number, line in lines[1:]:
        values = dict(_cells(number, line, columns))
        if values["time"] < (points[-1].at_ns + 1 if points else 0):
            raise TraceError(number, 1, "its time is not after that of the line before")
        at_ns = int(values.pop("time"))
        rate, delay = (int(values[name]) if name in values else None for name in ("rate", "delay"))
        if rate is not None and rate < LEAST_BPS:
            raise TraceError(number, 1, "a rate below 1kbit holds a frame for longer than 12 s")
        points.append(TracePoint(at_ns, rate, delay, values.get("loss")))
    if not points:
        raise TraceError(number, 1, "it has a head and no rows")
    return LinkTrace(tuple(points), 0)


def _cells(number: int, line: str, columns: list[tuple[str, str]]) -> Iterator[tuple[str, int | float]]:
    """Column and value of each cell of a row. An empty one is as before, and left out."""
    cells = line.split(",")
    if len(cells) != len(columns):
        raise TraceError(number, 1, f"{len(cells)} values in a table of {len(columns)} columns")
    at = 1
    for (name, unit), cell in zip(columns, cells, strict=True):
        text = cell.strip()
        if text or name == "time":
            try:
                yield name, _COLUMNS[name](f"{text}{'%' if unit == 'percent' else unit}")
            except ValueError as error:
                raise TraceError(number, at, f"{name}: {error}") from None
        at += len(cell) + 1
