"""What `load` returns: tables and samples of one or more result sets, each read when it is first asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd

from harness.analysis.api.samples import RunSamples, chosen, together
from harness.analysis.api.tables import LoadedSet, Table, joined, parts_of, read
from harness.analysis.curves.factors import quantity
from harness.analysis.curves.reduce import ecdf
from harness.errors import InputError
from harness.tables.cells import summary_frame

Runs = pd.DataFrame | Iterable[str] | None
"""Which runs: rows of a `runs` table, run ids, or None for all."""


def load(*paths: str | Path) -> Results:
    """One or more result sets (directories; the newest set of an experiment's directory) or CSV files of runs.

    Raises InputError (harness.errors) for a path that is none of these.
    """
    return Results(parts_of(paths))


class Results:
    """Loaded result sets. Every table has `set` (which of them a row is of) and `run_id`, by which tables join.

    Types: text is `str` and never missing (""); numbers, counts too, are `float64` with NaN for blank; flags are
    `boolean` with <NA>; factors are `str` as the experiment wrote them (`number` makes numbers of them); `set`, and
    `run_id` of samples, are categories; samples are `int64`. docs/columns.md describes every column.
    """

    def __init__(self, parts: tuple[LoadedSet, ...]) -> None:
        self._parts = parts

    @property
    def sets(self) -> list[str]:
        """The names of the sets, in the order given."""
        return [part.name for part in self._parts]

    @property
    def warnings(self) -> list[str]:
        """What was found damaged so far, or put right in a CSV file, in words, with the set's name."""
        return [
            f"{part.name}: {text}"
            for part in self._parts
            for text in (part.results.warnings if part.results else part.repairs)
        ]

    @cached_property
    def runs(self) -> pd.DataFrame:
        """One row per run, whatever its verdict: factors, environment, set-up, metrics."""
        return self.table("runs")

    @cached_property
    def evidence(self) -> pd.DataFrame:
        """One row per run and setting: requested, found, applied, took_effect, evidence (as in knobs.csv)."""
        return self.table("knobs")

    @cached_property
    def nodes(self) -> pd.DataFrame:
        """One row per run and node."""
        return self.table("nodes")

    @cached_property
    def cpus(self) -> pd.DataFrame:
        """One row per run and CPU."""
        return self.table("cpus")

    @cached_property
    def summary(self) -> pd.DataFrame:
        """One row per set and cell: counts of verdicts, medians over valid runs and their intervals."""
        mine = [self.runs[self.runs["set"] == name].drop(columns="set") for name in self.sets]
        return joined([summary_frame(runs) for runs in mine], self.sets)

    def table(self, name: Table, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """A table, whole or only some of its columns; memory goes to those and to one batch of records.

        Raises InputError for a table that there is none of, and for a column that the table does not have.
        """
        if name not in get_args(Table):
            todo = f"there are: {', '.join(get_args(Table))}"
            raise InputError("read a table", on=str(name), got="there is no such table", todo=todo)
        return joined([read(part, name, columns) for part in self._parts], self.sets)

    def number(self, factor: str) -> pd.Series:
        """A factor of `runs` as float64: us for times, bytes, bit/s, percent; NaN for what is no number."""
        if factor not in self.runs.columns:
            raise InputError("read a factor", on=factor, got="there is no such column")
        texts = self.runs[factor].astype(str)
        numbers = {text: amount[0] if (amount := quantity(text)) else np.nan for text in texts.unique()}
        return texts.map(numbers).astype("float64")

    def samples(self, columns: Sequence[str] | None = None, runs: Runs = None) -> pd.DataFrame:
        """Raw samples, one row per request: set and run_id (categories), intended_ns, latency_ns (int64, -1: lost).

        columns: of these, and of what else the files hold; no others are read from disk. Memory: the columns asked
        for, and one run. Runs without samples have no rows. Raises InputError for unknown columns and runs.
        """
        return together(chosen(self._parts, runs), columns)

    def each_run(
        self, columns: Sequence[str] = ("intended_ns", "latency_ns"), runs: Runs = None
    ) -> Iterator[RunSamples]:
        """The samples of one run after another, so that a set of any size fits in memory. Raises InputError."""
        for run in chosen(self._parts, runs):
            yield RunSamples(run.name, run.run_id, pd.DataFrame(run.read(columns), copy=False))

    def ecdf(self, run_id: str, limit: int = 2000) -> pd.DataFrame:
        """rtt_us and share (of the requests, answered within it) of a run: at most `limit` points, each exact."""
        for _, _, samples in self.each_run(["latency_ns"], [run_id]):
            values, share = ecdf(samples["latency_ns"].to_numpy(), limit)
            return pd.DataFrame({"rtt_us": values / 1e3, "share": share})
        raise InputError("read samples", on=f"run {run_id}", got="it has none")
