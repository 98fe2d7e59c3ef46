"""The answer in sentences: what changed, by how much, how sure, and at what cost; cells that changed alike in one."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from harness import columns
from harness.analysis.compare import Change, Comparison, Factors
from harness.analysis.compare.choose import COSTS
from harness.columns import Column
from harness.report import words

if TYPE_CHECKING:
    from harness.analysis.summary import CellView, Overview

MOST = 5
"""So many sentences are an answer; the rest are counted."""

_NUMBER = re.compile(r"[<>]?\d[\d,]*(?:\.\d+)?")
_CLAIMS = ("lower", "higher")
# Changes of one direction stand in one sentence as long as the largest is no more than so many times the smallest.
_ALIKE = 3.0


@dataclass(frozen=True)
class Compared:
    """One cell against its baseline. lead: of several inputs, which; evidence: did its knobs take effect, in words."""

    case: str
    factors: Factors
    changes: Mapping[str, Change]
    lead: str = ""
    evidence: str = ""


def of_comparison(comparison: Comparison) -> list[str]:
    """Every finding of a comparison, the largest effect first; cells without any difference are in the last."""
    cells: dict[tuple[str, Factors, int], dict[str, Change]] = {}
    for row in comparison.rows:
        if row.base and row.test:
            cells.setdefault((row.case, row.factors, row.against), {})[row.metric] = row.change
    letters = [f"{side.letter}: " if len(comparison.inputs) > 2 else "" for side in comparison.inputs]
    compared = [Compared(case, at, changes, letters[which]) for (case, at, which), changes in cells.items()]
    return sentences(compared, comparison.metrics, by_case=comparison.kind == "cases")


def of_overview(view: Overview, unit: str) -> list[str]:
    """Every finding of one result set against its baseline case. unit: of its times."""
    compared = [_cell(cell, view) for cell in view.cells if cell.changes]
    names = list(dict.fromkeys(name for one in compared for name in one.changes))
    metrics = [columns.metric(name) for name in names]
    if not all(reading.basis for reading in view.readings):
        metrics = [_called(metric, metric.label.replace("RTT", "latency")) for metric in metrics]
    metrics = [_called(metric, metric.label, unit if metric.unit == "us" else metric.unit) for metric in metrics]
    return sentences(compared, metrics, by_case=True)


def cut(lines: Sequence[str], rest: str) -> list[str]:
    """The first five, and how many more there are. rest: where those are."""
    more = len(lines) - MOST
    noun = "finding" if more == 1 else "findings"
    return [*lines[:MOST], *([f"{more} more {noun}: {rest}"] if more > 0 else [])]


def sentences(cells: Sequence[Compared], metrics: Sequence[Column], *, by_case: bool) -> list[str]:
    """The findings of cells, each by the first metric, the second and what it costs, by others that gainsay these, and
    by what workloads that are measured beside the first have of it.

    by_case: cells of several cases are never in one sentence, as they are where whole sets stand side by side.
    """
    if not metrics:
        return []
    groups: dict[tuple[object, ...], list[Compared]] = {}
    for cell in cells:
        kinds = tuple(_kind(cell.changes.get(metric.name)) for metric in (*_chief(metrics), *_beside(metrics)))
        others = tuple(metric.name for metric in _gainsaying(cell, metrics))
        skeleton = _NUMBER.sub("#", cell.evidence)
        groups.setdefault((cell.lead, cell.case if by_case else "", kinds, others, skeleton), []).append(cell)
    claims, rest = [], []
    for group in groups.values():
        told = (*_chief(metrics), *_gainsaying(group[0], metrics), *_beside(metrics))
        names = [metric.name for metric in told]
        if any(_kind(group[0].changes.get(name)) in _CLAIMS for name in names):
            claims += _parted(group, names)
        else:
            rest += group
    claims.sort(key=lambda item: -item[0])
    every = max(Counter(cell.lead for cell in cells).values(), default=0)
    texts = [_sentence(group, metrics, every) for _, group in claims]
    return [*texts, *_nothing(rest, metrics, every)]


def _cell(cell: CellView, view: Overview) -> Compared:
    """A cell of an overview; of its costs the best that the set knows."""
    # Imported here: a comparison needs none of what judges claims, which is slow to load.
    from harness.analysis.summary import cost_of
    from harness.report.headline import effect

    cost = cost_of(view.cells)
    changes = {name: change for name, change in cell.changes.items() if name not in COSTS or name == cost}
    evidence = "" if cell.note else effect(cell)
    return Compared(f"{cell.case} vs {view.baseline}", cell.factors, changes, evidence=evidence)


def _called(metric: Column, label: str, unit: str | None = None) -> Column:
    return Column(
        metric.name, metric.unit if unit is None else unit, metric.dtype, metric.meaning, metric.better, label=label
    )


def _chief(metrics: Sequence[Column]) -> list[Column]:
    """What every finding tells: the first two metrics, and the cost."""
    costs, beside = [metric for metric in metrics if metric.name in COSTS], _beside(metrics)
    others = [metric for metric in metrics if metric not in costs and metric not in beside]
    return [*others[:2], *costs[:1]]


def _beside(metrics: Sequence[Column]) -> list[Column]:
    """The two of each workload measured beside the first that tell whether it pays for the others' gain."""
    names = columns.beside([metric.name for metric in metrics], ("rtt_p50_us", "rtt_p99_us"))
    return [metric for metric in metrics if metric.name in names]


def _gainsaying(cell: Compared, metrics: Sequence[Column]) -> list[Column]:
    """Other metrics with a claim that is not that of the chief ones: a tail that grew where the median fell."""
    chief = _chief(metrics)
    known = {change.judged for metric in chief if (change := cell.changes.get(metric.name))} - {""}
    others = []
    for metric in metrics:
        change = cell.changes.get(metric.name)
        if (
            metric not in (*chief, *_beside(metrics))
            and change
            and change.outcome in _CLAIMS
            and change.judged not in known
        ):
            others.append(metric)
    return others


def _kind(change: Change | None) -> str:
    """What a change claims, for cells to be gathered by."""
    if change is None or change.difference is None:
        return ""
    if change.difference.interval is None:
        return "few"
    if change.outcome == "~":
        return "within" if change.small else "open"
    return change.outcome


def _weight(cell: Compared, names: Iterable[str]) -> float:
    """How much a cell changed, in what is claimed of it."""
    sizes = [
        abs(math.log(change.ratio.value)) if change.ratio else 0.0
        for name in names
        if (change := cell.changes.get(name)) and change.outcome in _CLAIMS
    ]
    return max(sizes, default=0.0)


def _parted(group: Sequence[Compared], names: Sequence[str]) -> list[tuple[float, list[Compared]]]:
    """Cells of one kind by how much they changed: those that differ widely are findings of their own."""
    parts: list[tuple[float, list[Compared]]] = []
    order = {id(cell): place for place, cell in enumerate(group)}
    for cell in sorted(group, key=lambda one: -_weight(one, names)):
        weight = _weight(cell, names)
        if parts and parts[-1][0] <= _ALIKE * weight:
            parts[-1][1].append(cell)
        else:
            parts.append((weight, [cell]))
    return [(weight, sorted(cells, key=lambda one: order[id(one)])) for weight, cells in parts]


def _sentence(group: Sequence[Compared], metrics: Sequence[Column], every: int) -> str:
    chief = _chief(metrics)
    costs = [metric for metric in chief if metric.name in COSTS]
    shown = [metric for metric in chief if metric not in costs] + _gainsaying(group[0], metrics)
    parts = [_change(group, metric, between=place == 0) for place, metric in enumerate(shown)]
    text = ", ".join(part for part in parts if part)
    cost = "".join(f"; cost: {part}" for metric in costs if (part := _change(group, metric, between=False)))
    price = ", ".join(part for metric in _beside(metrics) if (part := _change(group, metric, between=False)))
    # A table of other people has nothing that this would be beside of.
    cost += f"; {'beside it: ' if text else ''}{price}" if price else ""
    evidence = f"; {spread([cell.evidence for cell in group])}" if group[0].evidence else ""
    return f"{group[0].lead}{_where(group, every)}: {(text + cost).removeprefix('; ')}{evidence}."


def _where(group: Sequence[Compared], every: int) -> str:
    """The cells of a sentence, as shortly as names them."""
    if len(group) == every > 1 and len({cell.case for cell in group}) > 1:
        return f"all {every} cells"
    places = []
    for case, cells in groupby(sorted(group, key=lambda cell: cell.case), key=lambda cell: cell.case):
        texts = [words.factors(cell.factors) for cell in cells if cell.factors]
        names = [text.partition("=")[0] for text in texts]
        if len(texts) > 1 and len(set(names)) == 1 and not any("," in text for text in texts):
            texts = [texts[0], *(text.partition("=")[2] for text in texts[1:])]
        places.append(f"{case} at {words.some(texts)}" if texts else case)
    return words.some(places, 3)


def _change(group: Sequence[Compared], metric: Column, *, between: bool) -> str:
    """What one metric did in all cells of a group. between: with the interval, and of one cell the values."""
    changes = [change for cell in group if (change := cell.changes.get(metric.name))]
    kind = _kind(changes[0]) if changes else ""
    if kind not in _CLAIMS:
        needed = {change.needed for change in changes} - {None}
        more = f" (some {words.count(max(map(int, filter(None, needed))))} runs a side would decide)" if needed else ""
        more = next((f" ({words.would_decide(change)})" for change in changes if change.bounded), more)
        return {
            "within": f"{metric.label} {words.conclusion(changes[0])}" if changes else "",
            "open": f"{metric.label} undecided{more}",
            "few": f"{metric.label}: too few valid runs to claim anything",
        }.get(kind, "")
    ordered = sorted(
        changes, key=lambda change: change.factor or abs(change.difference.value if change.difference else 0)
    )
    text = f"{metric.label} {words.from_to(ordered[0], ordered[-1])}"
    notes = [_interval(changes, kind)] if between else []
    if between and len(changes) == 1:
        one = changes[0]
        values = f"{words.short(one.base.median)} -> {words.short(one.test.median)}"
        notes.append(f"{values} {metric.unit}".rstrip())
    inside = "; ".join(filter(None, notes))
    return f"{text} ({inside})" if inside else text


def _interval(changes: Sequence[Change], kind: str) -> str:
    """Between which sizes all of the intervals lie that hold together."""
    ends = [(change.together.low, change.together.high) for change in changes if change.together and change.ratio]
    if not ends:
        return ""
    low, high = min(low for low, _ in ends), max(high for _, high in ends)
    near, far = (high, low) if kind == "lower" else (low, high)
    # In the unit of what it is the interval of.
    of = max((change.ratio.value for change in changes if change.ratio), key=lambda ratio: max(ratio, 1 / ratio))
    return f"interval {words.span(words.sizes([near, far], of))}"


def without_brackets(text: str) -> str:
    """A sentence without what stands in brackets."""
    return re.sub(r" \([^()]*\)", "", text)


def spread(texts: Sequence[str]) -> str:
    """Texts that differ in numbers only as one, with the least and the greatest of each: 99.8..99.9 %."""
    numbers = [_NUMBER.findall(text) for text in texts]
    ranges = []
    for side in zip(*numbers, strict=True):
        ordered = sorted(set(side), key=lambda text: float(text.lstrip("<>").replace(",", "")))
        ranges.append(ordered[0] if len(ordered) == 1 else f"{ordered[0]}..{ordered[-1]}")
    values = iter(ranges)
    return _NUMBER.sub(lambda _: next(values), texts[0])


def _nothing(cells: Sequence[Compared], metrics: Sequence[Column], every: int) -> list[str]:
    """Cells of which nothing is claimed, in one sentence by why."""
    lead = metrics[0]
    small = next((change.no_larger for cell in cells if (change := cell.changes.get(lead.name)) and change.small), None)
    kinds = {
        "within": f"no difference larger than {words.share(small)}" if small is not None else "no difference",
        "open": "undecided",
        "few": "too few valid runs to claim anything",
        "": "nothing could be compared",
    }
    parts = []
    for kind, text in kinds.items():
        mine = [cell for cell in cells if _kind(cell.changes.get(lead.name)) == kind]
        for letter in dict.fromkeys(cell.lead for cell in mine):
            where = _where([cell for cell in mine if cell.lead == letter], every)
            of = f"{lead.label} {text}" if kind in ("within", "open") else text
            parts.append(f"{of}: {letter}{where}")
    joined = "; ".join(parts)
    return [f"{joined[:1].upper()}{joined[1:]}."] if joined else []
