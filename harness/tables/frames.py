"""Run records to DataFrames: runs, nodes, knobs, cpus, with fixed columns in a fixed order."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from harness import columns
from harness.columns import Column
from harness.store.record import RunRecord
from harness.tables.links import links_text

_OF_RUN = ("block", "order", "started_utc", "wall_s", "verdict", "datapath")

CellKey = tuple[str, tuple[tuple[str, str], ...]]
"""A cell by name: the case, and every factor with its value as text."""


@dataclass(frozen=True)
class Tables:
    """The tables of a result set. Text is never missing (""), numbers are float64 with NaN for blank."""

    runs: pd.DataFrame
    nodes: pd.DataFrame
    knobs: pd.DataFrame
    cpus: pd.DataFrame


@dataclass(frozen=True)
class _Row:
    """A row of a table: the run that it is of, and its values by column, the factors left out."""

    run: RunRecord
    values: Mapping[str, object]


def frames(records: Iterable[RunRecord], order: Sequence[CellKey] = ()) -> Tables:
    """The tables of these records; rows by cell in the plan's `order` (as met, without), then by block."""
    runs = sorted(records, key=Ranks(order).of)
    factors = list(dict.fromkeys(name for run in runs for name in run.factors))
    nodes = [_Row(run, {**values, "node": name}) for run in runs for name, values in run.nodes.items()]
    cpus = [_Row(run, {**values, "cpu": name}) for run in runs for name, values in run.cpus.items()]
    return Tables(
        runs=_runs(runs, factors),
        nodes=_parts(nodes, factors, columns.NODES),
        knobs=_knobs(runs, factors),
        cpus=_parts(cpus, factors, columns.CPUS),
    )


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


def _run_row(run: RunRecord) -> _Row:
    contention = vars(run.contention) if run.contention else {}
    return _Row(
        run,
        {f"workload_{key}": value for key, value in run.workload.items()}
        | {f"contention_{key}": value for key, value in contention.items()}
        | run.environment
        | run.metrics
        | {key: getattr(run, key) for key in _OF_RUN}
        | {"links_tried": links_text(run.link_checks), "reasons": "; ".join(run.reasons)},
    )


def _runs(runs: list[RunRecord], factors: list[str]) -> pd.DataFrame:
    fixed, rows = [column.name for column in columns.RUN_COLUMNS], [_run_row(run) for run in runs]
    known = {*fixed, *factors}
    # What a newer writer measured and this list does not know is kept, after everything known.
    measured = sorted({name for run in runs for name in run.metrics} - known)
    other = sorted({name for row in rows for name in row.values} - known - set(measured))
    before = [column.name for column in columns.IDENTITY]
    names = [*before, *factors, *fixed[len(before) :], *measured, *other]
    texts = {name for name in other if not name.endswith(tuple(columns.UNIT_SUFFIXES))}
    return _frame(rows, names, factors, _text_names(columns.RUN_COLUMNS) | texts)


def _parts(rows: list[_Row], factors: list[str], lead: tuple[Column, ...]) -> pd.DataFrame:
    """A table with a row for every node (or CPU) of every run; a column for everything that was counted there."""
    first = [column.name for column in lead]
    others = sorted({name for row in rows for name in row.values} - set(first))
    texts = {name for name in others if any(isinstance(row.values.get(name), str) for row in rows)}
    return _frame(rows, [*first[:2], *factors, *first[2:], *others], factors, _text_names(lead) | texts)


def _knobs(runs: list[RunRecord], factors: list[str]) -> pd.DataFrame:
    rows = [_Row(run, vars(knob)) for run in runs for knob in run.knobs]
    names = [column.name for column in columns.KNOBS]
    frame = _frame(rows, [*names[:2], *factors, *names[2:]], factors, _text_names(columns.KNOBS))
    took_effect = [knob.took_effect for run in runs for knob in run.knobs]
    frame["took_effect"] = pd.array(took_effect, dtype="boolean")
    return frame


def _frame(rows: list[_Row], names: Sequence[str], factors: list[str], texts: set[str]) -> pd.DataFrame:
    data: dict[str, pd.api.extensions.ExtensionArray] = {}
    # Of a hundred columns most sets fill half: those that no row has are blank at once.
    filled = {"run_id", "case"}.union(*(row.values for row in rows))
    for name in names:
        if name in factors:
            data[name] = pd.array([factor_text(row.run.factors.get(name)) for row in rows], dtype="str")
        elif name in ("run_id", "case"):
            data[name] = pd.array([getattr(row.run, name) for row in rows], dtype="str")
        elif name in texts:
            texts_of = [factor_text(row.values.get(name)) for row in rows] if name in filled else [""] * len(rows)
            data[name] = pd.array(texts_of, dtype="str")
        else:
            numbers = [_number(row.values.get(name)) for row in rows] if name in filled else [math.nan] * len(rows)
            data[name] = pd.array(numbers, dtype="float64")
    return pd.DataFrame(data, columns=list(names))


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def _text_names(listed: Iterable[Column]) -> set[str]:
    return {column.name for column in listed if column.dtype == "text"}
