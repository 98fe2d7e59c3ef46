"""Tables with a row for each request: the requests of a run become its quantiles, and a run counts once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness import columns, stats
from harness.columns.names import TO_US, understood
from harness.errors import InputError
from harness.tables.columnar import Codes, Numbers, Table
from harness.tables.reading.account import ColumnRead, Mapping
from harness.tables.reading.seen import Seen

_MANY = 200
"""Rows of a cell that are hardly runs, where all that is measured is one latency."""
_SOME = 30
"""The same, where the rows are counted or go with time."""
_SPANS = {"duration", "elapsed", "took"}
_MORE_THAN_ONE = {"iteration", "session", "group", "connect"}
_RAW = {"time", "times", "duration", "elapsed", "took"}

Made = tuple[Table, list[ColumnRead], tuple[str, ...]]


def as_runs(path: Path, runs: Table, read: Sequence[ColumnRead], seen: Sequence[Seen], mapping: Mapping) -> Made:
    """The table with a row a run, how its columns were read, and what was done, in words.

    Raises InputError where the user says that rows are requests, and not one column can be their latency.
    """
    dated = any(column.role == "time" for column in read)
    raw = [column for column in read if column.role == "metric" and _is_raw(column, dated)]
    candidates = read if mapping.per == "request" else raw
    asked = [column for column in candidates if column.role == "metric" and column.name in mapping.metrics.values()]
    raw = asked if len(asked) == 1 else _whole(raw)
    if mapping.per not in ("", "request") or not (mapping.per or raw or _is_counted(read)):
        return runs, list(read), ()
    apart = apart_by(runs, read)
    codes = of_runs(runs, read, seen)
    if mapping.per == "request":
        raw = raw if len(raw) == 1 else [column for column in read if column.role == "metric"]
        if len(raw) != 1:
            names = ", ".join(column.name for column in raw)
            got = f"{names} could each be the latency of a request"
            raise InputError("read a row a request", str(path), got, "name one with --metric", "--per")
    elif not _looks_so(read, raw, codes):
        return runs, list(read), ()
    elif len(raw) != 1:
        names = ", ".join(column.name for column in raw or read if column.role == "metric")
        got = f"its rows look like requests, and {names} could each be their latency"
        raise InputError("read a table", str(path), got, "name one with --metric, or say --per run", "--metric")
    return _gathered(runs, read, raw[0], apart, codes)


def _is_raw(column: ColumnRead, dated: bool) -> bool:
    """Is this a single latency, of no statistic? dated: another column has the time of day, so that `time` is none."""
    name = understood(column.name)
    if name.stat or name.unit not in ("", *TO_US):
        return False
    return (
        name.timed
        or bool(_SPANS.intersection(name.words))
        or ((name.is_time or (dated and bool(name.words))) and _RAW.issuperset(name.words))
    )


def _whole(raw: list[ColumnRead]) -> list[ColumnRead]:
    """Of several times of one request the one that spans the others, where their names say it."""
    called = [(column, set(understood(column.name).words)) for column in raw]
    spans = [column for column, words in called if words & _SPANS and not words & _MORE_THAN_ONE]
    for whole in ([column for column in raw if understood(column.name).timed], spans):
        if len(whole) == 1:
            return whole
    return raw


def _looks_so(read: Sequence[ColumnRead], raw: Sequence[ColumnRead], codes: Codes) -> bool:
    figures = [column for column in read if column.role == "metric"]
    if any(understood(column.name).stat or column.here in columns.BY_NAME for column in figures):
        return False
    counted = _is_counted(read)
    return float(np.median(np.bincount(codes))) >= (_SOME if counted and raw else _MANY) and (counted or bool(raw))


def _is_counted(read: Sequence[ColumnRead]) -> bool:
    """Have the rows times, or an order?"""
    return any(column.role in ("order", "time") or column.guess.startswith("it counts") for column in read)


def apart_by(runs: Table, read: Sequence[ColumnRead]) -> list[str]:
    """The columns that tell runs apart."""
    roles = ("case", "factor", "fact", "block", "run")
    names = ["case", *(column.here for column in read if column.role in roles and column.here != "case")]
    return [name for name in names if name in runs]


def of_runs(runs: Table, read: Sequence[ColumnRead], seen: Sequence[Seen]) -> Codes:
    """A number for each row, the same for those of one run, as far as columns tell."""
    repeats = {
        f"#{one.name}": one.column for one, column in zip(seen, read, strict=True) if column.role == "repetition"
    }
    keyed = runs.only(apart_by(runs, read)).assign(repeats)
    return keyed.groups(keyed.names)


def counting(runs: Table) -> npt.NDArray[np.bool_]:
    """Which rows count, where a verdict says so; else all."""
    if "verdict" not in runs:
        return np.ones(len(runs), dtype=bool)
    return runs.texts("verdict").are(lambda text: text in ("", "valid"))


def _gathered(runs: Table, read: Sequence[ColumnRead], raw: ColumnRead, apart: list[str], codes: Codes) -> Made:
    unit = columns.unit_of(raw.here) or ""
    values = runs.floats(raw.here) * TO_US.get(unit, 1.0)
    kept = np.isfinite(values) & counting(runs)
    order = np.argsort(codes, kind="stable")
    groups = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)
    figures = [_summary(values[rows[kept[rows]]], bool(unit)) for rows in groups]
    made = runs.only(apart).take(np.array([rows[0] for rows in groups], dtype=np.intp))
    of_runs = {name: Numbers(np.array([one[name] for one in figures], dtype=np.float64)) for name in figures[0]}
    made = made.assign(of_runs)
    made = made.without(*(name for name in made.names if made[name].numeric and made[name].blank().all()))
    sizes = [len(rows) for rows in groups]
    size_text = f"{min(sizes):,}" if min(sizes) == max(sizes) else f"{min(sizes):,} to {max(sizes):,}"
    many = "one run" if len(groups) == 1 else f"{len(groups)} runs"
    warnings = [
        f"{len(runs):,} rows are requests, {many} of {size_text}: a run counts once, however many requests it has"
    ]
    if lost := int((~kept).sum()):
        warnings.append(f"{lost:,} rows without an answer are left out")
    columns_read = [
        replace(column, guess="single requests, of which each run's quantiles are taken")
        if column is raw
        else replace(column, role="ignored", here="", guess="rows are requests")
        if column.here and column.here not in apart
        else column
        for column in read
    ]
    return made, columns_read, tuple(warnings)


def _summary(values: npt.NDArray[np.float64], stated: bool) -> dict[str, float | None]:
    """The quantiles of one run's requests, as `stats.summarise` has them; without `_us` where no unit is stated."""
    values = values[values >= 0]
    largest = float(values.max()) if values.size else 1.0
    # Whole numbers, as samples are: as many digits as are exact.
    size = 10.0 ** (15 - np.ceil(np.log10(largest or 1.0)))
    summary = stats.summarise(np.round(values * size).astype(np.int64))
    figures = {name: None if value is None else value * 1e3 / size for name, value in summary.items()}
    named = {
        name if stated else f"latency{name.removeprefix('rtt').removesuffix('_us')}": value
        for name, value in figures.items()
    }
    return {"requests": float(values.size), **named}
