"""A metric's medians by case and factors: what the pictures of claims are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness import stats
from harness.analysis.claims.verdict import counted
from harness.analysis.compare import Factors
from harness.analysis.compare.change import values_of
from harness.analysis.curves.factors import quantity
from harness.spec.claims import Picture
from harness.stats import Estimate
from harness.tables.cells import group_cells, whole_tails
from harness.tables.source import Source

CASE = "case"
"""As an axis: the case instead of a swept key."""


@dataclass(frozen=True)
class Spot:
    """The median of one cell with its interval."""

    case: str
    factors: Factors
    estimate: Estimate

    def along(self, axis: str) -> str:
        """Where the cell lies on an axis, as text."""
        return self.case if axis == CASE else dict(self.factors).get(axis, "")


@dataclass(frozen=True)
class Spots:
    """All spots of a picture in the plan's order, and the axes it is drawn over ("" for none)."""

    picture: Picture
    spots: tuple[Spot, ...]
    x: str
    y: str

    def values(self, axis: str) -> list[str]:
        """The values of an axis, in the plan's order."""
        return list(dict.fromkeys(spot.along(axis) for spot in self.spots))

    def at(self, x: str, y: str) -> Spot | None:
        """The spot of a field of the grid; the first where other factors tell several apart."""
        return next((spot for spot in self.spots if spot.along(self.x) == x and spot.along(self.y) == y), None)

    def diagonal(self) -> set[tuple[str, str]]:
        """The fields nearest to where both axes name the same time: a rate stands for the time between its requests."""
        fields: set[tuple[str, str]] = set()
        for x in self.values(self.x) if self.picture.diagonal else ():
            period = _period_us(x, self.x)
            rows = [(abs(us / period - 1), y) for y in self.values(self.y) if (us := _period_us(y, self.y)) and period]
            if rows and min(rows)[0] < 0.5:
                fields.add((x, min(rows)[1]))
        return fields


def spots(source: Source, picture: Picture, include: Sequence[str] = ()) -> Spots:
    """The medians that a picture shows; `include`: verdicts that count beside valid."""
    source = counted(source, include)
    cells = group_cells(source.table, include=include) if len(source.table) else []
    runs = whole_tails(source.table, cells)
    values = values_of(runs, picture.metric)
    every = tuple(
        Spot(cell.case, cell.factors, stats.estimate(values[cell.valid]))
        for cell in cells
        if picture.shows(cell.case, cell.factors)
    )
    free = [name for name, _ in every[0].factors if name not in picture.at] if every else []
    x = picture.x or (free[0] if free else "")
    y = picture.y or (CASE if x != CASE else next((name for name in free if name != x), ""))
    return Spots(picture, every, x, y)


def _period_us(text: str, name: str) -> float:
    number = quantity(text)
    if number is None or not number[0]:
        return 0.0
    return 1e6 / number[0] if name.endswith("rate") else number[0]
