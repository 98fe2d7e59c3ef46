"""Whose CPU time it was: made-up readings with a known answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.kernel.hostfiles import HostFiles
from harness.kernel.proc import Tasks, described
from harness.run import cpu_set

MS = 10**6
PLACES = {1: (1, "init", 0), 10: (10, "client", 0), 20: (20, "cc1", 1), 30: (30, "far", 5), 40: (40, "napi/eth0-9", 0)}


@pytest.fixture(autouse=True)
def places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_set, "task_place", PLACES.get)
    monkeypatch.setattr(cpu_set, "described", lambda pid: f"pid {pid}, of me: `it`")


def test_tasks_are_ours_strange_or_elsewhere() -> None:
    before = Tasks({10: 5 * MS, 20: 1 * MS, 30: 0, 40: 0}, {})
    after = Tasks({10: 95 * MS, 20: 11 * MS, 30: 50 * MS, 40: 7 * MS}, {})
    loads = cpu_set.interference(after, before, {0, 1}, {10}, 1.0)
    assert loads.busy_ns == (90 + 10 + 7) * MS
    assert loads.by_name == {"cc1": 10 * MS} and loads.worst_cpu_ns() == 10 * MS
    assert loads.worst_name() == "cc1 (pid 20, of me: `it`)"


def test_threads_of_backlogs_count_wherever_rps_steers_to(monkeypatch: pytest.MonkeyPatch) -> None:
    places = {7: (7, "backlog_napi/5", 5), 8: (8, "backlog_napi/0", 0), 9: (9, "backlog_napi/me", 5)}
    monkeypatch.setattr(cpu_set, "task_place", places.get)
    after = Tasks({7: 4 * MS, 8: MS, 9: MS}, {}, parent={7: 2, 8: 2, 9: 1})
    loads = cpu_set.interference(after, Tasks({}, {}), {0}, set(), 1.0)
    assert (loads.backlog_ns, loads.busy_ns, loads.kernel_ns, loads.by_name) == (5 * MS, MS, MS, {})


def test_the_process_named_is_one_of_the_name_with_most_time(monkeypatch: pytest.MonkeyPatch) -> None:
    places = {1: (1, "make", 0), 2: (2, "cc1", 0), 3: (3, "cc1", 0)}
    monkeypatch.setattr(cpu_set, "task_place", places.get)
    loads = cpu_set.interference(Tasks({1: 50, 2: 20, 3: 40}, {}), Tasks({}, {}), {0}, set(), 1.0)
    assert loads.worst_name() == "cc1 (pid 3, of me: `it`)"


def test_a_process_is_told_by_pid_owner_and_command(tmp_path: Path) -> None:
    (tmp_path / "proc/7").mkdir(parents=True)
    (tmp_path / "proc/7/status").write_text("Name:\tpython3\nPPid:\t1\nUid:\t0\t0\t0\t0\n")
    (tmp_path / "proc/7/cmdline").write_bytes(b"python3\0run\0" + b"x" * 100)
    (tmp_path / "proc/8").mkdir()
    (tmp_path / "proc/8/status").write_text("Name:\tkworker\nPPid:\t2\nUid:\t0\t0\t0\t0\n")
    files = HostFiles(tmp_path)
    assert described(7, files) == "pid 7, of root: `python3 run " + "x" * 45 + "...`"
    assert described(8, files) == "pid 8, of the kernel"
    assert described(9, files) == ""


def test_what_began_and_ended_in_between_is_in_its_parents_account() -> None:
    before = Tasks({1: 0}, {1: 500 * MS})
    after = Tasks({1: 0}, {1: 900 * MS})
    loads = cpu_set.interference(after, before, {0, 1}, {10}, 1.0)
    assert loads.worst_cpu_ns() == 400 * MS and loads.worst_name() == cpu_set.ENDED
    assert cpu_set.interference(after, before, {0}, {10}, 0.25).worst_cpu_ns() == 100 * MS
    assert cpu_set.interference(after, before, {0}, {1, 10}, 1.0).worst_cpu_ns() == 0


def test_what_it_had_used_before_does_not_count() -> None:
    before = Tasks({1: 0, 77: 300 * MS}, {1: 0, 77: 50 * MS}, {1: 1, 77: 77}, {1: 0, 77: 1})
    after = Tasks({1: 0}, {1: 400 * MS}, {1: 1}, {1: 0})
    assert cpu_set.interference(after, before, {0}, set(), 1.0).ended_ns == 50 * MS


def test_a_family_that_ends_is_in_the_account_of_who_outlives_it() -> None:
    """A parent that ended after its child had both lives in its own: 100 + 200 ms before, 90 ms in between."""
    before = Tasks({1: 0, 77: 100 * MS, 78: 200 * MS}, {1: 0, 77: 0, 78: 0}, {}, {77: 1, 78: 77})
    after = Tasks({1: 0}, {1: 390 * MS}, {}, {1: 0})
    assert cpu_set.interference(after, before, {0}, set(), 1.0).ended_ns == 90 * MS


@pytest.mark.parametrize("gone", ["kernel thread", "single thread", "nobody's child"])
def test_what_ends_without_an_account_hides_nothing_of_the_others(gone: str) -> None:
    """A worker of the kernel that had used seconds may end at any moment, also on a quiet machine."""
    process, parent = {
        "kernel thread": ({9: 9}, {9: 2}),
        "single thread": ({9: 1}, {}),
        "nobody's child": ({9: 9}, {9: 0}),
    }[gone]
    before = Tasks({1: 0, 9: 5000 * MS}, {1: 0, 2: 0} | dict.fromkeys(parent, 0), process, parent)
    after = Tasks({1: 0}, {1: 400 * MS, 2: 0})
    assert cpu_set.interference(after, before, {0}, set(), 1.0).ended_ns == 400 * MS


def test_kernel_threads_are_told_from_other_programs() -> None:
    """The kernel's threads descend from process 2: theirs is the run's own work, but for a stranger's name."""
    before = Tasks({}, {})
    after = Tasks({10: 3 * MS, 20: 5 * MS, 40: 7 * MS}, {}, {}, {40: 2, 20: 1, 10: 1})
    loads = cpu_set.interference(after, before, {0, 1}, {10}, 1.0)
    assert (loads.kernel_ns, loads.others_ns, loads.busy_ns) == (7 * MS, 5 * MS, 15 * MS)
    assert loads.by_cpu == {1: 5 * MS} and loads.worst_on == {1: "cc1 (pid 20, of me: `it`)"}
    worker = Tasks({20: 5 * MS}, {}, {}, {20: 2})
    loads = cpu_set.interference(worker, before, {1}, set(), 1.0)
    assert (loads.kernel_ns, loads.others_ns, loads.by_name) == (5 * MS, 0, {"cc1": 5 * MS})


def test_times_on_one_cpu_and_under_one_name_are_added_up(monkeypatch: pytest.MonkeyPatch) -> None:
    places = {11: (11, "make", 0), 12: (12, "cc1", 0), 13: (13, "cc1", 1), 14: (13, "cc1", 1), 15: (15, "ld", 7)}
    monkeypatch.setattr(cpu_set, "task_place", places.get)
    after = Tasks({11: 50, 12: 20, 13: 25, 14: 10, 15: 99, 16: 9}, {})
    loads = cpu_set.interference(after, Tasks({14: 4}, {}), {0, 1}, set(), 1.0)
    assert loads.by_cpu == {0: 70, 1: 31} and loads.by_name == {"make": 50, "cc1": 51}
    assert loads.worst_on == {0: "make (pid 11, of me: `it`)", 1: "cc1 (pid 13, of me: `it`)"}
    assert (loads.busy_ns, loads.others_ns, loads.worst_cpu_ns()) == (101, 101, 70)
    assert loads.worst_name() == "cc1 (pid 13, of me: `it`)"


def test_a_task_that_did_not_run_is_not_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_set, "task_place", lambda tid: pytest.fail(f"looked for {tid}"))
    loads = cpu_set.interference(Tasks({1: 5}, {}), Tasks({1: 5}, {}), {0}, set(), 1.0)
    assert (loads.busy_ns, loads.worst_process) == (0, "")


def test_what_has_ended_is_in_all_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    before, after = Tasks({20: 0}, {1: 0}), Tasks({20: 30 * MS}, {1: 100 * MS})
    loads = cpu_set.interference(after, before, {1}, set(), 0.5)
    assert (loads.ended_ns, loads.busy_ns, loads.others_ns) == (50 * MS, 80 * MS, 80 * MS)
    assert loads.worst_cpu_ns() == 80 * MS and loads.worst_name() == cpu_set.ENDED
    # Ours that ended are not theirs, and accounts never shrink.
    assert cpu_set.interference(after, before, {1}, {1}, 1.0).ended_ns == 0
    assert cpu_set.interference(Tasks({}, {1: 0}), Tasks({}, {1: 5 * MS}), {1}, set(), 1.0).ended_ns == 0
