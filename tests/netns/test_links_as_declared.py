"""Links as packets see them, by sockets in the namespaces and the kernel's stamps: none of pollbench's own checks."""

from __future__ import annotations

import itertools
import json
import socket
import statistics
import struct
import threading
import time
from typing import Any

import pytest

from harness.kernel.netns import in_netns
from harness.kernel.probe import has_qdisc
from harness.testbed import Testbed as Bed
from tests.beds import bed, pair, run_in, topology

FRAME = 1514
_HEADERS = 14 + 20 + 8


def sockets(testbed: Bed, kind: int) -> tuple[socket.socket, socket.socket]:
    """A socket in a, and one in b that is bound there."""
    with in_netns(testbed.nodes["a"].fd):
        near = socket.socket(socket.AF_INET, kind)
    with in_netns(testbed.nodes["b"].fd):
        far = socket.socket(socket.AF_INET, kind)
    far.bind((testbed.address("b", seen_from="a"), 0))
    far.settimeout(5)
    near.settimeout(5)
    return near, far


def arrivals(testbed: Bed, count: int, pause_s: float = 0.0) -> list[tuple[int, int]]:
    """(sent, arrived) of full frames a -> b, in ns, by the clock and by the kernel's stamp; those that came."""
    near, far = sockets(testbed, socket.SOCK_DGRAM)
    times = []
    with near, far:
        far.setsockopt(socket.SOL_SOCKET, 35, 1)  # SO_TIMESTAMPNS
        far.settimeout(0.5)
        near.connect(far.getsockname())
        for _ in range(count):
            near.send(struct.pack("=q", time.time_ns()).ljust(FRAME - _HEADERS, b"\0"))
            if pause_s:
                time.sleep(pause_s)
        try:
            while len(times) < count:
                data, control, _, _ = far.recvmsg(2048, 64)
                seconds, rest_ns = struct.unpack("=qq", control[0][2])
                times.append((struct.unpack_from("=q", data)[0], seconds * 10**9 + rest_ns))
        except TimeoutError:
            pass
    return times


def answers_ms(testbed: Bed, size: int, count: int = 9) -> float:
    """The median time in ms from asking b for `size` bytes over TCP to having all of them."""
    near, far = sockets(testbed, socket.SOCK_STREAM)
    far.listen()

    def serve() -> None:
        peer, _ = far.accept()
        with peer:
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while peer.recv(1):
                peer.sendall(bytes(size))

    with near, far:
        server = threading.Thread(target=serve)
        server.start()
        near.connect(far.getsockname())
        times = []
        for _ in range(count):
            time.sleep(0.02)
            began, left = time.perf_counter(), size
            near.send(b"?")
            while left:
                left -= len(near.recv(min(left, 1 << 20)))
            times.append((time.perf_counter() - began) * 1e3)
        near.shutdown(socket.SHUT_WR)
        server.join()
    return statistics.median(times[2:])


@pytest.mark.parametrize("napi", [False, True])
@pytest.mark.parametrize("method", [None, "htb", "tbf"])
def test_an_answer_takes_its_time_on_the_wire(method: str | None, napi: bool) -> None:
    """48 kB at 100 Mbit/s are 33 segments, 4.0 ms; the first may be free. A burst of 4 ms let them pass in 0.4."""
    with bed(pair(shape={"rate": "100mbit", "method": method}), napi=napi) as testbed:
        assert answers_ms(testbed, 48_000) > 3.6


def test_a_burst_that_is_asked_for_lets_them_pass() -> None:
    with bed(pair(shape={"rate": "100mbit", "burst": "200kB"})) as testbed:
        assert answers_ms(testbed, 48_000) < 3


@pytest.mark.parametrize("method", [None, "htb", "tbf"])
@pytest.mark.parametrize("rate", [1, 10, 50])
def test_frames_of_a_train_arrive_one_by_one(method: str | None, rate: int) -> None:
    """None earlier than its turn, counted from the first; what a bucket makes up for is 50 us.

    A busy host stamps the first one late, and all others seem early: it may try again.
    """
    each_ns = FRAME * 8000 / rate
    early = []
    with bed(pair(forward={"rate": f"{rate}mbit", "method": method, "queue": "1s"})) as testbed:
        for _ in range(6):
            came = [arrived for _, arrived in arrivals(testbed, 20)]
            assert len(came) == 20
            early.append(max(number * each_ns - (at - came[0]) for number, at in enumerate(came)))
            # A bucket of tbf holds a frame besides.
            if early[-1] < 60_000 + (each_ns if method == "tbf" else 0):
                return
    pytest.fail(f"early by {[round(ns / 1e3) for ns in early]} us")


def test_a_frame_alone_is_held_back_where_the_kernel_can() -> None:
    if not has_qdisc("netem"):
        pytest.skip("needs netem")
    with bed(pair(forward={"rate": "1mbit"})) as testbed:
        times = [arrived - sent for sent, arrived in arrivals(testbed, 5, pause_s=0.03)]
    assert min(times) > 0.95 * FRAME * 8000


@pytest.mark.parametrize(
    "declared", [{"queue_packets": 20}, {"qdisc": {"kind": "pfifo", "limit": 20}}, {"queue": "24ms"}]
)
@pytest.mark.parametrize("method", [None, "htb"])
def test_a_queue_takes_as_many_frames_as_declared(method: str | None, declared: dict[str, Any]) -> None:
    shape = {"rate": "10mbit", "method": method, **declared}
    with bed(pair(forward=shape)) as testbed:
        # A host that pauses while it sends lets the queue run empty.
        came = min((arrivals(testbed, 60) for _ in range(6)), key=len)
    # Besides what waits: the one that is sent at once, that being sent, and what left while the last were sent.
    assert 20 <= len(came) <= 26
    assert max(arrived - sent for sent, arrived in came) < 30 * FRAME * 800


def segments(testbed: Bed, node: str, device: str = "eth0") -> int:
    (shown,) = json.loads(run_in(testbed.nodes[node], "ip", "-j", "-d", "link", "show", "dev", device))
    return int(shown["gso_max_segs"])


def test_a_bulk_transfer_keeps_twenty_frames_waiting_not_twenty_packets_of_64_kib() -> None:
    """The wait behind a full queue of 20 frames at 100 Mbit/s is 2.4 ms; of 20 joined packets it would be 105."""
    links = [
        {"between": ["a", "s"]},
        {"between": ["s", "b"], "forward": {"rate": "100mbit", "method": "htb", "queue_packets": 20}},
    ]
    with bed(topology(*links, s={"switch": True}), napi=True) as testbed:
        assert (segments(testbed, "a"), segments(testbed, "b")) == (1, 65535)
        near, far = sockets(testbed, socket.SOCK_STREAM)
        over = threading.Event()

        def serve() -> None:
            peer, _ = far.accept()
            with peer:
                while peer.recv(1 << 20):
                    pass

        def push() -> None:
            while not over.is_set():
                near.send(bytes(1 << 16))
            near.shutdown(socket.SHUT_WR)

        with near, far:
            far.listen()
            server = threading.Thread(target=serve)
            server.start()
            near.connect(far.getsockname())
            sender = threading.Thread(target=push)
            sender.start()
            waits = list(itertools.chain.from_iterable(arrivals(testbed, 1, 0.02) for _ in range(20)))
            over.set()
            sender.join()
            server.join()
        assert waits, "every one of 20 was dropped"
        assert statistics.median(arrived - sent for sent, arrived in waits) < 10e6
