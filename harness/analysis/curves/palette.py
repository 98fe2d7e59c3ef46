"""One colour, marker and dash per case, the same in every chart, told apart without colour vision too."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

# Chosen by search for the greatest least distance (OKLab) with full and with red-, green- and blue-blind vision;
# every colour has a contrast of 3 or more with its background. The baseline is ink, so that it reads as reference.
_INK = ("#2b3138", "#eef1f4")
_PAIRS = (
    ("#2f5fb3", "#3d97f7"),
    ("#a83a0c", "#dd8a2e"),
    ("#0fa88c", "#3f8f80"),
    ("#c86add", "#f09ac4"),
    ("#a67a00", "#e6d443"),
    ("#2b8ca6", "#62cdfa"),
    ("#7a4ad3", "#9a63d6"),
)
_SHAPES = ("square", "triangle", "diamond", "down", "pentagon", "plus", "cross")
_DASHES = ("", "6 3", "2 3", "8 3 2 3")


@dataclass(frozen=True)
class Mark:
    """How a case is drawn: colours on light and dark paper, marker, and dash pattern ("" is solid)."""

    slot: int
    light: str
    dark: str
    shape: str
    dash: str


def marks(cases: Iterable[str], baseline: str = "") -> dict[str, Mark]:
    """A mark for each case, by its place in the list; the baseline's is always the same.

    Beyond seven cases the colours come again with another dash, so that no two cases look the same up to 28.
    """
    marked: dict[str, Mark] = {}
    place = 0
    for slot, case in enumerate(dict.fromkeys(cases)):
        if case == baseline:
            marked[case] = Mark(slot, *_INK, "circle", "")
            continue
        light, dark = _PAIRS[place % len(_PAIRS)]
        dash = _DASHES[place // len(_PAIRS) % len(_DASHES)]
        marked[case] = Mark(slot, light, dark, _SHAPES[place % len(_SHAPES)], dash)
        place += 1
    return marked
