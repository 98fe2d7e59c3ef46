"""What waited in the queues of links: per cell the medians over its valid runs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from harness.analysis.compare import Factors
from harness.tables.frames import CellKey
from harness.tables.source import Source


@dataclass(frozen=True)
class QueueView:
    """The queues of one direction in one cell. packets: the mean over the window; drops: in all of it."""

    case: str
    factors: Factors
    link: str
    packets: float | None
    most_packets: float | None
    most_bytes: float | None
    drops: float | None


def queue_views(source: Source, cells: list[CellKey]) -> Iterator[QueueView]:
    """Every direction of the cells that was looked into, in their order."""
    looks = source.queues
    if looks is None or not len(looks):
        return
    valid = set(source.runs.loc[source.runs["verdict"] == "valid", "run_id"])
    looks = looks[looks["run_id"].isin(list(valid))]
    for case, factors in cells:
        here = looks[looks["case"] == case]
        for name, value in factors:
            here = here[here[name] == value]
        for link, rows in here.groupby("link", sort=False):
            runs = rows.groupby("run_id")
            figures = runs["packets"].mean(), runs["most_packets"].max(), runs["most_bytes"].max(), runs["drops"].sum()
            medians = (float(figure.median()) for figure in figures)
            yield QueueView(case, factors, str(link), *(None if math.isnan(value) else value for value in medians))
