"""Requested, applied, took effect: three facts per knob setting, gathered over the runs of a case."""

from __future__ import annotations

import re

import pandas as pd

from harness.report.html.frame import scroller
from harness.report.html.markup import Child, Markup, join, tag
from harness.report.html.style import Look

_DETAIL = re.compile(r"\d+(\.\d+)?")


_HEADS = ("case", "setting", "node", "requested", "found before", "applied", "took effect", "evidence")
_NUMERIC = _HEADS[3:6]


def knob_table(look: Look, knobs: pd.DataFrame) -> Markup:
    """A row per case, setting and requested value; nodes of which all the same is known share one."""
    rows: dict[tuple[str, ...], list[Child]] = {}
    nodes: dict[tuple[str, ...], list[str]] = {}
    for key, group in knobs.groupby(["case", "knob", "setting", "node", "requested"], sort=False):
        case, knob, setting, node, requested = map(str, key)
        if case not in look.marks:
            continue
        before, applied, took = (
            _values(group["found"]),
            _values(group["applied"]),
            _took(group["took_effect"]),
        )
        alike = (case, knob, setting, requested, before, applied, took)
        nodes.setdefault(alike, []).append(node)
        rows.setdefault(alike, [_applied(applied, requested), tag("td", took), _evidence(group["evidence"])])
    body = [_row(look, alike, nodes[alike], rest) for alike, rest in rows.items()]
    head = tag(
        "tr", *(tag("th", name, scope="col", class_="num" if name in _NUMERIC else None) for name in _HEADS)
    )
    table = tag(
        "table", tag("caption", "Knobs by case", class_="sr"), tag("thead", head), tag("tbody", join(body))
    )
    return scroller(table, "what was requested, applied, and took effect")


def _row(look: Look, alike: tuple[str, ...], nodes: list[str], rest: list[Child]) -> Markup:
    case, knob, setting, requested, before = alike[:5]
    return tag(
        "tr",
        tag("th", look.dotted(case), scope="row"),
        tag("td", setting, tag("span", f" {knob}", class_="quiet")),
        tag("td", ", ".join(nodes)),
        tag("td", requested, class_="num"),
        tag("td", before, class_="num quiet"),
        *rest,
        class_="k",
        data_k=look.marks[case].slot,
    )


def _applied(applied: str, requested: str) -> Markup:
    doubtful = requested != "" and applied not in ("", requested)
    return tag(
        "td", applied or "not shown", class_="num short" if doubtful else "num" if applied else "num quiet"
    )


def _values(column: pd.Series) -> str:
    values = [str(value) for value in column.unique() if str(value)]
    return ", ".join(values[:3]) + (f" and {len(values) - 3} more" if len(values) > 3 else "")


def _took(column: pd.Series) -> Markup:
    yes, no = int((column == True).fillna(False).sum()), int((column == False).fillna(False).sum())  # noqa: E712
    blank = len(column) - yes - no
    parts = []
    if yes:
        parts.append(tag("span", f"✓ yes, {_runs(yes)}", class_="badge valid"))
    if no:
        parts.append(tag("span", f"○ no, {_runs(no)}", class_="badge inert"))
    if blank:
        parts.append(tag("span", f"not observable, {_runs(blank)}", class_="badge none"))
    return join(parts)


def _runs(count: int) -> str:
    return f"{count} {'run' if count == 1 else 'runs'}"


def _evidence(column: pd.Series) -> Markup:
    """The first run's words; others that differ in more than numbers are counted."""
    texts = [str(value) for value in column if str(value)]
    kinds = dict.fromkeys(_DETAIL.sub("#", value) for value in texts)
    more = f" (and {len(kinds) - 1} other findings)" if len(kinds) > 1 else ""
    return tag("td", (texts[0] if texts else "") + more, class_="why")
