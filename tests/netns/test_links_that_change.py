"""Links that change do so when they are to, and to what is declared: by plain sockets in the namespaces."""

from __future__ import annotations

import os
import signal
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Thread
from typing import Any, Self

import pytest

from harness.kernel.overlays import is_known
from harness.run import standing
from harness.run.link_changes import LinkChanger
from harness.signals import Stopper
from harness.spec.topology import Topology
from harness.spec.trace_file import packed
from harness.testbed import Testbed as Bed
from tests.beds import bed, in_netns, pair, run_in

SO_TIMESTAMPNS = 35
FRAME_BITS, PAYLOAD, MS = 1514 * 8, 1472, 10**6
STEPS = [{"at": "200ms", "rate": "4mbit"}, {"at": "500ms", "down": "150ms"}, {"at": "800ms", "rate": "40mbit"}]


def changing(**changes: Any) -> Topology:
    return pair(forward={"rate": "16mbit", "queue_packets": 200, "changes": changes})


class Flood:
    """Full frames from a to b, more than fit, while it is open; when each arrived, in ns of the monotonic clock.

    By the kernel's stamps: whoever reads them may be late.
    """

    def __init__(self, testbed: Bed) -> None:
        self.arrived_ns: list[int] = []
        with in_netns(testbed.nodes["b"].fd):
            self._into = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with in_netns(testbed.nodes["a"].fd):
            self._out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._into.bind((testbed.address("b"), 0))
        self._into.settimeout(0.3)
        self._into.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self._into.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self._offset_ns = time.time_ns() - time.monotonic_ns()
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
                _, [(_, _, stamp)], _, _ = self._into.recvmsg(PAYLOAD, 64)
            except TimeoutError:
                continue
            seconds, ns = struct.unpack("qq", stamp)
            self.arrived_ns.append(seconds * 10**9 + ns - self._offset_ns)

    def rate_bps(self, since_ns: int, until_ns: int) -> float:
        """Of what arrived between two points in time, counted from the first arrival to the last."""
        here = [at for at in self.arrived_ns if since_ns <= at < until_ns]
        return (len(here) - 1) * FRAME_BITS * 1e9 / (here[-1] - here[0]) if len(here) > 1 else 0.0


def tries(testbed: Bed, seconds: float) -> Iterator[tuple[Flood, int, dict[str, Any]]]:
    """Floods over the link while it changes for so long, when that began, and the helper's report.

    Again and again, as the tests' own host may stand still at any one time; then the changes come late, and say so.
    """
    for _ in range(12):
        with ExitStack() as stack:
            changer = LinkChanger(testbed, Stopper(), stack, set())
            with Flood(testbed) as flood:
                time.sleep(0.1)
                changer.begin()
                time.sleep(seconds)
                changer.end()
        if changer.doubts:
            assert "late by" in changer.doubts[0]
        else:
            yield flood, changer.report["begun_ns"], changer.report


def test_each_phase_has_its_rate_and_the_link_is_then_what_it_was() -> None:
    # The queue of a phase is still to be sent in the next, at its rate: only what comes first is left out.
    rates = {(30, 200): 16e6, (220, 500): 4e6, (670, 800): 4e6, (810, 1000): 40e6, (1030, 1200): 16e6}
    right = set()
    with bed(changing(steps=STEPS, every="1s")) as testbed:
        before = standing.read(testbed)
        for flood, begun_ns, report in tries(testbed, 1.55):
            # It ended while down, and what is there is what was there before.
            assert standing.differences(before, standing.read(testbed)) == ()
            assert report["changes"] >= 5 + 3
            assert not [at for at in flood.arrived_ns if 505 * MS <= at - begun_ns < 650 * MS]
            for (since, until), rate in rates.items():
                seen = flood.rate_bps(begun_ns + since * MS, begun_ns + until * MS)
                right |= {(since, until)} if seen == pytest.approx(rate, rel=0.08) else set()
            if right == set(rates):
                return
    pytest.fail(f"at their rate: {right}")


def test_a_packet_that_waits_has_left_when_its_opportunity_comes() -> None:
    # Two in 5 ms, none for 45, and so on: 0.73 Mbit/s in all.
    with bed(changing(trace="t", trace_data=packed("5\n5\n50\n"))) as testbed:
        for flood, begun_ns, report in tries(testbed, 1.0):
            turns = [(at - begun_ns) // (50 * MS) for at in flood.arrived_ns]
            counts = [turns.count(turn) for turn in range(2, 17)]
            if report["changes"] >= 40 and 44 <= sum(counts) <= 46 and set(counts) <= {2, 3, 4}:
                return
    pytest.fail("never as many as there are opportunities")


def test_a_link_with_a_device_on_top_is_then_what_it_was() -> None:
    """Its wire's frames are larger than its own, and so is what its queue holds of them."""
    if not is_known("vxlan"):
        pytest.skip("this kernel has no vxlan devices")
    down = {"steps": [{"at": 0, "down": "1ms"}]}
    with bed(pair(nic="vxlan", forward={"rate": "1mbit", "changes": down})) as testbed, ExitStack() as stack:
        before = standing.read(testbed)
        changer = LinkChanger(testbed, Stopper(), stack, set())
        changer.begin()
        time.sleep(0.05)
        changer.end()
        assert changer.report["changes"] == 2
        assert standing.differences(before, standing.read(testbed)) == ()


def test_a_helper_that_dies_is_a_doubt_and_says_why() -> None:
    with bed(changing(steps=STEPS)) as testbed, ExitStack() as stack:
        changer = LinkChanger(testbed, Stopper(), stack, set())
        changer.begin()
        [pid] = changer.families()["links"]
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
        [pid] = changer.families()["links"]
        assert os.sched_getaffinity(pid) == {free}
        assert os.sched_getscheduler(pid) == os.SCHED_FIFO
        assert changer.hints == []
        assert "links" in Path(f"/proc/{pid}/comm").read_text()
