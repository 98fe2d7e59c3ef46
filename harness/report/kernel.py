"""A comparison as the fixed-width table of kernel cover letters: 72 columns, plain text, ready to be mailed."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from harness.analysis.compare import Change, Comparison, Factors
from harness.analysis.compare.choose import CYCLES, KERNEL_METRICS
from harness.columns import VERDICTS
from harness.report import words
from harness.stats import Estimate

WIDTH = 72

_HEADS = ("qps", "avglat", "95%lat", "99%lat", "cpu", "cpq")
_SIZES = (9, 8, 8, 8, 7, 8)
_MEANS = ("rate_rps", "set_busy_percent", *CYCLES)
# A factor that says how much was asked for; other factors stand there by their values.
_LOAD = re.compile(r"(^|[._])(load|rate|qps)(_|$)")
_Cell = tuple[str, Factors]
T = TypeVar("T")


def kernel_table(found: Comparison) -> str:
    """The tables: of every input (or all cases) in figures, then the changes against the first."""
    lines = [line for text in _titles(found) for line in _wrapped(text)]
    names = list(dict.fromkeys(name for row in found.rows for name, _ in row.factors))
    loads = {row.factors: _load(row.factors) for row in found.rows}
    if found.kind == "cases":
        groups = [("", _figures([*_sides(found, 0), *_sides(found, 1)]))]
    else:
        groups = [(each.letter, _figures(_sides(found, at))) for at, each in enumerate(found.inputs)]
    for letter, cells in groups:
        lines += ["", f"{letter}:"] if letter else [""]
        lines += _table(cells, loads, _figure)
    for at in range(1, len(found.inputs)):
        of = f"{found.inputs[at].letter} against {found.inputs[0].letter}"
        head = f"change {'of ' + of if found.kind == 'sets' else 'against ' + found.inputs[0].label}:"
        rows = [row for row in found.rows if row.against == at]
        lines += ["", head]
        lines += _table(
            _figures((row.case, row.factors, row.metric, row.change) for row in rows), loads, _change
        )
    lines.append("")
    lines += [line for text in _foot(found, names) for line in _wrapped(text)]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _titles(found: Comparison) -> Iterator[str]:
    if found.kind == "cases":
        yield f"{found.label}: every case against {found.inputs[0].label}"
    else:
        yield from (f"{each.letter} = {each.label}" for each in found.inputs)


def _sides(found: Comparison, at: int) -> Iterator[tuple[str, Factors, str, Estimate]]:
    """What one input has, whole; the baseline's rows come once for each that is set against it."""
    for row in found.rows:
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
    cells: dict[_Cell, dict[str, T]], loads: dict[Factors, str], form: Callable[[str, T], str]
) -> list[str]:
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


def _figure(name: str, found: Estimate) -> str:
    value = found.mean if name in _MEANS else found.median
    if value is None:
        return words.BLANK
    if name in ("rate_rps", *CYCLES) or abs(value) >= 99.95:
        return f"{value:.0f}" if abs(value) < 1e7 else f"{value:.3g}"
    return f"{value:.1f}"


def _change(_name: str, found: Change) -> str:
    if found.difference is None or found.ratio is None:
        return words.BLANK
    if found.difference.interval is None:
        return "few"
    if found.outcome == "~":
        return "~"
    percent = 100 * (found.ratio.value - 1)
    text = f"{percent:+.1f}%" if abs(percent) < 100 else f"{percent:+.0f}%"
    if len(text) > 6:
        text = f"x{found.ratio.value:.0f}" if found.ratio.value < 1e5 else f"x{found.ratio.value:.0e}"
    return text + ("?" if found.unconfirmed else "")


def _load(factors: Factors) -> str:
    """What stands under `load`: what was offered, with everything else that was varied behind it."""
    offered = [value for name, value in factors if _LOAD.search(name.lower())]
    others = [value for name, value in factors if not _LOAD.search(name.lower())]
    return "/".join([*offered, *others]) or "MAX"


def _foot(found: Comparison, names: list[str]) -> Iterator[str]:
    if names not in ([], ["load"]):
        ordered = [name for name in names if _LOAD.search(name.lower())]
        ordered += [name for name in names if name not in ordered]
        yield f"load: {'/'.join(ordered)}"
    unit = next((metric.unit for metric in found.metrics if metric.unit.endswith("us")), "us")
    yield (
        f"qps: mean over runs; avglat, 95%lat, 99%lat: {unit}, median over runs of the run's mean and quantiles, whole "
        "round trip; cpu: mean busy share of the CPU set, %; cpq: mean cycles per query"
    )
    yield (
        "change: of the medians over runs; ~: none shown (95 % interval); ?: shown, not confirmed by a rank test "
        "(Holm over each column); few: too few runs"
    )
    counts = {verdict: sum(each.runs.get(verdict, 0) for each in found.inputs) for verdict in VERDICTS}
    counted = f", counted: valid, {', '.join(found.included)}" if found.included else ""
    yield f"runs: {words.counts(counts)}{counted}"
    for item in found.differences:
        values = " -> ".join(words.some(each) or words.BLANK for each in item.values)
        yield f"differs: {item.column}: {values}"
    yield from found.verdict


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(words.clean(text), WIDTH, break_on_hyphens=False) or [""]
