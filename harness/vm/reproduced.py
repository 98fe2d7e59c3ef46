"""Was a result set reproduced? The rule, cell by cell."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

RULE = (
    "A cell is reproduced when its runs got the same verdicts as before (whatever their number), and its new median "
    "p50 lies within 0.5 %, its new median p99 within 3 %, of the range that the old set's own boots span. Under KVM, "
    "where time is real, the tolerances are 5 % and 20 %."
)
_TOLERANCE = {"rtt_p50_us": (0.005, 0.05), "rtt_p99_us": (0.03, 0.20)}
Key = tuple[str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True)
class Judged:
    """One cell: was it reproduced, and in words what was compared. off: relative distance of the median p50."""

    label: str
    reproduced: bool
    said: str
    off: float | None


def judge(
    old: Iterable[Mapping[str, Any]], new: Iterable[Mapping[str, Any]], real_time: bool
) -> list[Judged]:
    """Every cell of the old records against the new ones."""
    before, after = _cells(old), _cells(new)
    return [_cell(key, runs, after.get(key, []), real_time) for key, runs in before.items()]


def _cells(records: Iterable[Mapping[str, Any]]) -> dict[Key, list[Mapping[str, Any]]]:
    found: dict[Key, list[Mapping[str, Any]]] = defaultdict(list)
    for record in records:
        factors = tuple((str(key), str(value)) for key, value in record["factors"].items())
        found[str(record["case"]), factors].append(record)
    return found


def _cell(key: Key, old: list[Mapping[str, Any]], new: list[Mapping[str, Any]], real_time: bool) -> Judged:
    label = " ".join([key[0], *(f"{name}={value}" for name, value in key[1])])
    if not new:
        return Judged(label, False, "it was not run", None)
    verdicts = [{run["verdict"] for run in runs} for runs in (old, new)]
    if verdicts[0] != verdicts[1]:
        counts = [
            ", ".join(f"{n} {v}" for v, n in Counter(run["verdict"] for run in runs).items())
            for runs in (old, new)
        ]
        return Judged(label, False, f"verdicts were {counts[0]}, are {counts[1]}", None)
    parts, good, off = [], True, None
    for metric, tolerances in _TOLERANCE.items():
        first, second = _values(old, metric), _values(new, metric)
        if not first and not second:
            continue
        if not first or not second:
            return Judged(label, False, f"{_short(metric)} is there in one of the two alone", None)
        tolerance, now = tolerances[1 if real_time else 0], median(second)
        low, high = min(first) * (1 - tolerance), max(first) * (1 + tolerance)
        distance = now / median(first) - 1 if median(first) else 0.0
        off = distance if metric == "rtt_p50_us" else off
        good = good and low <= now <= high
        parts.append(f"{_short(metric)} {median(first):.4g} -> {now:.4g} us ({distance:+.2%})")
    return Judged(label, good, "; ".join(parts) or "no latencies, verdicts alike", off)


def _values(runs: Iterable[Mapping[str, Any]], metric: str) -> list[float]:
    values = (run["metrics"].get(metric) for run in runs)
    return [float(value) for value in values if value is not None]


def _short(metric: str) -> str:
    return metric.removeprefix("rtt_").removesuffix("_us")
