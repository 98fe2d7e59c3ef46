"""The packets and the queues of a link, as its helpers kept them, against what was sent and what tc says."""

from __future__ import annotations

import json
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from harness.run import tcp_settings
from harness.run.link_watch import LinkWatch
from harness.signals import Stopper
from harness.testbed import Testbed as Bed
from tests.beds import bed, in_netns, pair, run_in, topology

OUTBOUND = 2


class Seen(NamedTuple):
    """A packet of a pcapng file: its interface, ns since 1970, which way it went, bytes that were kept, its length."""

    interface: int
    at_ns: int
    flags: int
    data: bytes
    length: int


def blocks(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The blocks of a pcapng file: type and body. Their length stands before and behind each."""
    at = 0
    while at < len(data):
        kind, size = struct.unpack_from("=II", data, at)
        assert struct.unpack_from("=I", data, at + size - 4) == (size,)
        yield kind, data[at + 8 : at + size - 4]
        at += size


def packets(data: bytes) -> list[Seen]:
    seen = []
    for kind, body in blocks(data):
        if kind == 6:
            interface, high, low, kept, length = struct.unpack_from("=5I", body)
            flags = struct.unpack_from("=HHI", body, 20 + (kept + 3) // 4 * 4)[2]
            seen.append(Seen(interface, high << 32 | low, flags, body[20 : 20 + kept], length))
    return seen


def flood(testbed: Bed, count: int, size: int) -> None:
    """Datagrams from a to b, as fast as they go."""
    with in_netns(testbed.nodes["a"].fd):
        out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with in_netns(testbed.nodes["b"].fd):
        sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with out, sink:
        sink.bind((testbed.address("b"), 0))
        out.connect(sink.getsockname())
        for number in range(count):
            out.send(number.to_bytes(4) + bytes(size - 4))


def kept(testbed: Bed, count: int, size: int) -> tuple[LinkWatch, bytes]:
    """The watch of a flood, and the file of the link's packets."""
    with ExitStack() as stack:
        watch = LinkWatch(testbed, Stopper(), stack, set())
        watch.begin()
        flood(testbed, count, size)
        time.sleep(0.1)
        watch.end()
        assert watch.doubts == []
        files = watch.files()
    return watch, next((data for name, data in files.items() if name.endswith(".pcapng")), b"")


def test_both_ends_of_a_link_have_every_packet_with_its_time(tmp_path: Path) -> None:
    with bed(pair(pcap={"snap": "64B"})) as testbed:
        before_ns = time.time_ns()
        _, data = kept(testbed, 200, 1000)
        after_ns = time.time_ns()
    sent = [one for one in packets(data) if one.length == 1042]
    numbers = {end: [int.from_bytes(one.data[42:46]) for one in sent if one.interface == end] for end in (0, 1)}
    assert numbers == {0: list(range(200)), 1: list(range(200))}
    assert all(len(one.data) == 64 and (one.flags == OUTBOUND) == (one.interface == 0) for one in sent)
    times = [one.at_ns for one in packets(data)]
    assert times == sorted(times) and before_ns < times[0] and times[-1] < after_ns
    assert len({at % 1000 for at in times}) > 50  # not of whole microseconds
    if shutil.which("tcpdump"):
        file = tmp_path / "link.pcapng"
        file.write_bytes(data)
        read = ["tcpdump", "-n", "-r", str(file), "--time-stamp-precision=nano", "udp"]
        lines = subprocess.run(read, check=True, capture_output=True, text=True).stdout.splitlines()
        assert len(lines) == 400 and all("10.0.0.1" in line and "length 1000" in line for line in lines)


def test_the_oldest_packets_go_first() -> None:
    with bed(pair(pcap={"keep": "64KiB", "snap": "64B"})) as testbed:
        _, data = kept(testbed, 2000, 100)
    assert 60_000 < len(data) < 66_000
    numbers = [int.from_bytes(one.data[42:46]) for one in packets(data) if one.length == 142 and one.interface == 0]
    assert numbers == list(range(2000 - len(numbers), 2000)) and 200 < len(numbers) < 320


def test_a_queue_is_as_full_and_drops_as_many_as_tc_says() -> None:
    shape = {"rate": "10mbit", "queue_packets": 30, "method": "htb"}
    with bed(pair(forward=shape, queue_series="1ms")) as testbed:
        watch, data = kept(testbed, 100, 1400)
        (root, *_) = json.loads(run_in(testbed.nodes["a"], "tc", "-s", "-j", "qdisc", "show", "dev", "eth0"))
    (series,) = watch.series
    assert data == b"" and series.link == "a -> b" and series.seconds == pytest.approx(0.001, abs=0.002)
    assert sum(series.drops) == root["drops"] > 50
    most = [one for one in series.most_packets if one is not None]
    assert max(most) == 30 and most[-1] == 0
    assert max(one for one in series.most_bytes if one is not None) == 30 * 1442


def test_nothing_is_started_where_nothing_is_asked_for() -> None:
    with bed(pair(shape={"rate": "10mbit"})) as testbed, ExitStack() as stack:
        watch = LinkWatch(testbed, Stopper(), stack, set())
        watch.begin()
        watch.end()
        assert watch.families() == {} and watch.files() == {} and watch.hints == []


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
def test_connections_begin_with_the_declared_windows_wherever_they_lead(family: str) -> None:
    links = ({"between": ["a", "b"]}, {"between": ["b", "c"]})
    with bed(topology(*links, family=family, a={"initcwnd": 32, "initrwnd": 20})) as testbed:
        for peer in ("b", "c"):
            kind = socket.AF_INET6 if family == "ipv6" else socket.AF_INET
            address = testbed.address(peer, seen_from="a")
            with in_netns(testbed.nodes[peer].fd):
                listener = socket.create_server((address, 5000), family=kind)
            with in_netns(testbed.nodes["a"].fd):
                client = socket.create_connection((address, 5000))
            with listener, client:
                found = run_in(testbed.nodes["a"], "ss", "-tinH").split()
            segment = next(int(word.removeprefix("advmss:")) for word in found if word.startswith("advmss:"))
            room = next(int(word.removeprefix("rcv_ssthresh:")) for word in found if word.startswith("rcv_ssthresh:"))
            # Of a segment's size the options of TCP are left out, or not.
            assert "cwnd:32" in found and 20 * segment <= room <= 20 * (segment + 12)
        columns = tcp_settings.read(testbed)
    assert (columns["a"]["tcp_initcwnd"], columns["a"]["tcp_initrwnd"]) == ("32", "20")
    assert "tcp_initcwnd" not in columns["b"]
