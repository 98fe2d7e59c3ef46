"""The table of what waited in the queues of links."""

from __future__ import annotations

from collections.abc import Sequence

from harness.analysis.queues import QueueView
from harness.report import words
from harness.report.layout import Col, Table, Text, grouped

LEGEND = (
    "queue: of a link's direction, looked into through the window; of each run the mean and the most, and the median "
    "of these over the valid runs. The series is in queues.csv."
)


def table(queues: Sequence[QueueView]) -> Table:
    """A row for each direction."""
    cols = (
        Col("case", right=False),
        Col("queue", right=False, keep=5, name="queue"),
        Col("packets\nmean", keep=7, name="waiting packets, mean"),
        Col("packets\nmost", keep=8, name="waiting packets, most"),
        Col("kB\nmost", keep=6, name="waiting kB, most"),
        Col("drops", keep=7, name="dropped packets"),
    )
    rows = (
        (
            queue.factors,
            (
                Text(queue.case),
                Text(queue.link),
                Text(words.short(queue.packets)),
                Text(words.short(queue.most_packets), "bold"),
                Text(words.short(queue.most_bytes, 1e3)),
                Text(words.short(queue.drops)),
            ),
        )
        for queue in queues
    )
    return Table(cols, grouped(rows))
