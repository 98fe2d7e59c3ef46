"""Shaping measured on real links, and qdiscs as tc shows them."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from harness.errors import PollbenchError
from harness.kernel import qdiscs
from harness.kernel.links import link_stats
from harness.kernel.netns import in_netns
from harness.testbed import NodeHandle
from harness.testbed import Testbed as Bed
from tests.beds import bed, greet, pair, run_in

ROOT = Path(__file__).parents[2]
FRAME_BYTES = 1514


def tc(testbed: Bed, node: str = "a") -> dict[str, Any]:
    """The qdiscs of a node by kind, as tc reads them."""
    return {each["kind"]: each for each in json.loads(run_in(testbed.nodes[node], "tc", "-j", "qdisc"))}


def udp_mbps(testbed: Bed) -> list[float]:
    """Mbit/s on the wire a -> b, Ethernet headers included, under a flood of full frames, in five windows of time.

    A host that is late by milliseconds, as others' load makes it, makes some of them less, never more.
    """
    a, b = testbed.nodes["a"], testbed.nodes["b"]
    with in_netns(a.fd):
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    # 0.1 s of 100 Mbit/s: while others have this host's CPUs, the shaper is not left without anything to send.
    client.setsockopt(socket.SOL_SOCKET, 32, 2 << 20)  # SO_SNDBUFFORCE
    over = threading.Event()

    def flood() -> None:
        # The socket's buffer fills up behind the shaper: this thread sleeps most of the time.
        while not over.is_set():
            with contextlib.suppress(ConnectionRefusedError):
                client.send(bytes(1472))

    with client:
        client.connect((testbed.address("b"), 9))
        sender = threading.Thread(target=flood)
        sender.start()
        try:
            time.sleep(0.2)  # past the first burst
            return [received_mbps(b, 0.3) for _ in range(5)]
        finally:
            over.set()
            sender.join()


def received_mbps(node: NodeHandle, seconds: float) -> float:
    """Full frames that the node's interface receives in a while, in Mbit/s.

    Its count of bytes is no help: a veth with NAPI leaves out the Ethernet headers.
    """
    start, before = time.monotonic(), link_stats(node.fd)["eth0"]["rx_packets"]
    time.sleep(seconds)
    end, after = time.monotonic(), link_stats(node.fd)["eth0"]["rx_packets"]
    return (after - before) * FRAME_BYTES * 8 / (end - start) / 1e6


def tcp_mbps(testbed: Bed) -> float:
    """Mbit/s of payload a -> b, as iperf3 reports them."""
    if shutil.which("iperf3") is None:
        pytest.skip("needs iperf3")
    serve = ["ip", "netns", "exec", testbed.nodes["b"].netns, "iperf3", "-s", "-1", "--forceflush"]
    with subprocess.Popen(serve, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        try:
            while b"listening" not in server.stdout.readline():
                pass
            options = ["-t", "2", "-O", "1", "-J"]
            told = run_in(testbed.nodes["a"], "iperf3", "-c", testbed.address("b"), *options)
        finally:
            server.kill()
    return float(json.loads(told)["end"]["sum_received"]["bits_per_second"]) / 1e6


@pytest.mark.slow
@pytest.mark.parametrize("method", ["tbf", "htb"])
@pytest.mark.parametrize("napi", [False, True])
def test_a_rate_of_100_mbit_holds_within_3_percent(method: str, napi: bool) -> None:
    with bed(pair(forward={"rate": "100mbit", "method": method, "queue": "1s"}), napi=napi) as testbed:
        windows = udp_mbps(testbed)
        assert max(windows) == pytest.approx(100, rel=0.03), windows


@pytest.mark.slow
@pytest.mark.parametrize("napi", [False, True])
def test_tcp_gets_its_share_of_100_mbit(napi: bool) -> None:
    with bed(pair(shape={"rate": "100mbit"}), napi=napi) as testbed:
        # A busy host makes it less, never more.
        due, shares = 100 * 1448 / 1514, [0.0]
        while max(shares) < 0.97 * due and len(shares) <= 6:
            shares.append(tcp_mbps(testbed))
        assert max(shares) == pytest.approx(due, rel=0.03), shares


@pytest.mark.parametrize("rate", [1, 10])
def test_tcp_gets_its_share_of_a_slow_link(rate: int) -> None:
    """Its packets of 64 KiB are 52 ms of 10 Mbit/s: dropped whole by a queue of 50 ms, they left it 0.75."""
    with bed(pair(shape={"rate": f"{rate}mbit", "method": "htb", "queue": "50ms"})) as testbed:
        assert max(tcp_mbps(testbed) for _ in range(2)) > 0.9 * rate * 1448 / 1514


@pytest.mark.parametrize(
    ("rate", "bytes_per_s"), [("5kbit", 625), ("100mbit", 12_500_000), ("100gbit", 12_500_000_000)]
)
def test_tbf_as_tc_shows_it(rate: str, bytes_per_s: int) -> None:
    with bed(pair(shape={"rate": rate, "method": "tbf"})) as testbed:
        for node in ("a", "b"):
            assert tc(testbed, node)["tbf"]["options"]["rate"] == bytes_per_s
        assert [(row.node, row.device) for row in testbed.qdiscs] == [("a", "eth0"), ("b", "eth0")]
        for row in testbed.qdiscs:
            assert row.read_back.items() >= {"kind": "tbf", "rate_bps": bytes_per_s * 8}.items()


def test_only_the_declared_direction_is_shaped() -> None:
    with bed(pair(reverse={"rate": "10mbit", "method": "tbf"})) as testbed:
        assert "tbf" not in tc(testbed, "a")
        assert "tbf" in tc(testbed, "b")


def test_a_leaf_of_its_own_under_the_shaper() -> None:
    leaf = {"kind": "pfifo", "limit": 37}
    with bed(pair(shape={"rate": "10mbit", "method": "tbf", "qdisc": leaf})) as testbed:
        found = tc(testbed)
        assert found["pfifo"]["options"]["limit"] == 37
        assert found["pfifo"]["parent"] == "1:1"
        assert [row.requested["kind"] for row in testbed.qdiscs] == ["tbf", "pfifo"] * 2


def test_a_leaf_without_limit_gets_the_kernels_default() -> None:
    """Not the limit of 0 that an empty option would mean."""
    with bed(pair(shape={"qdisc": {"kind": "pfifo"}})) as testbed:
        assert tc(testbed)["pfifo"]["options"]["limit"] == 1000
        greet(testbed, "a", "b")


def test_htb_shapes_everything() -> None:
    with bed(pair(shape={"rate": "50mbit", "method": "htb"})) as testbed:
        shown = run_in(testbed.nodes["a"], "tc", "class", "show", "dev", "eth0")
        assert "rate 50Mbit ceil 50Mbit" in shown
        greet(testbed, "a", "b")
        assert tc(testbed)["htb"]["options"]["direct_packets_stat"] == 0
        (row, _) = (row for row in testbed.qdiscs if row.node == "a")
        assert row.read_back["rate_bps"] == 50_000_000
        # Beyond rounding: what passes in 50 us, in ticks of 64 ns.
        assert row.read_back["burst_bytes"] == pytest.approx(312, abs=1)


@pytest.mark.parametrize("method", ["tbf", "htb"])
def test_a_qdisc_that_is_not_what_was_declared_is_an_error(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Were our encoders wrong, the kernel would not tell us; pyroute2 does."""
    real = qdiscs._ratespec
    monkeypatch.setattr(qdiscs, "_ratespec", lambda rate_bytes: real(rate_bytes // 2))
    qdiscs._encoded.cache_clear()
    shape = {"rate": "10mbit", "method": method}
    told = rf"read back qdisc {method} on eth0 of a.*rate_bps 5000000 instead of 10000000"
    try:
        with pytest.raises(PollbenchError, match=told), bed(pair(shape=shape)):
            pass
    finally:
        qdiscs._encoded.cache_clear()


def test_only_shaping_pays_for_pyroute2() -> None:
    """Importing it takes as long as building dozens of links."""
    code = """
import sys
from tests.beds import bed, pair
for link in ({}, {"shape": {"rate": "10mbit"}}):
    with bed(pair(**link)):
        print("pyroute2" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
