"""Every kind of bad experiment file gives one line with its place and what to do, frozen as a golden file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.errors import EXIT_BAD_INPUT, InputError
from harness.spec.load import load_experiment
from harness.workloads import WORKLOADS

GOLDEN = Path(__file__).parent.parent / "golden" / "errors"
FILES = sorted(GOLDEN.glob("*.yaml"))
SET = "# set: "


def message_for(path: Path) -> str:
    """The one line that a user gets for this file; a line "# set: KEY=VALUE" in it stands for --set."""
    lines = path.read_bytes().decode(errors="replace").splitlines()
    overrides = [line.removeprefix(SET).partition("=") for line in lines if line.startswith(SET)]
    with pytest.raises(InputError) as caught:
        load_experiment(path, [(key, value) for key, _, value in overrides])
    assert caught.value.exit_code == EXIT_BAD_INPUT
    return caught.value.line().replace(f"{path.parent.resolve()}/", "")


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_message(path: Path) -> None:
    line = message_for(path).replace(", ".join(WORKLOADS), "{workloads}")
    golden = path.with_suffix(".txt")
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(line + "\n")
    assert line + "\n" == golden.read_text()
    assert "\n" not in line
    assert len(line) < 400


def test_every_golden_message_has_its_file() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == {path.stem for path in FILES}
