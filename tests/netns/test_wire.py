"""Programs that tell nothing, timed by their packets: against what they would have told, and against a capture."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.kernel import facts
from harness.run.runner import make_run
from harness.signals import stop_on_signals
from tests import experiment
from tests.netns.test_link_watch import OUTBOUND, Seen, packets

REQUESTS, SLOW = 200, 7
# Every seventh answer takes 3 ms more. The client prints each round trip, which pollbench is not told of.
SERVER = f"""
import socket, sys, time
kind, family = sys.argv[3], socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
s = socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
s.bind((sys.argv[1], int(sys.argv[2])))
if kind == "tcp":
    s.listen()
    s, _ = s.accept()
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
for number in range({REQUESTS}):
    data, who = s.recvfrom(100)
    time.sleep(0.003 if number % {SLOW} == 0 else 0)
    s.sendto(data, who) if kind == "udp" else s.send(data)
time.sleep(30)
"""
CLIENT = f"""
import json, socket, sys, time
kind, family = sys.argv[3], socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
s = socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
s.connect((sys.argv[1], int(sys.argv[2])))
took = []
for _ in range({REQUESTS}):
    begun = time.monotonic_ns(); s.send(b"hello"); s.recv(100); took.append(time.monotonic_ns() - begun)
print(json.dumps(took))
"""


def by_hand(capture: bytes, ip: int, transport: int) -> np.ndarray:
    """The times from each request to its answer at the client's end of the link, by the bytes of the capture."""
    at = ip + 14
    own = [one for one in packets(capture) if one.interface == 0 and transport == one.data[20 if ip == 40 else 23]]
    if transport == 6:
        sent: dict[tuple[int, bytes], Seen] = {}
        for one in own:
            # On a machine that stands still for long, segments are sent again.
            if one.length > at + (one.data[at + 12] >> 4) * 4:
                sent.setdefault((one.flags, one.data[at + 4 : at + 8]), one)
        own = list(sent.values())
    assert [one.flags == OUTBOUND for one in own] == [True, False] * REQUESTS
    return np.diff([one.at_ns for one in own])[::2]


@pytest.mark.parametrize(("protocol", "family"), [("udp", "ipv4"), ("tcp", "ipv6")])
def test_requests_are_timed_as_a_capture_and_the_client_itself_have_them(
    tmp_path: Path, protocol: str, family: str
) -> None:
    words = ["{address}", "{port}", protocol]
    workload: dict[str, Any] = {
        "kind": "command",
        "from": "client",
        "to": "server",
        "protocol": protocol,
        "port": 7777,
        "server": [sys.executable, "-c", SERVER, *words],
        "client": [sys.executable, "-c", CLIENT, *words],
        "latencies": {"in": "wire"},
        "warmup": "100ms",
        "duration": "300ms",
    }
    # Of a node with several devices all are looked at.
    links = [{"between": ["client", "server"], "pcap": {"snap": "128B"}}, {"between": ["aside", "client"]}]
    nodes = {"client": {"cpus": "0"}, "server": {"cpus": "1"}, "aside": {}}
    topology = {"nodes": nodes, "links": links, "family": family}
    plan = experiment.plan(tmp_path, workload=workload, topology=topology)
    with stop_on_signals() as stopper:
        record, samples, files = make_run(plan.runs[0], facts.environment(), stopper)
    assert (record.verdict, record.reasons) == ("valid", ())
    assert record.workload["timed"] == "on the wire" and record.metrics["requests"] == REQUESTS
    assert samples is not None
    wire = samples["latency_ns"]
    told = np.array(json.loads(files["client.stdout.txt"]))
    # What the client takes itself, to send and to wake up, is in its own figures alone.
    assert (wire < told).all() and np.median(told - wire) < 1e6
    assert (np.flatnonzero(wire >= 3e6) % SLOW == 0).sum() == -(-REQUESTS // SLOW)
    capture = next(data for name, data in files.items() if name.endswith(".pcapng"))
    hand = by_hand(capture, 40 if family == "ipv6" else 20, 17 if protocol == "udp" else 6)
    # Each of the two sockets stamps a packet itself, one after the other.
    assert (
        np.median(np.abs(hand - wire)) < 5e3 and record.metrics["rtt_p50_us"] == np.sort(wire)[REQUESTS // 2 - 1] / 1e3
    )
