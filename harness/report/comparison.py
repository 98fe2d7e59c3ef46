"""A comparison as a document: the findings, one table, what differs beside the numbers; and a table per metric."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence

from harness.analysis.compare import Comparison, Factors, Row
from harness.analysis.compare.choose import COSTS
from harness.columns import Column, of_workload
from harness.report import answer as findings
from harness.report import reading, words
from harness.report.footnotes import footnotes
from harness.report.layout import JUDGED, Block, Col, Gap, Para, Table, Text, grouped
from harness.stats import Estimate, Interval


def document(comparison: Comparison) -> list[Block]:
    """Everything that a comparison found, for the page: what is compared, what differs, all tables, all notes."""
    blocks: list[Block] = reading.blocks(comparison.readings)
    blocks += [Para(text, "bold") for text in titles(comparison)]
    return [*blocks, Gap(), *_cautions(comparison), Gap(), *_details(comparison)]


def answer(comparison: Comparison, details: bool = False) -> list[Block]:
    """What `pollbench compare` prints: the findings, one table, what else differs; with `details` all tables."""
    blocks: list[Block] = [Para(text, "bold") for text in titles(comparison)]
    texts = findings.of_comparison(comparison)
    if not texts:
        why = "; ".join(comparison.notes) or "no cell has valid runs on both sides"
        return [*blocks, Gap(), Para(f"Nothing was compared: {why}."), *_read(comparison)]
    blocks.append(Gap())
    if comparison.other_work:
        blocks.append(Para(comparison.other_work, "warn", bullet=True))
    blocks += [Para(text, bullet=True) for text in findings.cut(texts, "--all has them")]
    if table := _summary(comparison):
        blocks += [Gap(), table]
    blocks += [Gap(), *_cautions(comparison)]
    if details:
        return [*blocks, Gap(), *_details(comparison), *_read(comparison)]
    blocks += [Para(text, style, bullet=True) for text, style in footnotes(comparison, brief=True)]
    return [*blocks, *_read(comparison)]


def _read(comparison: Comparison) -> list[Block]:
    """How the columns of CSV files were read."""
    blocks = reading.blocks(comparison.readings)
    return [Gap(), *blocks[:-1]] if blocks else []


def _cautions(comparison: Comparison) -> list[Block]:
    """What differs beside the numbers, and what the comparison can and cannot mean."""
    lines = experiment_lines(comparison)
    for difference in comparison.differences:
        values = " -> ".join(words.some(texts) or words.BLANK for texts in difference.values)
        lines.append(f"Differs beside the numbers: {difference.column}: {values}")
    return [
        *(Para(text, "warn", bullet=True) for text in lines),
        *(Para(text, bullet=True) for text in comparison.verdict),
    ]


def _details(comparison: Comparison) -> list[Block]:
    """A table per metric, and how to read it."""
    letters = [side.letter for side in comparison.inputs]
    blocks: list[Block] = []
    # Where no cell is on both sides there is nothing to set side by side, and the footnotes say why.
    for metric in comparison.metrics if any(row.base and row.test for row in comparison.rows) else ():
        blocks += [_table(comparison, metric, letters), Gap()]
    return [*blocks, *(Para(text, style, bullet=True) for text, style in footnotes(comparison))]


_WIDEST = 80


def _summary(comparison: Comparison) -> Table | None:
    """A row for each cell that was compared: the first metric's medians, and how each metric changed."""
    metrics = comparison.metrics
    changes: dict[tuple[int, str, Factors], dict[str, Row]] = {}
    for row in comparison.rows:
        changes.setdefault((row.against, row.case, row.factors), {})[row.metric] = row
    compared = {key: of for key, of in changes.items() if any(row.change.difference for row in of.values())}
    shown = [metric for metric in metrics if any(metric.name in of for of in compared.values())]
    if not compared:
        return None
    several = len(comparison.inputs) > 2
    lead, *others = sorted(shown, key=lambda metric: 0 if metric is shown[0] else 1 if metric.name in COSTS else 2)
    one, other = comparison.inputs[0].letter, "test" if several else comparison.inputs[1].letter
    # The price that a workload beside the first pays is shown before what stayed as it was.
    paid = {row.metric for row in comparison.rows if row.change.judged and of_workload(row.metric)[0]}
    keeps = [8 if metric.name in paid else max(8 - place, 1) for place, metric in enumerate(others)]
    cols = (
        Col("case", right=False),
        *([Col("input", right=False)] if several else []),
        Col("n", keep=2, name="runs that count"),
        Col(f"{_narrow(lead.label)}\n{one}", name=one),
        Col(f"{lead.unit}\n{other}", name=other),
        Col("change", right=False),
        Col("[together]", right=False, keep=6, name="interval of the ratio"),
        *(
            Col(f"{_narrow(metric.label)}\nchange", right=False, keep=keep, name=metric.label)
            for metric, keep in zip(others, keeps, strict=True)
        ),
    )
    rows = grouped((factors, _summary_row(of, comparison, lead, others)) for (_, _, factors), of in compared.items())
    return Table(cols, rows, widest=_WIDEST, rest="--all has them")


def _summary_row(
    of: Mapping[str, Row], comparison: Comparison, lead: Column, others: Sequence[Column]
) -> tuple[Text, ...]:
    row = of.get(lead.name) or next(iter(of.values()))
    change = row.change
    letters = [Text(comparison.inputs[row.against].letter)] if len(comparison.inputs) > 2 else []
    moved = [of[metric.name].change if metric.name in of else None for metric in others]
    return (
        Text(row.case),
        *letters,
        Text(f"{change.base.n}+{change.test.n}"),
        Text(words.short(change.base.median)),
        Text(words.short(change.test.median)),
        Text(words.verdict(change) or words.BLANK, JUDGED[change.judged]),
        Text(_bracket(change.together if change.ratio else None, words.ratio), "dim"),
        *(Text(words.verdict(one) or words.BLANK, JUDGED[one.judged] if one else "") for one in moved),
    )


def _narrow(label: str) -> str:
    """A label in lines that are no wider than what stands below them."""
    return textwrap.fill(label, 13, break_long_words=False)


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
