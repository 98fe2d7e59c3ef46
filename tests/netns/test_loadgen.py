"""The load generator on real links: protocols, wait styles, options, samples, and what it makes of loss."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from tests.fakeserver import fake_server
from tests.generator import PATIENCE_S, Event, client, measure, measure_ready, read_samples, server
from tests.vethpair import End, missing, veth_pair

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

WAITS = ("blocking", "spin", "poll", "select", "epoll")
PROTOCOLS = ("udp", "tcp")
Pair = tuple[End, End]


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    """Client's and server's namespace, joined by a link that can be busy-polled."""
    with veth_pair() as ends:
        yield ends


def rtts(path: Path) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The round trips in the samples file, nanoseconds."""
    values: np.ndarray[tuple[int], np.dtype[np.int64]] = read_samples(path)[1]["latency_ns"]
    return values


@pytest.mark.parametrize("family", ["ipv4", "ipv6"])
@pytest.mark.parametrize("wait", WAITS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_ping_pong(pair: Pair, tmp_path: Path, protocol: str, wait: str, family: str) -> None:
    source, target = pair
    path = tmp_path / "samples"
    kind = {"protocol": protocol, "wait": wait, "family": family}
    with server(target, **kind) as (serving, port), client(source, target, port, path, **kind) as process:
        result = measure(process)
        served = serving.stop()

    assert result["answered"] == result["requests"] > 50
    assert (result["lost"], result["late"], result["duplicates"], result["malformed"]) == (0, 0, 0, 0)
    assert not result["overflow"]
    assert 100_000_000 <= result["elapsed_ns"] < PATIENCE_S * 1e9
    assert 0 < result["turnaround_p99_ns"] <= result["turnaround_max_ns"]
    assert 0 < result["clock"]["source_resolution_ns"] < 100_000
    assert 0 < result["clock"]["overhead_ns"] < 10_000
    assert 0 < result["usage"]["cpu_ns"] <= result["elapsed_ns"] * 1.1
    assert len(result["napi_ids"]) == len(served["napi_ids"]) == 1
    # The first reply and at least 16 of warm-up are the server's requests too.
    assert served["requests"] >= result["requests"] + result["settle_requests"] + 17
    assert served["bytes"] == served["requests"] * 64
    assert served["connections"] == (1 if protocol == "tcp" else 0)

    header, records = read_samples(path)
    assert header[:4] == (b"PBSAMP02", 28, 0, result["requests"])
    assert header[4] == result["start_ns"]
    assert len(records) == result["requests"]
    assert (records["latency_ns"] > 0).all()
    # A closed loop: each request leaves after the reply to the one before.
    assert (records["intended_ns"][1:] >= (records["intended_ns"] + records["latency_ns"])[:-1]).all()
    assert records["intended_ns"][0] >= 0
    assert records["intended_ns"][-1] < 100_000_000


@pytest.mark.parametrize(("protocol", "size"), [("udp", 8), ("udp", 65507), ("tcp", 8), ("tcp", 300_000)])
@pytest.mark.parametrize("wait", WAITS)
def test_message_sizes(pair: Pair, tmp_path: Path, protocol: str, wait: str, size: int) -> None:
    source, target = pair
    kind = {"protocol": protocol, "wait": wait, "size": size}
    with server(target, **kind) as (serving, port):
        with client(source, target, port, tmp_path / "samples", **kind) as process:
            assert measure(process)["lost"] == 0
        served = serving.stop()
    assert served["bytes"] == served["requests"] * size


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_options_are_read_back(pair: Pair, tmp_path: Path, protocol: str) -> None:
    source, target = pair
    sockets = ("--busy-poll", 37, "--prefer-busy-poll", 1, "--busy-poll-budget", 16)
    others = ("--incoming-cpu", 0, "--rcvlowat", 8, "--max-pacing-rate", 10**8, "--nodelay", 0, "--quickack", 1)
    options = (*sockets, *others, "--epoll-busy-poll", "41,8,1")
    kind = {"protocol": protocol, "wait": "epoll"}
    with server(target, *options, **kind) as (serving, port):
        with client(source, target, port, tmp_path / "samples", *options, **kind) as process:
            found = measure(process)["readback"]
        served = serving.stop()["readback"]
    wanted = {"busy_poll": 37, "prefer_busy_poll": 1, "epoll": [41, 8, 1], "policy": "other", "nice": 0}
    wanted |= {"rcvlowat": 8, "max_pacing_rate": 10**8, "nodelay": 0 if protocol == "tcp" else None}
    assert found | wanted | {"cpus": [0]} == found
    # For TCP these are the accepted socket's: it inherited them from the listener.
    assert served | wanted | {"cpus": [1]} == served


def busy_polled(pair: Pair, tmp_path: Path, protocol: str, usecs: int) -> tuple[Event, float, float]:
    """The result, the median round trip, and the share of the server's packets that were busy-polled."""
    source, target = pair
    before = target.tcp_ext("BusyPollRxPackets"), target.received_packets()
    options = ("--busy-poll", usecs)
    with (
        server(target, *options, protocol=protocol) as (_, port),
        client(source, target, port, tmp_path / "samples", *options, protocol=protocol) as process,
    ):
        result = measure(process)
    after = target.tcp_ext("BusyPollRxPackets"), target.received_packets()
    share = (after[0] - before[0]) / (after[1] - before[1])
    return result, float(np.median(rtts(tmp_path / "samples"))), share


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_busy_polling_polls_and_helps(pair: Pair, tmp_path: Path, protocol: str) -> None:
    _, without_ns, none = busy_polled(pair, tmp_path, protocol, 0)
    result, with_ns, share = busy_polled(pair, tmp_path, protocol, 200)
    assert none == 0
    # Other programs may push either process off its CPU; an idle host shows about 1.0.
    assert share > 0.5
    assert with_ns < without_ns
    assert len(result["napi_ids"]) == 1


def test_busy_polling_without_napi_polls_nothing(tmp_path: Path) -> None:
    with veth_pair(napi=False) as plain:
        result, _, share = busy_polled(plain, tmp_path, "udp", 50)
    assert share == 0
    assert result["napi_ids"] == [] and result["sockets_without_napi"] == 1
    assert result["readback"]["busy_poll"] == 50


@pytest.mark.parametrize("wait", WAITS)
def test_lost_requests_are_recorded(pair: Pair, tmp_path: Path, wait: str) -> None:
    source, target = pair
    times = ("--timeout-ns", 20_000_000, "--duration-ns", 300_000_000, "--warmup-ns", 0)
    with (
        fake_server(target, lambda data, count: [] if count % 3 == 2 else [data]) as port,
        client(source, target, port, tmp_path / "samples", *times, wait=wait) as process,
    ):
        result = measure(process)
    header, records = read_samples(tmp_path / "samples")
    lost = records["latency_ns"] == -1
    assert result["lost"] == lost.sum() > 0
    assert result["answered"] == (~lost).sum() > 0
    assert header[3] == result["requests"] == len(records)
    # The loop goes on only when the time of the lost request is over.
    gaps = np.diff(records["intended_ns"])[lost[:-1]]
    assert (gaps >= 20_000_000).all()


def test_duplicates_are_not_taken_for_replies(pair: Pair, tmp_path: Path) -> None:
    source, target = pair
    with (
        fake_server(target, lambda data, _: [data, data]) as port,
        client(source, target, port, tmp_path / "samples") as process,
    ):
        result = measure(process)
    assert result["lost"] == result["late"] == 0
    assert 0.9 * result["requests"] < result["duplicates"] <= result["requests"]


def test_late_replies_stay_lost(pair: Pair, tmp_path: Path) -> None:
    source, target = pair
    held: list[bytes] = []

    def late(data: bytes, count: int) -> list[bytes]:
        """Keeps every fourth reply back until the next request."""
        if count % 4 == 3:
            held.append(data)
            return []
        answers = [*held, data]
        held.clear()
        return answers

    times = ("--timeout-ns", 10_000_000, "--duration-ns", 200_000_000, "--warmup-ns", 0)
    with fake_server(target, late) as port, client(source, target, port, tmp_path / "samples", *times) as process:
        result = measure(process)
    assert result["lost"] == (rtts(tmp_path / "samples") == -1).sum() > 0
    assert result["late"] >= result["lost"] - 1
    assert result["duplicates"] == 0


def test_strange_datagrams_are_counted(pair: Pair, tmp_path: Path) -> None:
    source, target = pair
    with (
        fake_server(target, lambda data, _: [b"hello", b"", data]) as port,
        client(source, target, port, tmp_path / "samples") as process,
    ):
        result = measure(process)
    assert result["lost"] == 0
    assert result["malformed"] >= result["requests"]


@pytest.mark.parametrize("wait", ["poll", "select", "epoll"])
def test_many_connections_at_once(pair: Pair, tmp_path: Path, wait: str) -> None:
    source, target = pair
    kind = {"protocol": "tcp", "wait": wait}
    with server(target, **kind) as (serving, port):
        with ExitStack() as stack:
            samples = [tmp_path / str(i) for i in range(5)]
            started = [client(source, target, port, path, **kind) for path in samples]
            clients = [stack.enter_context(process) for process in started]
            for process in clients:
                process.event("ready")
            # Leaving in any order must not disturb those who stay.
            results = [measure_ready(clients[i]) for i in (1, 4, 0, 3, 2)]
        served = serving.stop()
    assert served["connections"] == 5
    assert served["requests"] >= sum(result["requests"] for result in results)


@pytest.mark.parametrize("wait", ["blocking", "spin"])
def test_connections_one_after_the_other(pair: Pair, tmp_path: Path, wait: str) -> None:
    source, target = pair
    kind = {"protocol": "tcp", "wait": wait}
    with server(target, **kind) as (serving, port):
        for _ in range(3):
            with client(source, target, port, tmp_path / "samples", **kind) as process:
                measure(process)
        assert serving.stop()["connections"] == 3


def test_running_out_of_room_is_reported(pair: Pair, tmp_path: Path) -> None:
    """A warm-up that lost everything promises few requests; then the server answers at full speed."""
    source, target = pair
    times = ("--timeout-ns", 50_000_000, "--duration-ns", 100_000_000_000, "--warmup-ns", 0)
    with (
        fake_server(target, lambda data, count: [] if 1 <= count <= 16 else [data]) as port,
        client(source, target, port, tmp_path / "samples", *times) as process,
    ):
        process.event("ready")
        assert process.event("warm")["requests"] == 16
        process.say("go")
        process.event("done", patience_s=90)
        process.say("finish")
        result = process.event("result")
    assert result["overflow"]
    assert 65536 < result["requests"] == len(rtts(tmp_path / "samples")) < 90_000
    assert result["elapsed_ns"] < 90_000_000_000


@pytest.mark.parametrize(
    "loop", [("--loop", "closed"), ("--loop", "open", "--rate", "5000", "--threads", "2", "--connections", "4")]
)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_times_of_the_server(pair: Pair, tmp_path: Path, protocol: str, loop: tuple[str, ...]) -> None:
    source, target = pair
    kind = {"protocol": protocol, "wait": "epoll"}
    path = tmp_path / "samples"
    serving_threads = ("--threads", 2, "--times")
    with (
        server(target, *serving_threads, **kind) as (serving, port),
        client(source, target, port, path, "--times", *loop, **kind) as process,
    ):
        result = measure(process)
        assert Path(f"/proc/{serving.process.pid}/comm").read_text() == "server\n"
        tids = {int(task.name) for task in Path(f"/proc/{serving.process.pid}/task").iterdir()}
        serving.stop()
    header, records = read_samples(path)
    assert header[1:3] == (48, 2)
    sent = records["intended_ns"] + records["latency_ns"] - records["service_ns"]
    received = records["intended_ns"] + records["latency_ns"]
    assert len(records) > 50
    assert (sent <= records["server_received_ns"]).all()
    assert (records["server_received_ns"] <= records["server_sent_ns"]).all()
    assert (records["server_sent_ns"] <= received).all()
    assert set(records["server_tid"].tolist()) <= tids
    assert len(result["tids"]) == result["threads"]
