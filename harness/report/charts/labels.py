"""Where names can stand beside marks without covering anything; in any unit of length, on a screen or on paper."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from harness.report.charts import Points

Box = tuple[float, float, float, float]
"""The least x and y, and the greatest."""

_STEPS = (1.0, 2.0, 3.5, 5.5, 8.0)


@dataclass(frozen=True)
class Label:
    """A place for a name: its left end, the middle of its height, and the mark that it is so far from, else None.

    before: it stands to the left of its mark, so that its end is what must not come too near.
    """

    left: float
    middle: float
    stroke_from: tuple[float, float] | None
    before: bool


class Labels:
    """Places labels one after another; each avoids the lines, boxes and labels that are there already."""

    def __init__(self, lines: Sequence[Points], boxes: Sequence[Box], area: Box, step: float) -> None:
        """area: in which labels may stand; step: how close the points of lines are looked at."""
        self._points = [point for line in lines for point in _dense(line, step)]
        self._taken, self._area = list(boxes), area

    def place(self, width: float, height: float, anchors: Points, gap: float, *, far: bool = False) -> Label | None:
        """The first place with room to the right, left, above or below of an anchor; None if none has.

        far: further off too, where the name then needs a stroke to its mark.
        """
        for step in _STEPS if far else _STEPS[:1]:
            for x, y in anchors:
                for left, middle in _beside(x, y, width, height, gap, step):
                    box = (left, middle - height / 2, left + width, middle + height / 2)
                    if self._free(box):
                        self._taken.append(box)
                        return Label(left, middle, (x, y) if step > 1 else None, left + width < x)
        return None

    def _free(self, box: Box) -> bool:
        left, top, right, bottom = box
        if left < self._area[0] or top < self._area[1] or right > self._area[2] or bottom > self._area[3]:
            return False
        if any(left < x < right and top < y < bottom for x, y in self._points):
            return False
        return not any(left < r and right > x and top < b and bottom > t for x, t, r, b in self._taken)


def _beside(x: float, y: float, width: float, height: float, gap: float, step: float) -> Iterator[tuple[float, float]]:
    """Left ends and middles of a name around a mark: right, left, above, below; further off also on the slant."""
    away, up = gap * step, height * step
    if step == 1:
        yield from ((x + gap, y), (x - gap - width, y))
    yield from ((x - width / 2, y - up), (x - width / 2, y + up))
    yield from ((x + away, y - up), (x - away - width, y - up), (x + away, y + up), (x - away - width, y + up))


def _dense(line: Points, step: float) -> list[tuple[float, float]]:
    """Points at most a step apart, so that a long stroke is seen as well."""
    points = list(line)
    for (x1, y1), (x2, y2) in pairwise(line):
        steps = int(max(abs(x2 - x1), abs(y2 - y1)) // step)
        shares = [i / (steps + 1) for i in range(1, steps + 1)]
        points += [(x1 + (x2 - x1) * share, y1 + (y2 - y1) * share) for share in shares]
    return points
