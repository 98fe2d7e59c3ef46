"""Why requests were slow, as a section of the page: a table of causes and the way of the slowest request per cell."""

from __future__ import annotations

from harness.analysis.tail import CellTail, parse_above, sentence, tails, what
from harness.analysis.tail.causes import Slow
from harness.analysis.tail.trace import Piece
from harness.errors import InputError
from harness.report.html.markup import Markup, figure, join, section, table, tag
from harness.report.words import short
from harness.store import ResultSet

_ABOVE = "p99"
_CELLS, _CAUSES = 12, 6
_LANES = ("client", "way there", "server", "way back")
_CLIENT, _SERVER = ("wakeup", "runqueue", "receive"), ("send",)
_WIDTH, _LEFT, _LANE, _TOP, _FOOT = 880, 84, 30, 6, 22
_LETTER = 6.4
_TICKS = 5
# Fill by kind of cause, readable on light and dark paper alike; what has no entry is the way itself.
_FILLS = {
    "behind": "#d1495b",
    "irq": "#e08e45",
    "softirq": "#e0b445",
    "shaper": "#8a5fbf",
    "deferred": "#5f7fbf",
    "work": "#3d9970",
    "queued": "#2f8f8f",
    "stopped": "#b03a8c",
    "blocked": "#b03a8c",
    "stolen": "#777788",
    "silent": "#9999a8",
    "idle": "#7aa6c2",
}
_OWN = "#8fb98f"


def tail_section(results: ResultSet | None, key: str) -> Markup | None:
    """The section, where the set has traced repetitions from which something may be concluded; else None."""
    if results is None:
        return None
    try:
        found = [tail for tail in tails(results, parse_above(_ABOVE)) if tail.account and tail.account.slow]
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
    return join((tag("p", f"{tail.label()}: {sentence(account)}."), causes, figure(caption, _way(slowest))))


def _way(slow: Slow) -> Markup:
    """The pieces of a request on four lanes."""
    begin, length = slow.request.due, slow.latency_ns()
    scale = (_WIDTH - _LEFT - 4) / length
    height = _TOP + _LANE * len(_LANES) + _FOOT
    marks = [
        tag("text", lane, x=_LEFT - 8, y=_TOP + _LANE * at + 19, text_anchor="end", fill="currentColor")
        for at, lane in enumerate(_LANES)
    ]
    marks += [_bar(piece, begin, scale) for piece in slow.pieces if piece.end > piece.begin]
    for step in range(_TICKS + 1):
        x, us = _LEFT + (_WIDTH - _LEFT - 4) * step / _TICKS, length * step / _TICKS / 1e3
        anchor = "start" if step == 0 else "end" if step == _TICKS else "middle"
        marks.append(tag("text", f"{us:,.0f} us", x=x, y=height - 5, text_anchor=anchor, fill="currentColor"))
    label = f"The way of one request of {length / 1e3:,.0f} us on the lanes {', '.join(_LANES)}"
    picture = tag("svg", *marks, viewBox=f"0 0 {_WIDTH} {height}", role="img", aria_label=label, font_size="12")
    return tag("div", picture, class_="scroll", tabindex="0", role="region", aria_label=label)


def _bar(piece: Piece, begin: int, scale: float) -> Markup:
    x, width = _LEFT + (piece.begin - begin) * scale, max((piece.end - piece.begin) * scale, 0.6)
    y = float(_TOP + _LANE * _lane(piece.segment) + 3)
    words = f"{piece.segment.replace('_', ' ')}, {(piece.end - piece.begin) / 1e3:,.1f} us"
    words += "" if piece.cause.kind == "own" else f": {what(piece.cause)}"
    fill = _FILLS.get(piece.cause.kind, _OWN)
    bar = tag("rect", tag("title", words), x=x, y=y, width=width, height=float(_LANE - 6), fill=fill)
    name = piece.cause.who or piece.cause.kind
    if len(name) * _LETTER > width - 6 or piece.cause.kind == "own":
        return bar
    return tag("g", bar, tag("text", name, x=x + 4, y=y + 16, fill="#ffffff", pointer_events="none"))


def _lane(segment: str) -> int:
    """Which lane a segment is on: whoever is to act, or the way between them."""
    way, _, part = segment.partition("_")
    if segment == "late" or (way == "request" and part == "send") or (way == "reply" and part in _CLIENT):
        return 0
    if way == "work" or (way == "request" and part in _CLIENT) or (way == "reply" and part in _SERVER):
        return 2
    return 1 if way == "request" else 3
