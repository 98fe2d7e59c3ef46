"""What stands below a comparison's tables: what was not compared, far runs, runs needed, and how to read it."""

from __future__ import annotations

from collections.abc import Iterator

from harness import columns
from harness.analysis.compare import Comparison, Row
from harness.analysis.compare.model import DEFAULT_WIDTH, Input
from harness.report import words
from harness.report.layout import Style

_MOST = 5
_FEW = 5


def footnotes(comparison: Comparison, *, brief: bool = False) -> Iterator[tuple[str, Style]]:
    """The lines below the tables of `pollbench compare`, each with its style, the most urgent first.

    brief: runs that lie far off are counted, and how everything was computed is one line.
    """
    yield from ((words.sentence(text), "warn") for text in comparison.warnings)
    yield from ((text, "warn") for text in comparison.limits)
    yield from ((text, "warn") for text in _not_compared(comparison))
    yield from ((text, "warn") for text in _drifts(comparison))
    if lag := max((row.change.lag for row in comparison.rows), default=0.0):
        yield words.chained(lag), "warn"
    far = _counted(comparison) if brief else _far(comparison)
    yield from ((text, "warn") for text in far)
    yield from ((text, "") for text in _needed(comparison))
    yield from ((text, "") for text in comparison.calibration)
    yield " ".join(_runs(side) for side in comparison.inputs), "dim"
    for note in comparison.notes:
        yield words.sentence(note), "dim"
    method = _in_brief(comparison) if brief else _method(comparison)
    yield from ((text, "dim") for text in method)


def _runs(side: Input) -> str:
    again = f", for which {words.runs(side.made_again)} more did not count (made again for noise)"
    return f"Runs of {side.letter}: {words.counts(side.runs)}{again if side.made_again else ''}."


def _not_compared(comparison: Comparison) -> Iterator[str]:
    """Reasons, each once: a reason that holds for every metric of a cell is told without naming any."""
    notes: dict[str, dict[str, list[str]]] = {}
    for row in comparison.rows:
        if row.change.note and row.change.outcome == "":
            cell = _cell(comparison, row)
            notes.setdefault(row.change.note, {}).setdefault(cell, []).append(row.metric)
    everything = len(comparison.metrics)
    for note, cells in notes.items():
        shown = [
            cell if len(metrics) == everything else f"{cell} ({', '.join(metrics)})" for cell, metrics in cells.items()
        ]
        yield f"Nothing shown for {words.some(shown)}: {note}."


def _drifts(comparison: Comparison) -> Iterator[str]:
    for letter in dict.fromkeys(item.letter for item in comparison.drifts):
        moves = [
            f"{_label(comparison, item.metric)} {'rises' if item.rises else 'falls'} (p {words.p_value(item.p)})"
            for item in comparison.drifts
            if item.letter == letter
        ]
        where = f" of {letter}" if comparison.kind == "sets" else ""
        yield (
            f"Drift: within the cells{where}, in the order of the runs, {words.some(moves)}; by Kendall's test, Holm "
            "over metrics and sides."
        )


def _far(comparison: Comparison) -> Iterator[str]:
    ranked = sorted(comparison.outliers, key=lambda run: -run.far)
    for run in ranked[:_MOST]:
        where = words.cell(run.case, run.factors)
        label = _label(comparison, run.metric)
        yield (
            f"Far from the others, and counted: run {run.run_id} of {where} ({run.letter}): {label} "
            f"{words.short(run.value)}, median {words.short(run.median)}, {run.far:.0f} robust sd off."
        )
    if len(ranked) > _MOST:
        yield f"{len(ranked) - _MOST} more such runs; --json lists them all."


def _needed(comparison: Comparison) -> Iterator[str]:
    open_rows = [
        row
        for row in comparison.rows
        if row.change.needed and row.change.needed > min(row.change.base.n, row.change.test.n)
    ]
    if not open_rows:
        return
    most: dict[str, tuple[int, str]] = {}
    for row in open_rows:
        cell, label = _cell(comparison, row), _label(comparison, row.metric)
        most[cell] = max(most.get(cell, (0, "")), (row.change.needed or 0, label), key=lambda item: item[0])
    texts = [f"{cell}: {words.count(needed)} ({label})" for cell, (needed, label) in most.items()]
    yield (
        "Undecided; runs a side that would show a difference, or that none is larger than "
        f"{words.share(comparison.smallest_effect or DEFAULT_WIDTH)}, by what was seen: {words.some(texts, _FEW)}."
    )


def _label(comparison: Comparison, name: str) -> str:
    return next((metric.label for metric in comparison.metrics if metric.name == name), columns.metric(name).label)


def _cell(comparison: Comparison, row: Row) -> str:
    letter = f" ({comparison.inputs[row.against].letter})" if len(comparison.inputs) > 2 else ""
    return words.cell(row.case, row.factors) + letter


def _counted(comparison: Comparison) -> Iterator[str]:
    runs = {(run.letter, run.run_id) for run in comparison.outliers}
    if runs:
        verbs = "lies far from the others, and counts" if len(runs) == 1 else "lie far from the others, and count"
        yield f"{words.runs(len(runs))} {verbs}: see --all."


def _in_brief(comparison: Comparison) -> Iterator[str]:
    comparisons = max((row.change.comparisons for row in comparison.rows), default=1)
    limit = words.share(comparison.smallest_effect or DEFAULT_WIDTH)
    sure = f"{words.share(1 - comparison.level)} sure"
    yield (
        f"Medians over the runs that count. {_latency(comparison)} [together]: the ratio's interval that holds for "
        f"{words.comparisons(comparisons)}{' at once' if comparisons > 1 else ''}, {sure}. within {limit}: no "
        "difference larger than that; undecided: neither. --all: every metric, interval, p and run that stands out."
    )


def _method(comparison: Comparison) -> Iterator[str]:
    one, other = (
        comparison.inputs[0].letter,
        comparison.inputs[1].letter if len(comparison.inputs) == 2 else "the other",
    )
    yield (
        "Medians over the runs that count, a run's quantiles being over its requests. n: runs that count of "
        f"{one} + {other}. {_latency(comparison)}"
    )
    yield f"ratio: {other} / {one}, difference: {other} - {one}; [interval]: of each alone: {_intervals(comparison)}."
    comparisons = max((row.change.comparisons for row in comparison.rows), default=1)
    limit = words.share(comparison.smallest_effect or DEFAULT_WIDTH)
    yield (
        f"change: what [interval] and [together] both show. [together]: of the means of logarithms (Student's t), "
        f"{words.share(1 - comparison.level)} sure to hold for {words.comparisons(comparisons)} here at once, and p "
        f"goes with it. within {limit}: no difference larger than that; undecided: neither; few runs: too few to claim "
        "any."
    )


def _latency(comparison: Comparison) -> str:
    if all(reading.basis for reading in comparison.readings):
        return "RTT: request sent to reply received, the whole round trip."
    return "latency: as the files have it; whether it is the whole round trip they do not say."


def _intervals(comparison: Comparison) -> str:
    """How the intervals of the ratio and the difference were made, for those there are."""
    seen = [row.change.difference for row in comparison.rows if row.change.difference]
    ends = [(difference.interval, difference.paired) for difference in seen if difference.interval]
    texts = []
    if any(paired for _, paired in ends):
        levels = sorted({round(100 * interval.confidence, 1) for interval, paired in ends if paired})
        text = f"{levels[0]:g} %" if len(levels) == 1 else f"{levels[0]:g} to {levels[-1]:g} %"
        texts.append(f"paired: the median over blocks, its exact interval ({text}) by order statistics")
    if any(not paired for _, paired in ends) or not ends:
        lead = "elsewhere of the medians" if texts else "of the medians"
        texts.append(f"{lead} with a 95 % bootstrap interval over runs")
    return ", ".join(texts)
