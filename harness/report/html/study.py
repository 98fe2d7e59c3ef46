"""One result set as sections of the page, in the order in which a reader asks for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.analysis.compare import Comparison
from harness.report import claims, words
from harness.report.html.charts import Drawn, chart_sections, folded
from harness.report.html.comparison import blocks, comparison_blocks
from harness.report.html.environment import facts, method
from harness.report.html.evidence import knob_table
from harness.report.html.findings import doubts, findings, verdicts
from harness.report.html.frame import figure, section
from harness.report.html.markup import Child, Markup, tag
from harness.report.html.phases import phase_groups, phase_table
from harness.report.html.runs import run_rows
from harness.report.html.style import Look, legend
from harness.report.html.summary import summary
from harness.report.html.viewer import data_script, packed, viewer
from harness.report.words import Json


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
    yield from _tables(look, drawn)


def _tests(comparison: Comparison | None) -> Markup | None:
    if comparison is None:
        return None
    title = tag("summary", "Every case against the baseline: ratios, differences and tests for every metric")
    return tag("details", title, comparison_blocks(comparison), class_="more")


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
    reading = figure("How to read this page", method(drawn.view))
    yield section(
        f"{key}where", "Where and how it was measured", facts(drawn.view, source), reading, short="Environment"
    )
    if len(source.runs):
        there = {run_id: f"{key}{run_id}" for run_id in drawn.series}
        yield section(f"{key}runs", "Runs", run_rows(look, source.runs, there, key))


def viewer_of(sets: Sequence[Drawn]) -> tuple[Child, Child]:
    """The viewer of any run's time series over all sets, and the element with its data; None without any."""
    choices: list[tuple[str, str]] = []
    data: dict[str, Json] = {}
    for drawn in sets:
        lead = f"{drawn.view.label}: " if len(sets) > 1 else ""
        for run_id, case, text in _choices(drawn):
            choices.append((f"{drawn.key}{run_id}", lead + text))
            data[f"{drawn.key}{run_id}"] = packed(drawn.series[run_id]) | {"c": case}
    if not choices:
        return None, None
    every = [series for drawn in sets for series in drawn.series.values()]
    return viewer(every, choices), data_script(data)


def _choices(drawn: Drawn) -> Iterator[tuple[str, str, str]]:
    """Run id, case and words of every run that has a time series, in the order of the table of runs."""
    runs = drawn.study.source.runs
    cells = {int(row): cell for cell in drawn.cells for row in cell.rows}
    blocks = runs["block"].tolist() if "block" in runs.columns else [None] * len(runs)
    verdicts_of = runs["verdict"].tolist() if "verdict" in runs.columns else [""] * len(runs)
    for at, run_id in enumerate(runs["run_id"].astype(str) if "run_id" in runs.columns else ()):
        if run_id not in drawn.series:
            continue
        cell, block, verdict = cells[at], blocks[at], str(verdicts_of[at])
        repetition = f", repetition {block:.0f}" if isinstance(block, float) and block == block else ""
        doubt = f" ({verdict})" if verdict not in ("valid", "") else ""
        yield run_id, cell.case, f"{words.cell(cell.case, cell.factors)}{repetition}{doubt}"
