"""docs/architecture.md is true: its rooms, its picture, and every step of every way exist in the code."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tools.house import rooms_of
from tools.house_picture import MACHINE, PICTURE, picture
from tools.source import load_modules

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "architecture.md").read_text()
MODULES = load_modules(ROOT / "harness")
_PLACE = re.compile(r"`(harness/[\w/]+\.py):(\w+)`")
_WAYS = {
    head: re.findall(r"^(\d+)\. (.*)$", text, re.MULTILINE)
    for head, text in re.findall(r"^## (The way of [^\n]+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
}


def definitions(path: str) -> set[str]:
    """The functions, methods and classes that a file defines."""
    tree = ast.parse((ROOT / path).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}


def test_every_room_has_its_line() -> None:
    table = PAGE.split("## The rooms")[1].split("## What may")[0]
    rows = re.findall(r"^\| `([\w]+)/?` \|", table, re.MULTILINE)
    assert sorted(rows) == [room for room in rooms_of(MODULES) if room != "__init__"]


def test_the_picture_is_drawn_from_the_code_as_it_is() -> None:
    assert PICTURE.read_text() == picture(MODULES), "draw it again: make docs"


def test_the_picture_knows_who_needs_the_machine() -> None:
    from tests.test_house import MACHINE as HELD

    assert set(MACHINE) == HELD


def test_there_are_the_five_ways() -> None:
    assert len(_WAYS) == 5
    assert all(len(steps) > 4 for steps in _WAYS.values())


@pytest.mark.parametrize("way", _WAYS)
def test_every_step_of_a_way_exists_and_is_reached_from_one_before(way: str) -> None:
    seen: list[tuple[str, str]] = []
    for number, step in _WAYS[way]:
        places = _PLACE.findall(step)
        assert places, f"{way}, step {number} names no file:function"
        for path, name in places:
            assert name in definitions(path), f"{way}, step {number}: {path} defines no {name}"
            assert not seen or any(linked(before, (path, name)) for before in seen), (
                f"{way}, step {number}: nothing named before it knows {name}, nor the other way round"
            )
            seen.append((path, name))


def linked(before: tuple[str, str], place: tuple[str, str]) -> bool:
    """Does the earlier file name the later function or its module, or the later file the earlier function?"""
    later = "|".join((place[1], Path(place[0]).stem))
    return bool(
        re.search(rf"\b({later})\b", (ROOT / before[0]).read_text())
        or re.search(rf"\b{before[1]}\b", (ROOT / place[0]).read_text())
    )


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:tests|tools|docs|playbooks)/[\w/.]+)`", PAGE))))
def test_other_files_it_names_exist(path: str) -> None:
    assert (ROOT / path).exists()
