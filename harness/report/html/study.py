"""One result set as sections of the page, in the order in which a reader asks for them; and any run's time series."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from harness import columns
from harness.analysis.compare import Comparison
from harness.analysis.curves.reduce import Timeline
from harness.analysis.summary import Overview
from harness.report import claims, words
from harness.report.charts.kinds import time_scales
from harness.report.comparison import document
from harness.report.html.charts import Drawn, chart_sections, folded
from harness.report.html.document import blocks
from harness.report.html.findings import doubts, findings, verdicts
from harness.report.html.markup import Child, Markup, figure, join, section, tag, trusted
from harness.report.html.runs import run_rows
from harness.report.html.style import Look, legend
from harness.report.html.svg import STRIP, Paper, framed
from harness.report.html.tables import knob_table, phase_groups, phase_table, summary
from harness.report.html.tail import tail_section
from harness.report.words import Json
from harness.tables.source import Source

_LONG = 60
_MANIFEST = ("command", "seed", "pollbench", "version", "hostname", "boot_parameters", "loadgen")
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_DECADES, _LEAST = 10, -3
_CODES = 64 * 64 - 2


def sections(look: Look, drawn: Drawn, viewer: Child = None, comparison: Comparison | None = None) -> Iterator[Markup]:
    """The sections of a set; viewer: the viewer of any run's time series, when it belongs to this set alone."""
    view, key = drawn.view, drawn.key
    yield section(f"{key}findings", "Findings", verdicts(view), findings(look, view), doubts(view))
    if view.claims:
        yield section(f"{key}claims", "Claims", blocks(claims.blocks(view.claims)[1:]), short="Claims")
    table = summary(look, view)
    if table is not None:
        lead = "Medians over the valid runs of each cell, with the interval of that median."
        lead += " Times are model time." if view.model_time else ""
        yield section(f"{key}cells", "All cells", table, _tests(comparison), lead=lead, short="Cells")
    charts = list(chart_sections(look, drawn, viewer))
    if charts:
        # Together in one box: the switches stay in sight as long as there are charts, and no longer.
        switches = legend(look, dict.fromkeys(cell.case for cell in view.cells), view.baseline)
        note = tag("p", "All times in these charts are model time: ", view.model_time) if view.model_time else None
        yield tag("div", switches, note, *charts, class_="charts")
    if causes := tail_section(drawn.study.results, key):
        yield causes
    yield from _tables(look, drawn)


def _tests(comparison: Comparison | None) -> Markup | None:
    if comparison is None:
        return None
    title = tag("summary", "Every case against the baseline: ratios, differences and tests for every metric")
    return tag("details", title, blocks(document(comparison)), class_="more")


def _tables(look: Look, drawn: Drawn) -> Iterator[Markup]:
    key, source = drawn.key, drawn.study.source
    groups = phase_groups(source.runs, drawn.cells)
    if groups:
        lead = "Medians over runs of each phase's median; medians of parts need not add up to the median of the whole."
        panels = folded(list(groups), lambda at: phase_table(look, source.runs, at, groups[at]))
        yield section(f"{key}phases", "Where the time goes", *panels, lead=lead, short="Phases")
    if source.knobs is not None and len(source.knobs):
        lead = (
            "Three separate facts for every setting: what was asked for, what the kernel read back, and whether it "
            "did anything."
        )
        body = knob_table(look, source.knobs)
        yield section(f"{key}knobs", "Knobs: requested, applied, took effect", body, lead=lead, short="Knobs")
    lines = (tag("li", line) for line in _method(drawn.view))
    reading = figure("How to read this page", tag("ul", *lines, class_="method"))
    title = "Where and how it was measured"
    yield section(f"{key}where", title, _facts(drawn.view, source), reading, short="Environment")
    if len(source.runs):
        there = {run_id: f"{key}{run_id}" for run_id in drawn.series}
        yield section(f"{key}runs", "Runs", run_rows(look, source.runs, there, key))


def _facts(view: Overview, source: Source) -> Markup:
    """Every fact of the environment and the set-up as a list of terms."""
    items = [_fact(name, words.some(values, 6), columns.metric(name).meaning) for name, values in view.facts.items()]
    for name in _MANIFEST:
        value = source.manifest.get(name)
        if isinstance(value, list):
            value = " ".join(map(str, value))
        if isinstance(value, str | int | float) and str(value):
            items.append(_fact(name, str(value)))
    if not items:
        return tag("p", "Nothing is known about where these runs were made.", class_="plain")
    return tag("dl", join(items), class_="facts")


def _fact(name: str, text: str, meaning: str = "") -> Markup:
    """A term and its value; a long one gets a line of its own."""
    term = tag("dt", name, title=meaning or None)
    return tag("div", term, tag("dd", text), class_="wide" if len(text) > _LONG else None)


def _method(view: Overview) -> Iterator[str]:
    yield (
        "The run is the unit. Quantiles are taken within each run; medians, intervals and tests are over runs, "
        "never over requests."
    )
    yield "Round-trip time is request sent to reply received, never halved."
    yield (
        "A quantile is blank when fewer than 10 samples of its run are expected beyond it; curves go on dotted "
        "where that is so."
    )
    yield "Every interval is over runs and states the confidence it really has; docs/statistics.md says how."
    if view.baseline:
        yield f"The baseline is the case {view.baseline}, always under the same factors."
    yield (
        "CPU is the processes of client and server and NAPI threads together. Polled is the busy-polled share of "
        "packets received, by client / by server."
    )
    yield (
        "inert: a knob took no effect. suspect: too much noise from elsewhere. Such runs are listed, and count in "
        "no figure but their own row and time series."
    )


def viewer_of(sets: Sequence[Drawn]) -> tuple[Child, Child]:
    """The viewer of any run's time series over all sets, and the element with its data; None without any."""
    choices: list[tuple[str, str]] = []
    data: dict[str, Json] = {}
    for drawn in sets:
        lead = f"{drawn.view.label}: " if len(sets) > 1 else ""
        for run_id, case, text in _choices(drawn):
            choices.append((f"{drawn.key}{run_id}", lead + text))
            data[f"{drawn.key}{run_id}"] = _packed(drawn.series[run_id]) | {"c": case}
    if not choices:
        return None, None
    every = [series for drawn in sets for series in drawn.series.values()]
    return _viewer(every, choices), _data_script(data)


def _choices(drawn: Drawn) -> Iterator[tuple[str, str, str]]:
    """Run id, case and words of every run that has a time series, in the order of the table of runs."""
    runs = drawn.study.source.runs.reindex(columns=["run_id", "block", "verdict"], fill_value="")
    cells = {int(row): cell for cell in drawn.cells for row in cell.rows}
    for at, (run_id, block, verdict) in enumerate(runs.itertuples(index=False, name=None)):
        if run_id not in drawn.series:
            continue
        cell = cells[at]
        repetition = f", repetition {block:.0f}" if isinstance(block, float) and block == block else ""
        doubt = f" ({verdict})" if verdict not in ("valid", "") else ""
        yield run_id, cell.case, f"{words.cell(cell.case, cell.factors)}{repetition}{doubt}"


def _viewer(series: Iterable[Timeline], choices: Sequence[tuple[str, str]]) -> Markup:
    """A chart that holds any of the series, filled by the script with the chosen one; choices: run id and words."""
    paper = Paper(*time_scales(series), STRIP)
    options = [tag("option", text, value=run_id) for run_id, text in choices]
    empty = tag(
        "g", tag("path", d="M0 0", class_="needles"), tag("path", d="M0 0", class_="line thin"),
        tag("g", class_="losses"), class_="k", id="viewed",
    )  # fmt: skip
    chart = framed(paper, empty, label="Time series of the chosen run", data={})
    scales = " ".join(
        f"{value:.8g}" for _, scale, *pixels in paper.ends() for value in (scale.low, scale.high, *pixels)
    )
    controls = tag(
        "p", tag("label", "Run ", tag("select", *options, id="run-choice")),
        tag("button", "previous", type="button", id="run-before"),
        tag("button", "next", type="button", id="run-after"), class_="controls",
    )  # fmt: skip
    note = tag("p", "", id="run-said", class_="note", aria_live="polite")
    return tag("div", controls, tag("figure", chart, note), id="viewer", class_="needs-script", data_scales=scales)


def _packed(series: Timeline) -> dict[str, Json]:
    """A series in two letters a value (0.6 % apart), for the page's script; lost: [slice, count] pairs."""
    return {
        "w": round(series.slice_s, 9),
        "m": "".join(map(_pair, map(float, series.p50_us))),
        "x": "".join(map(_pair, map(float, series.max_us))),
        "l": [[at, int(count)] for at, count in enumerate(series.lost) if count],
    }


def _pair(value: float) -> str:
    code = 0
    if value > 0:
        share = (math.log10(value) - _LEAST) / _DECADES
        code = 1 + round(min(max(share, 0.0), 1.0) * _CODES)
    return _LETTERS[code // 64] + _LETTERS[code % 64]


def _data_script(series: Mapping[str, Json]) -> Markup:
    """JSON for the page's script; nothing in it can end the element it stands in."""
    text = json.dumps(series, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    safe = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return tag("script", trusted(safe), type="application/json", id="series")
