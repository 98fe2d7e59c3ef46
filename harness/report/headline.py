"""The answer in one sentence: how much lower or higher, at what CPU cost, and did it take effect."""

from __future__ import annotations

from collections.abc import Collection

from harness import columns
from harness.analysis.awake import KeptAwake
from harness.analysis.compare import Change
from harness.analysis.summary import COSTS, CellView
from harness.columns import UNSTATED
from harness.report import words

NAMES = {
    "rtt_p50_us": "p50",
    "rtt_p99_us": "p99",
    "set_cpu_us_per_request": "CPU per request",
    "cpu_us_per_request": "process CPU per request",
    "cycles_per_query": "cycles per query",
}
"""The metrics that a headline tells, and what it calls them."""


_UNSTATED = ("latency_p50", "latency_p99")
"""What stands for the first two where a file states no unit."""


def sentence(cell: CellView, baseline: str, unit: str = "us") -> str:
    """One cell against the baseline case, in words that claim no more than was shown. unit: of its times."""
    where = f" at {words.factors(cell.factors)}" if cell.factors else ""
    lead = f"{cell.case} vs {baseline}{where}: "
    if cell.note:
        return f"{lead}{cell.note}."
    metrics = list(NAMES)
    if metrics[0] not in cell.changes and _UNSTATED[0] in cell.changes:
        metrics[:2], unit = _UNSTATED, f"({UNSTATED})"
    changes = [cell.changes.get(metric) for metric in metrics]
    if cell.changes.get(COSTS[0]) is not None:
        changes[metrics.index(COSTS[1])] = None  # only a part of the cost
    parts = [_said(change, name, unit) for change, name in zip(changes, NAMES.values(), strict=True)]
    parts += [_said(cell.changes[name], columns.metric(name).label, unit) for name in cell.beside()]
    text = ", ".join(part for part in parts if part) or "nothing to compare"
    doubtful = [change for change in changes if change and change.ratio and change.few]
    if doubtful:
        runs = f"{doubtful[0].base.n} and {doubtful[0].test.n}"
        text += f", but from too few valid runs ({runs}) to claim it"
    return f"{lead}{text}; {effect(cell)}."


def _said(change: Change | None, name: str, unit: str) -> str:
    if change is None:
        return "p50 not compared" if name == "p50" else ""
    if change.ratio is None:
        why = f" ({change.note})" if change.note else ""
        return f"{name} not compared{why}" if name != "p99" else ""
    seen = f"{words.short(change.base.median)} -> {words.short(change.test.median)} {unit}" if name == "p50" else ""
    notes = "; ".join(filter(None, (seen, words.would_decide(change))))
    return f"{name} {words.conclusion(change)}" + (f" ({notes})" if notes else "")


def effect(cell: CellView) -> str:
    """Did the knobs of this cell take effect, and by what evidence."""
    others = "; ".join(["", *_judged(cell, without=_POLLING)])
    polled = {end: share for end in ("client", "server") if (share := cell.median(f"{end}_polled_percent"))}
    if polled:
        untaken = {item.knob for item in cell.effects if not item.took}
        lead = "" if untaken & set(_POLLING) else "took effect: "
        shares = {words.percent(value) for value in polled.values()}
        if len(shares) == 1:
            ends = "both ends" if len(polled) == 2 else f"the {next(iter(polled))}"
            return f"{lead}{shares.pop()} % of packets busy-polled on {ends}{others}"
        ends = " and ".join(f"{words.percent(value)} % on the {end}" for end, value in polled.items())
        return f"{lead}packets busy-polled {ends}{others}"
    if not cell.effects:
        return "effect: no knob was judged"
    return "; ".join(_judged(cell))


_POLLING = ("busy_poll", "epoll_busy_poll", "host_busy_poll")


def _judged(cell: CellView, without: Collection[str] = ()) -> list[str]:
    """The knobs of the cell by what became of them in its valid runs; nothing of those in `without`."""
    items = [item for item in cell.effects if item.knob not in without]
    took = [item.knob for item in items if item.took and not item.not_taken]
    failed = [item.knob for item in items if item.not_taken]
    already = [item.knob for item in items if item.already and not item.took and not item.not_taken]
    unseen = [item.knob for item in items if not (item.took or item.not_taken or item.already)]
    texts = [f"took effect: {', '.join(took)}"] if took else []
    texts += [f"took no effect in some runs: {', '.join(failed)}"] if failed else []
    texts += [f"already so, nothing changed: {', '.join(already)}"] if already else []
    texts += [f"read back but effect not observable: {', '.join(unseen)}"] if unseen else []
    return texts


_SHIFTED = ("rtt_p50_us", "rtt_p99_us", "cpu_us_per_request")


def harm(cell: CellView, baseline: str, unit: str = "us") -> str:
    """What an inert case did all the same, where a whole interval says that it differs from the baseline; else ""."""
    parts = []
    for metric in _SHIFTED:
        change = cell.inert_changes.get(metric)
        if change is not None and change.ratio is not None and change.outcome in ("lower", "higher"):
            seen = f" ({words.short(change.base.median)} -> {words.short(change.test.median)} {unit})"
            parts.append(f"{NAMES[metric]} is {words.times(change)}{seen}")
    if not parts:
        return ""
    where = f" at {words.factors(cell.factors)}" if cell.factors else ""
    count = cell.verdicts["inert"]
    many = "the 1 inert run, which counts" if count == 1 else f"the {count} inert runs, which count"
    return f"{cell.case}{where} took no effect as told, yet against {baseline} {', '.join(parts)}, in {many} nowhere"


def awake(item: KeptAwake, unit: str = "us") -> str:
    """Why a cell is faster beside a hog than without it."""
    change, (alone, beside) = item.change, map(words.percent, item.idle_percent)
    seen = f"p50 {words.short(change.base.median)} -> {words.short(change.test.median)} {unit}, {words.times(change)}"
    return (
        f"{words.cell(item.case, item.factors)} is faster than without its hog ({seen}): without it the {item.end} "
        f"slept {words.short(item.sleeps)} times a request and the CPU set was idle {alone} % of the time, with it "
        f"{beside} %. An idle CPU must first be woken, and the hog keeps it awake"
    )
