"""A host-wide value that several hold: the last one out restores what the first one found."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.kernel import journal
from harness.kernel.journal import clean, open_journal, set_value

HOLDER = """
import sys
from pathlib import Path
from harness.kernel.journal import open_journal, set_value
state, setting, value, least = sys.argv[1:]
with open_journal(Path(state)) as journal, set_value(journal, setting, value, at_least=bool(int(least))):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def holder(state: Path, setting: Path, value: int, least: bool = False) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds a value until its input ends, or it is killed."""
    words = [sys.executable, "-c", HOLDER, str(state), str(setting), str(value), str(int(least))]
    root = Path(journal.__file__).parents[2]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=root) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == b"held\n"
            yield process
        finally:
            process.kill()


def let_go(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(30) == 0


@pytest.mark.parametrize("first_goes_first", [True, False])
def test_the_last_holder_restores_what_the_first_found(tmp_path: Path, first_goes_first: bool) -> None:
    setting, state = tmp_path / "setting", tmp_path / "state"
    setting.write_text("17")
    with holder(state, setting, 50) as first, holder(state, setting, 60) as second:
        assert setting.read_text() == "60"
        order = [(first, "60"), (second, "17")] if first_goes_first else [(second, "50"), (first, "17")]
        for process, after in order:
            let_go(process)
            assert setting.read_text() == after


@pytest.mark.parametrize(
    ("wants", "goes", "after"),
    [((100, 200), 0, "200"), ((100, 200), 1, "100"), ((200, 100), 0, "100"), ((200, 100), 1, "200"), ((5, 6), 0, "17")],
)
def test_whoever_needs_only_enough_gets_enough(tmp_path: Path, wants: tuple[int, int], goes: int, after: str) -> None:
    """Also one who found enough, because another had raised it: it is not to lose it when that one goes."""
    setting, state = tmp_path / "setting", tmp_path / "state"
    setting.write_text("17")
    with holder(state, setting, wants[0], True) as first, holder(state, setting, wants[1], True) as second:
        assert setting.read_text() == str(max(17, *wants))
        both = [first, second]
        let_go(both.pop(goes))
        assert setting.read_text() == after
        let_go(both[0])
        assert setting.read_text() == "17"


@pytest.mark.parametrize("clean_first", [True, False])
def test_a_killed_holder_holds_nothing_and_what_it_found_is_known(tmp_path: Path, clean_first: bool) -> None:
    setting, state = tmp_path / "setting", tmp_path / "state"
    setting.write_text("17")
    with holder(state, setting, 50) as first:
        first.kill()
        first.wait()
        with holder(state, setting, 60) as second:
            if clean_first:
                assert [act for act in clean(state=state) if act.action != "left"] == []
                assert setting.read_text() == "60", "the living one still holds it"
            let_go(second)
        assert setting.read_text() == "17"
    clean(state=state)
    assert setting.read_text() == "17"


def test_a_change_by_somebody_else_begins_anew(tmp_path: Path) -> None:
    """What the second finds then is not what one of ours wrote, and is what it puts back."""
    setting, state = tmp_path / "setting", tmp_path / "state"
    setting.write_text("17")
    with holder(state, setting, 50) as first:
        setting.write_text("99")
        with holder(state, setting, 60) as second:
            let_go(second)
            assert setting.read_text() == "99"
        let_go(first)
    assert setting.read_text() == "99"


def test_a_run_in_a_testbed_s_time_restores_the_testbed_s_value(tmp_path: Path) -> None:
    """In one process, one within the other."""
    setting, state = tmp_path / "setting", tmp_path / "state"
    setting.write_text("17")
    with open_journal(state) as outer, open_journal(state) as inner:
        with set_value(outer, str(setting), 40, at_least=True):
            with set_value(inner, str(setting), 60):
                assert setting.read_text() == "60"
            assert setting.read_text() == "40"
        assert setting.read_text() == "17"
