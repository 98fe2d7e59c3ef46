"""How cases look on the page: a class per case for colour, a marker, a swatch, a badge per verdict."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from harness.analysis.compare import Change
from harness.analysis.curves import Mark
from harness.report import words
from harness.report.html.markup import Child, Markup, number, tag, trusted

_CORNERS = {
    "square": ((-1, -1), (1, -1), (1, 1), (-1, 1)),
    "triangle": ((0, -1.25), (1.15, 0.85), (-1.15, 0.85)),
    "down": ((0, 1.25), (1.15, -0.85), (-1.15, -0.85)),
    "diamond": ((0, -1.35), (1.35, 0), (0, 1.35), (-1.35, 0)),
    "pentagon": ((0, -1.25), (1.2, -0.35), (0.75, 1.05), (-0.75, 1.05), (-1.2, -0.35)),
    "plus": (
        *((-0.4, -1.2), (0.4, -1.2), (0.4, -0.4), (1.2, -0.4), (1.2, 0.4), (0.4, 0.4)),
        *((0.4, 1.2), (-0.4, 1.2), (-0.4, 0.4), (-1.2, 0.4), (-1.2, -0.4), (-0.4, -0.4)),
    ),
    "cross": (
        *((-1.2, -0.7), (-0.7, -1.2), (0, -0.5), (0.7, -1.2), (1.2, -0.7), (0.5, 0)),
        *((1.2, 0.7), (0.7, 1.2), (0, 0.5), (-0.7, 1.2), (-1.2, 0.7), (-0.5, 0)),
    ),
}
_SIGNS = {"valid": "✓", "inert": "○", "suspect": "!", "failed": "✕", "skipped": "–"}


@dataclass(frozen=True)
class Look:
    """The marks of all cases of the page."""

    marks: Mapping[str, Mark]

    def css(self) -> str:
        """One rule per case: its colour on light and on dark paper."""
        return "".join(f".c{mark.slot}{{--c:light-dark({mark.light},{mark.dark})}}" for mark in self.marks.values())

    def group(self, case: str, *content: Child) -> Markup:
        """A part of a chart that belongs to a case: has its colour, and goes when the case is switched off."""
        mark = self.marks[case]
        return tag("g", *content, class_=f"k c{mark.slot}", data_k=mark.slot, data_case=case)

    def marker(self, case: str, x: float, y: float, size: float = 4.0) -> Markup:
        """The case's marker at a place."""
        corners = _CORNERS.get(self.marks[case].shape)
        if corners is None:
            return tag("circle", cx=x, cy=y, r=size + 0.3, class_="mark")
        points = " ".join(f"{number(x + a * size)},{number(y + b * size)}" for a, b in corners)
        return tag("polygon", points=points, class_="mark")

    def swatch(self, case: str) -> Markup:
        """A small sample of line and marker."""
        mark, marker = self.marks[case], self.marker(case, 13.0, 7.0)
        line = tag("line", x1=0.0, x2=26.0, y1=7.0, y2=7.0, class_="line", stroke_dasharray=mark.dash or None)
        return tag("svg", line, marker, viewBox="0 0 26 14", class_=f"swatch c{mark.slot}", aria_hidden="true")

    def name(self, case: str) -> Markup:
        """The case with its swatch, as tables show it."""
        return tag("span", self.swatch(case), tag("span", case), class_="case")

    def dotted(self, case: str) -> Markup:
        """The case with a dot of its colour: for long tables, where a swatch a row would fill the page."""
        return tag("span", tag("i", class_=f"dot c{self.marks[case].slot}"), case, class_="case")


def badge(verdict: str, count: int | None = None) -> Markup:
    """A verdict as a badge: sign, word, and how many runs have it."""
    text = verdict if count is None else f"{count:,} {verdict}"
    return tag("span", tag("span", _SIGNS.get(verdict, ""), aria_hidden="true"), f" {text}", class_=f"badge {verdict}")


def change_badge(change: Change | None) -> Markup:
    """What a change showed, as a badge whose words say more than its colour."""
    text = words.verdict(change)
    if change is None or not text:
        return trusted("")
    judged = {"better": "better", "worse": "worse"}.get(change.judged, "none")
    judgement = f", {judged}" if judged != "none" and "few" not in text else ""
    return tag("span", times(text), tag("span", judgement, class_="sr"), class_=f"badge {judged}")


def times(text: str) -> str:
    """Text with the multiplication sign in place of the letter in factors such as "8.1x lower [7.9x..8.3x lower]"."""
    return re.sub(r"(?<=\d)x(?=\.\.| lower| higher)", "×", text)


def legend(look: Look, cases: Iterable[str], baseline: str) -> Markup:
    """The cases as switches that work on every chart."""
    parts = [tag("span", "Cases", class_="quiet")]
    for case in cases:
        remark = tag("span", " (baseline)", class_="quiet") if case == baseline else None
        named, slot = (look.swatch(case), tag("span", case), remark), look.marks[case].slot
        parts.append(tag("button", *named, type="button", class_="toggle", aria_pressed="true", data_toggle=slot))
    return tag("div", *parts, class_="legend", role="group", aria_label="Show or hide cases in all charts")
