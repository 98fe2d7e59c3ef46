"""A comparison as the fixed-width table of kernel cover letters: 72 columns, plain text, ready to be mailed."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from harness.analysis.compare import Change, Comparison, Factors
from harness.analysis.compare.choose import CYCLES, KERNEL_METRICS
from harness.analysis.compare.model import DEFAULT_WIDTH
from harness.columns import VERDICTS
from harness.report import reading, words
from harness.report.comparison import experiment_lines
from harness.stats import Estimate

WIDTH = 72

_HEADS = ("qps", "avglat", "95%lat", "99%lat", "cpu", "cpq")
_SIZES = (9, 8, 8, 8, 7, 8)
_MEANS = ("rate_rps", "set_busy_percent", *CYCLES)
# A factor that says how much was asked for; other factors stand there by their values.
_LOAD = re.compile(r"(^|[._])(load|rate|qps)(_|$)")
_Cell = tuple[str, Factors]
T = TypeVar("T")


def kernel_table(comparison: Comparison) -> str:
    """The tables: of every input (or all cases) in figures, then the changes against the first."""
    lines = [line for text in reading.lines(comparison.readings) for line in _wrapped(text)]
    lines += [line for text in _titles(comparison) for line in _wrapped(text)]
    names = list(dict.fromkeys(name for row in comparison.rows for name, _ in row.factors))
    loads = {row.factors: _load(row.factors) for row in comparison.rows}
    if comparison.kind == "cases":
        groups = [("", _figures([*_sides(comparison, 0), *_sides(comparison, 1)]))]
    else:
        groups = [(side.letter, _figures(_sides(comparison, at))) for at, side in enumerate(comparison.inputs)]
    for letter, cells in groups:
        lines += ["", f"{letter}:"] if letter else [""]
        lines += _table(cells, loads, _figure)
    for at in range(1, len(comparison.inputs)):
        of = f"{comparison.inputs[at].letter} against {comparison.inputs[0].letter}"
        head = f"change {'of ' + of if comparison.kind == 'sets' else 'against ' + comparison.inputs[0].label}:"
        rows = [row for row in comparison.rows if row.against == at]
        lines += ["", head]
        lines += _table(_figures((row.case, row.factors, row.metric, row.change) for row in rows), loads, _change)
    lines.append("")
    lines += [line for text in _foot(comparison, names) for line in _wrapped(text)]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _titles(comparison: Comparison) -> Iterator[str]:
    if comparison.kind == "cases":
        yield f"{comparison.label}: every case against {comparison.inputs[0].label}"
    else:
        yield from (f"{side.letter} = {side.label}" for side in comparison.inputs)


def _sides(comparison: Comparison, at: int) -> Iterator[tuple[str, Factors, str, Estimate]]:
    """What one input has, whole; the baseline's rows come once for each that is set against it."""
    for row in comparison.rows:
        if at == 0 and row.base is not None:
            yield row.base.case, row.factors, row.metric, row.change.base
        elif at and row.against == at and row.test is not None:
            yield row.case, row.factors, row.metric, row.change.test


def _figures(entries: Iterable[tuple[str, Factors, str, T]]) -> dict[_Cell, dict[str, T]]:
    cells: dict[_Cell, dict[str, T]] = {}
    for case, factors, metric, value in entries:
        cells.setdefault((case, factors), {})[metric] = value
    return cells


def _table(cells: dict[_Cell, dict[str, T]], loads: dict[Factors, str], form: Callable[[str, T], str]) -> list[str]:
    """The lines of one table, grouped by load as cover letters do."""
    columns: list[tuple[str, ...]] = [(name,) for name in KERNEL_METRICS[:5]]
    measured = {name for figures in cells.values() for name in figures}
    if measured & set(CYCLES):
        columns.append(CYCLES)
    wide = max([4, *map(len, loads.values())])
    sizes = _SIZES[: len(columns)]
    room = WIDTH - sum(sizes) - (2 + min(wide, 12))
    load_wide = min(wide, 12)
    name_wide = min(room, max([8, *(len(case) for case, _ in cells)]))
    lines = [_line("testcase", "load", _HEADS[: len(columns)], (name_wide, load_wide, *sizes))]
    for group in dict.fromkeys(factors for _, factors in cells):
        for (case, factors), figures in cells.items():
            if factors == group:
                texts = [
                    next((form(name, figures[name]) for name in names if name in figures), words.BLANK)
                    for names in columns
                ]
                lines.append(_line(case, loads.get(factors, ""), texts, (name_wide, load_wide, *sizes)))
    return lines


def _line(case: str, load: str, texts: Iterable[str], sizes: tuple[int, ...]) -> str:
    fields = (f"{text:>{size}}" for text, size in zip(texts, sizes[2:], strict=True))
    return f"{_cut(case, sizes[0]):<{sizes[0]}}  {_cut(load, sizes[1]):<{sizes[1]}}" + "".join(fields)


def _cut(text: str, size: int) -> str:
    text = words.clean(text)
    return text if len(text) <= size else text[: size - 1] + "+"


def _figure(name: str, estimate: Estimate) -> str:
    value = estimate.mean if name in _MEANS else estimate.median
    if value is None:
        return words.BLANK
    if name in ("rate_rps", *CYCLES) or abs(value) >= 99.95:
        return f"{value:.0f}" if abs(value) < 1e7 else f"{value:.3g}"
    return f"{value:.1f}"


def _change(_name: str, change: Change) -> str:
    if change.difference is None or change.ratio is None:
        return words.BLANK
    if change.few:
        return "few"
    if change.outcome == "~":
        return "undec" if change.no_larger is None else f"<{words.share(change.no_larger).replace(' ', '')}"
    percent = 100 * (change.ratio.value - 1)
    text = f"{percent:+.1f}%" if abs(percent) < 100 else f"{percent:+.0f}%"
    if len(text) > 6:
        text = f"x{change.ratio.value:.0f}" if change.ratio.value < 1e5 else f"x{change.ratio.value:.0e}"
    return text


def _load(factors: Factors) -> str:
    """What stands under `load`: what was offered, with everything else that was varied behind it."""
    offered = [value for name, value in factors if _LOAD.search(name.lower())]
    others = [value for name, value in factors if not _LOAD.search(name.lower())]
    return "/".join([*offered, *others]) or "MAX"


def _foot(comparison: Comparison, names: list[str]) -> Iterator[str]:
    if names not in ([], ["load"]):
        ordered = [name for name in names if _LOAD.search(name.lower())]
        ordered += [name for name in names if name not in ordered]
        yield f"load: {'/'.join(ordered)}"
    unit = next((metric.unit for metric in comparison.metrics if metric.unit.endswith("us")), "us")
    yield (
        f"qps: mean over runs; avglat, 95%lat, 99%lat: {unit}, median over runs of the run's mean and quantiles, whole "
        "round trip; cpu: mean busy share of the CPU set, %; cpq: mean cycles per query"
    )
    limit = comparison.smallest_effect or DEFAULT_WIDTH
    yield (
        "change: of the medians over runs, where the 95 % interval that holds for all of them together shows one; "
        f"<{words.share(limit).replace(' ', '')}: no difference larger than that; undec: undecided; few: too few runs"
    )
    counts = {verdict: sum(side.runs.get(verdict, 0) for side in comparison.inputs) for verdict in VERDICTS}
    counted = f", counted: valid, {', '.join(comparison.included)}" if comparison.included else ""
    yield f"runs: {words.counts(counts)}{counted}"
    yield from comparison.limits
    yield from (line[:1].lower() + line[1:] for line in experiment_lines(comparison))
    for item in comparison.differences:
        values = " -> ".join(words.some(texts) or words.BLANK for texts in item.values)
        yield f"differs: {item.column}: {values}"
    yield from comparison.verdict


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(words.clean(text), WIDTH, break_on_hyphens=False) or [""]
