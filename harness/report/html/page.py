"""The page: one file with its style and script inside, which asks no network for anything."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files

from harness.analysis.agreement import agreement as conclusions
from harness.analysis.agreement import places_differ
from harness.analysis.compare import Comparison
from harness.analysis.curves import Study, marks
from harness.analysis.summary import Overview
from harness.report import agreement, words
from harness.report.comparison import document
from harness.report.html.charts import VIEWABLE, draw
from harness.report.html.document import blocks
from harness.report.html.live import live_section
from harness.report.html.markup import Child, Markup, flag, join, section, tag, trusted
from harness.report.html.study import sections
from harness.report.html.style import Look

_SCRIPTS = ("tip.js", "marks.js", "packed.js", "reading.js", "saving.js", "live.js", "app.js")


def page(sets: Sequence[tuple[Study, Overview]], comparison: Comparison | None = None) -> str:
    """The report of one or more sets as an HTML document; the same input gives the same bytes.

    comparison: of the sets with one another, shown first; or of the cases of the only set, shown with it.
    Reads the samples of the sets.
    """
    cases = list(dict.fromkeys(cell.case for _, view in sets for cell in view.cells))
    baseline = next((view.baseline for _, view in sets if view.baseline), "")
    look = Look(marks(cases, baseline))
    share = max(VIEWABLE // max(len(sets), 1), 1)
    drawn = [draw(f"s{at}-", study, view, share) for at, (study, view) in enumerate(sets)]
    live, data = live_section(look, drawn)
    alone = len(drawn) == 1
    content: list[Child] = []
    if comparison is not None and not alone:
        # Of two places sizes are not to be compared: what they agree on comes first.
        content += _agreement([study for study, _ in sets])
        content.append(section("between", "Between the sets", blocks(document(comparison)), short="Comparison"))
    for one in drawn:
        parts = list(sections(look, one, live if alone else None, comparison if alone else None))
        content.append(join(parts) if alone else _set(one.view, parts))
    if not alone and live is not None:
        content.append(live)
    views = [view for _, view in sets]
    title = f"{' · '.join(view.label for view in views)} – pollbench report"
    return assembled(title, look.css(), _head(views[0], "h1") if alone else _several(views), content, data)


def _agreement(studies: Sequence[Study]) -> list[Markup]:
    """Which conclusions a host's and a guest's set share; nothing for sets of one place."""
    sources = [study.source for study in studies]
    if not places_differ(sources):
        return []
    title = f"A: {sources[0].label}, B: {sources[1].label}"
    content = blocks(agreement.document(conclusions(sources[0], sources[1]), title))
    return [section("agreement", agreement.TITLE, content, short="Agreement")]


def _head(view: Overview, level: str) -> Markup:
    title = tag(level, view.name, tag("span", view.label, class_="label") if view.label != view.name else None)
    return tag("header", title, tag("p", view.description, class_="description") if view.description else None)


def _set(view: Overview, parts: Sequence[Child]) -> Markup:
    return tag("article", _head(view, "h2"), *parts, class_="set", data_label=view.name, aria_label=view.label)


def assembled(
    title: str, css: str, top: Child, content: Sequence[Child], data: Child = None, command: str = "report"
) -> str:
    """A whole page of ours: head, masthead, contents, style and script inside.

    css: rules beyond the style sheet's; data: the element with the data of a chart to choose, which brings its library.
    """
    scripts = [f"/*\n{_library('LICENSE')}*/\n{_library('uPlot.iife.min.js')}"] if data is not None else []
    scripts.append("\n".join(_asset(name) for name in _SCRIPTS))
    # Whatever a name in a result set may try, only these scripts run, and nothing is fetched from anywhere.
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src {allowed}; base-uri 'none'"
    style = _asset("style.css") + (_library("uPlot.min.css") if data is not None else "")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", trusted(style + css)),
    )
    body = tag(
        "body",
        tag("a", "Skip to the findings", href="#main", class_="skip"),
        tag("div", tag("div", top, class_="titles"), _theme(), class_="masthead wrap"),
        tag("nav", tag("div", "", class_="wrap", id="contents"), aria_label="Sections", class_="needs-script"),
        tag("main", *content, id="main", class_="wrap"),
        tag("footer", f"Made by pollbench {command}.", class_="wrap quiet"),
        tag("div", "", id="tip", role="status", aria_live="polite", hidden=True),
        data,
        *(tag("script", trusted(script)) for script in scripts),
    )
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"


def _several(views: Sequence[Overview]) -> Markup:
    names = words.some(dict.fromkeys(view.name for view in views))
    return tag("header", tag("h1", names, tag("span", f"{len(views)} result sets", class_="label")))


def _theme() -> Markup:
    buttons = [
        tag("button", name.capitalize(), type="button", data_theme_choice=name, aria_pressed=flag(name == "system"))
        for name in ("system", "light", "dark")
    ]
    return tag("div", *buttons, class_="theme needs-script", role="group", aria_label="Colours of the page")


def _asset(name: str) -> str:
    return files("harness.report.html").joinpath("assets", name).read_text(encoding="utf-8")


def _library(name: str) -> str:
    """A file of the charting library, as its npm package has it (tools/npm-files.sh)."""
    return files("harness.report.html").joinpath("library", name).read_text(encoding="utf-8")
