"""Every run as a row that can be filtered and sorted, with its verdict and the reason for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import pandas as pd

from harness import columns
from harness.report import words
from harness.report.html.markup import Child, Markup, grid, tag, td
from harness.report.html.style import Look, badge
from harness.tables.cells import factor_columns
from harness.tables.columnar import objects

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


_Run = dict[str, Any]
"""A row of runs.csv by column; columns may be missing."""


def run_rows(look: Look, runs: pd.DataFrame, viewable: Mapping[str, str], key: str) -> Markup:
    """The filter, and the table. viewable: runs whose time series is in the page; key: tells sets apart."""
    shown = runs.head(MOST)
    fields = _fields(look, shown, viewable)
    body, names = [], list(map(str, shown.columns))
    for values in zip(*(objects(shown[name]) for name in shown.columns), strict=True):
        run = dict(zip(names, values, strict=True))
        made = (field(run) for _, _, field in fields)
        body.append(tag("tr", *made, data_case=run["case"], data_verdict=run.get("verdict") or "valid"))
    head = [_head(title, numeric) for title, numeric, _ in fields]
    table = grid(head, body, label="all runs", caption=tag("caption", "All runs", class_="sr"), class_="runs")
    cut = f"The first {MOST:,} of {len(runs):,} runs; all are in runs.csv." if len(runs) > MOST else ""
    note = tag("p", cut, class_="note") if cut else None
    more = tag("p", tag("button", "Show all", type="button", class_="more"), class_="needs-script")
    return tag("div", _filters(look, runs, key), note, table, more, class_="runlist")


def _fields(
    look: Look, shown: pd.DataFrame, viewable: Mapping[str, str]
) -> list[tuple[str, bool, Callable[[_Run], Markup]]]:
    """The columns of the table: title, whether it is of numbers, and what makes a run's field."""
    figures = [(name, title) for name, title in _FIGURES if name in shown.columns and (shown[name] > 0).any()]
    reasons = "reasons" in shown.columns and bool((shown["reasons"] != "").any())
    return [
        ("#", True, partial(_place, viewable)),
        ("verdict", False, lambda run: td(badge(run.get("verdict") or "valid"))),
        ("case", False, lambda run: tag("th", look.dotted(run["case"]), scope="row")),
        *((name, False, partial(_text, name, "")) for name in factor_columns(shown)),
        ("repetition", True, lambda run: td(_whole(run, "block"), "num")),
        *((title, True, partial(_figure, name)) for name, title in figures),
        *([("reasons", False, partial(_text, "reasons", "why"))] if reasons else []),
    ]


def _filters(look: Look, runs: pd.DataFrame, key: str) -> Markup:
    cases = [case for case in look.marks if (runs["case"] == case).any()] if len(runs) else []
    present = set(runs["verdict"]) if "verdict" in runs.columns else set()
    verdicts = [verdict for verdict in columns.VERDICTS if verdict in present]
    find = tag("input", type="search", class_="find", placeholder="words, all must match", id=f"find-{key}")
    picks = (_select("Case", "case", cases), _select("Verdict", "verdict", verdicts))
    count = tag("span", f"{len(runs):,} runs", class_="count quiet", role="status")
    return tag("div", tag("label", "Filter ", find), *picks, count, class_="controls needs-script", role="search")


def _select(label: str, kind: str, values: Sequence[str]) -> Markup:
    options = [tag("option", "all", value=""), *(tag("option", value, value=value) for value in values)]
    return tag("label", f"{label} ", tag("select", *options, class_=f"pick-{kind}"))


def _head(title: str, numeric: bool) -> Markup:
    way = tag("span", "", class_="way", aria_hidden="true")
    return tag(
        "th", tag("button", title, way, type="button", class_="sort"), scope="col",
        class_="num" if numeric else None, aria_sort="none", data_type="number" if numeric else "text",
    )  # fmt: skip


def _place(viewable: Mapping[str, str], run: _Run) -> Markup:
    """Its place in the sequence of runs, as the way to its time series where the page has that."""
    run_id = run.get("run_id", "")
    order: Child = _whole(run, "order") or run_id[:6]
    if run_id in viewable:
        order = tag("a", order, href="#explore", data_run=viewable[run_id], title=f"time series of run {run_id}")
    return tag("td", order, class_="num", title=run_id or None)


def _whole(run: _Run, name: str) -> str:
    """A field as a whole number; blank where there is none."""
    value = run.get(name)
    return f"{value:.0f}" if isinstance(value, float) and value == value else ""


def _text(name: str, class_: str, run: _Run) -> Markup:
    return td(run[name], class_)


def _figure(name: str, run: _Run) -> Markup:
    value = run[name]
    if value != value:
        return td("", "num")
    return td(f"{value:,.0f}" if columns.unit_of(name) == "count" else words.short(value), "num")
