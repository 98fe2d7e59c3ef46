"""Tails in model time, where CPUs take turns; requests that wait for one another; and quantiles that are no tail."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness.analysis.tail import parse_above, tails
from harness.analysis.tail.causes import Account, account
from harness.analysis.tail.cell import no_tail_below_ns
from harness.analysis.tail.trace import requests_of, trace_of
from harness.report.html.tail import tail_section
from harness.report.tail import tail_json, tail_text
from harness.store.trace import VECTORS, Kind, Meta
from tests.unit.test_tail import CLIENT, COUNT, HOG, SERVER, STEP, Bed, kept

TIMER, SCHED = VECTORS.index("local_timer"), 7
TICK_NS = 6000
"""A tick as `tick` makes it: 4 us of handler, 600 ns to the softirq, 1.4 us of that."""


class Polling(Bed):
    """Both ends poll, each on its CPU: no event in an ordinary round trip, 10 us each way."""

    def __init__(self) -> None:
        super().__init__()
        self.add(0, 0, Kind.SWITCH, 0, CLIENT)
        self.add(0, 1, Kind.SWITCH, 0, SERVER)

    def tick(self, ns: int, cpu: int) -> None:
        pid = (CLIENT, SERVER)[cpu]
        self.add(ns, cpu, Kind.VECTOR_ENTRY, pid, TIMER)
        self.add(ns + 4000, cpu, Kind.VECTOR_EXIT, pid, TIMER)
        self.add(ns + 4600, cpu, Kind.SOFTIRQ_ENTRY, pid, SCHED)
        self.add(ns + TICK_NS, cpu, Kind.SOFTIRQ_EXIT, pid, SCHED)

    def trip(self, number: int, **more: int) -> None:
        """more: the CPU whose timer fires as the server takes the request in, or works; what else it takes, ns."""
        sent = number * STEP + 1000
        taken = sent + 10_000 + more.get("beside", 0)
        if "tick" in more:
            self.tick(sent + 3000, more["tick"])
            taken += TICK_NS
        if "at_work" in more:
            self.tick(taken + 50, more["at_work"])
        self.answer(sent, taken, 100 + ("at_work" in more) * TICK_NS)

    def answer(self, sent: int, taken: int, work: int = 100) -> None:
        answered, received = taken + work, taken + work + 10_000
        self.samples.append((sent, received - sent, received - sent, 0, taken, answered, SERVER))

    def told(self, model_time: bool, meta: Meta | None = None) -> Account:
        meta = meta or self.meta()
        requests = requests_of(self.columns(), meta)
        return account(trace_of(self.events(), meta, requests, model_time=model_time), requests, 23_000)


def polling(**more: int) -> Polling:
    """Every hundredth round trip meets it."""
    made = Polling()
    for number in range(COUNT):
        made.trip(number, **(more if number % 100 == 50 else {}))
    return made


@pytest.mark.parametrize(
    ("more", "model_time", "told"),
    [
        # The gap between interrupt and softirq is the interrupt's: all 6 us are named.
        ({"tick": 1}, False, ("irq", 1, "events")),
        ({"tick": 1}, True, ("irq", 1, "events")),
        # The client's CPU had the turn, so the server's stood still; on real CPUs it did not.
        ({"at_work": 0}, True, ("irq", 0, "events")),
        ({"at_work": 0}, False, ("work", -1, "events")),
        # The way in and out of an interrupt has no events: bounded, and known to be the reason, in model time only.
        ({"tick": 1, "beside": 3000}, True, ("irq", 1, "inferred")),
        ({"tick": 1, "beside": 3000}, False, ("own", -1, "not explained")),
        ({"tick": 1, "beside": 9000}, True, ("own", -1, "not explained")),
        ({"beside": 4500}, True, ("own", -1, "not explained")),
    ],
)
def test_ticks_are_causes(more: dict[str, int], model_time: bool, told: tuple[str, int, str]) -> None:
    (row,) = polling(**more).told(model_time).rows
    assert (row.cause.kind, row.cause.cpu, row.grade, row.count) == (*told, COUNT // 100)
    if told[0] == "irq":
        assert row.cause.who == "local_timer"
        assert row.median_ns == pytest.approx(4600 + more.get("beside", 0), abs=50)


def test_a_program_that_runs_elsewhere_all_the_while_has_turns() -> None:
    made = polling(beside=4500)
    made.add(0, 2, Kind.SWITCH, 0, HOG)
    (row,) = made.told(True, replace(made.meta(), cpus=(0, 1, 2))).rows
    assert (row.cause.kind, row.cause.who, row.cause.cpu, row.grade) == ("turn", "hog", 2, "inferred")
    (row,) = made.told(False, replace(made.meta(), cpus=(0, 1, 2))).rows
    assert row.grade == "not explained"


def test_who_waits_while_the_server_works_off_others_waits_for_what_held_them_up() -> None:
    made = Polling()
    for number in range(COUNT):
        if number % 100 != 50:
            made.trip(number)
            continue
        sent = number * STEP + 1000
        made.add(sent + 1000, 1, Kind.SWITCH, SERVER, HOG)
        made.add(sent + 301_000, 1, Kind.SWITCH, HOG, SERVER)
        for place in range(3):  # sent meanwhile, and taken in one after the other, 20 us each
            made.answer(sent + 50_000 * place, sent + 310_000 + 20_000 * place)
    rows = made.told(True).rows
    assert [(row.cause.kind, row.cause.who, row.grade, row.count) for row in rows] == [("behind", "hog", "events", 30)]


def test_how_far_from_the_median_a_tail_begins() -> None:
    whole, (unknown, *_) = polling(tick=1).told(True), polling(beside=4500).told(True).slow
    for threshold_ns, median_ns, explained, begins_ns, in_model_time_ns in (
        (109_000, 100_000, 10, 110_000, 110_000),
        (111_000, 100_000, 10, None, None),
        (27_000, 25_000, 10, 27_500, 31_000),
        (30_000, 25_000, 9, None, None),
        (30_000, 25_000, 8, None, 31_000),
        (32_000, 25_000, 0, None, None),
    ):
        slow = (*whole.slow[:explained], *(unknown,) * (10 - explained))
        made = replace(whole, slow=slow, threshold_ns=threshold_ns, p50_ns=median_ns)
        assert no_tail_below_ns(made, False) == (begins_ns and pytest.approx(begins_ns))
        assert no_tail_below_ns(made, True) == (in_model_time_ns and pytest.approx(in_model_time_ns))


def test_a_quantile_beside_the_median_is_no_tail(tmp_path: Path) -> None:
    """Of 1,000 requests of 25 us ten took 425 us: p99 itself is 25 us."""
    results = kept(tmp_path, Bed().meta())
    (tail,) = tails(results, parse_above("p99"))
    assert tail.account is not None and len(tail.account.slow) == COUNT // 100
    text = " ".join(tail_text([tail], "p99", 0, 200, color=False).split())
    assert "There is no tail at p99: 25 us is 0 us (0.0%) above the median. 10 of 1,000 requests took more" in text
    assert "than 27.5 us (where one would begin)" in text
    assert '"no_tail": "there is no tail at p99' in tail_json([tail], "p99")
    assert "there is no tail at p99" in (tail_section(results, "") or "")
    # A time that somebody asks for is taken as it is.
    (asked,) = tails(results, parse_above("24us"))
    assert asked.account is not None and (asked.near_ns, asked.account.threshold_ns) == (None, 24_000)
    (high,) = tails(results, parse_above("p99.9"))
    assert high.account is not None and high.near_ns is None
    assert np.isclose(high.account.threshold_ns, 425_000, rtol=0.1)
