"""One of the sets that were loaded, under the name that tells its rows from those of the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from harness.errors import InputError
from harness.store import ResultSet
from harness.tables.csvin import load_runs
from harness.tables.source import find_set


@dataclass(frozen=True)
class LoadedSet:
    """A result set, or the runs of a CSV file (`table`; `results` is None then)."""

    name: str
    results: ResultSet | None
    table: pd.DataFrame | None = None

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
        parts = [
            LoadedSet(str(path), part.results, part.table) for path, part in zip(paths, parts, strict=True)
        ]
    if len({part.name for part in parts}) < len(parts):
        raise InputError("load results", got="the same path was given twice", todo="name each set once")
    return tuple(parts)


def _part(path: Path) -> LoadedSet:
    results = find_set(path)
    if results is not None:
        return LoadedSet(results.name, results)
    return LoadedSet(str(path), None, load_runs(path / "runs.csv" if path.is_dir() else path))
