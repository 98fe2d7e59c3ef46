"""Which NAPI fed whom, on real links: servers that nobody modified, one epoll over two NAPIs, a macvlan elsewhere."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from harness.kernel import facts, netdev, pidfd, proc
from harness.kernel.netns import in_netns
from harness.run.napi_watch import NapiWatch, places
from harness.run.runner import make_run
from harness.signals import stop_on_signals
from harness.store import RunRecord
from tests import beds, experiment

_SO_BUSY_POLL, _UDP_GRO, _MPTCP = 46, (17, 104), 262
ECHO = """
import socket, sys
s = socket.socket(2, 2); s.setsockopt(17, 104, int(sys.argv[2])); s.bind(("", int(sys.argv[1])))
while True:
    data, peer = s.recvfrom(2048); s.sendto(data, peer)
"""
TCP_ECHO = """
import socket, sys
l = socket.socket(2, 1, int(sys.argv[2])); l.bind(("", int(sys.argv[1]))); l.listen()
while True:
    c, _ = l.accept()
    while data := c.recv(100):
        c.send(data)
"""
# One epoll instance for all of its connections.
EPOLL_ECHO = """
import select, socket, sys
l = socket.socket(); l.bind(("", int(sys.argv[1]))); l.listen()
p, held = select.epoll(), {}
p.register(l, select.EPOLLIN)
while True:
    for fd, _ in p.poll():
        if fd == l.fileno():
            c, _ = l.accept(); held[c.fileno()] = c; p.register(c, select.EPOLLIN)
        elif data := held[fd].recv(100):
            held[fd].send(data)
        else:
            p.unregister(fd); held.pop(fd).close()
"""
CLIENT = """
import socket, sys, time
kind, protocol = int(sys.argv[3]), int(sys.argv[4])
s = socket.socket(2, kind, protocol); s.connect((sys.argv[1], int(sys.argv[2]))); s.settimeout(5)
end, n = time.monotonic() + float(sys.argv[5]), 0
while time.monotonic() < end:
    s.send(b"x"); s.recv(100); n += 1; time.sleep(0.001)
print("requests", n)
"""


def program(server: str, *words: object, client: tuple[int, int], protocol: str, **changes: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "kind": "command",
        "from": "client",
        "to": "server",
        "protocol": protocol,
        "server": [sys.executable, "-c", server, "{port}", *map(str, words)],
        "client": [sys.executable, "-c", CLIENT, "{address}", "{port}", *map(str, client), "3"],
        "port": 7777,
        "warmup": "2s",
        "duration": "1s",
        "figures": {"requests": {"regex": "requests (\\d+)"}},
    }
    return {key: value for key, value in (base | changes).items() if value is not None}


def record_of(tmp_path: Path, **changes: Any) -> RunRecord:
    plan = experiment.plan(tmp_path, **changes)
    with stop_on_signals() as stopper:
        record, _, _ = make_run(plan.runs[0], facts.environment(), stopper)
    assert record.verdict != "failed", record.reasons
    return record


@pytest.mark.parametrize("gro", [0, 1])
def test_a_server_that_has_udp_gro_on_is_found_and_named(tmp_path: Path, gro: int) -> None:
    workload = program(ECHO, gro, client=(2, 0), protocol="udp")
    record = record_of(tmp_path, workload=workload, settings={"server": {"busy_poll": {"usecs": 1000}}})
    assert record.nodes["server"]["sockets"] == ("1 udp (UDP_GRO)" if gro else "1 udp")
    assert str(record.nodes["server"]["napis"]).endswith("(server/eth0 rx-0)")
    if record.nodes["server"]["polling"] == "polled":  # a crowded machine may let it sleep
        assert any("holds each lone datagram" in hint for hint in record.hints) == bool(gro)


@pytest.mark.parametrize("client", ["mptcp", "tcp"])
def test_mptcp_has_no_napi_id_and_its_listener_hands_nothing_on(tmp_path: Path, client: str) -> None:
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, _MPTCP).close()
    except OSError as error:
        pytest.skip(f"this kernel has no MPTCP: {error}")
    ends = (1, _MPTCP if client == "mptcp" else 6)
    workload = program(TCP_ECHO, _MPTCP, client=ends, protocol="tcp")
    record = record_of(tmp_path, workload=workload, settings={"server": {"busy_poll": {"usecs": 50}}})
    rows = {row.setting.partition("(")[2].partition(")")[0]: row for row in record.knobs}
    assert rows["mptcp listener"].applied == 50
    if client == "mptcp":
        assert (record.workload["protocol"], record.verdict) == ("mptcp", "inert")
        assert "an MPTCP socket has no NAPI id" in record.reasons[0]
        assert record.nodes["server"]["sockets"] == "1 mptcp listener, 1 mptcp"
    else:
        # What it accepted had nothing of the listener's option: each was set by itself.
        assert (record.workload["protocol"], rows["tcp"].found, rows["tcp"].applied) == ("tcp", 0, 50)


def test_two_interfaces_in_one_epoll_are_seen_and_named(tmp_path: Path) -> None:
    topology = {
        "nodes": {"c1": {"cpus": "0"}, "c2": {"cpus": "0"}, "server": {"cpus": "1"}},
        "links": [{"between": ["c1", "server"]}, {"between": ["c2", "server"]}],
    }
    first = program(EPOLL_ECHO, client=(1, 6), protocol="tcp", **{"from": "c1"})
    second = {key: value for key, value in first.items() if key != "server"} | {"from": "c2"}
    second["client"] = [*first["client"][:-1], "90"]  # it is stopped at the end of the run
    settings = {"server": {"epoll_busy_poll": {"usecs": 300}}}
    changes = {"topology": topology, "workload": None, "workloads": [first, second], "settings": settings}
    record = record_of(tmp_path, **changes)
    napis = str(record.nodes["server"]["napis"])
    assert "(server/eth0 rx-0)" in napis and "(server/eth1 rx-0)" in napis
    assert "2 NAPIs feed one epoll instance of the server" in next(
        row.evidence for row in record.knobs if row.knob == "epoll_busy_poll"
    )


def test_queues_of_a_veth_have_their_napis_in_order() -> None:
    count = min(2, os.cpu_count() or 1)
    with beds.bed(beds.pair(queues=count), napi=True) as bed, in_netns(bed.nodes["a"].fd):
        ifindex = socket.if_nametoindex("eth0")
        napi_ids = sorted(napi.napi_id for napi in netdev.napi_get(ifindex))
        assert netdev.rx_queues(ifindex) == dict(zip(napi_ids, range(count), strict=True))


def test_a_macvlan_elsewhere_is_polled_by_the_napi_of_its_lower_device() -> None:
    """Its packets are counted as polled in the lower device's namespace, and as received in its own."""
    topology = beds.topology({"between": ["a", "b"]}, {"between": ["a", "c"]})
    with beds.bed(topology, napi=True) as bed, ExitStack() as stack:
        a, b, c = (bed.nodes[name] for name in "abc")
        beds.run_in(b, "ip", "link", "add", "mv0", "link", "eth0", "type", "macvlan", "mode", "bridge")
        beds.run_in(b, "ip", "link", "set", "mv0", "netns", c.netns)
        beds.run_in(c, "ip", "addr", "add", "10.250.0.2/24", "dev", "mv0")
        beds.run_in(c, "ip", "link", "set", "mv0", "up")
        beds.run_in(a, "ip", "addr", "add", "10.250.0.1/24", "dev", "eth0")
        with in_netns(c.fd):
            receiver = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        with in_netns(a.fd):
            sender = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        receiver.bind(("10.250.0.2", 0))
        receiver.setsockopt(socket.SOL_SOCKET, _SO_BUSY_POLL, 200_000)
        before, done = (_polled(b.fd), _polled(c.fd)), threading.Event()
        sent = threading.Thread(target=_send, args=(sender, receiver.getsockname(), done), daemon=True)
        sent.start()
        # On a crowded machine few packets find the poller on its CPU.
        deadline = time.monotonic() + 60
        while _polled(b.fd) == before[0] and time.monotonic() < deadline:
            receiver.recv(100)
        done.set()
        sent.join()
        watch = NapiWatch()
        watch.look("me", "c", [os.getpid()])
        feeding = watch.seen(bed.nodes.values()).of_node("c")
        (napi_id,) = [pidfd.facts(receiver.fileno()).napi_id]  # type: ignore[union-attr]
        assert (feeding.place(napi_id).node, feeding.place(napi_id).device) == ("b", "eth0")
        assert _polled(b.fd) > before[0] and _polled(c.fd) == before[1]
        assert places({napi_id + 10**6}, bed.nodes.values()) == []


def _polled(netns: int) -> int:
    with in_netns(netns):
        return proc.net_counters()["TcpExt:BusyPollRxPackets"]


def _send(sender: socket.socket, address: object, done: threading.Event) -> None:
    while not done.wait(0.005):
        sender.sendto(b"x", address)  # type: ignore[arg-type]


@pytest.mark.parametrize("knobs", [{}, {"busy_poll": {"usecs": 100}}])
def test_our_own_server_answers_each_of_several_datagrams_that_came_at_once(
    tmp_path: Path, knobs: dict[str, Any]
) -> None:
    workload = {"kind": "load", "from": "client", "to": "server", "depth": 16, "udp_gro": True, "duration": "300ms"}
    record = record_of(tmp_path, workload=workload, settings={"server": knobs})
    assert record.nodes["server"]["sockets"] == "1 udp (UDP_GRO)"
    assert (record.metrics["lost"], record.metrics["duplicates"]) == (0, 0)
    assert (record.metrics["requests"] or 0) > 16
