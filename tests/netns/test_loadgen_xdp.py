"""AF_XDP sockets of the load generator against plain UDP ones, watched from the other end; and in a run."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.kernel import facts
from harness.kernel.netns import in_netns
from harness.run.runner import make_run
from harness.signals import stop_on_signals
from tests import experiment
from tests.generator import PATIENCE_S, Generator, client, measure, read_samples, server
from tests.vethpair import End, missing, veth_pair

XDP = ("--socket", "af_xdp")
_SO_RCVBUFFORCE, _SO_TIMESTAMPNS, _ETHERTYPE_IP = 33, 35, 0x0800
_HEADERS = struct.Struct("!12x H 8x x B 2x 4s 4s HHHH")


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[End, End]]:
    """Client's and server's namespace, joined by a link that can be busy-polled."""
    if reason := missing():
        pytest.skip(reason)
    with veth_pair() as ends:
        yield ends


def programs_on(end: End) -> dict[str, Any]:
    """The XDP program of an end's interface, as iproute2 shows it; empty without one."""
    shown = subprocess.run(["ip", "-n", end.name, "-j", "link", "show", "eth0"], capture_output=True, check=True)
    return dict(json.loads(shown.stdout)[0].get("xdp", {}))


def summed(data: bytes) -> int:
    """The Internet checksum over data that contains its own: 0 where it is right."""
    words = struct.unpack(f"!{(len(data) + 1) // 2}H", data + bytes(len(data) % 2))
    total = sum(words)
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


class Watch:
    """Every datagram that passes an end's interface, as a packet socket sees it and the kernel stamps it."""

    def __init__(self, end: End) -> None:
        with in_netns(end.path):
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 1 << 24)

    def seen(self) -> list[tuple[int, bytes, bool]]:
        """(when by CLOCK_REALTIME in ns, the frame, did this end send it) of each, so far."""
        out = []
        while True:
            try:
                frame, control, _, where = self._socket.recvmsg(4096, 256, socket.MSG_DONTWAIT)
            except BlockingIOError:
                self._socket.close()
                return out
            seconds, ns = struct.unpack("qq", control[0][2])
            out.append((seconds * 10**9 + ns, frame, where[2] == socket.PACKET_OUTGOING))


def test_a_plain_udp_client_gets_its_own_bytes_back(pair: tuple[End, End]) -> None:
    with server(pair[1], *XDP, wait="poll", size=1472) as (serving, port), in_netns(pair[0].path):
        watch = Watch(pair[0])
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect((pair[1].ipv4, port))
            sock.settimeout(PATIENCE_S)
            payloads = [(bytes(range(1, 256)) * 6)[:size] for size in (8, 9, 63, 64, 1000, 1471, 1472)]
            for payload in payloads:
                sock.send(payload)
                assert sock.recv(4096) == payload
        result = serving.stop()
    replies = [frame for _, frame, sent in watch.seen() if not sent and _HEADERS.unpack_from(frame)[1] == 17]
    assert len(replies) == len(payloads)
    for frame in replies:
        ethertype, protocol, source, target, _, _, length, checksum = _HEADERS.unpack_from(frame)
        assert (ethertype, protocol, socket.inet_ntoa(source)) == (_ETHERTYPE_IP, 17, pair[1].ipv4)
        pseudo = source + target + struct.pack("!HH", protocol, length)
        assert checksum and summed(frame[14:34]) == 0 and summed(pseudo + frame[34 : 34 + length]) == 0
    xdp = result["xdp"]
    assert (xdp["mode"], xdp["received"], xdp["sent"], xdp["dropped"]) == ("copy", len(payloads), len(payloads), 0)
    assert not programs_on(pair[1])


@pytest.mark.parametrize("wait", ["poll", "spin"])
def test_what_its_client_times_encloses_what_the_other_end_saw(
    pair: tuple[End, End], tmp_path: Path, wait: str
) -> None:
    """Each request came to a plain UDP server after it was sent, and its reply left there before it was received."""
    watch = Watch(pair[1])
    samples, options = tmp_path / "samples", (*XDP, "--count", 200, "--xdp-need-wakeup", 0)
    with server(pair[1]) as (serving, port):
        with client(pair[0], pair[1], port, samples, *options, wait=wait) as process:
            result = measure(process)
        assert serving.stop()["malformed"] == 0
    passed = [each for each in watch.seen() if len(each[1]) == 42 + 64]
    came, left = ([each for each in passed if each[2] is sent][-200:] for sent in (False, True))
    header, records = read_samples(samples)
    assert (result["answered"], result["lost"], len(records)) == (200, 0, 200)
    start_ns, slack_ns = header[5], 50_000  # by the packets' clock; two clocks cannot be read at once
    for record, (came_ns, request, _), (left_ns, reply, _) in zip(records, came, left, strict=True):
        sent_ns, received_ns = (start_ns + int(record["intended_ns"]) + add for add in (0, int(record["latency_ns"])))
        assert request[42:] == reply[42:]
        assert sent_ns - slack_ns <= came_ns <= left_ns <= received_ns + slack_ns


@pytest.mark.parametrize("size", [572, 573])
def test_a_message_over_the_mtu_is_refused_and_not_lost(pair: tuple[End, End], tmp_path: Path, size: int) -> None:
    def limit(mtu: int) -> None:
        for end in pair:
            subprocess.run(["ip", "-n", end.name, "link", "set", "eth0", "mtu", str(mtu)], check=True)

    limit(600)
    try:
        with server(pair[1], *XDP, wait="poll", size=size) as (_, port):
            to = (pair[0], pair[1], port, tmp_path / "samples")
            with client(*to, *XDP, "--count", 20, wait="poll", size=size) as process:
                if size == 572:
                    assert measure(process)["answered"] == 20
                else:
                    assert process.failure()["got"] == "Message too long"
    finally:
        limit(1500)


def test_nothing_is_left_when_it_is_killed(pair: tuple[End, End]) -> None:
    with server(pair[1], *XDP, wait="poll") as (serving, _):
        assert programs_on(pair[1])
        serving.process.kill()
        serving.process.wait(PATIENCE_S)
        assert not programs_on(pair[1])
    with server(pair[1], *XDP, wait="epoll") as (serving, _):  # the queue is free again
        assert serving.stop()["xdp"]["queue"] == 0


@pytest.mark.parametrize(
    ("options", "attempted"),
    [
        (("--xdp-zero-copy",), "bind an AF_XDP socket with zero copy, which the driver must know"),
        (("--xdp-queue", 7), "bind an AF_XDP socket in copy mode"),
    ],
)
def test_what_veth_cannot_do_is_said(pair: tuple[End, End], options: tuple[Any, ...], attempted: str) -> None:
    where = ("--listen", pair[1].ipv4, "--port", 0, "--protocol", "udp", "--size", 64, "--wait", "poll")
    with Generator("--netns", pair[1].path, "server", *where, *XDP, *options) as process:
        error = process.failure()
    assert (error["attempted"], error["on"]) == (attempted, "eth0")


def test_a_run_says_what_busy_polling_came_to(tmp_path: Path) -> None:
    """By kernel and driver the socket has a NAPI or not; the verdict is by that, and never a share of nothing."""
    changes = {
        "workload": experiment.document()["workload"] | {"socket": "af_xdp", "wait": "spin"},
        "settings": {"server": {"busy_poll": {"usecs": 50, "prefer": True, "budget": 8}}},
    }
    plan = experiment.plan(tmp_path, **changes)
    with stop_on_signals() as stopper:
        record, _, _ = make_run(plan.runs[0], facts.environment(), stopper)
    node = record.nodes["server"]
    assert (node["sockets"], node["xdp"]) == ("1 af_xdp", "eth0 queue 0, copy, native program, need_wakeup")
    assert node["received_packets"] and {row.applied for row in record.knobs if row.node == "server"} >= {50, 1}
    assert not any("changed underneath" in reason for reason in record.reasons)
    if node["napi_id"]:
        assert node["polling"] in ("polled", "spun", "inert")
    else:
        assert (record.verdict, node["polling"], node["polled_packets"]) == ("inert", "inert", 0)
        assert "gives it no NAPI id with this driver and mode" in record.reasons[0]
