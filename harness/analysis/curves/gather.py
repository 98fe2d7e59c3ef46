"""Samples of a set read once, run by run, column by column, and kept only as the few points that charts need."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.analysis.curves.reduce import Floats, Timeline, firm_until, quantiles_us, timeline
from harness.store import ResultSet
from harness.tables.source import Source, find_set, from_set, load_source

SLICES = 240
"""Slices of a run's time series: about two per pixel column of a chart, and ten bytes each in a page."""


@dataclass(frozen=True)
class RunShape:
    """What charts need of one run's samples.

    quantiles_us: at every point of reduce.GRID; firm: how many of those are firm; timeline: None if not asked for.
    """

    run_id: str
    answered: int
    lost: int
    quantiles_us: Floats
    firm: int
    timeline: Timeline | None


@dataclass(frozen=True)
class Study:
    """A source of runs together with where its samples are; None for a CSV file, which has none."""

    source: Source
    results: ResultSet | None = None


def load_study(path: str | Path) -> Study:
    """A result set, an experiment's directory (its newest set) or a CSV file. Raises InputError."""
    results = find_set(path)
    return Study(load_source(path)) if results is None else Study(from_set(results), results)


def shapes(study: Study, run_ids: Collection[str], with_time: Collection[str] = ()) -> Iterator[RunShape]:
    """The shapes of the runs in `wanted`, in that order, and time series of those in `with_time` too.

    One run is in memory at a time, and of it only the columns needed. A run without samples, or with damaged
    ones, yields nothing; the latter leaves a warning with the set.
    """
    if study.results is None:
        return
    timed = set(with_time)
    for run_id in run_ids:
        names = ("intended_ns", "latency_ns") if run_id in timed else ("latency_ns",)
        columns = study.results.sample_columns(run_id, names)
        if columns is None or not columns["latency_ns"].size:
            continue
        latency_ns = columns["latency_ns"]
        series = timeline(columns["intended_ns"], latency_ns, SLICES) if run_id in timed else None
        answered = np.sort(latency_ns[latency_ns >= 0])
        count = int(answered.size)
        yield RunShape(
            run_id, count, int(latency_ns.size) - count, quantiles_us(answered), firm_until(count), series
        )
