"""Reasons not to believe a run, each at its limit: what is still allowed, and what no longer is."""

from __future__ import annotations

import dataclasses

import pytest

from harness.run import checks
from harness.run.outcome import Outcome
from harness.spec.checks import Checks
from tests.unit.test_metrics import CLIENT, delta, host, outcome, ticks


def doubts_of(run: Outcome, checks_of_file: Checks | None = None, **metrics: float) -> list[str]:
    return checks.doubts(run, dict(metrics), checks_of_file or Checks(), {"c", "s"})


@pytest.mark.parametrize(("percent", "doubted"), [(5.0, False), (5.1, True)])
def test_other_programs_may_have_their_share(percent: float, doubted: bool) -> None:
    found = doubts_of(outcome(), foreign_percent=percent)
    assert found == (["other programs took 5 % of a CPU of the set, cc1 most of it; limit 5%"] if doubted else [])


@pytest.mark.parametrize(
    ("percent", "steal", "doubted"), [(2.0, 9, False), (2.1, 3, True), (2.1, 2, False), (50.0, 2, False)]
)
def test_stolen_time_is_told_from_three_ticks_on(percent: float, steal: int, doubted: bool) -> None:
    counted = host(ticks={0: ticks(steal=steal), 1: ticks(), 7: ticks(steal=99)}, cpus={0, 1, 5})
    found = doubts_of(outcome(delta=delta({"": counted})), set_steal_percent=percent)
    assert found == ([f"the hypervisor stole {percent} % of the CPU set; limit 2%"] if doubted else [])


@pytest.mark.parametrize(
    ("lost", "answered", "doubted"), [(10, 990, False), (11, 989, True), (0, 0, False), (1, 0, True)]
)
def test_a_hundredth_of_the_requests_may_be_lost(lost: int, answered: int, doubted: bool) -> None:
    assert bool(doubts_of(outcome(), requests=answered, lost=lost)) is doubted
    assert doubts_of(outcome(), lost=lost) == [], "a stream has no requests"


@pytest.mark.parametrize(("resolution", "doubted"), [(1000, False), (1001, True)])
def test_a_coarse_clock_is_a_doubt(resolution: int, doubted: bool) -> None:
    run = outcome(client=CLIENT | {"clock": {"source_resolution_ns": resolution}})
    assert doubts_of(run) == ([f"the clock moves in steps of {resolution} ns"] if doubted else [])
    assert doubts_of(outcome(client=CLIENT | {"clock": None})) == []


def test_hogs_without_cpu_time_and_a_background_without_figures_are_doubts() -> None:
    assert doubts_of(outcome(), hog_achieved_percent=0.0) == ["the hogs got no CPU time at all"]
    assert doubts_of(outcome(), hog_achieved_percent=0.1) == []
    assert doubts_of(outcome(hog=None), hog_achieved_percent=0.0) == []
    unread = outcome(background=({"unread": "the background1-client (iperf3): no JSON"}, {"requests": 5}))
    assert doubts_of(unread) == ["no figures of the background1-client (iperf3): no JSON"]


def test_a_program_of_others_may_poll_unasked() -> None:
    run = outcome()
    programs = tuple(dataclasses.replace(program, report={}) for program in run.programs)
    assert checks.doubts(dataclasses.replace(run, programs=programs), {}, Checks(), set()) == []
    assert len(checks.doubts(run, {}, Checks(), set())) == 1


@pytest.mark.parametrize(("wait", "doubted"), [("blocking", True), ("epoll", True), ("uring", True), ("spin", False)])
def test_polling_in_part_is_judged_where_the_kernel_counts_it(wait: str, doubted: bool) -> None:
    run = outcome(delta=delta(nodes={"c": {"Udp:InDatagrams": 1000, "TcpExt:BusyPollRxPackets": 50}, "s": {}}))
    programs = (dataclasses.replace(run.programs[0], wait=wait), run.programs[1])
    assert bool(checks.doubts(dataclasses.replace(run, programs=programs), {}, Checks(), {"c"})) is doubted


@pytest.mark.parametrize(
    ("unsent", "prefers", "told"),
    [(4, True, ""), (5, False, "5 of 10 frames"), (5, True, "have the server wait by poll")],
)
def test_frames_that_no_driver_took_are_a_doubt(unsent: int, prefers: bool, told: str) -> None:
    xdp = {"interface": "eth0", "mode": "zero-copy", "sent": 10, "unsent": unsent}
    report = {"xdp": xdp, "readback": {"prefer_busy_poll": int(prefers)}}
    run = outcome()
    programs = (run.programs[0], dataclasses.replace(run.programs[1], report=report))
    found = doubts_of(dataclasses.replace(run, programs=programs))
    assert told in "".join(found) and bool(found) is bool(told)
    assert ("SO_PREFER_BUSY_POLL" in "".join(found)) is (bool(told) and prefers)
