"""What every case did at every load against the baseline: gains and harms alike, the verdict first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from harness.analysis.compare import Change, Factors
from harness.analysis.summary import COSTS, CellView, Overview, cost_of
from harness.report import words
from harness.report.html.markup import Markup, grid, join, tag, td, th
from harness.report.html.style import Look, change_badge

JUDGED = ("rtt_p50_us", "rtt_p99_us")
"""The metrics that a verdict is of, beside what a request costs."""

_OPEN = 40
_KINDS = {
    "harm": ("▼ harm", "worse"),
    "trade-off": ("▲▼ trade-off", "mixed"),
    "gain": ("▲ gain", "better"),
    "undecided": ("? undecided", "none"),
    "few runs": ("? few runs", "none"),
    "no difference": ("= no difference", "none"),
    "not compared": ("– not compared", "none"),
    "no figure": ("– no figure", "suspect"),
}


def outcome(cell: CellView, cost: str) -> str:
    """What the cell did, as a key of _KINDS; "" for the baseline and where nothing was compared."""
    if cell.note:
        return "no figure"
    changes = [change for name in (*JUDGED, cost, *cell.beside()) if (change := cell.changes.get(name)) is not None]
    ways = {change.judged for change in changes} - {""}
    if len(ways) == 2:
        return "trade-off"
    if ways:
        return "gain" if "better" in ways else "harm"
    verdicts = [words.verdict(change) for change in changes if change.difference is not None]
    if not verdicts:
        return "not compared" if cell.changes else ""
    return next((kind for kind in ("few runs", "undecided") if kind in verdicts), "no difference")


def badge(kind: str) -> Markup:
    """An outcome as a badge: sign and word."""
    text, look = _KINDS[kind]
    sign, _, name = text.partition(" ")
    return tag("span", tag("span", sign, aria_hidden="true"), f" {name}", class_=f"badge {look}")


def worst_harm(view: Overview) -> CellView | None:
    """The cell whose p50 or p99 was shown to be worse by the greatest factor; None where none was."""

    def worse(cell: CellView) -> float:
        return max((_factor(cell.changes.get(name)) for name in JUDGED), default=0.0)

    worst = max(view.cells, key=worse, default=None)
    return worst if worst is not None and worse(worst) > 0 else None


def _factor(change: Change | None) -> float:
    return change.factor or 0.0 if change is not None and change.judged == "worse" else 0.0


def every_case(look: Look, view: Overview) -> Markup | None:
    """How many cells gained and lost, and the table of all of them; None where nothing was compared."""
    cost = cost_of(view.cells)
    judged = [(cell, kind) for cell in view.cells if cell.case != view.baseline and (kind := outcome(cell, cost))]
    if not view.baseline or not any(cell.changes for cell, _ in judged):
        return None
    counts = Counter(kind for _, kind in judged)
    numbers = (tag("span", f"{counts[kind]} ", badge(kind)) for kind in _KINDS if counts[kind])
    lead = tag("p", f"Against {view.baseline}, every case at every load: ", join(numbers, " "), class_="outcomes")
    groups: dict[Factors, list[Markup]] = {}
    heads = ["verdict", "case", "p50", "p99", f"{'process ' if cost == COSTS[1] else ''}CPU per request"]
    for cell, kind in judged:
        title = tag("th", words.where(cell.factors), colspan=len(heads), scope="rowgroup", class_="group")
        rows = groups.setdefault(cell.factors, [tag("tr", title)] if cell.factors else [])
        rows.append(_row(look, cell, kind, cost))
    return tag("div", lead, *_tables([th(name) for name in heads], list(groups.values())))


def _row(look: Look, cell: CellView, kind: str, cost: str) -> Markup:
    fields = [td(change_badge(cell.changes.get(name)) or words.BLANK) for name in (*JUDGED, cost)]
    if cell.note:
        fields = [tag("td", cell.note, colspan=3, class_="why")]
    slot = look.marks[cell.case].slot
    return tag("tr", td(badge(kind)), tag("th", look.name(cell.case), scope="row"), *fields, class_="k", data_k=slot)


def _tables(head: Sequence[Markup], groups: Sequence[list[Markup]]) -> list[Markup]:
    """The first loads in sight, the others behind a fold."""
    open_, rows = 1, len(groups[0])
    while open_ < len(groups) and rows + len(groups[open_]) <= _OPEN:
        rows += len(groups[open_])
        open_ += 1
    label = "every case against the baseline"
    tables = [grid(head, *groups[:open_], label=label, class_="every")]
    if more := groups[open_:]:
        summary = tag("summary", f"{len(more)} more {'load' if len(more) == 1 else 'loads'}")
        tables.append(tag("details", summary, grid(head, *more, label=f"{label}, further loads", class_="every")))
    return tables
