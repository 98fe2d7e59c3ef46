"""Threaded NAPI in a trace: who polled each NAPI, and a packet that waits for the thread that takes it in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.analysis.tail.causes import account
from harness.analysis.tail.polls import Polled, polled
from harness.analysis.tail.trace import requests_of, trace_of
from harness.store.trace import NET_RX, Kind, Meta
from tests.unit.test_tail import CLIENT, COUNT, HOG, SERVER, STEP, Bed

THREAD = 900
LATE_NS = 300_000


class Threaded(Bed):
    """The server's device is polled by a thread on its CPU; the client's by NET_RX over the server."""

    def trip(self, number: int, **more: int) -> None:
        """One round trip; behind: how long the hog keeps the thread from the CPU, ns."""
        sent = number * STEP + 1000
        self.add(sent + 2000, 0, Kind.SOFTIRQ_ENTRY, CLIENT, NET_RX)
        self.add(sent + 3000, 0, Kind.WAKING, CLIENT, THREAD, 1)
        self.add(sent + 3500, 0, Kind.SOFTIRQ_EXIT, CLIENT, NET_RX)
        self.add(sent + 5000, 0, Kind.SWITCH, CLIENT, 0, 1)
        runs = sent + 6000 + more.get("behind", 0)
        if more.get("behind"):
            self.add(sent + 2500, 1, Kind.SWITCH, 0, HOG)
        self.add(runs, 1, Kind.SWITCH, HOG if more.get("behind") else 0, THREAD)
        self.add(runs + 1000, 1, Kind.WAKING, THREAD, SERVER, 1)
        self.add(runs + 1500, 1, Kind.NAPI_POLL, THREAD, 1, 2)
        self.add(runs + 2000, 1, Kind.SWITCH, THREAD, SERVER, 1)
        taken, answered = runs + 4000, runs + 5000
        self.add(answered + 2000, 1, Kind.SOFTIRQ_ENTRY, SERVER, NET_RX)
        self.add(answered + 4000, 1, Kind.WAKING, SERVER, CLIENT, 0)
        self.add(answered + 4500, 1, Kind.NAPI_POLL, SERVER, 0, 1)
        self.add(answered + 5000, 1, Kind.SOFTIRQ_EXIT, SERVER, NET_RX)
        self.add(answered + 6000, 1, Kind.SWITCH, SERVER, 0, 1)
        self.add(answered + 8000, 0, Kind.SWITCH, 0, CLIENT)
        received = answered + 10_000
        self.samples.append((sent, received - sent, received - sent, 0, taken, answered, SERVER))

    def meta(self) -> Meta:
        return replace(super().meta(), names={THREAD: "napi/eth0-5"}, napis=("eth0", "eth0"))


def bed() -> Threaded:
    made = Threaded()
    for number in range(COUNT):
        made.trip(number, **({"behind": LATE_NS} if number % 100 == 50 else {}))
    return made


def test_every_napi_has_its_pollers() -> None:
    made = bed()
    assert polled(made.events(), made.meta()) == (
        Polled(0, "eth0", "client", True, "server", 0, COUNT, COUNT),
        Polled(1, "eth0", "server", False, "napi/eth0-5", THREAD, 2 * COUNT, COUNT),
    )
    # What a CPU does when its trace begins, only its end can tell.
    events = made.events()
    first = np.flatnonzero((events["kind"] == Kind.SOFTIRQ_ENTRY) & (events["cpu"] == 1))[0]
    assert polled(events[first + 1 :], made.meta())[0].polls == COUNT
    without = made.events()
    assert polled(without[without["kind"] != Kind.NAPI_POLL], made.meta()) == ()
    # A trace.json that was cut names fewer.
    assert [row.device for row in polled(made.events(), replace(made.meta(), napis=("eth0",)))] == ["eth0", ""]


def test_a_packet_waits_for_the_thread_that_takes_it_in() -> None:
    made = bed()
    requests = requests_of(made.columns(), made.meta())
    (row,) = account(trace_of(made.events(), made.meta(), requests), requests, 100_000).rows
    assert (row.cause.kind, row.cause.who, row.grade, row.count) == ("behind", "hog", "events", COUNT // 100)
    assert row.median_ns == pytest.approx(LATE_NS, rel=0.02)
