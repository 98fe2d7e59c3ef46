"""Why requests were slow, as a section of the page: a table of causes and the way of the slowest request per cell."""

from __future__ import annotations

from harness.analysis.tail import CellTail, no_tail, parse_above, sentence, tails, what
from harness.analysis.tail.causes import Slow
from harness.errors import InputError
from harness.report.charts import Bar, Chart
from harness.report.charts.way import way
from harness.report.html.markup import Markup, figure, join, section, table, tag
from harness.report.html.svg import bar
from harness.report.tail import POLLED, poller
from harness.report.words import short
from harness.store import ResultSet

_ABOVE = "p99"
_CELLS, _CAUSES = 12, 6
_WIDTH, _LEFT, _LANE, _TOP, _FOOT = 880, 84, 30, 6, 22
_TICKS = 5


def tail_section(results: ResultSet | None, key: str) -> Markup | None:
    """The section, where the set has traced repetitions from which something may be concluded; else None."""
    if results is None:
        return None
    try:
        made = tails(results, parse_above(_ABOVE))
        found = [tail for tail in made if tail.account and (tail.account.slow or tail.near_ns is not None)]
    except InputError:
        return None
    if not found:
        return None
    lead = (
        f"Requests above {_ABOVE} of one traced repetition of each cell, which counts in no other table: what held "
        "them up more than ordinary ones, and the way of the slowest."
    )
    return section(f"{key}tail", "Why the tail is there", join(map(_cell, found[:_CELLS])), lead=lead, short="Tail")


def _cell(tail: CellTail) -> Markup:
    account = tail.account
    assert account is not None
    near = "" if tail.near_ns is None else f"{no_tail(account, _ABOVE, tail.near_ns)}. "
    if not account.slow:
        return tag("p", f"{tail.label()}: {near}")
    count = len(account.slow)
    rows = [
        (
            what(row.cause),
            f"{100 * row.count / count:.1f} %",
            short(row.median_ns / 1e3),
            short(row.most_ns / 1e3),
            f"{100 * row.excess_share:.0f} %",
            row.grade,
        )
        for row in account.rows[:_CAUSES]
    ]
    heads = ("cause", "slow requests", "wait us, median", "greatest", "of all excess", "shown by")
    slowest = max(account.slow, key=Slow.latency_ns)
    caption = f"The slowest request of {tail.label()}: {slowest.latency_ns() / 1e3:,.0f} us, {what(slowest.cause)}"
    causes = table(heads, rows, caption=f"{tail.label()}: {count:,} of {tail.requests:,} requests")
    polls = (
        [table(POLLED, list(map(poller, tail.polled)), caption=f"{tail.label()}: who polled")] if tail.polled else []
    )
    drawn = figure(caption, _drawn(way(slowest)))
    return join((tag("p", f"{tail.label()}: {near}{sentence(account)}."), causes, *polls, drawn))


def _drawn(chart: Chart) -> Markup:
    """The way of a request as wide as the page: charts of the page's own size have no room for names in bars."""
    lanes, length = chart.y.names, chart.x.high
    scale = (_WIDTH - _LEFT - 4) / length
    height = _TOP + _LANE * len(lanes) + _FOOT
    marks = [
        tag("text", lane, x=_LEFT - 8, y=_TOP + _LANE * at + 19, text_anchor="end", fill="currentColor")
        for at, lane in enumerate(reversed(lanes))
    ]
    bars = [mark for series in chart.series for mark in series.marks if isinstance(mark, Bar)]
    for mark in bars:
        x, y = _LEFT + mark.begin * scale, _TOP + _LANE * (len(lanes) - 1 - mark.lane) + 3
        marks.append(bar(mark, x, float(y), (mark.end - mark.begin) * scale, float(_LANE - 6)))
    for step in range(_TICKS + 1):
        x, us = _LEFT + (_WIDTH - _LEFT - 4) * step / _TICKS, length * step / _TICKS
        anchor = "start" if step == 0 else "end" if step == _TICKS else "middle"
        marks.append(tag("text", f"{us:,.0f} us", x=x, y=height - 5, text_anchor=anchor, fill="currentColor"))
    picture = tag("svg", *marks, viewBox=f"0 0 {_WIDTH} {height}", role="img", aria_label=chart.label, font_size="12")
    return tag("div", picture, class_="scroll", tabindex="0", role="region", aria_label=chart.label)
