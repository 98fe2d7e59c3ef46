"""The sections of a set that are charts: each leaves itself out where there is nothing to draw."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from harness.analysis.curves import curves, heat_map, load_curves, trades
from harness.analysis.curves.factors import short_name
from harness.report import words
from harness.report.html import distribution, loadlines, pareto, times
from harness.report.html.frame import section
from harness.report.html.heattable import heat_tables
from harness.report.html.markup import Child, Markup, join, tag
from harness.report.html.study_data import Drawn
from harness.report.html.style import Look

Item = TypeVar("Item")

OPEN, FOLDED = 4, 20
"""Panels of a section that are shown at once, and how many more behind a fold; the rest is left out, and said."""

STRIPS = 12
"""Time series shown at once; any other is for the viewer."""


def chart_sections(look: Look, drawn: Drawn, viewer: Child) -> Iterator[Markup]:
    """Distributions, load, heat map, trade-off, time series, in that order."""
    for part in (_distributions, _load, _heat, _trade):
        found = part(look, drawn)
        if found is not None:
            yield found
    found = _times(look, drawn, viewer)
    if found is not None:
        yield found


def _distributions(look: Look, drawn: Drawn) -> Markup | None:
    found = curves(drawn.study.source, drawn.cells, drawn.shapes)
    groups = list(dict.fromkeys(curve.factors for curve in found))
    if not groups:
        return None
    panels = folded(
        groups, lambda at: distribution.panel(look, at, [each for each in found if each.factors == at])
    )
    lead = (
        "Line: at every quantile the median over runs. Shade: from the lowest to the highest run. Dotted: fewer than "
        "ten samples of a run lie beyond."
    )
    return section(
        f"{drawn.key}distribution", "Latency distributions", *panels, lead=lead, short="Distributions"
    )


def _load(look: Look, drawn: Drawn) -> Markup | None:
    found = load_curves(drawn.view.cells)
    if found is None:
        return None
    y = loadlines.latency_scale(found)
    panels = folded(list(found.panels), lambda panel: loadlines.panel(look, found, panel, y))
    name = short_name(found.axis.name).replace("_", " ")
    lead = f"Median over runs with its interval, against {found.axis.name}."
    return section(f"{drawn.key}load", f"Quantiles over {name}", *panels, lead=lead, short=f"Over {name}")


def _heat(look: Look, drawn: Drawn) -> Markup | None:
    found = heat_map(drawn.view.cells)
    if found is None:
        return None
    title = "Contention heat map" if found.factor.startswith("contention") else "Heat map"
    lead = (
        "Stronger colour is more. Colours go by logarithm from the least to the greatest number of the table."
    )
    return section(f"{drawn.key}heat", title, heat_tables(look, found), lead=lead, short="Heat map")


def _trade(look: Look, drawn: Drawn) -> Markup | None:
    found = trades(drawn.view.cells)
    if not found:
        return None
    axes = pareto.common_axes(found)
    panels = folded(list(found), lambda factors: pareto.panel(look, axes, factors, found[factors]))
    lead = "Lower left is better. The stepped line joins the cases that no other case beats on both."
    return section(f"{drawn.key}trade", "CPU cost against p99", _grid(*panels), lead=lead, short="CPU cost")


def _times(look: Look, drawn: Drawn, viewer: Child) -> Markup | None:
    picked = [
        times.Shown(run_id, case, words.cell(case, factors), drawn.series[run_id])
        for (case, factors), run_id in drawn.typical.items()
        if run_id in drawn.series
    ]
    if not picked:
        return None
    axes = times.common_axes(shown.series for shown in picked[:STRIPS])
    strips = [times.panel(look, axes, shown) for shown in picked[:STRIPS]]
    lead = (
        "One run of each cell: the one whose p99 is nearest to the cell's median. Line: median of every "
        f"{words.short(picked[0].series.slice_s * 1e3)} ms; needle: up to the greatest round trip in it, so that no "
        "hiccup is hidden."
    )
    more = f"The first {STRIPS} of {len(picked)} cells; choose any run below." if len(picked) > STRIPS else ""
    note = tag("p", more, class_="note") if more else None
    any_run = tag("div", tag("h3", "Any run"), viewer) if viewer is not None else None
    return section(
        f"{drawn.key}times",
        "Time series and hiccups",
        _grid(*strips),
        note,
        any_run,
        lead=lead,
        short="Time series",
    )


def _grid(*content: Child) -> Markup:
    return tag("div", *content, class_="grid2")


def folded(items: Sequence[Item], draw: Callable[[Item], Markup]) -> list[Markup]:
    """The first items drawn in sight, more behind a fold, and a note of those that are in neither."""
    found = [draw(item) for item in items[:OPEN]]
    behind = [draw(item) for item in items[OPEN : OPEN + FOLDED]]
    if behind:
        said = f"{len(behind)} more {'combination' if len(behind) == 1 else 'combinations'} of factors"
        found.append(tag("details", tag("summary", said), tag("div", join(behind)), class_="more"))
    left = len(items) - OPEN - len(behind)
    if left > 0:
        said = f"{left:,} further combinations are not drawn here; pollbench plot --at draws any of them."
        found.append(tag("p", said, class_="note"))
    return found
