"""What is found of a link that is as declared, and of one that is not: on a made-up wire with a clock of its own."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from harness.kernel.proc import ProcessUsage
from harness.run import link_checks
from harness.run.link_checks import direction, netem, queue, rate, single
from harness.run.link_checks.direction import Direction
from harness.run.link_checks.rate import _Rate
from harness.spec.shape import Shape
from harness.spec.topology import Topology
from harness.store import LinkCheck
from harness.topology.layout import plan_layout
from harness.topology.qdiscs import discs_of
from tests.unit.programs import bed_of
from tests.unit.test_metrics import SECOND, delta, outcome
from tests.unit.wire import FILENO, Clock, Wire

MS = 10**6
SLOW_HOST = "not known: this host let only 50mbit through"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    for module in (direction, netem, queue, rate, single):
        monkeypatch.setattr(module, "time", made)

    def readable(ends: list[int], seconds: float) -> None:
        assert ends == [FILENO]
        made.sleep(min(seconds, 0.001))

    for module in (netem, queue, single):
        monkeypatch.setattr(module, "readable", readable)
    return made


def between(wire: Wire, **shape: Any) -> Direction:
    end: Any = wire
    declared = Shape.model_validate(shape)
    return Direction("a -> b", declared, 1500, end, end, discs_of(declared, netem=False))


# -- rate ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("declared", ["1mbit", "10mbit", "100mbit", "400mbit", "1gbit"])
def test_a_true_rate_is_found_true(clock: Clock, declared: str) -> None:
    shape = Shape.model_validate({"rate": declared})
    assert shape.rate_bps is not None
    wire = Wire(clock, shape.rate_bps, burst_bytes=2000)
    (row,) = rate.rate_rows(between(wire, rate=declared), 1)
    assert (row.check, row.declared, row.ok, row.reason) == ("rate", declared, True, ""), row
    assert float(row.measured.removesuffix("mbit")) == pytest.approx(shape.rate_bps / 1e6, rel=0.03)
    assert 0.05 * shape.rate_bps / 1e6 < float(row.tolerance.removesuffix("mbit")) < 0.15 * shape.rate_bps / 1e6


@pytest.mark.parametrize(("true", "declared"), [("10mbit", "6mbit"), ("10mbit", "20mbit"), ("100mbit", "50mbit")])
def test_a_false_rate_is_found_false(clock: Clock, true: str, declared: str) -> None:
    really = Shape.model_validate({"rate": true}).rate_bps
    assert really is not None
    (row,) = rate.rate_rows(between(Wire(clock, really, burst_bytes=2000), rate=declared), 1)
    assert row.ok is False
    measured = float(row.measured.removesuffix("mbit"))
    assert measured == pytest.approx(really / 1e6, rel=0.05)
    assert row.reason == f"a -> b: rate {row.measured} instead of {declared}"


def test_a_link_with_delay_behind_its_queue_is_measured_all_the_same(clock: Clock) -> None:
    wire = Wire(clock, 10e6, burst_bytes=2000, delay_ns=100 * MS)
    (row,) = rate.rate_rows(between(wire, rate="10mbit", delay="100ms"), 1)
    assert row.ok is True, row


@pytest.mark.parametrize("jitter", ["1ms", "15ms", "100ms"])
def test_a_link_whose_packets_overtake_is_measured_once_as_many_come_as_leave(clock: Clock, jitter: str) -> None:
    shape = {"rate": "100mbit", "delay": "100ms", "jitter": jitter}
    wire = Wire(clock, 100e6, burst_bytes=2000, delay_ns=100 * MS, jitter_ns=int(jitter[:-2]) * MS)
    (row,) = rate.rate_rows(between(wire, **shape), 1)
    assert row.ok is True, row


def test_packets_that_came_before_are_not_of_the_try(clock: Clock) -> None:
    wire = Wire(clock, 10e6, burst_bytes=2000)
    wire.taken = [(0, number, 0) for number in range(5000)]
    (row,) = rate.rate_rows(between(wire, rate="10mbit"), 1)
    assert row.ok is True, row
    # Else it would send for those too, into a queue that then takes long to run empty.
    assert wire.free_ns - clock.now_ns < 30 * MS


def test_a_link_that_loses_packets_is_kept_loaded_by_those_that_pass(clock: Clock) -> None:
    wire = Wire(clock, 10e6, burst_bytes=2000, lost=4)
    (row,) = rate.rate_rows(between(wire, rate="7.5mbit", loss="25%"), 1)
    assert row.ok is True, row
    # As many wait as where nothing is lost.
    assert 10 * MS < wire.free_ns - clock.now_ns < 30 * MS


def test_a_host_that_is_too_slow_is_not_the_links_fault(clock: Clock) -> None:
    """It lets through less than declared, but no queue held anything back."""
    (row,) = rate.rate_rows(between(Wire(clock, 5e6, burst_bytes=2000, rests=False), rate="10mbit"), 1)
    assert row.ok is None and row.measured.startswith("not known: this host let only ")


def test_a_rate_that_nobody_can_try_is_not_tried(clock: Clock) -> None:
    (row,) = rate.rate_rows(between(Wire(clock), rate="20001mbit"), 1)
    assert (row.ok, row.measured) == (None, "not tried: faster than this check can send")


RATE = 100_000_000


@pytest.mark.parametrize(
    ("found", "ok", "measured"),
    [
        ([_Rate(1.05 * RATE, 0, True)], True, "105mbit"),
        ([_Rate(0.95 * RATE, 0, False)], True, "95mbit"),
        # Beyond 5 % by two packets more or less.
        ([_Rate(1.06 * RATE, RATE / 200, True)], True, "106mbit"),
        ([_Rate(1.061 * RATE, RATE / 200, True)], False, "106.1mbit"),
        ([_Rate(1.2 * RATE, 0, False)], False, "120mbit"),
        ([None], None, "not known: this host could not keep it loaded"),
        # Too slow: believed where a queue held packets back and a second try is as slow.
        ([_Rate(0.5 * RATE, 0, True), _Rate(0.52 * RATE, 0, True)], False, "50mbit"),
        ([_Rate(0.5 * RATE, 0, True), _Rate(0.7 * RATE, 0, True)], None, SLOW_HOST),
        ([_Rate(0.5 * RATE, 0, True), None], None, SLOW_HOST),
        ([_Rate(0.5 * RATE, 0, False)], None, SLOW_HOST),
        ([_Rate(0.5 * RATE, 0, True), _Rate(0.56 * RATE, RATE / 50, True)], False, "50mbit"),
    ],
)
def test_a_rate_is_judged_by_what_one_packet_can_change(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, found: list[_Rate | None], ok: bool | None, measured: str
) -> None:
    tries = iter(found)
    asked: list[tuple[object, ...]] = []

    def measure(*of: object) -> _Rate | None:
        asked.append(of)
        return next(tries)

    monkeypatch.setattr(rate, "_measured", measure)
    one_way = between(Wire(clock), rate="100mbit")
    (row,) = rate.rate_rows(one_way, 3)
    assert (row.ok, row.measured) == (ok, measured)
    assert list(tries) == [] and (row.link, row.declared) == ("a -> b", "100mbit")
    assert asked == [(one_way, 3)] * len(found)


# -- delay and jitter ----------------------------------------------------------------------------------------


def test_a_true_delay_and_jitter_are_found_true(clock: Clock) -> None:
    wire = Wire(clock, delay_ns=20 * MS, jitter_ns=5 * MS)
    rows = netem.delay_rows(between(wire, delay="20ms", jitter="5ms"), 1)
    assert [(row.check, row.declared, row.ok) for row in rows[:2]] == [("delay", "20ms", True), ("jitter", "5ms", True)]
    # 5 % and 0.5 ms, and three times the jitter over the root of 40.
    assert float(rows[0].tolerance.removesuffix("ms")) == pytest.approx(1 + 0.5 + 15 / 40**0.5, abs=0.01)
    assert rows[1].tolerance == "3ms"
    assert float(rows[0].measured.removesuffix("ms")) == pytest.approx(20, abs=1)
    assert float(rows[1].measured.removesuffix("ms")) == pytest.approx(5, abs=0.5)


@pytest.mark.parametrize(
    ("really", "declared", "ok"),
    [
        ({"delay_ns": 20 * MS}, {"delay": "21ms"}, True),
        ({"delay_ns": 20 * MS}, {"delay": "22ms"}, False),
        ({"delay_ns": 20 * MS}, {"delay": "18ms"}, False),
        ({}, {"delay": "20ms"}, False),
    ],
)
def test_a_delay_may_be_off_by_a_twentieth_and_half_a_millisecond(
    clock: Clock, really: dict[str, Any], declared: dict[str, str], ok: bool
) -> None:
    (row,) = netem.delay_rows(between(Wire(clock, **really), **declared), 1)
    assert row.ok is ok, row


def test_a_jitter_that_is_not_there_is_missed(clock: Clock) -> None:
    found = netem.delay_rows(between(Wire(clock, delay_ns=20 * MS), delay="20ms", jitter="10ms"), 1)
    assert [row.ok for row in found] == [True, False, None]


def test_a_link_that_lets_nothing_through_has_no_delay(clock: Clock) -> None:
    (row,) = netem.delay_rows(between(Wire(clock, delay_ns=20 * MS, lost=1), delay="20ms"), 1)
    assert (row.ok, row.measured) == (False, "nothing arrived")
    assert netem.delay_rows(between(Wire(clock), loss="1%"), 1) == []


@pytest.mark.parametrize("longer", [1, 3])
def test_a_delay_is_tried_by_forty_frames_and_longer_by_more(clock: Clock, longer: int) -> None:
    wire = Wire(clock, delay_ns=MS)
    netem.delay_rows(between(wire, delay="1ms"), longer)
    assert wire.sent == 40 * longer


# -- chance --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("lost", "ok"), [(50, True), (0, False), (20, False)])
def test_a_loss_is_counted(clock: Clock, lost: int, ok: bool) -> None:
    wire = Wire(clock, lost=lost)
    (row,) = netem.chance_rows(between(wire, loss="2%"), 1)
    assert (row.check, row.declared, row.ok) == ("loss", "2%", ok)
    assert wire.sent == 1250
    assert float(row.tolerance.removesuffix("%")) == pytest.approx(100 * (4 * (25 * 0.98) ** 0.5 + 1) / 1250, abs=0.001)
    assert row.measured == f"{100 * (1250 // lost) / 1250 if lost else 0:g}% of 1,250 frames"


def test_loss_duplicates_and_order_are_told_by_numbered_frames(clock: Clock) -> None:
    shape = {"loss": "5%", "duplicate": "10%", "reorder": "20%", "delay": "10ms"}
    wire = Wire(clock, delay_ns=10 * MS, lost=20, twice=11, early=5)
    rows = {row.check: row for row in netem.chance_rows(between(wire, **shape), 1)}
    assert {name: row.ok for name, row in rows.items()} == {"loss": True, "duplicate": True, "reorder": True}, rows
    plain = {row.check: row for row in netem.chance_rows(between(Wire(clock, delay_ns=10 * MS), **shape), 1)}
    assert {name: row.ok for name, row in plain.items()} == {"loss": False, "duplicate": False, "reorder": False}
    assert netem.chance_rows(between(Wire(clock), delay="1ms"), 1) == []


def test_frames_that_are_still_under_way_are_waited_for(clock: Clock) -> None:
    wire = Wire(clock, delay_ns=100 * MS, jitter_ns=90 * MS, lost=20, twice=10)
    shape = {"loss": "5%", "duplicate": "10%", "delay": "100ms", "jitter": "90ms"}
    assert [row.ok for row in netem.chance_rows(between(wire, **shape), 1)] == [True, True]


def test_a_link_that_never_runs_empty_is_not_waited_for_for_ever(clock: Clock) -> None:
    class Endless(Wire):
        def statistics(self) -> dict[str, int]:
            self.send_many(64, 1)
            return super().statistics()

    began_ns = clock.now_ns
    direction.drain(between(Endless(clock), delay="10ms"))
    assert 2.0 <= (clock.now_ns - began_ns) / 1e9 < 2.1


def test_a_full_queue_ends_the_try(clock: Clock) -> None:
    wire = Wire(clock, rate_bps=1000.0, room=5)
    (row,) = netem.chance_rows(between(wire, loss="2%"), 1)
    assert wire.sent < 1250 and row.ok is not True


# -- all links of a testbed ----------------------------------------------------------------------------------


def shaped(**shape: Any) -> Topology:
    link = {"between": ["a", "b"], "shape": shape} if shape else {"between": ["a", "b"]}
    return Topology.model_validate({"nodes": {"a": {}, "b": {}, "c": {}}, "links": [link, {"between": ["b", "c"]}]})


CHECKS = ("delay", "single", "rate", "queue")
KEYS = (f"key {number}" for number in itertools.count())


def with_wires(monkeypatch: pytest.MonkeyPatch, clock: Clock, **really: Any) -> list[Wire]:
    made: list[Wire] = []

    def frame_end(*_: object) -> Wire:
        # The two ends of a direction are one wire.
        if len(made) % 2 == 0:
            made.append(Wire(clock, **really))
        else:
            made.append(made[-1])
        return made[-1]

    monkeypatch.setattr(link_checks, "FrameEnd", frame_end)
    return made


def test_each_direction_of_each_shaped_link_is_tried(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    made = with_wires(monkeypatch, clock, rate_bps=10e6, delay_ns=5 * MS, room=42)
    bed = bed_of(shaped(rate="10mbit", delay="5ms", queue="50ms"))
    rows = link_checks.verify(bed, "every", next(KEYS))
    told = [(row.link, row.check, row.ok) for row in rows]
    assert told == [(way, check, True) for way in ("a -> b", "b -> a") for check in CHECKS]
    assert link_checks.doubts(rows) == []
    made.clear()
    assert link_checks.verify(bed, "off", next(KEYS)) == []
    assert link_checks.verify(bed_of(shaped()), "every", next(KEYS)) == [] and made == []


def test_of_links_that_are_alike_two_directions_are_tried_thoroughly(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_wires(monkeypatch, clock, rate_bps=10e6, room=42)
    link = {"shape": {"rate": "10mbit", "queue": "50ms"}}
    links = [{"between": ["a", "b"], **link}, {"between": ["b", "c"], **link}]
    made = Topology.model_validate({"nodes": {"a": {}, "b": {}, "c": {}}, "links": links})
    rows = link_checks.verify(bed_of(made), "every", next(KEYS))
    assert [row.check for row in rows] == ["single", "rate", "queue"] * 2 + ["rate"] * 2


def test_what_was_found_once_is_taken_as_found_unless_something_was_wrong(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = with_wires(monkeypatch, clock, delay_ns=5 * MS)
    bed, key = bed_of(shaped(delay="5ms")), next(KEYS)
    rows = link_checks.verify(bed, "first", key)
    tried = len(made)
    assert tried and link_checks.verify(bed, "first", key) == rows and len(made) == tried
    link_checks.verify(bed, "every", key)
    assert len(made) > tried
    tried = len(made)
    link_checks.verify(bed, "first", next(KEYS))
    assert len(made) > tried
    wrong, key = bed_of(shaped(delay="50ms")), next(KEYS)
    reasons = link_checks.doubts(link_checks.verify(wrong, "first", key))
    assert [reason.partition(": ")[0] for reason in reasons] == ["a -> b", "b -> a"]
    tried = len(made)
    link_checks.verify(wrong, "first", key)
    assert len(made) > tried


def test_a_check_that_fails_is_tried_again_and_longer(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    answers: list[bool | None] = []

    def rows(_direction: Direction, longer: int) -> list[LinkCheck]:
        asked.append(longer)
        return [LinkCheck("a -> b", "delay", ok=answers[len(asked) - 1], measured=str(len(asked)))]

    monkeypatch.setattr(link_checks, "delay_rows", rows)
    monkeypatch.setattr(link_checks, "chance_rows", lambda *_: [])
    with_wires(monkeypatch, clock)
    one_way = bed_of(Topology.model_validate({"nodes": {"a": {}, "b": {}}, "links": [ONE_WAY]}))
    for given, tried, kept in (
        ([True], [1], "1"),
        ([False, True], [1, 3], "2"),
        ([False, False, False], [1, 3, 9], "3"),
        ([None, None, None], [1, 1, 1], "3"),
        ([None, False, None], [1, 1, 3], "2"),
    ):
        asked.clear()
        answers[:] = given
        (row,) = link_checks.verify(one_way, "every", next(KEYS))
        assert (asked, row.measured) == (tried, kept)


ONE_WAY = {"between": ["a", "b"], "forward": {"delay": "5ms"}}


# -- while the workload runs ---------------------------------------------------------------------------------


def broken(topology: Topology, elapsed_ns: int = SECOND, **counted: int) -> list[str]:
    counters = {f"qdisc:eth0:{key}": value for key, value in counted.items()}
    return link_checks.breaches(plan_layout(topology), delta(nodes={"a": counters}, elapsed_ns=elapsed_ns))


def test_a_queue_that_let_too_much_through_is_a_breach() -> None:
    """8 Mbit/s: a megabyte a second, and 5 %, what 50 ms allow, and the burst besides."""
    topology = shaped(rate="8mbit", burst="10000B")
    most = round(1e6 * (1.05 + 0.05) + 10_000)
    assert broken(topology, bytes=most) == []
    assert broken(topology, bytes=most + 1) == ["a -> b: sent 8.88mbit through a queue of 8mbit"]
    assert broken(topology, elapsed_ns=2 * SECOND, bytes=most + 10**6) == []
    assert broken(shaped(delay="1ms"), bytes=10**9) == [] == broken(shaped(), bytes=10**9)


def test_a_queue_that_dropped_everything_is_a_breach() -> None:
    topology = shaped(rate="8mbit")
    assert broken(topology, drops=3) == ["a -> b: its queue sent nothing and dropped 3 packets"]
    assert broken(topology, drops=3, bytes=100) == [] == broken(topology)


def test_a_program_that_waited_for_a_cpu_was_starved_unless_hogs_were_to_do_that() -> None:
    programs = {"client": ProcessUsage(wait_ns=800 * MS), "server": ProcessUsage(wait_ns=801 * MS)}
    waited = replace(outcome(delta=delta(programs=programs)), hog=None)
    assert link_checks.starved(waited, 0.8) == ["the server was starved: it waited for a CPU 80 % of the time"]
    assert link_checks.starved(replace(waited, hog={}), 0.8) == []
    assert link_checks.starved(waited, 0.9) == []


def test_threads_that_waited_side_by_side_waited_longer_than_the_window() -> None:
    waited = replace(outcome(delta=delta(programs={"server": ProcessUsage(wait_ns=7860 * MS)})), hog=None)
    (reason,) = link_checks.starved(waited, 0.8)
    assert reason.startswith("the server was starved: its threads waited for a CPU 7.9 s in all while 1 s passed")
