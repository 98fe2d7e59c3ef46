"""A directory for temporary files goes with its block, and after a SIGKILL by clean or with the next block."""

from __future__ import annotations

import functools
import os
import signal
import tempfile
from pathlib import Path

import pytest

from harness.errors import MissingError
from harness.kernel import scratch
from harness.kernel.journal import clean, open_journal
from harness.kernel.scratch import aside


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where they are made."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setattr(scratch, "open_journal", functools.partial(open_journal, tmp_path / "state"))
    return tmp_path / "tmp"


def refuse_journals(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> None:
        raise MissingError("write the journal")

    monkeypatch.setattr(scratch, "open_journal", refused)


def killed_inside() -> None:
    """A process that is killed in the block, with files there."""
    if (child := os.fork()) == 0:
        with aside() as path:
            (path / "payload").mkdir()
            (path / "payload" / "module").write_text("1")
            os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def test_it_is_nobody_elses_and_goes_with_the_block_whatever_ends_that(place: Path) -> None:
    with pytest.raises(KeyError), aside() as path:
        assert path.parent == place and path.stat().st_mode & 0o777 == 0o700
        (path / "left").write_text("1")
        raise KeyError
    assert list(place.iterdir()) == []


def test_clean_removes_that_of_a_killed_one_and_no_others(place: Path, tmp_path: Path) -> None:
    killed_inside()
    (place / "pollbench-aside-theirs").mkdir()
    with aside() as living:
        acts = [(act.action, act.kind) for act in clean(state=tmp_path / "state")]
        assert acts == [("removed", "directory")]
        assert {path.name for path in place.iterdir()} == {living.name, "pollbench-aside-theirs"}


def test_who_writes_no_journal_removes_what_the_last_ones_left(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_journals(monkeypatch)
    killed_inside()
    assert len(list(place.iterdir())) == 1
    with aside() as first, aside() as second:
        assert set(place.iterdir()) == {first, second}, "what somebody holds is left alone"
    assert list(place.iterdir()) == []


def test_a_link_in_their_place_leads_nowhere(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_journals(monkeypatch)
    (tmp_path / "precious").mkdir()
    (place / "pollbench-aside-link").symlink_to(tmp_path / "precious")
    with aside():
        pass
    assert (tmp_path / "precious").is_dir()
