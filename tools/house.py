"""Measure the house: its rooms, its floors, and the arrows between rooms, from the real imports of the code.

`python -m tools.house` prints the figures, `--arrows` each arrow with the number of files behind it. A room is a
directory or a module at the top of harness/; an arrow leads from a room to one that a file of it imports, wherever
in the file the import stands; a room's floor is 1 + the highest floor among those it imports.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from tools.source import Module, load_modules

ROOT = Path(__file__).parent.parent
FIGURES = "figures of the house"
"""The property of a test's report under which tests/test_house.py hands on the line that a session ends with."""


def arrows_of(modules: dict[str, Module]) -> Counter[tuple[str, str]]:
    """(room, room that it imports) -> how many files of the first do so; the package's own root is no target."""
    arrows: Counter[tuple[str, str]] = Counter()
    for module in modules.values():
        targets = {modules[name].part for _, name in module.internal_imports()}
        for target in targets - {module.part, ""}:
            arrows[module.part or "__init__", target] += 1
    return arrows


def rooms_of(modules: dict[str, Module]) -> list[str]:
    """The rooms, sorted; the package's own file is one of them."""
    return sorted({module.part or "__init__" for module in modules.values()})


def floors_of(rooms: list[str], arrows: Counter[tuple[str, str]]) -> dict[str, int]:
    """Room -> floor, counted from 1. Raises ValueError where arrows form a circle."""
    floors: dict[str, int] = {}

    def floor(room: str, trail: tuple[str, ...]) -> int:
        if room in trail:
            raise ValueError(" -> ".join([*trail[trail.index(room) :], room]))
        if room not in floors:
            below = [target for source, target in arrows if source == room]
            floors[room] = 1 + max((floor(target, (*trail, room)) for target in below), default=0)
        return floors[room]

    for room in rooms:
        floor(room, ())
    return floors


def in_words(rooms: list[str], floors: dict[str, int], arrows: Counter[tuple[str, str]]) -> str:
    """One line: how many rooms, floors and arrows there are."""
    return (
        f"{len(rooms)} rooms ({len(loose_of(rooms))} loose modules), {max(floors.values())} floors, "
        f"{len(arrows)} arrows"
    )


def loose_of(rooms: list[str]) -> list[str]:
    """The rooms that are one module at the top of the package."""
    return [room for room in rooms if (ROOT / "harness" / f"{room}.py").is_file()]


def main() -> int:
    """Print the floors from the top down, and the figures."""
    modules = load_modules(ROOT / "harness")
    rooms, arrows = rooms_of(modules), arrows_of(modules)
    if "--arrows" in sys.argv:
        for (source, target), count in sorted(arrows.items()):
            print(f"{source} -> {target} ({count})")
    floors = floors_of(rooms, arrows)
    for number in sorted(set(floors.values()), reverse=True):
        print(f"floor {number}: {', '.join(room for room in rooms if floors[room] == number)}")
    print(in_words(rooms, floors, arrows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
