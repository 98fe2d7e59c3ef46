"""The cost of the whole CPU set: made-up times with a known answer, and the idle clock from made-up files."""

from __future__ import annotations

import dataclasses
import errno
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from harness import report
from harness.analysis import claims
from harness.analysis.compare.change import decided, measured, reach_of
from harness.analysis.compare.choose import choose_metrics
from harness.analysis.compare.gate import judge, parse_gate
from harness.analysis.compare.model import EXACT, Comparison, Row
from harness.analysis.summary import overview
from harness.kernel import bpf, syscalls
from harness.kernel.hog_time import HogClock, HogTime
from harness.kernel.hostfiles import HostFiles
from harness.kernel.idle_clock import IdleClock, idle_clocks
from harness.kernel.over_tasks import OverTasks
from harness.kernel.proc import ProcessUsage
from harness.report import words
from harness.run.cpu_cost import SetCost, cost_hints, cost_metrics, set_cost
from harness.run.cpu_set import CpuInterference, SetReading, SetTime, set_time
from harness.tables import Source
from harness.tables.columnar import table_of
from harness.tables.frames import frames
from tests.unit import claims as made_claims
from tests.unit.synthetic import result_set, source
from tests.unit.test_metrics import delta, host, outcome

MS = 10**6
BASE = SetTime(
    elapsed_ns=2000 * MS,
    idle_ns=1200 * MS,
    unsure_ns=0,
    steal_ns=0,
    irq_ns=0,
    irq_exact=False,
    own_ns=0,
    hogs=HogTime(),
    background_ns=0,
    apart=0.0,
)
PROGRAMS = ProcessUsage(cpu_ns=300 * MS, user_ns=50 * MS, system_ns=150 * MS)


def cost(kernel_ns: int = 0, others_ns: int = 0, **changes: Any) -> SetCost:
    loads = CpuInterference(kernel_ns=kernel_ns, others_ns=others_ns)
    made = host(set_time=dataclasses.replace(BASE, **changes), interference=loads)
    known = set_cost(made, PROGRAMS)
    assert known is not None
    return known


def test_all_that_was_not_idle_is_the_cost() -> None:
    """300 ms of processes and 800 ms that were not idle: the other 500 ms ran in nobody's name."""
    known = cost()
    assert (known.whole_ns, known.low_ns, known.high_ns) == (800 * MS, 800 * MS, 800 * MS)
    assert (known.user_ns, known.system_ns, known.idle_irq_ns) == (75 * MS, 225 * MS, 500 * MS)
    assert known.idle_ns == 1200 * MS


def test_kernel_threads_are_in_it_and_told() -> None:
    known = cost(kernel_ns=100 * MS)
    assert (known.whole_ns, known.kernel_ns, known.idle_irq_ns) == (800 * MS, 100 * MS, 400 * MS)


def test_what_is_not_the_runs_is_taken_out() -> None:
    assert cost(others_ns=100 * MS, own_ns=20 * MS, background_ns=10 * MS).whole_ns == 670 * MS


def test_steal_and_background_are_bounds() -> None:
    known = cost(steal_ns=40 * MS, background_ns=10 * MS, unsure_ns=5 * MS)
    assert (known.low_ns, known.whole_ns, known.high_ns) == (745 * MS, 750 * MS, 805 * MS)


def test_softirqs_over_a_hog_are_a_bound() -> None:
    """Ticks found a hog in the kernel for 300 of its 400 ms, and all tasks in softirqs for 40, give or take 50."""
    known = cost(hogs=HogTime(run_ns=400 * MS, kernel_ns=300 * MS), irq_ns=40 * MS)
    assert (known.low_ns, known.whole_ns, known.high_ns) == (400 * MS, 400 * MS, 490 * MS)
    seldom = cost(hogs=HogTime(run_ns=400 * MS, kernel_ns=20 * MS), irq_ns=40 * MS)
    assert (seldom.whole_ns, seldom.high_ns) == (400 * MS, 420 * MS)
    # A kernel that times interrupts keeps them out of every task's time.
    exact = cost(hogs=HogTime(400 * MS, 450 * MS, 40 * MS), irq_ns=60 * MS, irq_exact=True)
    assert (exact.whole_ns, exact.high_ns, exact.task_irq_ns) == (400 * MS, 400 * MS, 0)


def test_softirqs_over_a_hog_that_were_timed_are_the_runs() -> None:
    timed = cost(
        hogs=HogTime(run_ns=380 * MS, switched_ns=400 * MS, kernel_ns=300 * MS, over_ns=30 * MS), irq_ns=40 * MS
    )
    assert (timed.low_ns, timed.whole_ns, timed.high_ns) == (430 * MS, 430 * MS, 430 * MS)
    assert timed.user_ns + timed.system_ns == PROGRAMS.cpu_ns - 20 * MS


def test_a_hog_has_its_cpu_until_the_switch() -> None:
    """The scheduler ended the hog's turns 60 ms too early, and charged these to those who were to come."""
    late = cost(kernel_ns=100 * MS, hogs=HogTime(run_ns=240 * MS, switched_ns=300 * MS))
    assert (late.low_ns, late.whole_ns, late.high_ns) == (500 * MS, 500 * MS, 500 * MS)
    # 60 of the 400 ms of processes and kernel threads were none of theirs.
    parts = (late.user_ns, late.system_ns, late.kernel_ns, late.idle_irq_ns)
    assert parts == (round(63.75 * MS), round(191.25 * MS), 85 * MS, 160 * MS) and sum(parts) == late.whole_ns


def test_time_stolen_from_a_hog_is_taken_out_once() -> None:
    """Of 800 busy ms the hog had 200, 10 of the 40 stolen ones among them: the other 30 are to be taken out."""
    stolen = cost(steal_ns=40 * MS, hogs=HogTime(run_ns=190 * MS, switched_ns=200 * MS))
    assert (stolen.low_ns, stolen.whole_ns, stolen.high_ns) == (560 * MS, 570 * MS, 600 * MS)
    assert stolen.user_ns + stolen.system_ns == PROGRAMS.cpu_ns


def test_the_hogs_clock_counts_from_its_making() -> None:
    with subprocess.Popen([sys.executable, "-c", "print(flush=True)\nwhile True: pass"], stdout=subprocess.PIPE) as hog:
        try:
            assert hog.stdout is not None and hog.stdout.readline()
            with HogClock([hog.pid, 2**22 + 1]) as clock:
                before = clock.read()
                while (used := clock.read().minus(before)).run_ns < 60 * MS:
                    time.sleep(0.01)
        finally:
            hog.kill()
    assert used.switched_ns is not None
    assert abs(used.switched_ns - used.run_ns) < 20 * MS


def test_interrupts_over_a_hog_are_timed_and_not_those_over_others() -> None:
    try:
        OverTasks([os.getpid()]).close()
    except OSError as error:
        pytest.skip(f"no program at tracepoints: {error.strerror}")
    spin = "import os\nos.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\nprint(flush=True)\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", spin], stdout=subprocess.PIPE) as hog:
        try:
            assert hog.stdout is not None and hog.stdout.readline()
            with HogClock([hog.pid]) as clock, OverTasks([2**22 + 1]) as nobody:
                before = clock.read()
                while (used := clock.read().minus(before)).run_ns < 60 * MS:
                    time.sleep(0.01)
                assert nobody.read_ns() == 0
            with HogClock([hog.pid], softirqs=True) as clock:
                assert clock.read().over_ns is None
        finally:
            hog.kill()
    # Its ticks at least: six of the slowest kernel's, and they take no quarter of its time.
    assert used.over_ns is not None and 0 < used.over_ns < used.run_ns / 4


def test_a_kernel_that_takes_no_programs_leaves_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(kind: int, program: bytes) -> int:
        raise PermissionError(errno.EPERM, "refused")

    monkeypatch.setattr(bpf, "load", refused)
    with HogClock([os.getpid()]) as clock:
        assert clock.read().over_ns is None


FORKING = """
import os, time
print(flush=True)
input()
for _ in range(4):
    if not os.fork():
        begun_s = time.process_time()
        while time.process_time() < begun_s + 0.05:
            pass
        os._exit(0)
    os.wait()
print(flush=True)
input()
"""


def test_children_of_hogs_that_came_and_went_are_in_both_clocks() -> None:
    """What only one of them held would be taken for flights of wake-ups, and out of the workload's own time."""
    argv = [sys.executable, "-c", FORKING]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as hog:
        assert hog.stdin is not None and hog.stdout is not None and hog.stdout.readline()
        with HogClock([hog.pid]) as clock:
            before = clock.read()
            hog.stdin.write("\n")
            hog.stdin.flush()
            assert hog.stdout.readline()
            used = clock.read().minus(before)
            hog.communicate("\n")
            ended = clock.read().minus(before)
    assert used.switched_ns is not None and used.switched_ns > 190 * MS
    assert abs(used.switched_ns - used.run_ns) < 30 * MS
    assert ended.run_ns == used.run_ns and ended.switched_ns is not None and ended.switched_ns >= used.switched_ns


def test_a_thread_that_ends_meanwhile_hides_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    task_clock, asked = syscalls.task_clock, list[int]()

    def ended_first(tid: int) -> int:
        asked.append(tid)
        if len(asked) == 1:
            raise ProcessLookupError(errno.ESRCH, "ended", str(tid))
        return task_clock(tid)

    monkeypatch.setattr(syscalls, "task_clock", ended_first)
    done = threading.Event()
    other = threading.Thread(target=done.wait)
    other.start()
    with HogClock([os.getpid()]):
        done.set()
    other.join()
    assert len(asked) > 1


def test_an_event_that_the_kernel_does_not_know_is_no_thread_that_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(tid: int) -> int:
        raise FileNotFoundError(errno.ENOENT, "no such event", str(tid))

    monkeypatch.setattr(syscalls, "task_clock", unknown)
    with HogClock([os.getpid()]) as clock:
        assert clock.read().switched_ns is None


def test_the_hogs_clock_without_performance_events(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(tid: int) -> int:
        raise PermissionError(errno.EACCES, "refused", str(tid))

    monkeypatch.setattr(syscalls, "task_clock", refused)
    with HogClock([os.getpid()]) as clock:
        read = clock.read()
    assert read.switched_ns is None and read.minus(HogTime()).run_ns == read.run_ns > 0
    (hint,) = cost_hints(dataclasses.replace(BASE, hogs=read))
    assert "refuses us performance events" in hint
    exact = dataclasses.replace(BASE, hogs=HogTime(5, 6), irq_exact=True)
    assert "times interrupts" in cost_hints(exact)[0]
    assert not cost_hints(dataclasses.replace(exact, irq_exact=False)) and not cost_hints(BASE) and not cost_hints(None)


def test_softirqs_over_other_programs_widen_the_bounds() -> None:
    known = cost(others_ns=100 * MS, irq_ns=10 * MS, apart=0.01)
    # The ticks' 10 ms, their sampling error of 2 x 10 ms and a tick, and 1 % of 100 ms read at another time.
    assert (known.low_ns, known.whole_ns, known.high_ns) == (699 * MS, 700 * MS, 741 * MS)


def test_never_less_than_nothing() -> None:
    known = cost(others_ns=900 * MS)
    assert (known.low_ns, known.whole_ns, known.idle_irq_ns) == (0, 0, 0)


def test_a_whole_far_below_the_processes_own_time_is_no_figure() -> None:
    """Others' time on a crowded set is not known that well: what is left after it is taken out may be nothing."""
    processes = {"client": PROGRAMS}

    def whole(others_ns: int) -> float | None:
        made = host(set_time=BASE, interference=CpuInterference(others_ns=others_ns))
        run = outcome(delta=dataclasses.replace(delta({"": made}), programs=processes))
        return cost_metrics(run, 1000)["set_cpu_us_per_request"]

    assert whole(650 * MS) == pytest.approx(150.0)
    assert whole(651 * MS) is None


def test_columns_are_per_request_and_blank_without_any() -> None:
    run = outcome(delta=delta({"": host(set_time=BASE, interference=CpuInterference())}))
    parts = {"cpu": 800, "cpu_low": 800, "cpu_high": 800, "user": 0, "system": 0, "kthread": 0, "idle_irq": 800}
    parts |= {"task_irq": 0, "idle": 1200}
    server = cost_metrics(dataclasses.replace(run, programs=()), 1000)
    assert server == pytest.approx({f"set_{name}_us_per_request": us for name, us in parts.items()})
    programs = {"client": ProcessUsage(cpu_ns=300 * MS, user_ns=50 * MS, system_ns=150 * MS)}
    alone = dataclasses.replace(run, delta=dataclasses.replace(run.delta, programs=programs))
    told = cost_metrics(alone, 1000)
    modes = [told[f"set_{name}_us_per_request"] for name in ("user", "system", "idle_irq")]
    assert modes == pytest.approx([75, 225, 500])
    assert cost_metrics(run, 0) == {"set_cpu_us_per_request": None}
    assert cost_metrics(outcome(), 1000) == {"set_cpu_us_per_request": None}


def test_two_hosts_are_added_up_and_one_unread_host_leaves_a_blank() -> None:
    read = host(set_time=BASE, interference=CpuInterference())
    both = outcome(delta=delta({"": read, "s": read}))
    assert cost_metrics(both, 1000)["set_cpu_us_per_request"] == pytest.approx(1600.0)
    half = outcome(delta=delta({"": read, "s": host()}))
    assert cost_metrics(half, 1000) == {"set_cpu_us_per_request": None}


def test_the_time_between_two_readings() -> None:
    hogs = HogTime(run_ns=5)
    before = SetReading({0: IdleClock(100, 10), 1: IdleClock(100, 20, 3)}, 1, HogTime(), False)
    after = SetReading({0: IdleClock(300, 60), 1: IdleClock(400, 90)}, 4, hogs, False)
    ticks = {0: {"softirq": 1, "irq": 0, "steal": 2}, 1: {"softirq": 2}}
    between = set_time(after, before, ticks, quiet=0.1, apart_ns=25)
    assert between == SetTime(500, 120, 3, 20 * MS, 30 * MS, False, 3, hogs, 50, 0.1)
    assert set_time(after, before, {}) is None


STAT = "cpu  0 0 0 0 0 0 0 0\ncpu0 0 0 0 {idle} {iowait} 0 0 0\n"
LIST = """Timer List Version: v0.10
now at 90000000000 nsecs

cpu: 0
  .nohz           : 1
  .idle_entrytime : {entry} nsecs
  .idle_sleeptime : 5003000000 nsecs
  .iowait_sleeptime: 1000000000 nsecs
"""


@pytest.mark.parametrize(
    ("idle", "entry_ns", "expected"),
    [
        # Idle since 50 ms: /proc/stat holds it.
        (505, 89_950_000_000, IdleClock(90_000_000_000, 6_053_000_000)),
        # At work, and last idle 5 s ago: /proc/stat would hold them.
        (500, 85_000_000_000, IdleClock(90_000_000_000, 6_003_000_000)),
        # It became idle 1 ms ago, and may have gone back to work: 10 ms steps do not tell.
        (500, 89_999_000_000, IdleClock(90_000_000_000, 6_003_000_000, 1_000_000)),
    ],
)
def test_idle_clock(tmp_path: Path, idle: int, entry_ns: int, expected: IdleClock) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/stat").write_text(STAT.format(idle=idle, iowait=100))
    (tmp_path / "proc/timer_list").write_text(LIST.format(entry=entry_ns))
    assert idle_clocks([0], HostFiles(tmp_path)) == {0: expected}


@pytest.mark.parametrize("text", [None, LIST.replace(": 1\n", ": 0\n", 1).format(entry=0)])
def test_without_a_fine_clock_ticks_must_do(tmp_path: Path, text: str | None) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/stat").write_text(STAT.format(idle=505, iowait=100))
    if text is not None:
        (tmp_path / "proc/timer_list").write_text(text)
    clock = idle_clocks([0, 7], HostFiles(tmp_path))
    assert (list(clock), clock[0].idle_ns, clock[0].unsure_ns) == ([0], 6050 * MS, 20 * MS)
    assert not clock[0].fine


def test_the_whole_is_compared_where_every_side_knows_it() -> None:
    new = pd.DataFrame({"set_cpu_us_per_request": [60.0], "cpu_us_per_request": [50.0], "rtt_p50_us": [1.0]})
    old = new.drop(columns="set_cpu_us_per_request")
    assert choose_metrics([new, new], None) == ["rtt_p50_us", "set_cpu_us_per_request"]
    # Beside an older set only the part that both know is comparable.
    assert choose_metrics([new, old], None) == ["rtt_p50_us", "cpu_us_per_request"]
    assert choose_metrics([old, old], None) == ["rtt_p50_us", "cpu_us_per_request"]


def test_tables_show_the_whole_and_name_the_part_where_it_is_all_there_is() -> None:
    records = result_set(blocks=5)
    whole = [dataclasses.replace(made, metrics=made.metrics | {"set_cpu_us_per_request": 180.0}) for made in records]
    sources = [
        dataclasses.replace(source(), runs=frames(made, list(source().planned)).runs) for made in (records, whole)
    ]
    texts = [report.show(overview(one_set), "text", 100) for one_set in sources]
    assert "process" in texts[0] and "process CPU per request" in texts[0]
    assert "180" in texts[1] and "process" not in texts[1]


@pytest.mark.parametrize(
    ("low", "high", "shows"), [(1.0, 1.0, "10.0 % lower"), (0.98, 1.02, "10.0 % lower"), (0.9, 1.05, "undecided")]
)
def test_no_difference_is_claimed_that_the_accounting_does_not_know(low: float, high: float, shows: str) -> None:
    sides = [np.array(costs) for costs in ([50.0, 50.1, 50.2, 49.9, 50.0], [45.0, 45.1, 44.9, 45.2, 45.0])]
    name, tables = "set_cpu_us_per_request", []
    for costs in sides:
        bounds = {f"set_cpu_{which}_us_per_request": costs * far for which, far in (("low", low), ("high", high))}
        tables.append((table_of(pd.DataFrame({name: costs} | bounds)), np.arange(5)))
    shown = decided(name, measured(name, *sides, reach=reach_of(name, *tables)), 0.0)
    assert words.verdict(shown) == shows and reach_of("rtt_p50_us", *tables) == (EXACT, EXACT)
    assert ("the accounting leaves 17 %" in words.would_decide(shown)) == shown.bounded == (shows == "undecided")
    # Nor does it fail a build, or pass one.
    rows = Comparison("cases", "", (), (), (Row(name, "test", (), None, None, shown),))
    for text, sure in {"< -5%": "failed", "> -5%": "passed", "< -2us": "failed", "< 47us": "failed"}.items():
        gated = judge(rows, parse_gate(f"{name} {text}")).outcome
        assert gated == ("undecided" if shows == "undecided" else sure), text
    # Nor does a claim of the median itself hold by less; bounds on the wrong side of a figure make it no surer.
    runs = tables[1][0].frame().assign(case="test")
    (found,) = claims.judge(Source("", runs), made_claims.claim({"case": "test", "metric": name, "below": 47}))
    assert (found.outcome == "holds") == (shows != "undecided")
    (_, test) = reach_of(name, tables[0], (table_of(runs.assign(set_cpu_low_us_per_request=99.0)), np.arange(5)))
    assert test.less == 1
