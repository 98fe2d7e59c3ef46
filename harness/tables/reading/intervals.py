"""Tables with a row for each interval of a run, as load generators and samplers log them: a run counts once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from harness.columns import BY_NAME
from harness.columns.names import TO_US, understood
from harness.errors import InputError
from harness.tables.columnar import Floats, Numbers, Table
from harness.tables.reading.account import ColumnRead, Mapping
from harness.tables.reading.requests import Made, apart_by, counting, of_runs
from harness.tables.reading.seen import Seen

_ROWS = 30
"""Fewer rows of a cell may as well be runs."""
_LONGEST_S = 10.0
"""Reports come at least so often; runs may begin as evenly, but hardly one right after the other."""
_EVEN, _SHARE = 0.01, 0.9
"""How far a step may be from the usual one, as a share of it, and how many of the steps are no further."""
_OVER_TIME = ("1/s", "bit/s", "%", "share")


def as_runs(path: Path, runs: Table, read: Sequence[ColumnRead], seen: Sequence[Seen], mapping: Mapping) -> Made:
    """The table with a row a run, how its columns were read, and what was done, in words.

    Of even intervals rates and shares have a mean, minima a minimum, maxima a maximum; quantiles and means of a
    latency cannot be combined and are left out. Raises InputError where nothing else is measured.
    """
    if mapping.per not in ("", "interval") or (not mapping.per and _told_apart(read)):
        return runs, list(read), ()
    apart, codes = apart_by(runs, read), of_runs(runs, read, seen)
    order = np.argsort(codes, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)
    step_s = _step(read, seen, groups)
    if not mapping.per and not step_s:
        return runs, list(read), ()
    ways = {column.here: _way(column) for column in read if column.role == "metric"}
    if not any(ways.values()):
        left_out = ", ".join(list(ways)[:4])
        got = f"its rows are intervals of a run{_every(step_s)}, and what they hold cannot be combined: {left_out}"
        raise InputError("read a table", str(path), got, "say --per run if each row is a run", "--per")
    made = runs.only(apart).take(np.array([rows[0] for rows in groups], dtype=np.intp))
    kept = counting(runs)
    combined = {
        here: Numbers(np.array([_combined(runs.floats(here)[rows[kept[rows]]], way) for rows in groups]))
        for here, way in ways.items()
        if way
    }
    warning = f"{len(runs):,} rows are intervals{_every(step_s)} of {_runs(len(groups))}: a run counts once"
    if bad := int((~kept).sum()):
        warning += f"; {bad:,} rows that do not count are left out"
    if not mapping.per:
        warning += "; --per run if each row is a run"
    lost = [column.name for column in read if column.role == "metric" and not ways[column.here]]
    if lost:
        more = f" and {len(lost) - 4} more" if len(lost) > 4 else ""
        warning += f"; no figure of a whole run can be had from {', '.join(lost[:4])}{more}"
    return made.assign(combined), [_reread(column, apart, ways) for column in read], (warning,)


def _told_apart(read: Sequence[ColumnRead]) -> bool:
    """Does the table say itself which rows are which runs?"""
    return any(column.role in ("repetition", "block", "run") for column in read)


def _step(read: Sequence[ColumnRead], seen: Sequence[Seen], groups: list[np.ndarray]) -> float:
    """The seconds from row to row, where the rows of every cell are many and as even as a clock; else 0."""
    timed = [one for one, column in zip(seen, read, strict=True) if column.role in ("time", "order")]
    timed = [one for one in timed if one.name not in BY_NAME]
    if not timed or min(len(rows) for rows in groups) < _ROWS:
        return 0.0
    seconds = _seconds(timed[0])
    steps = np.concatenate([np.diff(seconds[rows]) for rows in groups])
    timed_steps = steps[np.isfinite(steps)]
    usual = float(np.median(timed_steps)) if timed_steps.size else 0.0
    if not 0 < usual <= _LONGEST_S:
        return 0.0
    return usual if float((np.abs(steps - usual) <= _EVEN * usual).mean()) >= _SHARE else 0.0


def _seconds(one: Seen) -> Floats:
    if one.numeric and not one.epoch:
        unit = understood(one.name).unit
        return one.floats() * (TO_US.get(unit, TO_US["s"]) / TO_US["s"])
    times = one.times()
    stamps = np.array([text.removesuffix("+00:00") or "NaT" for text in times.names], dtype="datetime64[us]")
    seconds = np.where(np.isnat(stamps), np.nan, stamps.astype(np.int64) / 1e6)
    return seconds[times.codes]


def _way(column: ColumnRead) -> str:
    """How to combine intervals of even length: mean, min, max, or "" where there is no way."""
    name = understood(column.name)
    if name.stat in ("min", "max"):
        return name.stat
    return "mean" if not name.stat and (name.unit or column.unit) in _OVER_TIME else ""


def _combined(values: Floats, way: str) -> float:
    values = values[np.isfinite(values)]
    return float({"mean": np.mean, "min": np.min, "max": np.max}[way](values)) if values.size else np.nan


def _reread(column: ColumnRead, apart: list[str], ways: dict[str, str]) -> ColumnRead:
    if column.role == "metric" and ways[column.here]:
        return replace(column, guess=f"intervals, of which each run has the {ways[column.here]}")
    if column.here and column.here not in apart:
        return replace(column, role="ignored", here="", guess="rows are intervals")
    return column


def _every(step_s: float) -> str:
    return f" of {step_s:g} s" if step_s else ""


def _runs(count: int) -> str:
    return "one run" if count == 1 else f"{count} runs"
