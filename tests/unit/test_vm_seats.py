"""Guests side by side: who gets which CPU, how many there are, and in which order work is handed out."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.cli.gallery_places import place_of
from harness.cli.parser import build_parser
from harness.cli.progress import Progress
from harness.errors import InputError, MissingError
from harness.kernel import cpulock, journal
from harness.kernel.cpulock import CpuLock
from harness.places.vm import seats as sides
from harness.places.vm.boots import expected_s, side_by_side_s, takes_s
from harness.places.vm.emulator import Qemu
from harness.places.vm.execute import Guests
from harness.places.vm.home import Home
from harness.places.vm.seats import Seat, Work, do_all, most_seats, seats
from harness.plan import load_experiment, make_plan
from harness.signals import stop_on_signals
from harness.stats import stopping_rule
from harness.stats.stopping_rule import Adaptive, State
from harness.store import ResultSet, RunRecord
from tests import experiment

GIB = 1 << 30


@pytest.fixture(autouse=True)
def three_idle_cpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[int, float]:
    """CPUs of a directory of the test's own, and how idle each is; whoever else runs guests here holds real ones."""
    idle = {0: 0.7, 1: 1.0, 2: 0.9}
    for cpu in idle:
        (tmp_path / f"cpu{cpu}").mkdir()
    monkeypatch.setattr(cpulock, "_DIRECTORY", f"{tmp_path}/cpu{{}}")
    monkeypatch.setattr(sides, "idle_shares", lambda: dict(idle))
    monkeypatch.setattr(sides, "available_bytes", lambda: 16 * GIB)
    return idle


def test_a_cpu_is_reserved_until_its_holder_ends_however_it_ends(tmp_path: Path) -> None:
    hold = (
        "import sys, time; from harness.kernel import cpulock\n"
        f"cpulock._DIRECTORY = {str(tmp_path / 'cpu{}')!r}\n"
        "lock = cpulock.CpuLock.take(1); print(lock is not None, flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", hold], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        assert CpuLock.take(1) is None
        assert free(2)
        os.kill(holder.pid, signal.SIGKILL)
    mine = CpuLock.take(1)
    assert mine is not None
    assert CpuLock.take(1) is None
    mine.release()
    assert CpuLock.take(7) is None  # there is none


def free(cpu: int) -> bool:
    lock = CpuLock.take(cpu)
    if lock is not None:
        lock.release()
    return lock is not None


def test_there_is_one_guest_for_each_idle_cpu_and_each_has_its_own(three_idle_cpus: dict[int, float]) -> None:
    with seats(None, 9, GIB) as taken:
        assert [seat.cpu() for seat in taken] == [1, 2, 0]
        with seats(None, 9, GIB) as others:
            # Nothing is left to reserve: one guest at a time, on the idlest of all.
            assert [seat.cpu() for seat in others] == [1]
    three_idle_cpus[2] = 0.1
    with seats(None, 9, GIB) as taken:
        assert [seat.cpu() for seat in taken] == [1, 0]
    with seats(None, 1, GIB) as taken:
        assert [seat.cpu() for seat in taken] == [1]
    three_idle_cpus.update({0: 0.0, 1: 0.0})
    with seats(None, 9, GIB) as taken:
        assert [seat.cpu() for seat in taken] == [2]
        # As many as asked for, whatever is idle; on CPUs of their own while there are any.
        with seats(5, 4, GIB) as more:
            assert len(more) == 4
        with seats(5, 9, GIB) as more:
            chosen = [seat.cpu() for seat in more]
            assert sorted(chosen[:3]) == [0, 1, 2]
            # Who has to share does so on the idlest, and the next one on another.
            assert chosen[3] == 2 and chosen[4] != 2


def test_a_guest_moves_to_a_cpu_that_is_idler_than_ours_and_free(three_idle_cpus: dict[int, float]) -> None:
    with seats(2, 9, GIB) as (first, second):
        assert (first.cpu(), second.cpu()) == (1, 2)
        three_idle_cpus.update({0: 1.0, 1: 0.2, 2: 0.9})
        # CPU 2 is reserved by the other.
        assert (first.cpu(), second.cpu()) == (0, 2)
        assert free(1)
    assert all(map(free, three_idle_cpus)), "nothing stays reserved"


def test_memory_bounds_the_default_and_refuses_what_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sides, "available_bytes", lambda: 3 * GIB)
    with seats(None, 9, GIB) as taken:
        assert len(taken) == 2
    with pytest.raises(InputError, match=r"3 need 4.\d GB, 3\.\d GB are free; --jobs 2 at most"), seats(3, 9, GIB):
        pass
    with seats(3, 2, GIB) as taken:
        assert len(taken) == 2
    monkeypatch.setattr(sides, "available_bytes", lambda: None)
    with seats(3, 9, GIB) as taken:
        assert len(taken) == 3


def test_work_goes_on_side_by_side_and_waits_where_it_has_to() -> None:
    both, done = threading.Barrier(2, timeout=60), []

    def works() -> Iterator[Work | None]:
        for name in "ab":
            yield lambda _seat, name=name: (both.wait(), done.append(name))[1]
        yield None
        assert sorted(done) == ["a", "b"]
        yield lambda _seat: done.append("c")

    do_all(works(), [Seat(), Seat()])
    assert done[2:] == ["c"]
    threads = list[int]()
    do_all([lambda _seat: threads.append(threading.get_ident())], [Seat()])
    assert threads == [threading.get_ident()]


def test_after_an_error_nothing_is_begun_and_what_was_going_on_ends() -> None:
    begun, failed = threading.Event(), threading.Event()
    seen = list[str]()

    def fails(_seat: Seat) -> None:
        assert begun.wait(60)
        failed.set()
        raise MissingError("find", got="nothing")

    def goes_on(_seat: Seat) -> None:
        begun.set()
        assert failed.wait(60)
        seen.append("to its end")

    with pytest.raises(MissingError):
        do_all([fails, goes_on, lambda _seat: seen.append("begun")], [Seat(), Seat()])
    assert seen == ["to its end"]


class Lingering(Guests):
    """Guests that need no QEMU; the third repetition lasts a while, or until it is asked whether it is the last."""

    made: list[int]
    asked: threading.Event

    def _make(self, task: Any, share: Any, seat: Seat) -> None:
        if share.left[0].block == 3:
            self.asked.wait(0.3)
        self.made.append(share.left[0].block)
        for run in share.left:
            task.fail(run, MissingError("measure", got="no"))
        task.account(share.number, {"number": share.number, "found": None})


def test_a_plan_that_adapts_looks_at_all_that_was_made_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repeat = {"min": 3, "max": 9, "until": {"metric": "rtt_p50_us", "ci": "5%"}}
    plan = make_plan(
        load_experiment(experiment.write(tmp_path, repeat=repeat, sweep={"workload.size": ["64B", "99B"]}))
    )
    results = ResultSet.create(tmp_path, plan.name, "20261122T101500Z", b"", plan, {})
    looked = list[tuple[int, int]]()
    with stop_on_signals() as stopper:
        guests = Lingering(Home(tmp_path), Qemu((), "10.0.13", "host"), "tcg-virtual", stopper, jobs=2)
        guests.made, guests.asked = [], threading.Event()

        def state(rule: Adaptive, records: list[RunRecord], blocks: int) -> State:
            looked.append((blocks, len(records)))
            if blocks == 3:
                guests.asked.set()
            return State(blocks >= 4, "", blocks, None)

        monkeypatch.setattr(stopping_rule, "state", state)
        guests.execute(plan, results, Progress())
    assert sorted(guests.made) == [1, 2, 3, 4]
    assert [(blocks, records) for blocks, records in looked if blocks >= 3] == [(3, 6), (4, 8)]
    # In the plan's order, whichever was done first.
    assert [boot["number"] for boot in guests.boots] == [1, 2, 3, 4]


# Two guests side by side whose QEMU tells its number and does nothing more.
ENDLESS = """
import sys
from pathlib import Path
from harness.cli.progress import Progress
from harness.errors import Interrupted
from harness.places.vm.emulator import Qemu
from harness.places.vm.execute import Guests
from harness.places.vm.home import Home
from harness.places.vm.image import Image
from harness.plan import Plan
from harness.signals import stop_on_signals
from harness.store import ResultSet
here = Path(sys.argv[1])
results = ResultSet.open(here / "set")
plan = Plan.from_json(results.plan, "plan.json")
home, none = Home(here / "home"), here / "none"
home.prepare()
with stop_on_signals() as stopper:
    guests = Guests(home, Qemu((str(here / "qemu"),), "10.0.13", "host"), "tcg-virtual", stopper, jobs=2)
    guests._images[""] = Image("6.12", "6.12.1", none, none, none, none, none, {})
    try:
        guests.execute(plan, results, Progress())
    except Interrupted as error:
        sys.exit(error.exit_code)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_guests_side_by_side_end_with_us_however_we_end(tmp_path: Path, number: signal.Signals) -> None:
    program, numbers = tmp_path / "qemu", tmp_path / "numbers"
    os.mkfifo(numbers)
    program.write_text(f'#!/bin/sh\necho $$ >"{numbers}"\nexec sleep 600\n')
    program.chmod(0o755)
    plan = make_plan(load_experiment(experiment.write(tmp_path, repeat=3)))
    results = ResultSet.create(tmp_path, plan.name, "20261122T101500Z", b"", plan, {})
    os.rename(results.path, tmp_path / "set")
    fds = []
    with subprocess.Popen([sys.executable, "-c", ENDLESS, str(tmp_path)], stderr=subprocess.DEVNULL) as ours:
        try:
            while len(fds) < 2:
                fds += [os.pidfd_open(int(line)) for line in numbers.read_text().split()]
            ours.send_signal(number)
            for fd in fds:
                assert select.select([fd], [], [], 60)[0], "a QEMU lives on"
            assert ours.wait(60) == (130 if number == signal.SIGINT else -signal.SIGKILL)
        finally:
            ours.kill()
            for fd in fds:
                os.close(fd)
    left = [path.name for path in (tmp_path / "home").glob("tmp-*")]
    assert not left or number == signal.SIGKILL
    if os.geteuid() == 0:
        # The journals of the two, whose processes have ended.
        assert [act.action for act in journal.clean() if act.action == "failed"] == []
    with Home(tmp_path / "home").workshop():
        assert len(list((tmp_path / "home").glob("tmp-*"))) == 1, "what a killed command left is gone with the next"


def test_the_estimate_shares_boots_out(tmp_path: Path) -> None:
    plan = make_plan(load_experiment(experiment.write(tmp_path, repeat=5)))
    alone = takes_s(plan)
    assert takes_s(plan, jobs=2) == pytest.approx(alone * 3 / 5)
    assert takes_s(plan, jobs=9) == pytest.approx(alone / 5)
    assert side_by_side_s(plan.runs, expected_s(plan.runs, "kvm"), 1) == pytest.approx(takes_s(plan, None, "kvm"))
    # In real time guests would disturb one another.
    assert most_seats(8, "kvm") == most_seats(None, "kvm") == 1
    assert most_seats(3, "tcg-virtual") == 3


def test_jobs_are_of_guests_and_whole_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    parser = build_parser()
    assert parser.parse_args(["vm", "run", "FILE", "--jobs", "3"]).jobs == 3
    assert parser.parse_args(["reproduce", "DIR"]).jobs is None
    with pytest.raises(SystemExit) as refused:
        parser.parse_args(["vm", "run", "FILE", "--jobs", "0"])
    assert refused.value.code == 2
    assert "at least 1" in capsys.readouterr().err
    with pytest.raises(InputError, match="add --in-vm"):
        place_of(parser.parse_args(["gallery", "--jobs", "2"]))
