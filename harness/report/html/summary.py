"""Every cell of a set in one table: medians, their intervals, the change, the cost."""

from __future__ import annotations

from harness.analysis.summary import CellView, Overview
from harness.report import words
from harness.report.html.frame import scroller
from harness.report.html.markup import Markup, tag
from harness.report.html.style import Look, change_badge

_NOTHING = (
    tag("td", "", class_="num"),
    tag("td", "", class_="num quiet"),
    tag("td", words.BLANK, class_="num"),
)


def summary(look: Look, view: Overview) -> Markup | None:
    """Every cell in one table; None when the set has none."""
    if not view.cells:
        return None
    heads = [
        "case",
        "valid",
        "p50, µs",
        "interval",
        f"p50 vs {view.baseline}" if view.baseline else "",
        "p99, µs",
    ]
    heads += ["interval", "p99.9, µs", "requests / s", "CPU µs / request", "polled, %"]
    fields = {(cell.case, cell.factors): _fields(look, view, cell) for cell in view.cells}
    kept = [
        at
        for at, head in enumerate(heads)
        if head and any(row[at] not in _NOTHING for row in fields.values())
    ]
    head = tag(
        "tr", *(tag("th", heads[at], scope="col", class_="num" if at not in (0, 4) else None) for at in kept)
    )
    bodies = []
    for group in dict.fromkeys(cell.factors for cell in view.cells):
        rows = (
            [tag("tr", tag("th", words.where(group), colspan=len(kept), scope="rowgroup", class_="group"))]
            if group
            else []
        )
        for cell in view.cells:
            if cell.factors == group:
                mine = fields[cell.case, cell.factors]
                rows.append(
                    tag("tr", *(mine[at] for at in kept), class_="k", data_k=look.marks[cell.case].slot)
                )
        bodies.append(tag("tbody", *rows))
    caption = tag("caption", "Median over the valid runs of each cell", class_="sr")
    return scroller(tag("table", caption, tag("thead", head), *bodies), "all cells")


def _fields(look: Look, view: Overview, cell: CellView) -> list[Markup]:
    valid, total = cell.verdicts["valid"], max(cell.planned, cell.total)
    estimates = cell.estimates

    def median(name: str) -> str:
        estimate = estimates.get(name)
        return words.short(estimate.median if estimate else None)

    def between(name: str) -> str:
        estimate = estimates.get(name)
        return words.bracket(estimate.interval if estimate else None, gap=" – ")

    ends = [estimates.get(f"{end}_polled_percent") for end in ("client", "server")]
    polled = " / ".join(words.percent(end.median if end else None) for end in ends)
    number = {"class_": "num"}
    return [
        tag("th", look.name(cell.case), scope="row"),
        tag("td", f"{valid} of {total}", class_="num" if valid == total else "num short"),
        tag("td", tag("strong", median("rtt_p50_us")), class_="num"),
        tag("td", between("rtt_p50_us"), class_="num quiet"),
        tag("td", change_badge(cell.changes.get("rtt_p50_us")) or cell.note or _reference(view, cell)),
        tag("td", tag("strong", median("rtt_p99_us")), class_="num"),
        tag("td", between("rtt_p99_us"), class_="num quiet"),
        *(
            tag("td", median(name), class_=number["class_"])
            for name in ("rtt_p99_9_us", "rate_rps", "cpu_us_per_request")
        ),
        tag("td", "" if polled == "- / -" else polled, class_="num"),
    ]


def _reference(view: Overview, cell: CellView) -> Markup | None:
    return tag("span", "baseline", class_="quiet") if cell.case == view.baseline else None
