"""Charts in characters: quantiles as bars on one scale, medians over a swept number as sparklines."""

from __future__ import annotations

from collections.abc import Sequence

from harness.analysis.compare import Factors
from harness.analysis.compare.verdict import MODEL_US
from harness.analysis.curves.cells import load_curves
from harness.analysis.curves.factors import short_name
from harness.analysis.summary import Overview
from harness.report import words
from harness.report.charts import Chart, Dot, Polyline, Series
from harness.report.charts.kinds import QUANTILES, against_load, quantile_charts
from harness.report.charts.scale import Scale
from harness.report.layout import Block, Col, Gap, Para, Table, TableRow, Text, grouped

_WIDTH, _LEAST, _MOST = 48, 20, 24
_LEVELS = "▁▂▃▄▅▆▇█"
_SIGNS = "o+|"


def blocks(view: Overview, width: int) -> list[Block]:
    """The quantiles of every cell as bars that fit `width` columns; p50 and p99 over a swept number as sparklines.

    Nothing for sets of more cells than anybody looks at so, or of a single one.
    """
    return [] if not 1 < len(view.cells) <= _MOST else [*_bars(view, width), *_sparklines(view)]


def _bars(view: Overview, width: int) -> list[Block]:
    charts = quantile_charts(view.cells)
    if not charts:
        return []
    unit = MODEL_US if view.model_time else "us"
    ends = [f"{words.short(end)} {unit}" for end in next(iter(charts.values())).x.limits()]
    names = max(len(series.case) for chart in charts.values() for series in chart.series)
    long = max(min(_WIDTH, width - names - 2), _LEAST)
    rows: list[tuple[Factors, TableRow]] = []
    for factors, chart in charts.items():
        rows += [(factors, (Text(series.case), Text(bar(chart, series, long)))) for series in chart.series]
    scale = f"{ends[0]:<{long - len(ends[1])}}{ends[1]}"
    caption = "Quantiles on one logarithmic scale: o p50, + p99, | p99.9, where enough requests were made."
    return [Para(caption), Table((Col("case", right=False), Col(scale, right=False)), grouped(rows)), Gap()]


def bar(chart: Chart, series: Series, width: int) -> str:
    """A series of `quantile_charts` in `width` characters: a sign at each quantile, joined."""
    dots = [mark for mark in series.marks if isinstance(mark, Dot)]
    places = [min(int(chart.x.share(dot.at[0]) * width), width - 1) for dot in dots]
    line = [" "] * width
    for start, end, stroke in zip(places, places[1:], "=-", strict=False):
        line[start : end + 1] = stroke * (end + 1 - start)
    # Where two share a place, the lower quantile is shown: the median is what is claimed.
    for place, sign in [*zip(places, _SIGNS, strict=False)][::-1]:
        line[place] = sign
    return "".join(line).rstrip()


def _sparklines(view: Overview) -> list[Block]:
    lines = load_curves(view.cells)
    if lines is None:
        return []
    name, values = short_name(lines.axis.name), list(lines.axis.numbers)
    rows: list[tuple[Factors, TableRow]] = []
    for factors, charts in against_load(lines, QUANTILES).items():
        for case in lines.panels[factors]:
            sparks = (sparkline(chart, series) for chart in charts for series in chart.series if series.case == case)
            rows.append((factors, (Text(case), *map(Text, sparks))))
    cols = (Col("case", right=False), *(Col(f"p{name[5:-3]}", right=False) for name in QUANTILES))
    kept = [row for row in rows if len(row[1]) == len(cols)]
    caption = f"Over {name} {values[0]} to {values[-1]}, each on the scale of all cases (logarithmic):"
    return [Para(caption), Table(cols, grouped(kept)), Gap()] if kept else []


def sparkline(chart: Chart, series: Series) -> str:
    """The line of a series as one block a point, as high as it stands on the chart's own scale."""
    return blocks_of_line([y for mark in series.marks if isinstance(mark, Polyline) for _, y in mark.points], chart.y)


def blocks_of_line(values: Sequence[float], scale: Scale) -> str:
    """Values as one block each, as high as they stand on a scale."""
    last = len(_LEVELS) - 1
    return "".join(_LEVELS[min(int(scale.share(value) * len(_LEVELS)), last)] for value in values)
