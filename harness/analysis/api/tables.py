"""The sets that were loaded, and their tables read with little memory: in batches, keeping only the wanted columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from harness.errors import InputError
from harness.store import ResultSet, RunRecord
from harness.tables.csvin import repaired
from harness.tables.frames import Ranks, frames
from harness.tables.reading.table import read as read_csv
from harness.tables.source import find_set, planned_cells

Table = Literal["runs", "nodes", "knobs", "cpus"]

BATCH = 500
"""Records parsed at a time: a record as Python objects is fifty times as large as its rows."""


@dataclass(frozen=True)
class LoadedSet:
    """A result set, or the runs of a CSV file (`table`; `results` is None then)."""

    name: str
    results: ResultSet | None
    table: pd.DataFrame | None = None
    repairs: tuple[str, ...] = ()

    def run_ids(self) -> list[str]:
        """The ids of its runs; none for a CSV file without a column run_id."""
        if self.results is not None:
            return list(self.results.run_ids())
        if self.table is None or "run_id" not in self.table.columns:
            return []
        return [str(run_id) for run_id in self.table["run_id"]]


def parts_of(paths: Sequence[str | Path]) -> tuple[LoadedSet, ...]:
    """The sets at these paths. Raises InputError for a path that is none, and for no path at all."""
    if not paths:
        raise InputError("load results", got="no path was given", todo="name one: load('results/NAME/STAMP')")
    parts = [_part(Path(path)) for path in paths]
    if len({part.name for part in parts}) < len(parts):
        # Two copies of one set: only their paths tell them apart.
        parts = [replace(part, name=str(path)) for path, part in zip(paths, parts, strict=True)]
    if len({part.name for part in parts}) < len(parts):
        raise InputError("load results", got="the same path was given twice", todo="name each set once")
    return tuple(parts)


def _part(path: Path) -> LoadedSet:
    results = find_set(path)
    if results is not None:
        return LoadedSet(results.name, results)
    runs, repairs = repaired(*read_csv(path / "runs.csv" if path.is_dir() else path))
    # Runs that were loaded and written before have a column of that name: every table here gets one of its own.
    return LoadedSet(str(path), None, runs.renamed({"set": "set_before"}).frame(), repairs)


def read(part: LoadedSet, name: Table, columns: Sequence[str] | None) -> pd.DataFrame:
    """A table of one set, or only some columns of it, in the plan's order. Raises InputError for others."""
    if part.results is None:
        whole = part.table if name == "runs" and part.table is not None else pd.DataFrame({"run_id": []}, dtype="str")
        return _narrow(whole, name, columns)
    ranks = Ranks(list(planned_cells(part.results.plan)))
    places: dict[str, tuple[int, int, str]] = {}
    frames_, ids = [], []
    for records in _batches(part.results.each_record()):
        places |= {record.run_id: ranks.of(record) for record in records}
        frame: pd.DataFrame = getattr(frames(records), name)
        ids += frame["run_id"].tolist()
        frames_.append(
            frame if columns is None else frame[[column for column in columns if column in frame.columns]].copy()
        )
    if not frames_:
        return _narrow(getattr(frames([]), name), name, columns)
    order = sorted(range(len(ids)), key=lambda at: places[ids[at]])
    return _narrow(stacked(frames_).iloc[order].reset_index(drop=True), name, columns)


def stacked(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Tables one below the other; text that one of them lacks is "", not missing."""
    whole = pd.concat(tables, ignore_index=True) if len(tables) > 1 else tables[0]
    for name in whole.columns if len(tables) > 1 else ():
        if any(name in frame and frame[name].dtype == "str" for frame in tables):
            whole[name] = whole[name].fillna("").astype("str")
    return whole


def joined(tables: Sequence[pd.DataFrame], sets: Sequence[str]) -> pd.DataFrame:
    """The tables of several sets as one, with the set's name in front."""
    codes = np.repeat(np.arange(len(tables)), [len(frame) for frame in tables])
    whole = stacked(tables).copy(deep=False)
    named = pd.Categorical.from_codes(codes, dtype=pd.CategoricalDtype(list(sets)))
    whole.insert(0, "set", pd.Series(named))
    return whole


def _narrow(frame: pd.DataFrame, table: Table, columns: Sequence[str] | None) -> pd.DataFrame:
    for name in columns or ():
        if name not in frame.columns:
            raise InputError(f"read the table {table}", on=f"column {name}", got="there is no such column")
    return frame if columns is None else frame[list(columns)]


def _batches(records: Iterable[RunRecord]) -> Iterator[list[RunRecord]]:
    source = iter(records)
    while batch := list(islice(source, BATCH)):
        yield batch
