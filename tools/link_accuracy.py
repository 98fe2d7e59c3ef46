"""How true shaped links are on this machine, by sockets and kernel stamps in the namespaces, as a Markdown table.

sudo python -m tools.link_accuracy [RATE[:METHOD]]...     by default 1mbit to 10gbit, as the kernel here does it
python -m tools.link_accuracy --in-vm KERNEL [...]        in a guest, in model time

METHOD: netem, htb, tbf or hfsc, as a file may have them; or fq (its maxrate) or cake, which tc sets.
single: a full frame that finds the link idle, median of 9; 48 kB: of TCP after a request; train: full frames one behind
the other; TCP: a bulk transfer of 1 s. In brackets what the declared rate would be, or the share of it.
"""

from __future__ import annotations

import socket
import statistics
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from harness.kernel.journal import open_journal
from harness.kernel.netns import in_netns
from harness.spec.topology import Topology
from harness.testbed import Testbed, open_testbed
from harness.topology.qdiscs import ETHERNET_HEADER, pace_of
from harness.units import parse_rate

RATES = ("1mbit", "10mbit", "100mbit", "500mbit", "1gbit", "2.5gbit", "10gbit")
_STAMPS = 35  # SO_TIMESTAMPNS
_FRAME, _HEADERS, _SEGMENT = 1500 + ETHERNET_HEADER, ETHERNET_HEADER + 28, 1448
_ANSWER, _PORT, _BULK_S = 48_000, 9000, 1.0
BY_TC = {"fq": "fq maxrate", "cake": "cake bandwidth"}


def main(words: list[str]) -> None:
    """Measure each and print its row."""
    if words[:1] == ["--in-vm"]:
        from tools.in_guest import run_in_guest

        run_in_guest(__file__, words[1], words[2:])
        return
    print("| declared | by | single us | 48 kB ms | train | TCP |\n| - | - | - | - | - | - |", flush=True)
    for word in words or RATES:
        rate, _, method = word.partition(":")
        link: dict[str, Any] = {"between": ["a", "b"]}
        if method not in BY_TC:
            link["shape"] = {"rate": rate, **({"method": method} if method else {})}
        made = Topology.model_validate({"nodes": {"a": {}, "b": {}}, "links": [link]})
        with open_journal() as journal, open_testbed(made, napi=False, journal=journal) as testbed:
            if method in BY_TC:
                _shape_by_tc(testbed, [*BY_TC[method].split(), rate])
            pace = pace_of(testbed.layout.links[0][0].discs)
            by = pace.kind if pace else BY_TC.get(method, "-")
            print(f"| {rate} | {by} | {_row(testbed, parse_rate(rate))} |", flush=True)


def _shape_by_tc(testbed: Testbed, words: list[str]) -> None:
    """Both directions."""
    for node in testbed.nodes.values():
        with in_netns(node.fd):
            subprocess.run(["tc", "qdisc", "replace", "dev", "eth0", "root", *words], check=True)


def _row(testbed: Testbed, rate_bps: int) -> str:
    each_us = _FRAME * 8e6 / rate_bps
    alone = statistics.median(_datagrams(testbed, 1)[0][1] for _ in range(9)) / 1e3
    # 33 segments, each with its headers.
    wire_ms = (_ANSWER + -(-_ANSWER // _SEGMENT) * (_FRAME - _SEGMENT)) * 8e3 / rate_bps
    count = max(20, min(2000, round(rate_bps * 0.03 / (_FRAME * 8))))
    came = _datagrams(testbed, count)
    span_us = (came[-1][0] - came[0][0]) / 1e3
    train = (len(came) - 1) * each_us / span_us if len(came) > 1 and span_us else 0
    goodput = _bulk(testbed) / (rate_bps * _SEGMENT / _FRAME)
    answer = _answer_ms(testbed)
    return f"{alone:,.0f} [{each_us:,.0f}] | {answer:.2f} [{wire_ms:.2f}] | {100 * train:.0f} % | {100 * goodput:.0f} %"


def _socket(testbed: Testbed, node: str, kind: int) -> socket.socket:
    with in_netns(testbed.nodes[node].fd):
        made = socket.socket(socket.AF_INET, kind)
    made.settimeout(5)
    return made


def _datagrams(testbed: Testbed, count: int) -> list[tuple[int, int]]:
    """(arrival by the kernel's stamp, time under way) in ns, of full frames sent at once."""
    times: list[tuple[int, int]] = []
    with _socket(testbed, "b", socket.SOCK_DGRAM) as far, _socket(testbed, "a", socket.SOCK_DGRAM) as near:
        far.setsockopt(socket.SOL_SOCKET, _STAMPS, 1)
        far.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
        near.setsockopt(socket.SOL_SOCKET, 32, 16 << 20)  # SO_SNDBUFFORCE
        far.bind((testbed.address("b"), _PORT))
        far.settimeout(0.3)
        near.connect(far.getsockname())
        time.sleep(0.02)
        for _ in range(count):
            near.send(struct.pack("=q", time.time_ns()).ljust(_FRAME - _HEADERS, b"\0"))
        try:
            while len(times) < count:
                data, control, _, _ = far.recvmsg(2048, 64)
                seconds, rest_ns = struct.unpack("=qq", control[0][2])
                came = seconds * 10**9 + rest_ns
                times.append((came, came - struct.unpack_from("=q", data)[0]))
        except TimeoutError:
            pass
    return times


def _with_server(
    testbed: Testbed, serve: Callable[[socket.socket], None], ask: Callable[[socket.socket], float]
) -> float:
    with _socket(testbed, "b", socket.SOCK_STREAM) as far, _socket(testbed, "a", socket.SOCK_STREAM) as near:
        far.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        far.bind((testbed.address("b"), 0))
        far.listen()

        def run() -> None:
            peer, _ = far.accept()
            with peer:
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                serve(peer)

        server = threading.Thread(target=run)
        server.start()
        near.connect(far.getsockname())
        answer = ask(near)
        near.shutdown(socket.SHUT_WR)
        server.join()
    return answer


def _answer_ms(testbed: Testbed) -> float:
    """From asking for 48 kB to having them, in ms: median of 9."""

    def serve(peer: socket.socket) -> None:
        while peer.recv(1):
            peer.sendall(bytes(_ANSWER))

    def ask(near: socket.socket) -> float:
        times = []
        for _ in range(12):
            time.sleep(0.03)
            began, left = time.perf_counter(), _ANSWER
            near.send(b"?")
            while left:
                left -= len(near.recv(min(left, 1 << 20)))
            times.append(time.perf_counter() - began)
        return statistics.median(times[3:]) * 1e3

    return _with_server(testbed, serve, ask)


def _bulk(testbed: Testbed) -> float:
    """Payload that arrives, in bit/s, past the first quarter second."""
    seen: list[tuple[float, int]] = []

    def serve(peer: socket.socket) -> None:
        total = 0
        while data := peer.recv(1 << 20):
            total += len(data)
            seen.append((time.perf_counter(), total))

    def ask(near: socket.socket) -> float:
        until = time.perf_counter() + _BULK_S
        while time.perf_counter() < until:
            near.send(bytes(1 << 15))
        past = [entry for entry in seen if entry[0] > until - _BULK_S + 0.25]
        return (past[-1][1] - past[0][1]) * 8 / (past[-1][0] - past[0][0])

    return _with_server(testbed, serve, ask)


if __name__ == "__main__":
    main(sys.argv[1:])
