"""Every cell of a set in one table: medians, their intervals, the change, the cost."""

from __future__ import annotations

from harness.analysis.summary import COSTS, CellView, Overview, cost_of
from harness.report import words
from harness.report.html.frame import grid, td, th
from harness.report.html.markup import Markup, tag
from harness.report.html.style import Look, change_badge

_NOTHING = (td("", "num"), td("", "num quiet"), td(words.BLANK, "num"))


def summary(look: Look, view: Overview) -> Markup | None:
    """Every cell in one table; None when the set has none."""
    if not view.cells:
        return None
    against = f"p50 vs {view.baseline}" if view.baseline else ""
    cost_head = f"{'process ' if cost_of(view.cells) == COSTS[1] else ''}CPU µs / request"
    heads = ["case", "valid", "p50, µs", "interval", against, "p99, µs", "interval"]
    heads += ["p99.9, µs", "requests / s", cost_head, "polled, %"]
    fields = {(cell.case, cell.factors): _fields(look, view, cell) for cell in view.cells}
    kept = [at for at, head in enumerate(heads) if head and any(row[at] not in _NOTHING for row in fields.values())]
    bodies = []
    for group in dict.fromkeys(cell.factors for cell in view.cells):
        title = tag("th", words.where(group), colspan=len(kept), scope="rowgroup", class_="group")
        rows = [tag("tr", title)] if group else []
        for cell in view.cells:
            if cell.factors == group:
                mine = (fields[cell.case, cell.factors][at] for at in kept)
                rows.append(tag("tr", *mine, class_="k", data_k=look.marks[cell.case].slot))
        bodies.append(rows)
    return grid(
        [th(heads[at], numeric=at not in (0, 4)) for at in kept],
        *bodies,
        label="all cells",
        caption=tag(
            "caption",
            "Median over the valid runs of each cell; in brackets, over its inert runs, where it has no others",
            class_="sr",
        ),
    )


def _fields(look: Look, view: Overview, cell: CellView) -> list[Markup]:
    valid, total = cell.verdicts["valid"], max(cell.planned, cell.total)

    def with_interval(name: str) -> tuple[Markup, Markup]:
        estimate = cell.estimates.get(name)
        inert = cell.inert.get(name) if cell.note else None
        if inert is not None and inert.median is not None:
            return td(f"({words.short(inert.median)})", "num quiet"), td("inert", "num quiet")
        between = words.bracket(estimate.interval if estimate else None, gap=" – ")
        return td(tag("strong", words.short(cell.median(name))), "num"), td(between, "num quiet")

    polled = " / ".join(words.percent(cell.median(f"{end}_polled_percent")) for end in ("client", "server"))
    reference = tag("span", "baseline", class_="quiet") if cell.case == view.baseline else None
    return [
        tag("th", look.name(cell.case), scope="row"),
        td(f"{valid} of {total}", "num" if valid == total else "num short"),
        *with_interval("rtt_p50_us"),
        td(change_badge(cell.changes.get("rtt_p50_us")) or cell.note or reference),
        *with_interval("rtt_p99_us"),
        *(td(words.short(cell.median(name)), "num") for name in ("rtt_p99_9_us", "rate_rps", cost_of(view.cells))),
        td("" if polled == "- / -" else polled, "num"),
    ]
