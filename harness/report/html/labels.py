"""Where the name of a line or a point goes: beside it, and on nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from harness.report.html.frame import LEFT, RIGHT, TOP, WIDTH
from harness.report.html.markup import Markup, tag

Point = tuple[float, float]
Box = tuple[float, float, float, float]

_LETTER, _HEIGHT, _GAP = 6.7, 13.0, 7.0
MOST_LETTERS = 22


def shortened(name: str) -> str:
    """A name that fits beside a line."""
    return name if len(name) <= MOST_LETTERS else name[: MOST_LETTERS - 1] + "…"


class Labels:
    """Places labels one after another; each avoids the lines, points and labels that are there already."""

    def __init__(self, lines: Sequence[Sequence[Point]], floor: float) -> None:
        self._points = [point for line in lines for point in _dense(line)]
        self._floor = floor
        self._taken: list[Box] = []

    def take(self, box: Box) -> None:
        """Keep labels off a box that holds something else."""
        self._taken.append(box)

    def place(self, name: str, anchors: Sequence[Point], class_: str) -> Markup | None:
        """The label at the first anchor that has room to its right, left, above or below; None if none has."""
        said = shortened(name)
        width = _LETTER * len(said)
        for x, y in anchors:
            for left, middle in (
                (x + _GAP, y),
                (x - _GAP - width, y),
                (x - width / 2, y - _HEIGHT),
                (x - width / 2, y + _HEIGHT),
            ):
                box = (left, middle - _HEIGHT / 2, left + width, middle + _HEIGHT / 2)
                if self._free(box):
                    self._taken.append(box)
                    return tag("text", said, x=left, y=middle + 4, class_=class_)
        return None

    def _free(self, box: Box) -> bool:
        left, top, right, bottom = box
        if left < LEFT + 2 or right > WIDTH - RIGHT + 8 or top < TOP - 9 or bottom > self._floor:
            return False
        if any(left < x < right and top < y < bottom for x, y in self._points):
            return False
        return not any(left < r and right > x and top < b and bottom > t for x, t, r, b in self._taken)


def _dense(line: Sequence[Point]) -> list[Point]:
    """Points at most a few pixels apart, so that a long stroke is seen as well."""
    found = list(line)
    for (x1, y1), (x2, y2) in pairwise(line):
        steps = int(max(abs(x2 - x1), abs(y2 - y1)) // 5)
        found += [
            (x1 + (x2 - x1) * i / (steps + 1), y1 + (y2 - y1) * i / (steps + 1)) for i in range(1, steps + 1)
        ]
    return found
