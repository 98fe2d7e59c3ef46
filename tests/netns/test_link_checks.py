"""Declared links are tried before measuring: a true one passes, a false one is found, whatever qdisc it has."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterator
from typing import Any

import pytest

from harness.kernel.frames import FrameEnd
from harness.kernel.readback import qdisc_dump
from harness.run import link_checks
from harness.spec.topology import Topology
from harness.store import LinkCheck
from harness.testbed import Testbed as Bed
from harness.topology.layout import plan_layout
from tests.beds import bed, pair


def pretending(testbed: Bed, **shape: Any) -> Bed:
    """The same testbed, saying something else of its link than what was installed."""
    claimed: Topology = pair(shape=shape)
    return dataclasses.replace(testbed, layout=dataclasses.replace(testbed.layout, topology=claimed))


def claiming(testbed: Bed, **shape: Any) -> Bed:
    """The same, saying of the qdiscs too that they are others."""
    layout = plan_layout(pair(shape=shape), netem=False)
    return dataclasses.replace(testbed, layout=layout)


def tries(testbed: Bed) -> Iterator[list[LinkCheck]]:
    """The findings again and again, as the tests' own host may be too busy to tell at any one time."""
    for _ in range(12):
        yield link_checks.verify(testbed, "every", "")


@pytest.mark.parametrize("method", ["tbf", "htb"])
@pytest.mark.parametrize("rate", ["1mbit", "10mbit", "100mbit", "1gbit"])
def test_a_true_rate_is_found_true(rate: str, method: str) -> None:
    with bed(pair(shape={"rate": rate, "method": method}), napi=True) as testbed:
        seen: set[str] = set()
        for rows in tries(testbed):
            checks = ["single", "rate", "queue"]
            assert [row.check for row in rows] == [*checks, *checks]
            assert link_checks.doubts(rows) == [row.reason for row in rows if row.ok is False]
            seen |= {row.link for row in rows if row.ok and row.check == "rate"}
            if seen == {"a -> b", "b -> a"}:
                return
        pytest.fail(f"found true: {seen}")


@pytest.mark.parametrize(
    ("true", "claimed"), [("10mbit", "6mbit"), ("10mbit", "20mbit"), ("500mbit", "1gbit"), ("1gbit", "500mbit")]
)
def test_a_false_rate_is_found_false(true: str, claimed: str) -> None:
    with bed(pair(shape={"rate": true})) as testbed:
        for rows in tries(pretending(testbed, rate=claimed)):
            assert not any(row.ok for row in rows if row.check == "rate"), rows
            if reasons := link_checks.doubts(rows):
                assert any(f"instead of {claimed}" in reason and "rate" in reason for reason in reasons)
                return
        pytest.fail("never found false")


def test_a_delay_a_jitter_and_a_loss_that_are_not_there_are_missed() -> None:
    """Needs no netem: what is declared and not installed is what has to be noticed."""
    with bed(pair()) as testbed:
        rows = link_checks.verify(pretending(testbed, delay="20ms", jitter="10ms", loss="10%"), "every", "")
        seen = {row.check: row.ok for row in rows}
        assert seen == {"delay": False, "jitter": False, "order": None, "loss": False}
        rarer = {"gilbert_elliott": {"to_bad": "2%", "to_good": "20%"}, "slots": {"least": "10ms"}}
        rows = link_checks.verify(pretending(testbed, **rarer), "every", "")
        assert {row.check: row.ok for row in rows} == {"loss": False, "bursts": None, "slots": False}


def test_a_frame_that_is_not_as_it_was_sent_is_damaged() -> None:
    with bed(pair()) as testbed, contextlib.ExitStack() as stack:
        near = testbed.layout.links[0][0]
        far = testbed.layout.peer(near)
        other = bytes([*near.mac[:5], near.mac[5] ^ 1])
        receiver, sender, changed = (
            stack.enter_context(FrameEnd(testbed.nodes[one.node].fd, one.device, one.ifindex, mac, peer.mac))
            for one, mac, peer in ((far, far.mac, near), (near, near.mac, far), (near, other, far))
        )
        for end, number in ((sender, 1), (changed, 2), (sender, 3)):
            assert end.send(100, number)
        deadline = time.monotonic() + 5
        came: list[int] = []
        while len(came) < 2 and time.monotonic() < deadline:
            came += [number for number, _, _ in receiver.received()]
        assert (came, receiver.damaged) == ([1, 3], 1)


@pytest.mark.parametrize("napi", [False, True])
def test_frames_that_travel_joined_are_counted_as_they_were_sent(napi: bool) -> None:
    """Without NAPI they arrive whole; with it, cut apart before the link. The queue counts them as on a wire."""
    with bed(pair(shape={"rate": "1gbit", "method": "tbf"}), napi=napi) as testbed, contextlib.ExitStack() as stack:
        port = testbed.layout.links[0][0]
        far = testbed.layout.peer(port)
        ends = [(port, far), (far, port)]
        sender, receiver = (
            stack.enter_context(FrameEnd(testbed.nodes[one.node].fd, one.device, one.ifindex, one.mac, other.mac))
            for one, other in ends
        )
        joined = sender.joined(1500, 16)
        stack.callback(joined.close)
        before = receiver.statistics()
        assert joined.send_many(20) == 20
        deadline = time.monotonic() + 5
        while joined.arrived(before, receiver.statistics()) < 20 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert joined.arrived(before, receiver.statistics()) == 20
        assert joined.bytes_on_wire == 16 * 1514
        (root,) = [each for each in qdisc_dump(testbed.nodes[port.node].fd) if each.kind == "tbf"]
        assert root.statistics["bytes"] == 20 * joined.bytes_on_wire


def test_what_is_not_shaped_is_not_tried_and_off_means_off() -> None:
    with bed(pair()) as testbed:
        assert link_checks.verify(testbed, "every", "") == []
        assert link_checks.verify(pretending(testbed, rate="1mbit"), "off", "") == []


def test_the_first_finding_serves_the_later_runs() -> None:
    with bed(pair(shape={"rate": "10mbit"})) as testbed:
        for rows in tries(testbed):
            if not link_checks.doubts(rows):
                assert link_checks.verify(testbed, "first", "") is rows
                assert link_checks.verify(testbed, "first", "another") is not rows
                return
        pytest.fail("never found true")


def test_a_queue_of_another_length_is_found_false() -> None:
    true: dict[str, Any] = {"rate": "10mbit", "method": "htb", "queue_packets": 60}
    with bed(pair(shape=true)) as testbed:
        for rows in tries(claiming(testbed, **(true | {"queue_packets": 20}))):
            queues = [row for row in rows if row.check == "queue"]
            assert not any(row.ok for row in queues)
            if any(row.ok is False and "instead of 24.22ms, 20 frames" in row.reason for row in queues):
                return
        pytest.fail("never found false")
