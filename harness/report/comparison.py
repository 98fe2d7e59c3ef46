"""A comparison as a document: a table per metric, what differs beside the numbers, and how to read it."""

from __future__ import annotations

from collections.abc import Iterator

from harness.columns import Column
from harness.compare import Comparison, Row, Side
from harness.report import words
from harness.report.layout import Block, Col, Gap, Para, Style, Table, Text
from harness.stats import Estimate


def document(found: Comparison) -> list[Block]:
    """The document that `pollbench compare` prints."""
    one, other = _sides(found)
    if found.kind == "sets":
        title = f"{one} = {found.base_label}    {other} = {found.test_label}"
    else:
        title = f"{found.test_label}: every case against {found.base_label}"
    blocks: list[Block] = [Para(title, "bold"), Gap()]
    for difference in found.differences:
        text = f"Differs beside the numbers: {difference.column}: "
        text += f"{words.some(difference.base)} -> {words.some(difference.test)}"
        blocks.append(Para(text, "warn", bullet=True))
    if found.differences:
        blocks.append(Gap())
    for metric in found.metrics:
        blocks += [_table(found, metric), Gap()]
    blocks += [Para(f"Damaged: {text}.", "warn", bullet=True) for text in found.warnings]
    blocks += [Para(text, "dim", bullet=True) for text in _legend(found)]
    return blocks


def _sides(found: Comparison) -> tuple[str, str]:
    return ("A", "B") if found.kind == "sets" else (found.base_label, "case")


def _table(found: Comparison, metric: Column) -> Table:
    one, other = _sides(found)
    unit = f", {metric.unit}" if metric.unit else ""
    better = f", {metric.better} is better" if metric.better else ""
    cols = (
        Col("case", right=False),
        Col(one),
        Col("[interval]", right=False, keep=2, name=f"interval of {one}"),
        Col("runs", keep=3, name=f"runs of {one}"),
        Col(other),
        Col("[interval]", right=False, keep=2, name=f"interval of {other}"),
        Col("runs", keep=3, name=f"runs of {other}"),
        Col("ratio", keep=8),
        Col("[95 %]", right=False, keep=6, name="interval of the ratio"),
        Col("change", right=False),
    )
    rows: list[tuple[Text, ...] | str] = []
    mine = [row for row in found.rows if row.metric == metric.name]
    for group in dict.fromkeys(row.factors for row in mine):
        if group:
            rows.append(words.factors(group))
        rows += [_row(row) for row in mine if row.factors == group]
    name = metric.label if metric.label == metric.name else f"{metric.label} ({metric.name})"
    return Table(cols, tuple(rows), f"{name}{unit}{better}")


def _row(row: Row) -> tuple[Text, ...]:
    change = row.change
    style: Style = "good" if change.judged == "better" else "bad" if change.judged == "worse" else "dim"
    ratio = change.ratio
    return (
        Text(row.case),
        *_side(change.base, row.base),
        *_side(change.test, row.test),
        Text(words.ratio(ratio.value) if ratio else ""),
        Text(
            f"[{words.ratio(ratio.interval.low)}..{words.ratio(ratio.interval.high)}]"
            if ratio and ratio.interval
            else "",
            "dim",
        ),
        Text(words.verdict(change) or words.BLANK, style),
    )


def _side(estimate: Estimate, side: Side | None) -> tuple[Text, Text, Text]:
    runs = f"{estimate.n}/{side.total}" if side else "0"
    return (
        Text(words.short(estimate.median)),
        Text(words.bracket(estimate.interval, gap=".."), "dim"),
        Text(runs, "" if side and estimate.n == side.total else "warn"),
    )


def _legend(found: Comparison) -> Iterator[str]:
    one, other = _sides(found)
    for cell, note in _reasons(found):
        yield f"No ratio for {cell}: {note}."
    yield f"Runs of {one}: {words.counts(found.base_runs)}. Runs of {other}: {words.counts(found.test_runs)}."
    for note in found.notes:
        yield f"{note[:1].upper()}{note[1:]}."
    yield (
        "Medians over the valid runs of a cell, with their interval; runs: those with a value / all. "
        "RTT: request sent to reply received, the whole round trip."
    )
    paired = {row.change.ratio.paired for row in found.rows if row.change.ratio and row.change.ratio.interval}
    how = {
        frozenset({True}): ", paired by block",
        frozenset({True, False}): ", paired by block where blocks match",
    }
    yield (
        f"ratio: {other} / {one} of the medians, with its 95 % bootstrap interval over runs"
        f"{how.get(frozenset(paired), '')}. change: ~ where the interval includes 1 and no difference was "
        "shown; few runs: too few valid runs to claim one."
    )


def _reasons(found: Comparison) -> dict[tuple[str, str], None]:
    """Cells without a ratio and why, each once however many metrics it is missing from."""
    return dict.fromkeys(
        (words.cell(row.case, row.factors), row.change.note) for row in found.rows if row.change.ratio is None
    )
