"""A comparison as a document: a table per metric, what differs beside the numbers, and how to read it."""

from __future__ import annotations

from collections.abc import Callable

from harness.analysis.compare import Comparison, Row
from harness.columns import Column
from harness.report import reading, words
from harness.report.footnotes import footnotes
from harness.report.layout import JUDGED, Block, Col, Gap, Para, Table, Text, grouped
from harness.stats import Estimate, Interval


def document(comparison: Comparison) -> list[Block]:
    """The document that `pollbench compare` prints."""
    blocks: list[Block] = reading.blocks(comparison.readings)
    blocks += [Para(text, "bold") for text in titles(comparison)]
    blocks.append(Gap())
    letters = [side.letter for side in comparison.inputs]
    blocks += [Para(text, "warn", bullet=True) for text in experiment_lines(comparison)]
    for difference in comparison.differences:
        values = " -> ".join(words.some(texts) or words.BLANK for texts in difference.values)
        blocks.append(Para(f"Differs beside the numbers: {difference.column}: {values}", "warn", bullet=True))
    blocks += [Para(text, bullet=True) for text in comparison.verdict]
    blocks.append(Gap())
    # Where no cell is on both sides there is nothing to set side by side, and the footnotes say why.
    for metric in comparison.metrics if any(row.base and row.test for row in comparison.rows) else ():
        blocks += [_table(comparison, metric, letters), Gap()]
    blocks += [Para(text, style, bullet=True) for text, style in footnotes(comparison)]
    return blocks


def titles(comparison: Comparison) -> list[str]:
    """What is compared, and what is counted beyond valid runs or taken for no effect: the leading lines."""
    if comparison.kind == "sets":
        lines = ["    ".join(f"{side.letter} = {side.label}" for side in comparison.inputs)]
    else:
        lines = [f"{comparison.label}: every case against {comparison.inputs[0].label}"]
    if comparison.included:
        lines.append(f"Counted on request beside valid runs: {', '.join(comparison.included)}")
    return [*lines, *comparison.limits]


_MOST_LINES = 25


def experiment_lines(comparison: Comparison) -> list[str]:
    """What the sides measured that is not the same, a line a key, with the cells where it is not so in all."""
    lines = []
    for item in comparison.experiments[:_MOST_LINES]:
        values = " -> ".join(value or "unknown" for value in item.values)
        where = f" (in {words.some(words.cell(*cell) for cell in item.cells)})" if item.cells else ""
        lines.append(f"Differs in what was measured: {item.key}: {values}{where}")
    if (more := len(comparison.experiments) - _MOST_LINES) > 0:
        lines.append(f"{more} more keys of the experiments differ; --json lists them all")
    return lines


def _table(comparison: Comparison, metric: Column, letters: list[str]) -> Table:
    several = len(letters) > 2
    one, other = letters[0], "test" if several else letters[1]
    unit = f", {metric.unit}" if metric.unit else ""
    better = f", {metric.better} is better" if metric.better else ""
    cols = (
        Col("case", right=False),
        *([Col("input", right=False)] if several else []),
        Col(one),
        Col("[interval]", right=False, keep=1, name=f"interval of {one}"),
        Col(other),
        Col("[interval]", right=False, keep=1, name=f"interval of {other}"),
        Col("n", keep=3, name="n (runs that count)"),
        Col("ratio", keep=8),
        Col("[interval]", right=False, keep=6, name="interval of the ratio"),
        Col("[together]", right=False, keep=7, name="interval of the ratio that holds with all others together"),
        Col("[difference]", right=False, keep=2, name="interval of the difference"),
        Col("p", keep=4, name="p"),
        Col("change", right=False),
    )
    mine = (row for row in comparison.rows if row.metric == metric.name)
    rows = grouped((row.factors, _row(row, letters, several)) for row in mine)
    name = metric.label if metric.label == metric.name else f"{metric.label} ({metric.name})"
    return Table(cols, rows, f"{name}{unit}{better}")


def _row(row: Row, letters: list[str], several: bool) -> tuple[Text, ...]:
    change = row.change
    style = JUDGED[change.judged]
    ratio, difference = change.ratio, change.difference
    whole = all(side and side.valid == side.total for side in (row.base, row.test))
    apart = difference.interval if difference else None
    return (
        Text(row.case),
        *([Text(letters[row.against])] if several else []),
        *_estimate(change.base),
        *_estimate(change.test),
        Text(f"{change.base.n}+{change.test.n}", "" if whole else "warn"),
        Text(words.ratio(ratio.value) if ratio else ""),
        Text(_bracket(ratio.interval if ratio else None, words.ratio), "dim"),
        Text(_bracket(change.together if ratio else None, words.ratio), "dim"),
        Text(_bracket(apart, words.signed), "dim"),
        Text("" if change.p_together is None else words.p_value(change.p_together)),
        Text(words.verdict(change) or words.BLANK, style),
    )


def _estimate(estimate: Estimate) -> tuple[Text, Text]:
    return Text(words.short(estimate.median)), Text(words.bracket(estimate.interval), "dim")


def _bracket(interval: Interval | None, form: Callable[[float], str]) -> str:
    return f"[{form(interval.low)}..{form(interval.high)}]" if interval else ""
