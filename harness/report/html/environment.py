"""Where it was measured and how to read the page: environment, set-up, method."""

from __future__ import annotations

from collections.abc import Iterator

from harness import columns
from harness.analysis.summary import Overview
from harness.report import words
from harness.report.html.markup import Markup, join, tag
from harness.tables.source import Source

_LONG = 60
_MANIFEST = ("command", "seed", "pollbench", "version", "hostname", "boot_parameters", "loadgen")


def facts(view: Overview, source: Source) -> Markup:
    """Every fact of the environment and the set-up as a list of terms."""
    items = []
    for name, values in view.facts.items():
        known = columns.BY_NAME.get(name)
        text = words.some(values, 6)
        items.append(_fact(name, text, known.meaning if known else ""))
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


def method(view: Overview) -> Markup:
    """What the figures are, in sentences."""
    return tag("ul", *(tag("li", line) for line in _method(view)), class_="method")


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
