"""A trend as one self-contained page: the changes in words, and every history drawn with its levels."""

from __future__ import annotations

from collections.abc import Iterator

from harness import columns
from harness.analysis.compare import Factors
from harness.analysis.curves import marks
from harness.analysis.trend import History, Trend
from harness.report import trend as wording
from harness.report import words
from harness.report.charts.history import history_chart
from harness.report.html import svg
from harness.report.html.markup import Markup, figure, section, table, tag
from harness.report.html.page import assembled
from harness.report.html.style import Look, legend, times


def trend_page(view: Trend) -> str:
    """The page as an HTML document."""
    look, panels = drawn(view)
    title = "Trend"
    top = tag("header", tag("h1", title), tag("p", wording.heading(view), class_="description"))
    texts = [*(text for text, _ in wording.findings(view)), *wording.remarks(view)]
    items = (tag("li", times(text).replace(" -> ", " → ")) for text in texts)
    changes = section("changes", "Changes of level", tag("ul", *items, class_="method"), short="Changes")
    return assembled(f"{title} – pollbench trend", look.css(), top, [changes, *panels], command="trend")


def drawn(view: Trend) -> tuple[Look, list[Markup]]:
    """The looks of the cases, and a section for each metric with its histories drawn, after the legend."""
    cases = list(dict.fromkeys(history.case for history in view.histories))
    look = Look(marks(cases, "base"))
    content = [legend(look, cases, "base")] if len(cases) > 1 else []
    for metric in dict.fromkeys(history.metric for history in view.histories):
        mine = [history for history in view.histories if history.metric == metric]
        column = columns.metric(metric)
        lead = "A dot a set: the median of its runs that count. A line: the median of a level."
        panels = tag("div", *_panels(look, mine), class_="grid2")
        content.append(section(metric, words.named(column), panels, lead=lead, short=column.label))
    return look, content


def _panels(look: Look, histories: list[History]) -> Iterator[Markup]:
    panels: dict[Factors, list[History]] = {}
    for history in histories:
        panels.setdefault(history.factors, []).append(history)
    for factors, mine in panels.items():
        rows = [
            (moment.label, history.case, words.short(moment.value), str(moment.runs))
            for history in mine
            for moment in history.moments
        ]
        unit = columns.metric(mine[0].metric).unit.replace("us", "µs")
        numbers = table(("set", "case", unit or "value", "runs"), rows, 2)
        yield figure(words.where(factors), svg.drawn(look, history_chart(mine, words.where(factors))), table=numbers)
