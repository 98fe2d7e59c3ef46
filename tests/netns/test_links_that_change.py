"""Links that change do so when they are to, and to what is declared: by plain sockets in the namespaces."""

from __future__ import annotations

import os
import signal
import socket
import time
from contextlib import ExitStack
from pathlib import Path
from threading import Thread
from typing import Any, Self

import pytest

from harness.run import standing
from harness.run.link_changes import LinkChanger
from harness.signals import Stopper
from harness.spec.topology import Topology
from harness.spec.trace_file import packed
from harness.testbed import Testbed as Bed
from tests.beds import bed, in_netns, pair, run_in

FRAME_BITS, PAYLOAD = 1514 * 8, 1472
STEPS = [{"at": "200ms", "rate": "4mbit"}, {"at": "500ms", "down": "150ms"}, {"at": "800ms", "rate": "40mbit"}]


def changing(**changes: Any) -> Topology:
    return pair(forward={"rate": "16mbit", "queue_packets": 200, "changes": changes})


class Flood:
    """Full frames from a to b, more than fit, while it is open; when each arrived, in ns of the monotonic clock."""

    def __init__(self, testbed: Bed) -> None:
        self.arrived_ns: list[int] = []
        with in_netns(testbed.nodes["b"].fd):
            self._into = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with in_netns(testbed.nodes["a"].fd):
            self._out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._into.bind((testbed.address("b"), 0))
        self._into.settimeout(0.3)
        self._out.connect(self._into.getsockname())
        self._threads = [Thread(target=self._receive), Thread(target=self._send)]
        self._on = True

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._on = False
        for thread in self._threads:
            thread.join()
        self._into.close()
        self._out.close()

    def _send(self) -> None:
        while self._on:
            for _ in range(20):
                self._out.send(bytes(PAYLOAD))
            time.sleep(0.002)

    def _receive(self) -> None:
        while self._on:
            try:
                self._into.recv(PAYLOAD)
            except TimeoutError:
                continue
            self.arrived_ns.append(time.monotonic_ns())

    def rate_bps(self, since_ns: int, until_ns: int) -> float:
        """Of what arrived between two points in time, counted from the first arrival to the last."""
        here = [at for at in self.arrived_ns if since_ns <= at < until_ns]
        return (len(here) - 1) * FRAME_BITS * 1e9 / (here[-1] - here[0]) if len(here) > 1 else 0.0


def changed(testbed: Bed, seconds: float) -> tuple[Flood, LinkChanger]:
    """A flood over the link while it changes for so long."""
    with ExitStack() as stack:
        changer = LinkChanger(testbed, Stopper(), stack, set())
        with Flood(testbed) as flood:
            time.sleep(0.1)
            changer.begin()
            time.sleep(seconds)
            changer.end()
    assert changer.doubts == []
    return flood, changer


def test_each_phase_has_its_rate_and_the_link_is_then_what_it_was() -> None:
    with bed(changing(steps=STEPS, every="1s")) as testbed:
        before = standing.read(testbed)
        flood, changer = changed(testbed, 3.55)
        assert standing.differences(before, standing.read(testbed)) == ()
    begun, ms = changer.report["begun_ns"], 10**6
    # A host that stands still lets less through, never more: of three turns the best is the link's.
    turns = [begun + turn * 1000 * ms for turn in range(3)]
    for since, until, rate in ((30, 200, 16e6), (220, 500, 4e6), (670, 800, 4e6), (810, 1000, 40e6)):
        rates = [flood.rate_bps(at + since * ms, at + until * ms) for at in turns]
        assert max(rates) == pytest.approx(rate, rel=0.08), (since, rates)
    assert [at for at in flood.arrived_ns if any(505 * ms <= at - turn < 650 * ms for turn in turns)] == []
    # It ended while down: the queue is there again.
    assert changer.report["changes"] == 3 * 5 + 3
    assert changer.metrics()["link_late_p99_us"] == changer.report["late_p99_ns"] / 1e3 > 0


def test_a_packet_that_waits_has_left_when_its_opportunity_comes() -> None:
    # Two in 5 ms, none for 45, and so on: 0.48 Mbit/s in all.
    with bed(changing(trace="t", trace_data=packed("5\n5\n50\n"))) as testbed:
        flood, changer = changed(testbed, 1.0)
    turns = [(at - changer.report["begun_ns"]) // 50_000_000 for at in flood.arrived_ns]
    assert {turns.count(turn) for turn in range(2, 18)} <= {2, 3, 4}
    assert 14 * 3 <= sum(2 <= turn < 17 for turn in turns) <= 16 * 3
    run = changer.report
    assert run["changes"] in (40, 41)


def test_a_helper_that_dies_is_a_doubt_and_says_why() -> None:
    with bed(changing(steps=STEPS)) as testbed, ExitStack() as stack:
        changer = LinkChanger(testbed, Stopper(), stack, set())
        changer.begin()
        [pid] = changer.pids()
        os.kill(pid, signal.SIGKILL)
        changer.end()
        [doubt] = changer.doubts
        assert "did not change as declared" in doubt
        assert "killed by signal 9" in doubt


def test_a_change_that_the_kernel_refuses_is_a_doubt() -> None:
    with bed(changing(steps=STEPS)) as testbed, ExitStack() as stack:
        changer = LinkChanger(testbed, Stopper(), stack, set())
        run_in(testbed.nodes["a"], "tc", "qdisc", "del", "dev", "eth0", "root")
        changer.begin()
        time.sleep(0.1)
        changer.end()
        [doubt] = changer.doubts
        assert "change a link" in doubt


def test_helper_is_pinned_beside_the_cpus_that_are_measured() -> None:
    free = sorted(os.sched_getaffinity(0))[-1]
    with bed(changing(steps=STEPS)) as testbed, ExitStack() as stack:
        changer = LinkChanger(testbed, Stopper(), stack, set(range(os.cpu_count() or 1)) - {free})
        [pid] = changer.pids()
        assert os.sched_getaffinity(pid) == {free}
        assert os.sched_getscheduler(pid) == os.SCHED_FIFO
        assert changer.hints == []
        assert "links" in Path(f"/proc/{pid}/comm").read_text()
