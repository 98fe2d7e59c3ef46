"""Latency by the phases of links that change: per cell the medians over its valid runs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from harness.analysis.compare import Factors
from harness.tables.frames import CellKey
from harness.tables.source import Source

_FIGURES = ("rate_bps", "delay_ms", "loss_percent", "requests", "lost", "p50_us", "p99_us")


@dataclass(frozen=True)
class PhaseView:
    """One phase of one direction in one cell: declared, and met by its requests; None where no run has a value."""

    case: str
    factors: Factors
    link: str
    phase: str
    rate_bps: float | None
    delay_ms: float | None
    loss_percent: float | None
    requests: float | None
    lost: float | None
    p50_us: float | None
    p99_us: float | None


def phase_views(source: Source, cells: list[CellKey]) -> Iterator[PhaseView]:
    """Every phase of the cells, in their order. As of any quantile, a p99 that some run lacks is none of the cell."""
    phases = source.phases
    if phases is None or not len(phases):
        return
    valid = set(source.runs.loc[source.runs["verdict"] == "valid", "run_id"])
    phases = phases[phases["run_id"].isin(list(valid))]
    for case, factors in cells:
        here = phases[phases["case"] == case]
        for name, value in factors:
            here = here[here[name] == value]
        for (link, phase), rows in here.groupby(["link", "phase"], sort=False):
            medians = {name: float(rows[name].median(skipna=False)) for name in _FIGURES}
            known = {name: None if math.isnan(value) else value for name, value in medians.items()}
            yield PhaseView(case, factors, str(link), str(phase), **known)
