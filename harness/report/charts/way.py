"""The way of one slow request as a chart: bars on the lanes of who was to act, coloured by what held it up."""

from __future__ import annotations

from harness.analysis.tail import what
from harness.analysis.tail.causes import Slow
from harness.analysis.tail.trace import Piece
from harness.report.charts import Bar, Chart, Series
from harness.report.charts.scale import Scale, names_scale, time_text

_LANES = ("way back", "server", "way there", "client")
"""The lowest first."""

_BACK, _AT_SERVER, _THERE, _AT_CLIENT = range(4)
_CLIENT, _SERVER = ("wakeup", "runqueue", "receive"), ("send",)
# Fill by kind of cause, readable on light and dark paper alike; what has no entry is the way itself.
_FILLS = {
    "behind": "#d1495b",
    "irq": "#e08e45",
    "softirq": "#e0b445",
    "flow": "#b8862b",
    "joined": "#b8862b",
    "shaper": "#8a5fbf",
    "deferred": "#5f7fbf",
    "work": "#3d9970",
    "queued": "#2f8f8f",
    "stopped": "#b03a8c",
    "blocked": "#7d4f8f",
    "asleep": "#6b6f3a",
    "fault": "#a0522d",
    "interrupted": "#c4603a",
    "busy": "#4a6fa5",
    "stolen": "#777788",
    "silent": "#9999a8",
    "idle": "#7aa6c2",
}
_OWN = "#8fb98f"


def way(slow: Slow) -> Chart:
    """The pieces of a request from when it was due to its reply, x in us, on four lanes."""
    us = slow.latency_ns() / 1e3
    bars = [_bar(piece, slow.request.due) for piece in slow.pieces if piece.end > piece.begin]
    label = f"The way of one request of {us:,.0f} us on the lanes {', '.join(reversed(_LANES))}"
    across = Scale(0.0, max(us, 1e-3), False, "since it was due", time_text)
    return Chart(across, names_scale(_LANES, ""), [Series("", bars)], label)


def _bar(piece: Piece, due: int) -> Bar:
    begin, end, kind = (piece.begin - due) / 1e3, (piece.end - due) / 1e3, piece.cause.kind
    tip = f"{piece.segment.replace('_', ' ')}, {end - begin:,.1f} us"
    tip += "" if kind == "own" else f": {what(piece.cause)}"
    text = "" if kind == "own" else piece.cause.who or kind
    coloured = kind in _FILLS
    return Bar(
        _lane(piece.segment), begin, end, _FILLS.get(kind, _OWN), kind if coloured else "the way itself", text, tip
    )


def _lane(segment: str) -> int:
    """Which lane a segment is on: whoever is to act, or the way between them."""
    there, _, part = segment.partition("_")
    if segment == "late" or (there == "request" and part == "send") or (there == "reply" and part in _CLIENT):
        return _AT_CLIENT
    if there == "work" or (there == "request" and part in _CLIENT) or (there == "reply" and part in _SERVER):
        return _AT_SERVER
    return _THERE if there == "request" else _BACK
