"""The top of the page: what was found, in words and large figures with their intervals, and what does not count."""

from __future__ import annotations

from collections.abc import Iterator

from harness import columns
from harness.analysis.compare import Change
from harness.analysis.summary import COSTS, CellView, Overview, cost_of
from harness.report import words
from harness.report.headline import awake, harm, sentence
from harness.report.html.markup import Markup, join, tag
from harness.report.html.outcomes import JUDGED, worst_harm
from harness.report.html.style import Look, badge, times
from harness.stats import Interval

_TILES = (
    ("rtt_p50_us", "p50 round trip"),
    ("rtt_p99_us", "p99 round trip"),
    ("set_cpu_us_per_request", "CPU per request"),
    ("cpu_us_per_request", "process CPU per request"),
    ("cycles_per_query", "cycles per query"),
)


def findings(look: Look, view: Overview) -> Markup:
    """A card for each headline cell; without one, what there is to say instead."""
    harm_cell = worst_harm(view)
    cards = [_card(look, view, cell) for cell in view.headline if _compared(view, cell)]
    if harm_cell is not None and harm_cell not in view.headline:
        cards.append(_card(look, view, harm_cell, "the worst harm"))
    if not cards:
        return tag("p", _nothing(view), class_="plain")
    unit = "model us" if view.model_time else "us"
    notes = [tag("p", times(f"{_typeset(awake(item, unit))}."), class_="plain") for item in view.awake]
    return join([tag("div", *cards, class_="cards"), *notes])


def _compared(view: Overview, cell: CellView) -> bool:
    changes = (cell.changes.get(name) for name in (*JUDGED, cost_of(view.cells), COSTS[2]))
    return any(change is not None and change.ratio is not None for change in changes)


def _nothing(view: Overview) -> str:
    total = sum(view.verdicts.values())
    if not total:
        return "There is no run in this set yet, so there is nothing to report."
    if not view.verdicts["valid"]:
        return f"None of the {words.runs(total)} is valid, so no figure is claimed. The reasons are below."
    if not view.baseline:
        texts = [_alone(cell) for cell in view.cells if cell.estimates and not cell.note]
        more = f" … and {len(texts) - 6} more cells below." if len(texts) > 6 else ""
        return "There is one case, so nothing is compared. " + " ".join(texts[:6]) + more
    notes = dict.fromkeys(change.note for cell in view.headline for change in cell.changes.values() if change.note)
    if notes:
        return f"No figure could be compared with {view.baseline}: {next(iter(notes))}."
    return f"No case could be compared with {view.baseline}: it or the others have no valid run under the same factors."


def _alone(cell: CellView) -> str:
    estimates = (("p50", cell.estimates.get("rtt_p50_us")), ("p99", cell.estimates.get("rtt_p99_us")))
    parts = [
        f"{name} {words.short(known.median)} µs {words.bracket(known.interval, gap=' – ')}".strip()
        for name, known in estimates
        if known and known.median is not None
    ]
    return f"{words.cell(cell.case, cell.factors)}: {', '.join(parts) or 'no latency measured'}."


def _card(look: Look, view: Overview, cell: CellView, remark: str = "") -> Markup:
    tiles = [
        _tile(title, _unit(view, name), change)
        for name, title in _TILES
        if (change := cell.changes.get(name)) is not None
        and not (name == COSTS[1] and COSTS[0] in cell.changes)  # only a part of the cost
    ]
    tiles += [_tile(columns.metric(name).label, _unit(view, name), cell.changes[name]) for name in cell.beside()]
    against = f" against {view.baseline}{': ' if remark else ''}{remark}"
    head = tag("h3", look.name(cell.case), tag("span", against, class_="quiet"))
    at = tag("p", words.where(cell.factors), class_="where") if cell.factors else None
    text = sentence(cell, view.baseline, "model us" if view.model_time else "us")
    line = tag("p", times(_typeset(text)), class_="sentence")
    return tag("article", head, at, tag("div", *tiles, class_="tiles"), line, class_="card")


def _typeset(text: str) -> str:
    return text.replace(" us", " µs").replace("->", "→")


def _unit(view: Overview, name: str) -> str:
    if columns.metric(name).unit != "us":
        return ""
    return " model µs" if view.model_time else " µs"


def _tile(name: str, unit: str, change: Change) -> Markup:
    parts = [tag("span", name, class_="what")]
    if change.ratio is None:
        parts += [tag("strong", "not compared", class_="size unclaimed"), tag("span", change.note, class_="quiet")]
        return tag("div", *parts, class_="tile")
    size = times(words.conclusion(change))
    judged = change.judged if change.outcome in ("lower", "higher") else "unclaimed"
    moved = f"{words.short(change.base.median)} → {words.short(change.test.median)}{unit}"
    parts += [
        tag("strong", size, class_=f"size {judged}"),
        tag("span", moved, class_="moved"),
        tag("span", interval_said(change), class_="quiet"),
        *(tag("span", text, class_="quiet") for text in (_together_said(change), words.would_decide(change)) if text),
    ]
    return tag("div", *parts, class_="tile")


def _together_said(change: Change) -> str:
    """The interval that claims, beside the one that is the change's alone."""
    if change.together is None or change.comparisons < 2:
        return ""
    return f"{_ends(change.together, change)}: holds for all {change.comparisons} comparisons here together"


def interval_said(change: Change) -> str:
    """The interval of a ratio in the words of its size: 95 % interval 13.1× to 15.2× lower."""
    ratio = change.ratio
    if ratio is None:
        return ""
    if ratio.interval is None:
        few = f"too few valid runs to claim it ({change.base.n} and {change.test.n})"
        return few if change.few or change.together is None else f"interval {_ends(change.together, change)}"
    return f"{100 * ratio.interval.confidence:.3g} % interval {_ends(ratio.interval, change)}"


def _ends(interval: Interval, change: Change) -> str:
    """In times where the change itself is said so."""
    low, high = interval.low, interval.high
    if change.ratio and words.times(change).partition(" ")[0].endswith("x") and (high < 1 or low > 1):
        near, far = words.sizes([high, low] if high < 1 else [low, high], change.ratio.value, apart=True)
        return f"{near} to {far} {'lower' if high < 1 else 'higher'}".replace("x ", "× ")
    return f"{(low - 1) * 100:+.1f} % to {(high - 1) * 100:+.1f} %"


def doubts(view: Overview) -> Markup | None:
    """What does not count and why, before anybody reads a number; None when everything counts."""
    items = [tag("li", *item) for item in _doubts(view)]
    if not items:
        return None
    return tag("aside", tag("h3", "What does not count"), tag("ul", join(items)), class_="doubts")


def _doubts(view: Overview) -> Iterator[tuple[str | Markup, ...]]:
    if view.model_time:
        yield tag("strong", "As absolute times: "), view.model_time
    for warning in view.warnings:
        yield (words.sentence(warning),)
    for cell in view.cells:
        if text := harm(cell, view.baseline):
            yield tag("strong", "Inert, not harmless: "), f"{text}."
    for group in view.left_out:
        cells = words.some(words.cell(case, factors) for case, factors in group.cells)
        alike = f" (and {group.runs - 1} more like it)" if group.runs > 1 else ""
        p50 = f" (p50 {words.short(group.p50_us)} µs)" if group.p50_us is not None else ""
        yield badge(group.verdict, group.runs), f" {cells}{p50}: {group.reason or 'no reason given'}{alike}"
    if view.family.lag:
        yield (words.chained(view.family.lag),)
    if view.missing:
        lacking, todo = words.missing(view.missing, view.facts, view.share)
        yield tag("strong", f"{lacking}."), f" {words.sentence(todo.replace('`', ''))}"


def verdicts(view: Overview) -> Markup:
    """A badge per verdict with its count."""
    badges = [badge(name, count) for name, count in view.verdicts.items() if count]
    if view.made_again:
        badges.append(tag("span", f"made again, {words.runs(view.made_again)}", class_="badge none"))
    return tag("p", *(badges or [tag("span", "no runs", class_="badge none")]), class_="badges")
