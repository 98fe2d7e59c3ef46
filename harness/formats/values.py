"""Single latencies as any program may write them: one number a line, a column of CSV, a list within JSON."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

UNITS_NS = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}
"""Nanoseconds in one unit of time."""


def of_lines(text: str) -> list[float]:
    """One number a line; empty lines and those that begin with # say nothing. ValueError, naming the line."""
    lines = ((number, line.strip()) for number, line in enumerate(text.splitlines(), 1))
    return [_number(line, f"line {number}") for number, line in lines if line and not line.startswith("#")]


def of_csv(text: str, column: str = "", at: str = "") -> tuple[list[float], list[float]]:
    """A column of CSV, the first if none is named, and the times in column `at`, if it is named.

    ValueError for a column that is not there, and for a field that is no number, with its line.
    """
    rows = csv.reader(io.StringIO(text))
    head = next(rows, [])
    places = [_place(head, name) for name in (column, at) if name or name == column]
    columns: tuple[list[float], list[float]] = ([], [])
    for number, row in enumerate(rows, 2):
        for values, place in zip(columns, places, strict=False):
            if row:
                values.append(_number(row[place] if place < len(row) else "", f"line {number}"))
    return columns


def of_json(text: str, path: str = "") -> list[float]:
    """The numbers at a dotted path; a list on the way stands for each of its members. ValueError."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None
    return [_number(value, f"{path or 'the document'}[{at}]") for at, value in enumerate(_below(document, path))]


def samples_of(values: list[float], times: list[float], unit: str, factor: float = 1.0) -> npt.NDArray[np.void]:
    """Requests (intended_ns, latency_ns) of latencies in a unit; one below 0 was never answered.

    Without times a request begins where the one before it ended, as in a closed loop.
    """
    import numpy as np

    latency_ns = np.asarray(values, dtype=np.float64) * UNITS_NS[unit] * factor
    answered = latency_ns >= 0
    begun_ns = np.asarray(times, dtype=np.float64) * UNITS_NS[unit]
    if not times:
        lasted = np.where(answered, latency_ns, 0.0)
        begun_ns = np.cumsum(lasted) - lasted
    samples = np.empty(len(values), dtype=[("intended_ns", "<i8"), ("latency_ns", "<i8")])
    samples["intended_ns"] = np.clip(np.rint(begun_ns - begun_ns.min(initial=math.inf)), 0, 2**62)
    samples["latency_ns"] = np.where(answered, np.clip(np.rint(latency_ns), 0, 2**62), -1)
    return samples


def _place(head: list[str], name: str) -> int:
    names = [title.strip() for title in head]
    if not name and names:
        return 0
    if name not in names:
        raise ValueError(f"there is no column {name!r}; there is {', '.join(names[:8]) or 'no first line'}")
    return names.index(name)


def _below(value: object, path: str) -> Iterator[object]:
    name, _, rest = path.partition(".")
    if isinstance(value, list):
        for member in value:
            yield from _below(member, path)
    elif not path:
        yield value
    elif isinstance(value, dict) and name in value:
        yield from _below(value[name], rest)
    else:
        raise ValueError(f"there is no {name!r} in it")


def _number(value: object, where: str) -> float:
    try:
        number = float(value) if isinstance(value, str | int | float) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number) or isinstance(value, bool):
        raise ValueError(f"{where}: {str(value)[:40]!r} is not a number")
    return number
