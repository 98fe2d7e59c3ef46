"""The one list of result columns: name, unit, table, meaning, which way is better."""

from __future__ import annotations

from functools import cache

from harness.columns.model import VERDICTS, Better, Column
from harness.columns.names import COUNTED, TO_US, UNSTATED, camel, understood
from harness.columns.parts import CELL_COUNTS, CPUS, KNOBS, NODES, PHASES, QUEUES, SUMMARY_PARTS
from harness.columns.runs import COURSE, DECLARED, ENVIRONMENT, IDENTITY, IMPORTED_FACTS, IMPORTED_METRICS, MEASURED

__all__ = [
    "BY_NAME", "CELL_COUNTS", "CPUS", "ENVIRONMENT", "IDENTITY", "IMPORTED_FACTS", "IMPORTED_METRICS", "KNOBS",
    "MAIN_METRICS", "METRICS", "NODES", "PHASES", "QUEUES", "RUN_COLUMNS", "SUMMARY_PARTS", "TO_US", "UNIT_SUFFIXES",
    "UNSTATED", "VERDICTS", "Column", "camel", "is_factor", "metric", "unit_of",
]  # fmt: skip

RUN_COLUMNS = (*IDENTITY, *COURSE, *ENVIRONMENT, *DECLARED, *MEASURED)
"""Every column of runs.csv in its order, without the factors, which come after those of IDENTITY."""

METRICS = (*MEASURED, *IMPORTED_METRICS)
MAIN_METRICS = tuple(column for column in METRICS if column.main)
BY_NAME = {column.name: column for column in (*RUN_COLUMNS, *IMPORTED_FACTS, *IMPORTED_METRICS)}

# A measured value carries its unit in its name; a name without one is something that was varied.
UNIT_SUFFIXES = {
    "_ns": "ns",
    "_us": "us",
    "_ms": "ms",
    "_per_s": "1/s",
    "_s": "s",
    "_percent": "%",
    "_share": "share",
    "_rps": "1/s",
    "_qps": "1/s",
    "_pps": "1/s",
    "_bps": "bit/s",
    "_bytes": "bytes",
    "_count": "count",
    "_per_request": "",
    "_per_query": "",
    "_per_interrupt": "",
}


def unit_of(name: str) -> str | None:
    """Unit of a column: from the list, else from its name's ending; None when it has none (no metric)."""
    known = BY_NAME.get(name)
    if known is not None:
        return known.unit
    for suffix, unit in UNIT_SUFFIXES.items():
        if name.endswith(suffix):
            return unit
    return None


def is_factor(name: str) -> bool:
    """Is this column of a runs table something that was varied? Any dotted name; else one without a unit."""
    return name not in BY_NAME and ("." in name or unit_of(name) is None)


@cache
def metric(name: str) -> Column:
    """The column of a metric; one that is not in the list is described by its name alone."""
    if known := BY_NAME.get(name):
        return known
    says, unit = understood(name), unit_of(name)
    if unit is None:
        unit = "count" if COUNTED.intersection(says.words) else UNSTATED
    better: Better = "lower" if says.timed or (says.is_time and says.stat) else ""
    return Column(name, unit, "number", "", better, label=name)
