"""The table of latency by the phases of links that change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.analysis.phases import PhaseView
from harness.report import words
from harness.report.layout import Col, Table, TableRow, Text, grouped

LEGEND = (
    "phase: of a link that changes; a request belongs to the one in which it was sent. Medians over the valid runs; "
    "rate, delay and loss are the declared ones."
)


def table(phases: Sequence[PhaseView], unit: str) -> Table:
    """A row for each phase. unit: of times."""
    cols = (
        Col("case", right=False),
        Col("link", right=False, keep=5, name="link"),
        Col("phase", right=False),
        Col("rate\nMbit/s", keep=3, name="declared rate"),
        *(Col(f"{part}\n{of_it}", keep=2, name=f"declared {part}") for part, of_it in _netem(phases)),
        Col("requests", keep=6, name="requests"),
        Col("lost", keep=4, name="lost requests"),
        Col(f"p50\n{unit}", keep=8, name="p50"),
        Col(f"p99\n{unit}", keep=7, name="p99"),
    )
    return Table(cols, grouped((phase.factors, row) for phase, row in zip(phases, _rows(phases), strict=True)))


def _rows(phases: Sequence[PhaseView]) -> Iterator[TableRow]:
    netem = _netem(phases)
    for phase in phases:
        yield (
            Text(phase.case),
            Text(phase.link),
            Text(phase.phase),
            _declared(phase.rate_bps, 1e6),
            *(_declared(getattr(phase, f"{part}_{'ms' if part == 'delay' else 'percent'}")) for part, _ in netem),
            Text(words.short(phase.requests)),
            Text(words.short(phase.lost)),
            Text(words.short(phase.p50_us), "bold"),
            Text(words.short(phase.p99_us)),
        )


def _netem(phases: Sequence[PhaseView]) -> list[tuple[str, str]]:
    """Of delay and loss those that any phase has, with their units."""
    delayed = [("delay", "ms")] if any(phase.delay_ms for phase in phases) else []
    lossy = [("loss", "%")] if any(phase.loss_percent not in (None, 0.0, 100.0) for phase in phases) else []
    return delayed + lossy


def _declared(value: float | None, by: float = 1.0) -> Text:
    return Text(words.short(value, by) if value else words.BLANK, "dim")
