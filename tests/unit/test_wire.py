"""Packets of a client's devices to requests and answers: what pairs, what was lost, and what nobody can tell."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from harness.run.wire import RECORD, Exchanges, exchanges
from harness.workloads import ProgramOutput
from harness.workloads.command import Command, Latencies

OUT, IN = 1, 0


def udp(*packets: tuple[int, int], flow: int = 1) -> list[tuple[int, ...]]:
    """Packets (us, way) of a flow."""
    return [(1000 * at_us, flow, 0, 0, 64, way, 0, 0) for at_us, way in packets]


def tcp(at_us: int, way: int, seq: int, ack: int, payload: int, opens: int = 0) -> tuple[int, ...]:
    return (1000 * at_us, 7, seq % 2**32, ack % 2**32, payload, way, opens, 0)


def paired(packets: list[tuple[int, ...]], protocol: str = "udp") -> Exchanges:
    return exchanges(np.array(packets, dtype=RECORD), protocol)


def times(found: Exchanges) -> list[tuple[int, int]]:
    """(begun, took) in us; a lost one took -1."""
    return [(int(s) // 1000, int(t) // 1000 if t >= 0 else -1) for s, t in found.samples.tolist()]


def test_each_flow_pairs_by_itself_and_only_the_first_answer_counts() -> None:
    first = udp((0, OUT), (10, IN), (20, OUT), (35, IN), (36, IN), (50, OUT), (55, IN))
    second = udp((5, OUT), (30, IN), (31, OUT), (37, IN), flow=2**63)
    assert times(paired(second + first)) == [(0, 10), (5, 25), (20, 15), (31, 6), (50, 5)]


def test_requests_that_overlap_are_answered_in_order_where_all_are_answered() -> None:
    found = paired(udp((0, OUT), (1, OUT), (10, IN), (12, OUT), (13, IN), (30, IN)))
    assert times(found) == [(0, 10), (1, 12), (12, 18)] and found.doubts == []


def test_a_request_given_up_after_longer_than_any_answer_took_is_lost() -> None:
    found = paired(udp((0, OUT), (10, IN), (20, OUT), (1020, OUT), (1035, IN), (1040, OUT), (1052, IN)))
    assert times(found) == [(0, 10), (20, -1), (1020, 15), (1040, 12)]


def test_what_nobody_can_tell_is_left_out_and_said_and_refused_where_nothing_is_left() -> None:
    unclear = udp((0, OUT), (1, OUT), (10, IN), (12, OUT), (20, IN))
    found = paired(unclear + udp((3, OUT), (9, IN), flow=2))
    assert times(found) == [(0, 6)] and "1 of 2 flows" in found.doubts[0]
    for nothing in (unclear, udp((5, IN)), [], udp((5, OUT))):
        with pytest.raises(ValueError, match="on the wire: no request"):
            paired(nothing)


def test_a_request_that_the_end_cut_off_is_none_and_one_that_waited_longer_is_lost() -> None:
    assert times(paired(udp((0, OUT), (10, IN), (12, OUT)))) == [(0, 10)]
    waits = udp((1, OUT), flow=2)
    assert times(paired(udp((0, OUT), (10, IN), (12, OUT)) + waits)) == [(0, 10), (1, -1)]


def test_of_tcp_data_alone_counts_and_segments_that_were_sent_again_do_not() -> None:
    seq = 2**32 - 30  # goes round in the second request
    found = paired(
        [
            tcp(0, OUT, seq - 1, 0, 0, opens=1),
            tcp(3, IN, 500, seq, 20),  # the server's greeting
            tcp(10, OUT, seq, 520, 20),
            tcp(11, OUT, seq + 20, 520, 5),
            tcp(300, OUT, seq, 520, 20),  # again
            tcp(400, IN, 520, seq + 25, 10),
            tcp(401, IN, 530, seq + 25, 10),
            tcp(500, OUT, seq + 25, 540, 40),
            tcp(505, IN, 530, seq + 25, 10),  # again
            tcp(530, IN, 540, seq + 65, 10),
            tcp(600, OUT, 7000, 0, 0, opens=1),  # the same port once more
            tcp(610, OUT, 7001, 900, 10),
            tcp(617, IN, 900, 7011, 10),
        ],
        "tcp",
    )
    assert times(found) == [(0, 390), (490, 30), (600, 7)]


def test_packets_that_nobody_looked_at_are_no_latencies() -> None:
    with pytest.raises(ValueError, match="nobody looked at its packets"):
        Latencies.model_validate({"in": "wire"}).read(ProgramOutput(""))


def test_a_connection_that_pipelines_is_refused() -> None:
    packets = [tcp(0, OUT, 0, 0, 10)]
    for number in range(50):
        # Each request leaves before the answer in flight, which knows nothing of it, has come.
        packets.append(tcp(100 * number + 50, OUT, 10 * number + 10, 10 * number, 10))
        packets.append(tcp(100 * number + 60, IN, 10 * number, 10 * number + 10, 10))
    with pytest.raises(ValueError, match="it pipelines"):
        paired(packets, "tcp")


def test_many_random_exchanges_are_what_a_plain_loop_makes_of_them() -> None:
    for seed in range(20):
        draw = random.Random(seed)
        packets: list[tuple[int, ...]] = []
        expected: list[tuple[int, int]] = []
        for flow in range(1, draw.randrange(2, 6)):
            at_ns, seq, ack = draw.randrange(10**6), draw.randrange(2**32), draw.randrange(2**32)
            for _ in range(draw.randrange(1, 30)):
                asked_ns = at_ns = at_ns + draw.randrange(1, 10**5)
                for _ in range(draw.randrange(1, 4)):
                    packets.append((at_ns, flow, seq, ack, 1000, OUT, 0, 0))
                    at_ns, seq = at_ns + draw.randrange(1, 900), (seq + 1000) % 2**32
                at_ns += draw.randrange(1, 10**5)
                expected.append((asked_ns, at_ns - asked_ns))
                for _ in range(draw.randrange(1, 4)):
                    packets.append((at_ns, flow, ack, seq, 3 * 10**8, IN, 0, 0))
                    at_ns, ack = at_ns + draw.randrange(1, 900), (ack + 3 * 10**8) % 2**32
        draw.shuffle(packets)
        begun_ns = min(asked_ns for asked_ns, _ in expected)
        found = paired(packets, "tcp").samples.tolist()
        assert sorted(found) == sorted((asked_ns - begun_ns, took_ns) for asked_ns, took_ns in expected), seed


@pytest.mark.parametrize(
    ("how", "more", "why"),
    [
        ({}, {"port": None}, "add port"),
        ({"unit": "us", "format": "csv"}, {}, "packets have no format, unit; leave it out"),
        ({}, {"to": "a"}, "client and server are both on a"),
    ],
)
def test_requests_timed_on_the_wire_need_a_port_and_a_link(how: dict[str, Any], more: dict[str, Any], why: str) -> None:
    declared = {"kind": "command", "from": "a", "to": "b", "client": "x", "port": 80, "latencies": {"in": "wire"} | how}
    with pytest.raises(ValueError, match=why):
        Command.model_validate(declared | more, by_alias=True, by_name=False)
