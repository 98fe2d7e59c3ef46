"""One result set as sections of the page, in the order in which a reader asks for them."""

from __future__ import annotations

from collections.abc import Iterator

from harness import columns
from harness.analysis.compare import Comparison
from harness.analysis.summary import COSTS, Overview, workloads_beside
from harness.report import claims, phases, queues, words
from harness.report.comparison import document
from harness.report.html.charts import Drawn, chart_sections, folded
from harness.report.html.document import blocks
from harness.report.html.findings import doubts, findings, verdicts
from harness.report.html.knobs import knob_table
from harness.report.html.markup import Child, Markup, figure, join, section, tag
from harness.report.html.outcomes import every_case
from harness.report.html.runs import run_rows
from harness.report.html.style import Look, legend
from harness.report.html.tables import phase_groups, phase_table, summary
from harness.report.html.tail import tail_section
from harness.report.resultset import host_line, link_phases
from harness.tables.source import Source

_LONG = 60
_MANIFEST = ("command", "seed", "pollbench", "version", "hostname", "boot_parameters", "loadgen")


def sections(look: Look, drawn: Drawn, live: Child = None, comparison: Comparison | None = None) -> Iterator[Markup]:
    """The sections of a set; live: the section of the chart to choose, when it belongs to this set alone."""
    view, key = drawn.view, drawn.key
    yield section(
        f"{key}findings", "Findings", verdicts(view), findings(look, view), every_case(look, view), doubts(view)
    )
    if view.claims:
        yield section(f"{key}claims", "Claims", blocks(claims.blocks(view.claims)[1:]), short="Claims")
    table = summary(look, view)
    if table is not None:
        lead = "Medians over the valid runs of each cell, with the interval of that median."
        lead += " Times are model time." if view.model_time else ""
        beside = [
            child
            for name in workloads_beside(view.cells)
            for child in (tag("h3", f"{name}, measured beside it"), summary(look, view, name))
        ]
        yield section(f"{key}cells", "All cells", table, *beside, _tests(comparison), lead=lead, short="Cells")
    if view.phases:
        yield section(
            f"{key}links", "Links that change", blocks([link_phases(view)]), lead=phases.LEGEND, short="Links"
        )
    if view.queues:
        yield section(
            f"{key}queues", "Queues of links", blocks([queues.table(view.queues)]), lead=queues.LEGEND, short="Queues"
        )
    charts = list(chart_sections(look, drawn))
    if charts or live is not None:
        # Together in one box: the switches stay in sight as long as there are charts, and no longer.
        switches = legend(look, dict.fromkeys(cell.case for cell in view.cells), view.baseline)
        note = tag("p", "All times in these charts are model time: ", view.model_time) if view.model_time else None
        yield tag("div", switches, note, live, *charts, class_="charts")
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
    facts = tag("details", tag("summary", _measured_on(drawn.view, source)), _facts(drawn.view, source), class_="more")
    yield section(f"{key}where", title, facts, reading, short="Environment")
    if len(source.runs):
        there = {run_id: f"{key}{run_id}" for run_id in drawn.series}
        yield section(f"{key}runs", "Runs", run_rows(look, source.runs, there, key))


def _measured_on(view: Overview, source: Source) -> str:
    """The line that the facts of the environment are folded under."""
    line = host_line(source.runs) if len(source.runs) else ""
    return line.removesuffix(".") or f"The environment: {len(view.facts)} facts"


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
    if any(COSTS[0] in cell.estimates for cell in view.cells):
        yield (
            "CPU is all that was not idle on the CPU set, interrupts and softirqs included, hogs and other programs "
            "not."
        )
    yield (
        "Process CPU is the processes of client and server and NAPI threads together. Polled is the busy-polled share "
        "of packets received, by client / by server."
    )
    yield (
        "inert: a knob took no effect. suspect: too much noise from elsewhere. Such runs are listed, and count in "
        "no figure but their own row and time series."
    )
