"""What is found of single packets, of a queue and of their order, on a made-up wire with a clock of its own."""

from __future__ import annotations

from typing import Any

import pytest

from harness.run.link_checks import direction, netem, queue, single
from harness.run.link_checks.direction import Direction
from harness.spec.shape import Shape
from harness.spec.trace_file import packed
from harness.store import LinkCheck
from harness.topology.qdiscs import discs_of
from tests.unit.wire import FILENO, Clock, Wire

MS = 10**6


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    for module in (direction, netem, queue, single):
        monkeypatch.setattr(module, "time", made)

    def readable(ends: list[int], seconds: float) -> None:
        assert ends == [FILENO]
        made.sleep(min(seconds, 0.0001))

    for module in (netem, queue, single):
        monkeypatch.setattr(module, "readable", readable)
    return made


def between(wire: Wire, has_netem: bool = True, **shape: Any) -> Direction:
    declared, end = Shape.model_validate(shape), wire
    ends: Any = end
    return Direction("a -> b", declared, 1500, ends, ends, discs_of(declared, netem=has_netem))


def alone(wire: Wire, **shape: Any) -> LinkCheck:
    (row,) = single.single_rows(between(wire, **shape), 1)
    return row


def test_a_frame_that_is_held_back_for_its_time_on_the_wire_is_as_declared(clock: Clock) -> None:
    row = alone(Wire(clock, rate_bps=10e6), rate="10mbit")
    assert (row.check, row.declared, row.ok) == ("single", "1211us a full frame", True)
    assert float(row.measured.removesuffix("us")) == pytest.approx(1514 * 8 / 10, abs=150)
    assert alone(Wire(clock, rate_bps=10e6, delay_ns=30 * MS), rate="10mbit", delay="30ms").ok is True


def test_a_frame_that_passes_at_once_is_a_breach_of_netem_and_said_of_a_bucket(clock: Clock) -> None:
    free: dict[str, Any] = {"rate_bps": 10e6, "burst_bytes": 5000}
    row = alone(Wire(clock, **free), rate="10mbit")
    assert row.ok is False and "single" in row.reason
    row = alone(Wire(clock, **free), rate="10mbit", has_netem=False)
    assert row.ok is None and row.measured.endswith("htb lets a packet that finds the link idle pass at once")
    # A bucket that happens to be empty has nothing to be said of.
    assert "at once" not in alone(Wire(clock, rate_bps=10e6), rate="10mbit", has_netem=False).measured


def test_a_frame_that_a_busy_host_kept_is_not_the_links_fault(clock: Clock) -> None:
    row = alone(Wire(clock, rate_bps=10e6, delay_ns=9 * MS), rate="10mbit")
    assert row.ok is None and row.measured.startswith("not known")
    row = alone(Wire(clock, rate_bps=10e6, lost=1), rate="10mbit")
    assert (row.ok, row.measured) == (None, "not known: nothing arrived")


def test_single_frames_are_tried_where_their_time_can_be_told(clock: Clock) -> None:
    shapes: list[dict[str, Any]] = [{"rate": "1.5gbit"}, {"delay": "1ms"}, {"rate": "1mbit", "loss": "60%"}]
    for shape in shapes:
        assert single.single_rows(between(Wire(clock), **shape), 1) == []


@pytest.mark.parametrize(("room", "ok"), [(20, True), (18, True), (33, False), (10, False)])
def test_a_queue_is_filled_and_its_wait_seen(clock: Clock, room: int, ok: bool) -> None:
    wire = Wire(clock, rate_bps=10e6, room=room)
    (row,) = queue.queue_rows(between(wire, rate="10mbit", queue_packets=20), 1)
    assert (row.check, row.declared) == ("queue", "24.22ms, 20 frames")
    assert float(row.measured.partition("ms")[0]) == pytest.approx(min(room + 1, 32) * 1.2112, rel=0.05)
    assert row.measured.endswith(f"ms, {max(0, 32 - room - 1)} of 32 dropped")
    assert row.ok is ok, row


def test_a_queue_behind_a_delay_is_told_from_it(clock: Clock) -> None:
    wire = Wire(clock, rate_bps=10e6, room=20, delay_ns=40 * MS)
    (row,) = queue.queue_rows(between(wire, rate="10mbit", queue_packets=20, delay="40ms"), 1)
    assert row.ok is True, row


def test_a_queue_that_was_never_full_tells_nothing(clock: Clock) -> None:
    """Nothing was dropped, and the last frame hardly waited: somebody kept this check from sending."""
    wire = Wire(clock, rate_bps=1e9, room=10**6)
    (row,) = queue.queue_rows(between(wire, rate="10mbit", queue_packets=20), 1)
    assert row.ok is None


@pytest.mark.parametrize(
    "shape", [{"rate": "10mbit", "loss": "1%"}, {"delay": "1ms"}, {"rate": "10mbit", "qdisc": {"kind": "fq_codel"}}]
)
def test_queues_of_no_plain_length_are_not_tried(clock: Clock, shape: dict[str, Any]) -> None:
    assert queue.queue_rows(between(Wire(clock), **shape), 1) == []


def test_a_queue_that_cannot_be_filled_is_said_to_be_so(clock: Clock) -> None:
    shapes: list[dict[str, Any]] = [{"rate": "300mbit"}, {"rate": "10mbit", "queue": "10s"}]
    for shape in shapes:
        wire = Wire(clock)
        (row,) = queue.queue_rows(between(wire, **shape), 1)
        assert (row.ok, wire.sent) == (None, 0) and row.measured.startswith("not tried")


def test_what_jitter_overtakes_is_counted(clock: Clock) -> None:
    jittery: dict[str, Any] = {"delay_ns": 20 * MS, "jitter_ns": 5 * MS}
    *_, row = netem.delay_rows(between(Wire(clock, **jittery), delay="20ms", jitter="5ms"), 1)
    assert (row.check, row.declared, row.ok) == ("order", "not kept by jitter", None)
    assert 0 < float(row.measured.partition("%")[0]) < 100
    kept: dict[str, Any] = {"delay": "20ms", "jitter": "5ms", "keep_order": "on"}
    *_, row = netem.delay_rows(between(Wire(clock, **jittery), **kept), 1)
    assert (row.declared, row.ok) == ("kept", False)
    *_, row = netem.delay_rows(between(Wire(clock, delay_ns=20 * MS), **kept), 1)
    assert (row.measured, row.ok) == ("0% of 40 frames overtaken", True)


IN_BURSTS: dict[str, Any] = {"gilbert_elliott": {"to_bad": "1%", "to_good": "20%"}}


@pytest.mark.parametrize(
    ("really", "ok"),
    [
        ({"lost": 105, "in_a_row": 5}, [True, True]),
        # As many, but each for itself.
        ({"lost": 21}, [True, False]),
        ({"lost": 1000, "in_a_row": 50}, [True, False]),
        ({}, [False, None]),
    ],
)
def test_losses_in_bursts_are_told_from_losses(clock: Clock, really: dict[str, Any], ok: list[bool | None]) -> None:
    rows = netem.chance_rows(between(Wire(clock, **really), **IN_BURSTS), 1)
    assert [row.check for row in rows] == ["loss", "bursts"]
    assert [row.ok for row in rows] == ok, rows


@pytest.mark.parametrize(("hurt", "ok"), [(10, True), (0, False), (4, False)])
def test_damaged_frames_are_counted_and_are_not_lost(clock: Clock, hurt: int, ok: bool) -> None:
    (row,) = netem.chance_rows(between(Wire(clock, hurt=hurt), corrupt="10%"), 1)
    assert (row.check, row.ok) == ("corrupt", ok), row
    # Of 512 bits, 16 of the EtherType make it a frame of somebody else's.
    assert row.declared == "9.6875%"


def test_of_reordered_packets_with_a_gap_fewer_are_expected(clock: Clock) -> None:
    shape: dict[str, Any] = {"delay": "10ms", "reorder": "25%", "gap": 5}
    for early, ok in ((8, True), (4, False)):
        (row,) = netem.chance_rows(between(Wire(clock, delay_ns=10 * MS, early=early), **shape), 1)
        assert (row.check, row.declared, row.ok) == ("reorder", "12.5%", ok)


@pytest.mark.parametrize(("slot_ms", "ok"), [(10, True), (20, False), (0, False)])
def test_slots_are_told_by_the_time_between_them(clock: Clock, slot_ms: int, ok: bool) -> None:
    (row,) = netem.slot_rows(between(Wire(clock, slot_ns=slot_ms * MS), slots={"least": "10ms"}), 1)
    assert (row.check, row.declared, row.ok) == ("slots", "10ms", ok), row


def test_a_distribution_says_where_the_middle_is_and_how_wide(clock: Clock) -> None:
    """A table whose values are -1 and 3 jitters, by turns: the median is in between, the deviation 2."""
    data = packed("-8192 24576")
    wire = Wire(clock, delay_ns=30 * MS, jitter_ns=20 * MS)
    shape: dict[str, Any] = {"delay": "20ms", "jitter": "10ms", "distribution": "own", "distribution_data": data}
    delay, jitter, _ = netem.delay_rows(between(wire, **shape), 1)
    assert (delay.ok, jitter.ok) == (True, True)
    delay, jitter, _ = netem.delay_rows(between(Wire(clock, delay_ns=20 * MS), **shape), 1)
    assert (delay.ok, jitter.ok) == (False, False)
