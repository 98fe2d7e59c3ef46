"""The load generator of a checkout is that of its sources."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness import loadgen
from harness.errors import MissingError


def tree(place: Path) -> Path:
    """A checkout with a built generator and one source, which is as old."""
    there = place / "harness" / "loadgen"
    there.mkdir(parents=True)
    (place / ".git").mkdir()
    for name in ("client.c", loadgen.EXECUTABLE):
        (there / name).touch(mode=0o755)
        os.utime(there / name, (1000, 1000))
    return there


def test_one_that_is_older_than_a_source_is_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = tree(tmp_path)
    monkeypatch.setattr(loadgen, "__file__", str(there / "__init__.py"))
    assert loadgen.path() == there / loadgen.EXECUTABLE
    os.utime(there / "client.c", (1001, 1001))
    with pytest.raises(MissingError, match=r"client\.c of this checkout is newer.*pip install -e \."):
        loadgen.path()
    (tmp_path / ".git").rmdir()  # installed
    assert loadgen.path() == there / loadgen.EXECUTABLE
