"""The one list of result columns: name, unit, table, meaning, which way is better."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache

from harness.columns.model import VERDICTS, Better, Column
from harness.columns.names import COUNTED, TO_US, UNSTATED, camel, understood
from harness.columns.parts import CELL_COUNTS, CPUS, KNOBS, NODES, PHASES, QUEUES, SUMMARY_PARTS
from harness.columns.runs import COURSE, DECLARED, ENVIRONMENT, IDENTITY, IMPORTED_FACTS, IMPORTED_METRICS, MEASURED

__all__ = [
    "BY_NAME", "CELL_COUNTS", "CPUS", "ENVIRONMENT", "IDENTITY", "IMPORTED_FACTS", "IMPORTED_METRICS", "KNOBS",
    "MAIN_METRICS", "METRICS", "NODES", "PHASES", "QUEUES", "RUN_COLUMNS", "SUMMARY_PARTS", "TO_US", "UNIT_SUFFIXES",
    "UNSTATED", "VERDICTS", "WORK_BESIDE", "Column", "beside", "camel", "is_factor", "main_of", "metric",
    "names_of_workload", "of_workload", "unit_of",
]  # fmt: skip

RUN_COLUMNS = (*IDENTITY, *COURSE, *ENVIRONMENT, *DECLARED, *MEASURED)
"""Every column of runs.csv in its order, without the factors, which come after those of IDENTITY."""

METRICS = (*MEASURED, *IMPORTED_METRICS)
MAIN_METRICS = tuple(column for column in METRICS if column.main)
BY_NAME = {column.name: column for column in (*RUN_COLUMNS, *IMPORTED_FACTS, *IMPORTED_METRICS)}

_WORKLOAD = re.compile("[a-z][a-z0-9]*")
# What is known of a workload that is measured beside the first: these columns once more, its name and _ before each.
_ENDS = ("cpu_percent", "voluntary_per_request", "waits_per_request", "napi_id")
WORK_BESIDE = tuple(f"{end}_{name}" for name in _ENDS[:2] for end in ("client", "server"))
"""What the programs of such a workload did for it, as tables show it."""
_BESIDE = {
    column.name: column
    for column in METRICS
    if column.name.startswith("rtt_")
    or column.name
    in ("requests", "lost", "rate_rps", "offered_rps", "late_percent", "throughput_bps", "cpu_us_per_request")
    or column.name in [f"{end}_{name}" for end in ("client", "server") for name in _ENDS]
}

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
    known = BY_NAME.get(name) or _beside(name)
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
    if known := BY_NAME.get(name) or _beside(name):
        return known
    says, unit = understood(name), unit_of(name)
    if unit is None:
        unit = "count" if COUNTED.intersection(says.words) else UNSTATED
    better: Better = "lower" if says.timed or (says.is_time and says.stat) else ""
    return Column(name, unit, "number", "", better, label=name)


def of_workload(name: str) -> tuple[str, str]:
    """Of `login_rtt_p50_us` "login" and "rtt_p50_us": which workload measured beside the first, and what of it.

    "" and the name itself for every other column.
    """
    workload, _, rest = name.partition("_")
    is_one = rest in _BESIDE and name not in BY_NAME and _WORKLOAD.fullmatch(workload)
    return (workload, rest) if is_one else ("", name)


def _beside(name: str) -> Column | None:
    workload, rest = of_workload(name)
    if not workload:
        return None
    usual = _BESIDE[rest]
    meaning = f"Of the workload {workload}: {usual.meaning}"
    return replace(usual, name=name, meaning=meaning, label=f"{workload} {usual.label}")


def beside(names: Iterable[str], usual: Sequence[str]) -> list[str]:
    """The columns among `names` that are one of these usual ones of a workload beside the first, in their order."""
    there = [(*of_workload(name), name) for name in names]
    known = [(usual.index(rest), name) for workload, rest, name in there if workload and rest in usual]
    return [name for _, name in sorted(known, key=lambda item: item[0])]


def main_of(names: Iterable[str]) -> list[str]:
    """The main metrics among these columns, in the order of the list; then those of workloads beside the first."""
    there, main = list(names), [column.name for column in MAIN_METRICS]
    return [*(name for name in main if name in there), *beside(there, main)]


def names_of_workload(workload: str) -> tuple[str, ...]:
    """The columns of a workload that is measured beside the first, by its name; those of the list among them clash."""
    return tuple(f"{workload}_{name}" for name in _BESIDE)
