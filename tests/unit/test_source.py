"""The reading of source that the house rules stand on: what it must see, and what it must let pass."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from tools.source import Module, cycles, load_modules


def package(root: Path, **sources: str) -> dict[str, Module]:
    """A package `p` with the given modules; "a__b" is p/a/b.py."""
    for name, source in {"__init__": "", **sources}.items():
        path = root / "p" / (name if name == "__init__" else name.replace("__", "/"))
        path = path.with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(source))
    return load_modules(root / "p")


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import p.low", ["p.low"]),
        ("import p", ["p"]),
        ("from p import low", ["p.low"]),
        ("from p import version", ["p"]),
        ("from p.low import name", ["p.low"]),
        ("from . import low", ["p.low"]),
        ("from .low import name", ["p.low"]),
        ("def f():\n    from p.low import name", ["p.low"]),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import p.low", []),
        ("import os, sys", []),
    ],
)
def test_internal_imports(tmp_path: Path, source: str, found: list[str]) -> None:
    modules = package(tmp_path, low="", high=source)
    assert [name for _, name in modules["p.high"].internal_imports()] == found


def test_imports_relative_to_a_package_within(tmp_path: Path) -> None:
    modules = package(tmp_path, sub__a="from .b import x\nfrom ..low import y", sub__b="", low="")
    assert [name for _, name in modules["p.sub.a"].internal_imports()] == ["p.sub.b", "p.low"]
    assert modules["p.sub.a"].part == "sub"
    assert modules["p"].part == ""


def test_calls_and_names(tmp_path: Path) -> None:
    source = """
        import sys
        def f():
            print("x", file=sys.stderr)
            sys.exit(2)
            raise SystemExit
    """
    module = package(tmp_path, m=source)["p.m"]
    assert {name for _, name in module.calls()} == {"SystemExit", "print", "sys.exit"}
    assert "sys.stderr" in {name for _, name in module.names()}


def test_strings_without_docstrings(tmp_path: Path) -> None:
    source = '''
        """/proc/docs are fine."""
        A = "/proc/a"
        def f(pid):
            """/sys/docs too."""
            return f"/proc/{pid}/stat"
    '''
    module = package(tmp_path, m=source)["p.m"]
    assert [text for _, text in module.strings()] == ["/proc/a", "/proc/", "/stat"]


def test_undocumented(tmp_path: Path) -> None:
    source = "def told():\n    'Says so.'\ndef _private(): ...\ndef silent(): ...\nclass Mute: ...\n"
    module = package(tmp_path, m=source)["p.m"]
    assert [name for _, name in module.undocumented()] == ["silent", "Mute"]


def test_cycles() -> None:
    assert cycles({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert cycles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b -> c -> b"]
    assert cycles({"a": {"a"}}) == ["a -> a"]
