"""What charts are drawn from: a set or a part of it, its typical runs, and the few points they need of samples."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from harness.analysis.compare import Factors
from harness.analysis.curves.reduce import Floats, Timeline, firm_until, quantiles_us, timeline
from harness.errors import InputError
from harness.store import ResultSet
from harness.store.quantiles import quantiles_of
from harness.tables.cells import SummaryCell
from harness.tables.source import Source, counting, find_set, from_set, load_source

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


def load_study(path: str | Path, include: Collection[str] = ()) -> Study:
    """A result set, an experiment's directory (its newest set) or a CSV file. Raises InputError.

    include: verdicts that count beside valid.
    """
    results = find_set(path)
    source = load_source(path) if results is None else from_set(results)
    return Study(counting(source, include), results)


def shapes(study: Study, run_ids: Collection[str], with_time: Collection[str] = ()) -> Iterator[RunShape]:
    """The shapes of the runs in `wanted`, in that order, and time series of those in `with_time` too.

    One run is in memory at a time, and of it only the columns needed. A run without samples, or with damaged
    ones, yields nothing; the latter leaves a warning with the set.
    """
    if study.results is None:
        return
    timed = set(with_time)
    for run_id in run_ids:
        series, quantiles = None, None
        if run_id in timed:
            columns = study.results.sample_columns(run_id, ("intended_ns", "latency_ns"))
            if columns is not None:
                series = timeline(columns["intended_ns"], columns["latency_ns"], SLICES)
                quantiles = quantiles_of(columns["latency_ns"])
        else:
            quantiles = study.results.sample_quantiles(run_id)
        if quantiles is not None and (count := quantiles.answered) + quantiles.lost:
            yield RunShape(run_id, count, quantiles.lost, quantiles_us(quantiles), firm_until(count), series)


def narrowed(study: Study, cases: Collection[str] = (), at: Mapping[str, str] | None = None) -> Study:
    """The study with only these cases and these values of factors; nothing given keeps everything.

    Raises InputError for a case or a value that no run has.
    """
    source, levels = study.source, dict(at or {})
    keep = np.ones(len(source.runs), dtype=bool)
    if cases:
        _known("case", source, "case", cases)
        keep &= source.runs["case"].isin(list(cases)).to_numpy()
    for name, value in levels.items():
        _known(f"{name}={value}", source, name, [value])
        keep &= (source.runs[name] == value).to_numpy()
    planned = {
        key: count
        for key, count in source.planned.items()
        if (not cases or key[0] in cases) and all(dict(key[1]).get(name) == value for name, value in levels.items())
    }
    return replace(study, source=replace(source, runs=source.runs[keep].reset_index(drop=True), planned=planned))


def _known(asked: str, source: Source, name: str, values: Collection[str]) -> None:
    there = [str(value) for value in source.runs[name].unique()] if name in source.runs.columns else []
    missing = [value for value in values if value not in there]
    if missing:
        todo = f"there are: {', '.join(there[:12])}" if there else "no run has such a column"
        raise InputError("choose what to draw", on=asked, got=f"no run has {missing[0]!r}", todo=todo)


def typical_runs(source: Source, cells: list[SummaryCell]) -> dict[tuple[str, Factors], str]:
    """Per cell the valid run nearest to the median p99 (p50 where p99 is blank); the earlier one of two."""
    runs = source.runs
    if "run_id" not in runs.columns:
        return {}
    typical = {}
    for cell in cells:
        for name in ("rtt_p99_us", "rtt_p50_us"):
            values = runs[name].to_numpy(dtype=np.float64)[cell.valid] if name in runs.columns else np.empty(0)
            if np.isfinite(values).any():
                away = np.abs(values - np.nanmedian(values))
                typical[cell.case, cell.factors] = str(runs["run_id"].iloc[cell.valid[int(np.nanargmin(away))]])
                break
    return typical
