"""The answer in one sentence: how much lower or higher, at what CPU cost, and did it take effect."""

from __future__ import annotations

from harness.analysis.compare import Change
from harness.analysis.summary import COSTS, CellView
from harness.report import words

_NAMES = {
    "rtt_p50_us": "p50",
    "rtt_p99_us": "p99",
    "set_cpu_us_per_request": "CPU per request",
    "cpu_us_per_request": "process CPU per request",
    "cycles_per_query": "cycles per query",
}


def sentence(cell: CellView, baseline: str, unit: str = "us") -> str:
    """One cell against the baseline case, in words that claim no more than was shown. unit: of its times."""
    where = f" at {words.factors(cell.factors)}" if cell.factors else ""
    lead = f"{cell.case} vs {baseline}{where}: "
    if cell.note:
        return f"{lead}{cell.note}."
    changes = [cell.changes.get(metric) for metric in _NAMES]
    if cell.changes.get(COSTS[0]) is not None:
        changes[list(_NAMES).index(COSTS[1])] = None  # only a part of the cost
    parts = [_said(change, name, unit) for change, name in zip(changes, _NAMES.values(), strict=True)]
    text = ", ".join(part for part in parts if part) or "nothing to compare"
    doubtful = [
        change
        for change in changes
        if change and change.ratio and change.difference and change.difference.interval is None
    ]
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
    seen = f" ({words.short(change.base.median)} -> {words.short(change.test.median)} {unit})"
    size = "no difference shown" if change.outcome == "~" else words.times(change)
    return f"{name} {size}{seen if name == 'p50' else ''}"


def effect(cell: CellView) -> str:
    """Did the knobs of this cell take effect, and by what evidence."""
    polled = {end: share for end in ("client", "server") if (share := cell.median(f"{end}_polled_percent"))}
    if polled:
        shares = {words.percent(value) for value in polled.values()}
        if len(shares) == 1:
            ends = "both ends" if len(polled) == 2 else f"the {next(iter(polled))}"
            return f"took effect: {shares.pop()} % of packets busy-polled on {ends}"
        ends = " and ".join(f"{words.percent(value)} % on the {end}" for end, value in polled.items())
        return f"took effect: packets busy-polled {ends}"
    if not cell.effects:
        return "effect: no knob was judged"
    took = [item.knob for item in cell.effects if item.took and not item.not_taken]
    failed = [item.knob for item in cell.effects if item.not_taken]
    unseen = [item.knob for item in cell.effects if not item.took and not item.not_taken]
    texts = [f"took effect: {', '.join(took)}"] if took else []
    texts += [f"took no effect in some runs: {', '.join(failed)}"] if failed else []
    texts += [f"read back but effect not observable: {', '.join(unseen)}"] if unseen else []
    return "; ".join(texts)
