"""A comparison as the fixed-width table of kernel cover letters: 72 columns, plain text, ready to be mailed."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from harness.analysis.compare import Change, Comparison, Factors
from harness.analysis.compare.choose import CYCLES
from harness.analysis.compare.model import DEFAULT_WIDTH
from harness.columns import VERDICTS
from harness.errors import InputError
from harness.report import reading, words
from harness.report.comparison import experiment_lines
from harness.stats import Estimate

WIDTH = 72
_ROOM = 14  # for the case and the load

_QPS = "qps: mean over runs"
_LATENCIES = "avglat, 95%lat, 99%lat: {unit}, median over runs of the run's mean and quantiles, whole round trip"
_CPU = "cpu: mean busy share of the CPU set, %"
_CPQ = "cpq: mean cycles per query"
_LEAST = 7
_MEANS = ("rate_rps", "set_busy_percent", *CYCLES)
# A factor that says how much was asked for; other factors stand there by their values.
_LOAD = re.compile(r"(^|[._])(load|rate|qps)(_|$)")
_Cell = tuple[str, Factors]
T = TypeVar("T")


@dataclass(frozen=True)
class KernelColumn:
    """A column: the metrics, of which a cell shows the first that it has; head, width, and what the caption says."""

    metrics: tuple[str, ...]
    head: str
    size: int
    caption: str


_USUAL = (
    KernelColumn(("rate_rps",), "qps", 9, _QPS),
    KernelColumn(("rtt_mean_us",), "avglat", 8, _LATENCIES),
    KernelColumn(("rtt_p95_us",), "95%lat", 8, _LATENCIES),
    KernelColumn(("rtt_p99_us",), "99%lat", 8, _LATENCIES),
    KernelColumn(("set_busy_percent",), "cpu", 7, _CPU),
    KernelColumn(CYCLES, "cpq", 8, _CPQ),
)


def kernel_table(comparison: Comparison, chosen: Sequence[str] = (), measured: str = "") -> str:
    """The tables: of every input (or all cases) in figures, then the changes against the first; below, how and where.

    chosen: metrics to have as columns in place of the usual ones; measured: on what, in a sentence. InputError where
    they do not fit.
    """
    shown = _chosen(comparison, chosen)
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
        lines += _table(cells, loads, _figure, shown)
    for at in range(1, len(comparison.inputs)):
        of = f"{comparison.inputs[at].letter} against {comparison.inputs[0].letter}"
        head = f"change {'of ' + of if comparison.kind == 'sets' else 'against ' + comparison.inputs[0].label}:"
        rows = [row for row in comparison.rows if row.against == at]
        lines += ["", head]
        lines += _table(
            _figures((row.case, row.factors, row.metric, row.change) for row in rows), loads, _change, shown
        )
    lines.append("")
    lines += [line for text in _foot(comparison, names, shown) for line in _wrapped(text)]
    lines += _wrapped(measured[:1].lower() + measured[1:]) if measured else []
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _chosen(comparison: Comparison, chosen: Sequence[str]) -> tuple[KernelColumn, ...]:
    """The columns: the usual ones, of which the last only where cycles were counted, or those that were asked for."""
    if not chosen:
        counted = any(row.metric in CYCLES for row in comparison.rows)
        return _USUAL if counted else _USUAL[:-1]
    usual = {name: column for column in _USUAL for name in column.metrics}
    columns = tuple(dict.fromkeys(usual.get(name) or _other(comparison, name) for name in chosen))
    if sum(column.size for column in columns) > WIDTH - _ROOM:
        got = f"{len(columns)} columns do not fit in a mail's {WIDTH} letters"
        raise InputError("make the kernel's table", got=got, todo="choose fewer", where="--metric")
    return columns


def _other(comparison: Comparison, name: str) -> KernelColumn:
    metric = next(metric for metric in comparison.metrics if metric.name == name)
    head = metric.label.removeprefix("RTT ").replace(" per request", "/req").replace(" ", "")
    unit = f", {metric.unit}" if metric.unit else ""
    return KernelColumn((name,), head, max(_LEAST, len(head)) + 1, f"{head}: {metric.label}{unit}, median over runs")


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


def _table(
    cells: dict[_Cell, dict[str, T]],
    loads: dict[Factors, str],
    form: Callable[[str, T], str],
    columns: Sequence[KernelColumn],
) -> list[str]:
    """The lines of one table, grouped by load as cover letters do."""
    wide = max([4, *map(len, loads.values())])
    sizes = [column.size for column in columns]
    room = WIDTH - sum(sizes) - (2 + min(wide, 12))
    load_wide = min(wide, 12)
    name_wide = min(room, max([8, *(len(case) for case, _ in cells)]))
    lines = [_line("testcase", "load", [column.head for column in columns], (name_wide, load_wide, *sizes))]
    for group in dict.fromkeys(factors for _, factors in cells):
        for (case, factors), figures in cells.items():
            if factors == group:
                texts = [
                    next((form(name, figures[name]) for name in column.metrics if name in figures), words.BLANK)
                    for column in columns
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


def _foot(comparison: Comparison, names: list[str], shown: Sequence[KernelColumn]) -> Iterator[str]:
    if names not in ([], ["load"]):
        ordered = [name for name in names if _LOAD.search(name.lower())]
        ordered += [name for name in names if name not in ordered]
        yield f"load: {'/'.join(ordered)}"
    unit = next((metric.unit for metric in comparison.metrics if metric.unit.endswith("us")), "us")
    yield "; ".join(dict.fromkeys(column.caption.format(unit=unit) for column in shown))
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
