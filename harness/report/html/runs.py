"""Every run as a row that can be filtered and sorted, with its verdict and the reason for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from harness import columns
from harness.report import words
from harness.report.html.frame import grid, td
from harness.report.html.markup import Child, Markup, tag
from harness.report.html.style import Look, badge
from harness.tables.cells import factor_columns

MOST = 2000
"""Rows in a page: more would make it slow to open on a phone; runs.csv has all of them."""

_FIGURES = (
    ("rtt_p50_us", "p50, µs"),
    ("rtt_p99_us", "p99, µs"),
    ("rtt_p99_9_us", "p99.9, µs"),
    ("rtt_max_us", "max, µs"),
    ("rate_rps", "requests / s"),
    ("set_cpu_us_per_request", "CPU µs / request"),
    ("cpu_us_per_request", "process CPU µs / request"),
    ("lost", "lost"),
    ("client_polled_percent", "polled, client %"),
    ("server_polled_percent", "polled, server %"),
    ("foreign_percent", "foreign CPU %"),
)


@dataclass(frozen=True)
class _Rows:
    """The runs that are shown, by column, and which of the columns are."""

    data: Mapping[str, list[object]]
    factors: list[str]
    figures: list[tuple[str, str]]
    reasons: bool
    viewable: Mapping[str, str]

    def text(self, name: str, at: int) -> str:
        """A field as text; blank where the column is missing."""
        return str(self.data[name][at]) if name in self.data else ""

    def whole(self, name: str, at: int) -> str:
        """A field as a whole number; blank where there is none."""
        value = self.data[name][at] if name in self.data else None
        return f"{value:.0f}" if isinstance(value, float) and value == value else ""


def run_rows(look: Look, runs: pd.DataFrame, viewable: Mapping[str, str], key: str) -> Markup:
    """The filter, and the table. viewable: runs whose time series is in the page; key: tells sets apart."""
    shown = runs.head(MOST)
    rows = _Rows(
        data={str(name): shown[name].tolist() for name in shown.columns},
        factors=factor_columns(runs),
        figures=[(name, title) for name, title in _FIGURES if name in runs.columns and (shown[name] > 0).any()],
        reasons="reasons" in runs.columns and bool((shown["reasons"] != "").any()),
        viewable=viewable,
    )
    heads = [("#", True), ("case", False), *((name, False) for name in rows.factors), ("repetition", True)]
    heads += [("verdict", False), *((title, True) for _, title in rows.figures)]
    heads += [("reasons", False)] if rows.reasons else []
    caption = tag("caption", "All runs", class_="sr")
    body = [_row(look, rows, at) for at in range(len(shown))]
    head = [_head(title, numeric) for title, numeric in heads]
    table = grid(head, body, label="all runs", caption=caption, class_="runs")
    cut = f"The first {MOST:,} of {len(runs):,} runs; all are in runs.csv." if len(runs) > MOST else ""
    note = tag("p", cut, class_="note") if cut else None
    return tag("div", _filters(look, runs, key), note, table, _more(), class_="runlist")


def _more() -> Markup:
    return tag("p", tag("button", "Show all", type="button", class_="more"), class_="needs-script")


def _filters(look: Look, runs: pd.DataFrame, key: str) -> Markup:
    cases = [case for case in look.marks if (runs["case"] == case).any()] if len(runs) else []
    present = set(runs["verdict"]) if "verdict" in runs.columns else set()
    verdicts = [verdict for verdict in columns.VERDICTS if verdict in present]
    return tag(
        "div",
        tag(
            "label",
            "Filter ",
            tag("input", type="search", class_="find", placeholder="words, all must match", id=f"find-{key}"),
        ),
        _select("Case", "case", cases),
        _select("Verdict", "verdict", verdicts),
        tag("span", f"{len(runs):,} runs", class_="count quiet", role="status"),
        class_="controls needs-script",
        role="search",
    )


def _select(label: str, kind: str, values: Sequence[str]) -> Markup:
    options = [tag("option", "all", value=""), *(tag("option", value, value=value) for value in values)]
    return tag("label", f"{label} ", tag("select", *options, class_=f"pick-{kind}"))


def _head(title: str, numeric: bool) -> Markup:
    way = tag("span", "", class_="way", aria_hidden="true")
    return tag(
        "th", tag("button", title, way, type="button", class_="sort"), scope="col",
        class_="num" if numeric else None, aria_sort="none", data_type="number" if numeric else "text",
    )  # fmt: skip


def _row(look: Look, rows: _Rows, at: int) -> Markup:
    case, run_id = rows.text("case", at), rows.text("run_id", at)
    verdict = rows.text("verdict", at) or "valid"
    return tag(
        "tr",
        tag("td", _place(rows, at, run_id), class_="num", title=run_id or None),
        tag("th", look.dotted(case), scope="row"),
        *(td(rows.text(name, at)) for name in rows.factors),
        td(rows.whole("block", at), "num"),
        td(badge(verdict)),
        *(td(_number(name, rows.data[name][at]), "num") for name, _ in rows.figures),
        td(rows.text("reasons", at), "why") if rows.reasons else None,
        data_case=case,
        data_verdict=verdict,
    )


def _place(rows: _Rows, at: int, run_id: str) -> Child:
    """Its place in the sequence of runs, as the way to its time series where the page has that."""
    order = rows.whole("order", at) or run_id[:6]
    if run_id not in rows.viewable:
        return order
    return tag("a", order, href="#viewer", data_run=rows.viewable[run_id], title=f"time series of run {run_id}")


def _number(name: str, value: object) -> str:
    if not isinstance(value, float) or value != value:
        return ""
    return f"{value:,.0f}" if columns.unit_of(name) == "count" else words.short(value)
