"""The journal in a directory of the test's own: who is dead, what is undone, what is left alone."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.errors import MissingError, PollbenchError
from harness.kernel import journal, journals
from harness.kernel.journal import clean, host_lock, open_journal, set_value, stale
from harness.kernel.proc import start_ticks


def dead(state: Path, *entries: dict[str, Any], token: str = "abc123", tail: str = "") -> Path:
    """A journal as a killed owner leaves it."""
    directory = state / token
    directory.mkdir(parents=True)
    owner = {"n": 1, "kind": "owner", "pid": 1, "what": "killed"}
    lines = [json.dumps(entry) + "\n" for entry in (owner, *entries)]
    (directory / "journal").write_text("".join(lines) + tail)
    return directory


def value(path: Path, found: str, wrote: str, number: int = 2) -> dict[str, Any]:
    """The note of a host-wide value."""
    return {"n": number, "kind": "value", "path": str(path), "found": found, "wrote": wrote}


@contextlib.contextmanager
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process of ours to be killed."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_journal_lives_as_long_as_its_block(tmp_path: Path) -> None:
    with open_journal(tmp_path) as mine:
        assert mine.directory.is_dir()
        assert stale(tmp_path) == []
        assert clean(state=tmp_path) == []
        assert mine.directory.is_dir(), "clean leaves the living alone"
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == []


def test_the_note_is_on_disk_before_note_returns(tmp_path: Path) -> None:
    with open_journal(tmp_path) as mine:
        number = mine.note("netns", name="pb-x-y")
        last = (mine.directory / "journal").read_text().splitlines()[-1]
        assert json.loads(last) == {"n": number, "kind": "netns", "name": "pb-x-y"}
        mine.done(number)


def test_what_is_not_done_is_undone_at_the_end(tmp_path: Path) -> None:
    setting = tmp_path / "setting"
    setting.write_text("50")
    with open_journal(tmp_path / "state") as mine:
        mine.note("value", path=str(setting), found="10", wrote="50")
    assert setting.read_text() == "10"


def test_a_value_is_set_read_back_and_restored(tmp_path: Path) -> None:
    setting = tmp_path / "setting"
    setting.write_text("17\n")
    with open_journal(tmp_path / "state") as mine:
        with set_value(mine, str(setting), 50) as changed:
            assert setting.read_text().strip() == "50"
            assert (changed.found, changed.applied) == ("17", "50")
        assert setting.read_text().strip() == "17"


def test_a_value_that_somebody_else_changed_is_theirs(tmp_path: Path) -> None:
    setting = tmp_path / "setting"
    setting.write_text("17")
    with open_journal(tmp_path / "state") as mine:
        with set_value(mine, str(setting), 50):
            setting.write_text("99")
        assert setting.read_text() == "99"


def test_clean_restores_in_reverse_order(tmp_path: Path) -> None:
    setting = tmp_path / "setting"
    setting.write_text("3")
    dead(tmp_path / "state", value(setting, "1", "2"), value(setting, "2", "3", number=3))
    assert [(act.action, act.kind) for act in clean(state=tmp_path / "state")] == [("restored", "value")] * 2
    assert setting.read_text() == "1" and clean(state=tmp_path / "state") == [], "twice does no harm"


def test_clean_leaves_a_value_that_is_no_longer_ours(tmp_path: Path) -> None:
    setting = tmp_path / "setting"
    setting.write_text("99")
    directory = dead(tmp_path / "state", value(setting, "1", "2"))
    (act,) = clean(state=tmp_path / "state")
    assert act.action == "left"
    assert "99" in act.reason
    assert setting.read_text() == "99"
    assert not directory.exists()


def test_a_dry_run_changes_nothing(tmp_path: Path) -> None:
    setting = tmp_path / "setting"
    setting.write_text("2")
    directory = dead(tmp_path / "state", value(setting, "1", "2"))
    (act,) = clean(dry_run=True, state=tmp_path / "state")
    assert act.action == "would restore"
    assert setting.read_text() == "2"
    assert directory.is_dir()


def test_what_was_done_is_not_undone_again(tmp_path: Path) -> None:
    setting = tmp_path / "setting"
    setting.write_text("2")
    dead(tmp_path / "state", value(setting, "1", "2"), {"kind": "done", "of": 2})
    assert clean(state=tmp_path / "state") == []
    assert setting.read_text() == "2", "written later by somebody else, though it looks like ours"


@pytest.mark.parametrize("tail", ['{"n": 3, "kind": "val', '{"n": 3}', "\x00\x00", "{}"])
def test_a_torn_last_line_is_no_act(tmp_path: Path, tail: str) -> None:
    setting = tmp_path / "setting"
    setting.write_text("2")
    dead(tmp_path / "state", value(setting, "1", "2"), tail=tail)
    assert [act.action for act in clean(state=tmp_path / "state")] == ["restored"]


@pytest.mark.parametrize("line", ["rubbish\n", "[]\n", '{"kind": 5}\n', '{"kind": "value"}\n'])
def test_a_damaged_line_does_not_hide_the_others(tmp_path: Path, line: str) -> None:
    setting = tmp_path / "setting"
    setting.write_text("2")
    directory = dead(tmp_path / "state", value(setting, "1", "2"))
    with (directory / "journal").open("a") as file:
        file.write(line)
    actions = {act.action for act in clean(state=tmp_path / "state")}
    assert "restored" in actions
    assert actions & {"left", "failed"}


@pytest.mark.parametrize(
    "entry",
    [
        {"kind": "done", "of": [1]},
        {"kind": "done"},
        {"n": {}, "kind": "value"},
        {"n": 3, "kind": "process", "pid": 10**400, "start_ticks": 1},
        {"n": 3, "kind": "process", "pid": "seven", "start_ticks": 1},
        {"n": 3, "kind": "interface", "netns": "pb-x-y", "state": 7},
        {"n": 3, "kind": "directory", "path": "pollbench-\0"},
        {"kind": "owner", "pid": "seven"},
        {"kind": "owner", "pid": 1e999},
    ],
    ids=str,
)
def test_an_entry_of_the_wrong_type_costs_itself_only(tmp_path: Path, entry: dict[str, Any]) -> None:
    setting, other = tmp_path / "setting", tmp_path / "other"
    setting.write_text("2")
    other.write_text("2")
    dead(tmp_path / "state", value(setting, "1", "2"), entry)
    dead(tmp_path / "state", value(other, "1", "2"), token="ffffff")
    assert len(stale(tmp_path / "state")) == 2
    clean(dry_run=True, state=tmp_path / "state")
    clean(state=tmp_path / "state")
    assert (setting.read_text(), other.read_text()) == ("1", "1")


def test_a_line_nested_without_end_is_a_damaged_one(tmp_path: Path) -> None:
    directory = dead(tmp_path / "state")
    with (directory / "journal").open("a") as file:
        file.write("[" * 100_000 + "\n")
    assert [act.action for act in clean(state=tmp_path / "state")] == ["left"]


def test_the_owner_of_a_journal_may_have_no_number(tmp_path: Path) -> None:
    directory = dead(tmp_path / "state")
    (directory / "journal").write_text('{"kind": "owner", "pid": "x", "what": ["y"]}\n')
    assert stale(tmp_path / "state") == [journal.Stale("abc123", 0, "['y']")]


@pytest.mark.parametrize("kind", ["directory", "fifo", "loop", "socket"])
def test_a_journal_that_is_no_file_is_named_and_blocks_nobody(tmp_path: Path, kind: str) -> None:
    setting = tmp_path / "setting"
    setting.write_text("2")
    place = dead(tmp_path / "state", token="ffffff") / "journal"
    place.unlink()
    if kind == "directory":
        (place / "inside").mkdir(parents=True)
    elif kind == "fifo":
        os.mkfifo(place)
    elif kind == "loop":
        place.symlink_to("journal")
    else:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(place))
    dead(tmp_path / "state", value(setting, "1", "2"))
    assert {entry.token for entry in stale(tmp_path / "state")} == {"abc123", "ffffff"}
    acts = {act.action: act for act in clean(state=tmp_path / "state")}
    assert acts.keys() == {"restored", "failed"}
    assert str(place) in acts["failed"].subject and "remove" in acts["failed"].reason
    assert setting.read_text() == "1"
    assert os.path.lexists(place), "what is not ours is not removed"


def test_what_cannot_be_undone_stays_for_the_next_clean(tmp_path: Path) -> None:
    setting = tmp_path / "gone" / "setting"
    setting.mkdir(parents=True)
    directory = dead(tmp_path / "state", value(setting, "1", "2"))
    (act,) = clean(state=tmp_path / "state")
    assert act.action == "failed"
    assert directory.is_dir()


def test_a_noted_process_is_killed(tmp_path: Path) -> None:
    with sleeper() as process:
        note = {"n": 2, "kind": "process", "pid": process.pid, "start_ticks": start_ticks(process.pid)}
        dead(tmp_path / "state", note)
        assert [act.action for act in clean(state=tmp_path / "state")] == ["killed"]
        assert process.wait(5) == -9


def test_a_process_that_came_by_the_number_since_is_not(tmp_path: Path) -> None:
    with sleeper() as process:
        note = {"n": 2, "kind": "process", "pid": process.pid, "start_ticks": start_ticks(process.pid) - 1}
        dead(tmp_path / "state", note)
        assert clean(state=tmp_path / "state") == []
        assert process.poll() is None


def test_unknown_kinds_of_a_later_version_are_left(tmp_path: Path) -> None:
    dead(tmp_path / "state", {"n": 2, "kind": "cgroup", "path": "/nowhere"})
    assert clean(state=tmp_path / "state") == []


def test_a_namespace_note_cannot_name_a_path(tmp_path: Path) -> None:
    dead(tmp_path / "state", {"n": 2, "kind": "netns", "name": "../../etc/passwd"})
    assert clean(state=tmp_path / "state") == []


def test_an_owner_killed_before_its_first_note(tmp_path: Path) -> None:
    (tmp_path / "abc123").mkdir()
    assert [owner.token for owner in stale(tmp_path)] == ["abc123"]
    assert clean(state=tmp_path) == []
    assert not (tmp_path / "abc123").exists()


def test_a_killed_owner_is_dead_though_what_it_was_starting_lives(tmp_path: Path) -> None:
    """Between fork and exec a new process has its maker's descriptors, and with them its lock."""
    path = tmp_path / "setting"
    path.write_text("1")
    script = (
        "import os, signal, sys, time; from pathlib import Path; from harness.kernel.journal import open_journal\n"
        "with open_journal(Path(sys.argv[1])) as journal:\n"
        "    journal.note('value', path=sys.argv[2], found='0', wrote='1')\n"
        "    if os.fork():\n        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    time.sleep(0.3)\n    os._exit(0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path / "state", path], check=False)
    assert done.returncode == -9
    (act,) = journal.clean(state=tmp_path / "state")
    assert (act.action, path.read_text()) == ("restored", "0")


def test_an_owner_whose_process_cannot_be_seen_from_here_is_not_waited_for(tmp_path: Path) -> None:
    """Of a container with PIDs of its own and our /run: the pid that it noted is nobody's here, or somebody else's."""
    foreign = {"n": 1, "kind": "owner", "pid": 2**30, "start_ticks": 1, "pid_namespace": 1}
    directory = tmp_path / "abc123"
    directory.mkdir()
    (directory / "journal").write_text(json.dumps(foreign) + "\n")
    with (directory / "journal").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        before = time.monotonic()
        assert clean(state=tmp_path) == []
    assert time.monotonic() - before < 4  # of the 5 s for which what a dead owner was starting is waited for


def test_an_owner_that_goes_while_all_are_listed_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who lists them to wait for them, or to tell of them, does so without the mutex."""
    directory = dead(tmp_path)
    gone = tmp_path / "def456"
    monkeypatch.setattr(Path, "iterdir", lambda _: iter([gone, directory]))
    assert journals.owners(tmp_path) == [directory]


def test_no_state_is_nothing_to_clean(tmp_path: Path) -> None:
    assert clean(state=tmp_path / "none") == []
    assert stale(tmp_path / "none") == []


def test_a_state_directory_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "state").symlink_to(tmp_path / "real")
    with pytest.raises(PollbenchError, match="somebody else"), open_journal(tmp_path / "state"):
        pass


def test_the_host_lock_is_refused_with_its_holder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(journal.FOR, "ann@desk")
    held = rf"process {os.getpid()} of ann@desk \(.* has held it for \d+ s.*--wait"
    with host_lock(state=tmp_path), pytest.raises(MissingError, match=held), host_lock(state=tmp_path):
        pass
    with host_lock(state=tmp_path):
        pass


def test_the_host_lock_of_a_silent_holder_is_refused_too(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(MissingError, match="another process"), host_lock(state=tmp_path):
            pass


def test_the_host_lock_can_be_waited_for(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from harness.kernel.journal import host_lock\n"
        "with host_lock(None, Path(sys.argv[1])): print('held', flush=True); time.sleep(0.3)"
    )
    root = Path(journal.__file__).parents[2]
    holder = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(holder, stdout=subprocess.PIPE, cwd=root) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(MissingError, match=str(process.pid)), host_lock(state=tmp_path):
            pass
        with host_lock(lambda _: time.sleep(0.01), tmp_path):
            assert process.wait(5) == 0
