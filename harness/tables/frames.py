"""Run records to DataFrames: runs, nodes, knobs, cpus, phases, queues, with fixed columns in a fixed order."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from harness import columns
from harness.columns import Column

if TYPE_CHECKING:
    import pandas as pd

    from harness.store.record import LinkCheck, QueueSeries, RunRecord

_OF_RUN = ("block", "order", "started_utc", "wall_s", "verdict", "datapath", "attempt", "again_s")
_MOST_LINKS = 4
_NUMBERS = {int, float, bool, type(None)}

CellKey = tuple[str, tuple[tuple[str, str], ...]]
"""A cell by name: the case, and every factor with its value as text."""

_Row = dict[str, Any]


class Tables:
    """The tables of a result set, each made when it is asked for. Text is never missing (""), numbers are float64 with
    NaN for blank."""

    def __init__(self, records: list[RunRecord]) -> None:
        """records: in the order of their rows."""
        self._records = records
        self._factors = list(dict.fromkeys(name for run in records for name in run.factors))

    @cached_property
    def runs(self) -> pd.DataFrame:
        """A row for every run."""
        return _runs(self._records, self._factors)

    @cached_property
    def nodes(self) -> pd.DataFrame:
        """A row for every node of every run."""
        rows = [_row(run, {**values, "node": name}) for run in self._records for name, values in run.nodes.items()]
        return _parts(rows, self._factors, columns.NODES)

    @cached_property
    def knobs(self) -> pd.DataFrame:
        """A row for every setting of every run."""
        return _knobs(self._records, self._factors)

    @cached_property
    def cpus(self) -> pd.DataFrame:
        """A row for every CPU of every run."""
        rows = [_row(run, {**values, "cpu": name}) for run in self._records for name, values in run.cpus.items()]
        return _parts(rows, self._factors, columns.CPUS)

    @cached_property
    def phases(self) -> pd.DataFrame:
        """A row for every phase of every link of every run."""
        rows = [_row(run, vars(phase)) for run in self._records for phase in run.phases]
        return _parts(rows, self._factors, columns.PHASES)

    @cached_property
    def queues(self) -> pd.DataFrame:
        """A row for every stretch of time of every direction of every run."""
        rows = [_row(run, row) for run in self._records for series in run.queues for row in _looks(series)]
        return _parts(rows, self._factors, columns.QUEUES)


def frames(records: Iterable[RunRecord], order: Sequence[CellKey] = ()) -> Tables:
    """The tables of these records; rows by cell in the plan's `order` (as met, without), then by block."""
    return Tables(sorted(records, key=Ranks(order).of))


def factor_text(value: object) -> str:
    """A factor's value as the tables and CSV files hold it, so that memory and file agree."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def cell_key(case: str, factors: Mapping[str, object]) -> CellKey:
    """The name of a cell, the same from a record, a plan or a CSV file."""
    return case, tuple((name, factor_text(value)) for name, value in factors.items())


class Ranks:
    """Where a record's rows stand in a table: cells in the plan's order, then as first met; blocks within."""

    def __init__(self, order: Sequence[CellKey] = ()) -> None:
        self._place = {_unordered(key): at for at, key in enumerate(order)}

    def of(self, record: RunRecord) -> tuple[int, int, str]:
        """The place of one record, as something to sort by."""
        key = _unordered(cell_key(record.case, record.factors))
        return self._place.setdefault(key, len(self._place)), record.block, record.run_id


def _unordered(key: CellKey) -> tuple[str, frozenset[tuple[str, str]]]:
    return key[0], frozenset(key[1])


def _row(run: RunRecord, values: Mapping[str, object]) -> _Row:
    """A row of a table: values by column, beside those that name the run and its cell."""
    return {**values, "run_id": run.run_id, "case": run.case, **run.factors}


def _looks(series: QueueSeries) -> Iterator[_Row]:
    """A row for each stretch of a series."""
    parts = series.packets, series.most_packets, series.most_bytes, series.drops
    for number, (packets, most_packets, most_bytes, drops) in enumerate(zip(*parts, strict=False)):
        at = {"link": series.link, "at_s": number * series.seconds, "seconds": series.seconds}
        yield at | {"packets": packets, "most_packets": most_packets, "most_bytes": most_bytes, "drops": drops}


def _run_row(run: RunRecord) -> _Row:
    contention = vars(run.contention) if run.contention else {}
    values = {
        **{f"workload_{key}": value for key, value in run.workload.items()},
        **{f"contention_{key}": value for key, value in contention.items()},
        **run.environment,
        **run.metrics,
        **{key: getattr(run, key) for key in _OF_RUN},
        "links_tried": links_text(run.link_checks),
        "reasons": "; ".join(run.reasons),
        "hints": "; ".join(run.hints),
        "noise": ", ".join(run.noise),
        "rejected": " / ".join(run.rejected),
    }
    return _row(run, values)


def links_text(rows: Sequence[LinkCheck]) -> str:
    """What a run's shaped links did when they were tried, in one line; "" where nothing was tried.

    Every figure of a few directions; of more, only how many properties hold.
    """
    by_link: dict[str, list[LinkCheck]] = {}
    for row in rows:
        by_link.setdefault(row.link, []).append(row)
    if len(by_link) <= _MOST_LINKS:
        return "; ".join(f"{link}: {', '.join(map(_check_text, of_it))}" for link, of_it in by_link.items())
    good, unknown = (sum(row.ok is ok for row in rows) for ok in (True, None))
    bad = len(rows) - good - unknown
    return f"{len(rows)} properties of {len(by_link)} directions: {good} as declared, {bad} not, {unknown} not known"


def _check_text(row: LinkCheck) -> str:
    within = f" +-{row.tolerance}" if row.tolerance else ""
    breach = " BREACH" if row.ok is False else ""
    return f"{row.check} {row.measured} ({row.declared} declared{within}){breach}"


def _runs(runs: list[RunRecord], factors: list[str]) -> pd.DataFrame:
    fixed, rows = [column.name for column in columns.RUN_COLUMNS], [_run_row(run) for run in runs]
    known = {*fixed, *factors}
    # What a newer writer measured and this list does not know is kept, after everything known.
    measured = sorted({name for run in runs for name in run.metrics} - known)
    other = sorted(_names(rows) - known - set(measured))
    before = len(columns.IDENTITY)
    texts = {name for name in other if not name.endswith(tuple(columns.UNIT_SUFFIXES))}
    names = [*fixed[:before], *factors, *fixed[before:], *measured, *other]
    return _frame(rows, names, _text_names(columns.RUN_COLUMNS).union(texts, factors))


def _parts(rows: list[_Row], factors: list[str], lead: tuple[Column, ...]) -> pd.DataFrame:
    """A table with a row for every node (or CPU) of every run; a column for everything that was counted there."""
    first = [column.name for column in lead]
    others = sorted(_names(rows) - {*first, *factors})
    texts = {name for name in others if any(isinstance(row.get(name), str) for row in rows)}
    return _frame(rows, [*first[:2], *factors, *first[2:], *others], _text_names(lead).union(texts, factors))


def _knobs(runs: list[RunRecord], factors: list[str]) -> pd.DataFrame:
    import pandas as pd

    knobs = [(run, knob) for run in runs for knob in run.knobs]
    names = [column.name for column in columns.KNOBS]
    rows = [_row(run, vars(knob)) for run, knob in knobs]
    frame = _frame(rows, [*names[:2], *factors, *names[2:]], _text_names(columns.KNOBS).union(factors))
    frame["took_effect"] = pd.array([knob.took_effect for _, knob in knobs], dtype="boolean")
    return frame


def _frame(rows: list[_Row], names: Sequence[str], texts: set[str]) -> pd.DataFrame:
    # Imported here, as below: the names of cells alone need none of it.
    import pandas as pd

    # Of a hundred columns most sets fill half: those that no row has are blank at once.
    filled = _names(rows)
    data: dict[str, pd.api.extensions.ExtensionArray | npt.NDArray[np.float64]] = {}
    for name in names:
        text = name in texts
        values = [row.get(name) for row in rows] if name in filled else ["" if text else None] * len(rows)
        data[name] = pd.array(_texts(values), dtype="str") if text else _numbers(values)
    return pd.DataFrame(data, columns=list(names))


def _texts(values: list[Any]) -> list[str]:
    # Most columns have no other type in them, which is quickly seen.
    return values if set(map(type, values)) == {str} else [factor_text(value) for value in values]


def _numbers(values: list[Any]) -> npt.NDArray[np.float64]:
    plain = set(map(type, values)) <= _NUMBERS
    return np.array(values if plain else [_number(value) for value in values], dtype=np.float64)


def _names(rows: list[_Row]) -> set[str]:
    return set().union(*rows)


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def _text_names(listed: Iterable[Column]) -> set[str]:
    return {column.name for column in listed if column.dtype == "text"}
