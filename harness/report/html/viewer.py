"""The viewer of any run's time series: an empty chart, and the series in a form that the page's script unpacks."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence

from harness.analysis.curves.reduce import Timeline
from harness.report.charts.kinds import time_scales
from harness.report.html.markup import Markup, tag, trusted
from harness.report.html.svg import framed, strip_paper
from harness.report.words import Json

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_DECADES, _LEAST = 10, -3
_CODES = 64 * 64 - 2


def viewer(series: Iterable[Timeline], choices: Sequence[tuple[str, str]]) -> Markup:
    """A chart that holds any of the series, filled by the script with the chosen one; choices: run id and words."""
    paper = strip_paper(*time_scales(series))
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


def packed(series: Timeline) -> dict[str, Json]:
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


def data_script(series: Mapping[str, Json]) -> Markup:
    """JSON for the page's script; nothing in it can end the element it stands in."""
    text = json.dumps(series, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    safe = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return tag("script", trusted(safe), type="application/json", id="series")
