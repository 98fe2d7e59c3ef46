"""Time series of runs: the median of every slice as a line, and up to its greatest round trip a needle."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.analysis.curves.reduce import Timeline
from harness.report import words
from harness.report.html.frame import BOTTOM, LEFT, RIGHT, TOP, WIDTH, Axes, figure, path, svg
from harness.report.html.markup import Child, Markup, number, tag, trusted
from harness.report.html.scale import Scale, log_scale, tick_text, time_text
from harness.report.html.style import Look

HEIGHT = 200
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_DECADES, _LEAST = 10, -3
_CODES = 64 * 64 - 2


@dataclass(frozen=True)
class Shown:
    """One run whose time series is drawn."""

    run_id: str
    case: str
    title: str
    series: Timeline


def common_axes(series: Iterable[Timeline]) -> Axes:
    """Scales that hold all of these series, so that they can be compared by eye."""
    values, longest = [], 0.0
    for each in series:
        values += [float(value) for value in (*each.p50_us, *each.max_us) if value > 0]
        longest = max(longest, each.slice_s * len(each.p50_us))
    x = Scale(0.0, longest or 1.0, LEFT, WIDTH - RIGHT, False)
    return Axes(
        x, log_scale(values, HEIGHT - BOTTOM, TOP + 12, around=1.3), "time since the measurement began, s",
        "round trip", tick_text, time_text,
    )  # fmt: skip


def panel(look: Look, axes: Axes, shown: Shown) -> Markup:
    """One run."""
    series = shown.series
    places = [axes.x.at((at + 0.5) * series.slice_s) for at in range(len(series.p50_us))]
    line = [(x, axes.y.at(float(value))) for x, value in zip(places, series.p50_us, strict=True) if value > 0]
    needles = "".join(
        f"M{number(x)} {number(axes.y.at(float(low)))}V{number(axes.y.at(float(high)))}"
        for x, low, high in zip(places, series.p50_us, series.max_us, strict=True)
        if high > low > 0
    )
    lost = [
        tag("text", "×", x=x, y=TOP + 10, class_="lost mid")
        for x, n in zip(places, series.lost, strict=True)
        if n
    ]
    group = look.group(
        shown.case,
        tag("path", d=needles or "M0 0", class_="needles"),
        path(line, "line thin"),
        *lost,
        _worst(axes, series, places),
    )
    return figure(shown.title, svg(axes, group, label=_told(shown), height=HEIGHT))


def _worst(axes: Axes, series: Timeline, places: Sequence[float]) -> Markup | None:
    """A ring around the longest round trip, and what it was."""
    at = _greatest(series)
    if at is None:
        return None
    value = float(series.max_us[at])
    x, y = places[at], axes.y.at(value)
    side = "end" if x > WIDTH * 0.75 else "" if x < WIDTH * 0.3 else "mid"
    said = tag("text", f"longest {rounded(value)}", x=x, y=y - 7, class_=f"direct {side}".strip())
    return tag("g", tag("circle", cx=x, cy=y, r=3.2, class_="worst"), said)


def _greatest(series: Timeline) -> int | None:
    there = [(float(value), -at) for at, value in enumerate(series.max_us) if value > 0]
    return -max(there)[1] if there else None


def rounded(us: float) -> str:
    """A time in the unit that suits it: 3.54 µs, 14.5 ms."""
    for size, unit in ((1e6, "s"), (1e3, "ms"), (1.0, "µs")):
        if us >= size:
            return f"{words.short(us / size)} {unit}"
    return f"{words.short(us * 1e3)} ns"


def _told(shown: Shown) -> str:
    series, at = shown.series, _greatest(shown.series)
    if at is None:
        return f"Time series of {shown.title}: no request was answered"
    lost = int(series.lost.sum())
    gone = f"; {lost:,} requests lost" if lost else ""
    return (
        f"Time series of {shown.title}: longest round trip {rounded(float(series.max_us[at]))} "
        f"at {at * series.slice_s:.2f} s{gone}"
    )


def viewer(axes: Axes, choices: Sequence[tuple[str, str]]) -> Markup:
    """An empty chart that the page's script fills with whichever run is chosen; choices: run id and words."""
    options = [tag("option", said, value=run_id) for run_id, said in choices]
    parts: list[Child] = [
        tag("path", d="M0 0", class_="needles"),
        tag("path", d="M0 0", class_="line thin"),
        tag("g", class_="losses"),
    ]
    chart = svg(
        axes, tag("g", *parts, class_="k", id="viewed"), label="Time series of the chosen run", height=HEIGHT
    )
    spelled = " ".join(f"{value:.8g}" for s in (axes.x, axes.y) for value in (s.low, s.high, s.start, s.stop))
    return tag(
        "div",
        tag(
            "p",
            tag("label", "Run ", tag("select", *options, id="run-choice")),
            tag("button", "previous", type="button", id="run-before"),
            tag("button", "next", type="button", id="run-after"),
            class_="controls",
        ),
        tag("figure", chart, tag("p", "", id="run-said", class_="note", aria_live="polite")),
        id="viewer",
        class_="needs-script",
        data_scales=spelled,
    )


def packed(series: Timeline) -> dict[str, str | float | list[list[int]]]:
    """A series in two letters a value (0.6 % apart), for the page's script; lost: [slice, count] pairs."""
    return {
        "w": round(series.slice_s, 9),
        "m": _letters(series.p50_us),
        "x": _letters(series.max_us),
        "l": [[at, int(count)] for at, count in enumerate(series.lost) if count],
    }


def _letters(values: Iterable[float]) -> str:
    return "".join(map(_pair, map(float, values)))


def _pair(value: float) -> str:
    code = 0
    if value > 0:
        share = (math.log10(value) - _LEAST) / _DECADES
        code = 1 + round(min(max(share, 0.0), 1.0) * _CODES)
    return _LETTERS[code // 64] + _LETTERS[code % 64]


def data_script(found: Mapping[str, object]) -> Markup:
    """JSON for the page's script; nothing in it can end the element it stands in."""
    import json

    spelled = json.dumps(found, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    safe = spelled.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return tag("script", trusted(safe), type="application/json", id="series")
