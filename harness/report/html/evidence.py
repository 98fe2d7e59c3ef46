"""Requested, applied, took effect: three facts per knob setting, gathered over the runs of a case."""

from __future__ import annotations

import re

import pandas as pd

from harness.report import words
from harness.report.html.frame import grid, td, th
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
        before, applied, took = (_values(group["found"]), _values(group["applied"]), _took(group["took_effect"]))
        alike = (case, knob, setting, requested, before, applied, took)
        nodes.setdefault(alike, []).append(node)
        rows.setdefault(alike, [_applied(applied, requested), tag("td", took), _evidence(group["evidence"])])
    return grid(
        [th(name, numeric=name in _NUMERIC) for name in _HEADS],
        [_row(look, alike, nodes[alike], rest) for alike, rest in rows.items()],
        label="what was requested, applied, and took effect",
        caption=tag("caption", "Knobs by case", class_="sr"),
    )


def _row(look: Look, alike: tuple[str, ...], nodes: list[str], rest: list[Child]) -> Markup:
    case, knob, setting, requested, before = alike[:5]
    fields = (td(join((setting, tag("span", f" {knob}", class_="quiet")))), td(", ".join(nodes)))
    values = (td(requested, "num"), td(before, "num quiet"))
    case_head = tag("th", look.dotted(case), scope="row")
    return tag("tr", case_head, *fields, *values, *rest, class_="k", data_k=look.marks[case].slot)


def _applied(applied: str, requested: str) -> Markup:
    doubtful = requested != "" and applied not in ("", requested)
    return td(applied or "not shown", "num short" if doubtful else "num" if applied else "num quiet")


def _values(column: pd.Series) -> str:
    return words.some((str(value) for value in column.unique() if str(value)), 3)


def _took(column: pd.Series) -> Markup:
    """How many runs took effect, took none, and could not be seen to."""
    yes, no = int((column == True).fillna(False).sum()), int((column == False).fillna(False).sum())  # noqa: E712
    kinds = (("✓ yes", yes, "valid"), ("○ no", no, "inert"), ("not observable", len(column) - yes - no, "none"))
    return join(tag("span", f"{text}, {words.runs(n)}", class_=f"badge {kind}") for text, n, kind in kinds if n)


def _evidence(column: pd.Series) -> Markup:
    """The first run's words; others that differ in more than numbers are counted."""
    texts = [str(value) for value in column if str(value)]
    kinds = dict.fromkeys(_DETAIL.sub("#", value) for value in texts)
    more = f" (and {len(kinds) - 1} other findings)" if len(kinds) > 1 else ""
    return tag("td", (texts[0] if texts else "") + more, class_="why")
