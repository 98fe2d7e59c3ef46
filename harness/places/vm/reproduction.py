"""Was a result set reproduced? The rule, cell by cell."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median

import numpy as np
import numpy.typing as npt

from harness.store import RunRecord
from harness.tables.frames import factor_text

RULE = (
    "A cell is reproduced when its runs did the same and got the same verdicts as before (whatever their number), and "
    "its new p50 lies within 0.5 %, its new p99 within 3 %, of what the old set's boots span: from the lowest to the "
    "highest value of a boot, each with the 99 % interval that its own requests give it. Under KVM, where time is "
    "real, the tolerances are 5 % and 20 %."
)
_TOLERANCE = {"rtt_p50_us": (0.005, 0.05), "rtt_p99_us": (0.03, 0.20)}
_QUANTILE = {"rtt_p50_us": 0.50, "rtt_p99_us": 0.99}
# Standard deviations of a normal distribution that 99 % lie within.
_SIGMAS_99 = 2.576
Key = tuple[str, tuple[tuple[str, str], ...]]
Latencies = Callable[[str], npt.NDArray[np.int64] | None]
"""The latencies, in ns, of a run's requests by its id; None where none are kept."""


@dataclass(frozen=True)
class Judged:
    """One cell: was it reproduced, and in words what was compared. off: relative distance of the median p50."""

    label: str
    reproduced: bool
    said: str
    off: float | None


@dataclass(frozen=True)
class ComparedSet:
    """One of two sets: its records and the latencies behind them."""

    records: Iterable[RunRecord]
    latencies: Latencies


_Side = tuple[ComparedSet, list[RunRecord]]
"""A set, and its runs of one cell."""


def judge(old: ComparedSet, new: ComparedSet, real_time: bool) -> list[Judged]:
    """Every cell of either set; one that only one of them has was not reproduced."""
    before, after = _cells(old.records), _cells(new.records)
    return [
        _cell(key, (old, before.get(key, [])), (new, after.get(key, [])), real_time)
        for key in dict.fromkeys([*before, *after])
    ]


def _cells(records: Iterable[RunRecord]) -> dict[Key, list[RunRecord]]:
    cells: dict[Key, list[RunRecord]] = defaultdict(list)
    for record in records:
        factors = tuple((str(key), factor_text(value)) for key, value in record.factors.items())
        cells[record.case, factors].append(record)
    return cells


def _cell(key: Key, old: _Side, new: _Side, real_time: bool) -> Judged:
    label = " ".join([key[0], *(f"{name}={value}" for name, value in key[1])])
    if unlike := _unlike(old[1], new[1]):
        return Judged(label, False, unlike, None)
    parts, good, off = [], True, None
    unit = "us" if real_time else "model us"
    for metric, tolerances in _TOLERANCE.items():
        first, second = _spans(old, metric), _spans(new, metric)
        if not first and not second:
            continue
        if not first or not second:
            return Judged(label, False, f"{_short(metric)} is there in one of the two alone", None)
        tolerance = tolerances[1 if real_time else 0]
        was, now = (median(value for _, value, _ in spans) for spans in (first, second))
        low = min(span[0] for span in first) * (1 - tolerance)
        high = max(span[2] for span in first) * (1 + tolerance)
        distance = now / was - 1 if was else 0.0
        off = distance if metric == "rtt_p50_us" else off
        near = median(span[2] for span in second) >= low and median(span[0] for span in second) <= high
        good = good and near
        parts.append(f"{_short(metric)} {was:.4g} -> {now:.4g} {unit} ({distance:+.2%}){'' if near else ' !'}")
    return Judged(label, good, "; ".join(parts) or "no latencies, verdicts alike", off)


def _unlike(before: list[RunRecord], after: list[RunRecord]) -> str:
    """Why the figures of a cell's runs are not to be compared, in words; empty when they are."""
    if not before or not after:
        return "it was not run" if before else "the old set has no such cell"
    was, now = _settings(before[0]), _settings(after[0])
    differing = [key for key in dict.fromkeys([*was, *now]) if was.get(key) != now.get(key)]
    if differing:
        changed = "; ".join(f"{key} was {was.get(key)}, is {now.get(key)}" for key in differing)
        return f"it did something else: {changed}"
    verdicts = [Counter(run.verdict for run in runs) for runs in (before, after)]
    if verdicts[0].keys() == verdicts[1].keys():
        return ""
    counts = [", ".join(f"{count} {verdict}" for verdict, count in each.items()) for each in verdicts]
    return f"verdicts were {counts[0]}, are {counts[1]}"


def _settings(run: RunRecord) -> dict[str, object]:
    """Settings by node, workload and contention of a run; a NAPI's or an interrupt's number is no setting."""
    settings: dict[str, object] = {}
    for row in run.knobs:
        name = row.setting.rpartition(" ")[2]
        settings[f"{row.knob} {name} on {row.node}"] = row.requested
    settings |= {f"workload {key}": value for key, value in run.workload.items()}
    contention = vars(run.contention) if run.contention else {}
    return settings | {f"contention {key}": value for key, value in contention.items()}


def _spans(side: _Side, metric: str) -> list[tuple[float, float, float]]:
    """(low, value, high) of each run that has the metric: its value, and the interval that its requests give it."""
    spans = []
    for run in side[1]:
        value = run.metrics.get(metric)
        if value is not None:
            low, high = _interval(side[0].latencies(run.run_id), _QUANTILE[metric])
            spans.append((min(low, value), float(value), max(high, value)))
    return spans


def _interval(latencies_ns: npt.NDArray[np.int64] | None, share: float) -> tuple[float, float]:
    """The 99 % interval of a quantile, in us, by order statistics; (inf, -inf), which is none, without samples.

    Where waits come in whole scheduler ticks, a median is one of few values, and this says which others it may be.
    """
    answered = None if latencies_ns is None else latencies_ns[latencies_ns > 0]
    if answered is None or not len(answered):
        return math.inf, -math.inf
    ordered, count = np.sort(answered), len(answered)
    slack = _SIGMAS_99 * math.sqrt(count * share * (1 - share))
    at = (math.floor(count * share - slack), math.ceil(count * share + slack))
    low, high = (ordered[min(max(place, 0), count - 1)] / 1e3 for place in at)
    return float(low), float(high)


def _short(metric: str) -> str:
    return metric.removeprefix("rtt_").removesuffix("_us")
