"""The load generator with depth, many connections and threads, io_uring, memcached, and what it refuses."""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.generator import (
    CLIENT_CPU,
    SERVER_CPU,
    Argument,
    Event,
    Generator,
    client,
    measure,
    read_samples,
    server,
    with_defaults,
)
from tests.vethpair import End, missing, veth_pair

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

PROTOCOLS = ("udp", "tcp")
MANY_WAITS = ("spin", "poll", "select", "epoll")
MS = 1_000_000
MEMCACHED_PORT = 11211
ETC = ("--key-size", "etc-key", "--value-size", "etc-value", "--arrivals", "etc")
Pair = tuple[End, End]
Records = npt.NDArray[Any]


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    """Client's and server's namespace, joined by a link that can be busy-polled."""
    with veth_pair() as ends:
        yield ends


def run(
    pair: Pair,
    tmp_path: Path,
    options: tuple[Argument, ...],
    serving: tuple[Argument, ...] = (),
    *,
    server_wait: str = "epoll",
    **kind: Any,
) -> tuple[Event, Event, Records]:
    """The client's result, the server's, and the records."""
    path = tmp_path / "samples"
    with server(pair[1], *serving, **(kind | {"wait": server_wait})) as (answering, port):
        with client(*pair, port, path, *options, **kind) as process:
            result = measure(process)
        return result, answering.stop(), read_samples(path)[1]


def outstanding(records: Records) -> Records:
    """How many requests were outstanding right after each was sent."""
    sent = np.sort(records["intended_ns"])
    answered = np.sort(records["intended_ns"] + records["latency_ns"])
    return np.arange(1, len(sent) + 1) - np.searchsorted(answered, sent, side="right")


# Depth and count


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("wait", ["blocking", *MANY_WAITS])
def test_depth_keeps_so_many_outstanding(pair: Pair, tmp_path: Path, protocol: str, wait: str) -> None:
    options = ("--depth", 8, "--count", 2000, "--settle-ns", 0)
    result, _, records = run(pair, tmp_path, options, protocol=protocol, wait=wait)
    assert (result["loop"], result["depth"], result["offered_rps"]) == ("closed", 8, None)
    depth = outstanding(records)
    assert depth.max() == 8
    # A request leaves as soon as a reply makes room, though one wake-up may bring several.
    assert np.median(depth[8:]) >= 5


@pytest.mark.parametrize("options", [(), ("--depth", 5), ("--loop", "open", "--rate", 20_000)])
@pytest.mark.parametrize("threads", [1, 3])
def test_the_count_is_exact(pair: Pair, tmp_path: Path, options: tuple[Argument, ...], threads: int) -> None:
    many = ("--threads", threads, "--connections", threads, "--count", 1001, "--cooldown-ns", 20 * MS)
    result, served, records = run(pair, tmp_path, (*options, *many), wait="spin", protocol="tcp")
    assert result["requests"] == result["answered"] == len(records) == 1001
    assert result["missed_sends"] == 0
    # Warm-up, settling and cool-down are the server's requests too, but not ours.
    assert served["requests"] > 1001 + threads * 17 + result["settle_requests"]
    assert result["achieved_rps"] == pytest.approx(1001e9 / result["elapsed_ns"], rel=1e-3)


def test_time_may_end_before_the_count(pair: Pair, tmp_path: Path) -> None:
    options = ("--loop", "open", "--rate", 1000, "--count", 5000, "--duration-ns", 50 * MS)
    result, _, records = run(pair, tmp_path, options)
    assert result["requests"] + result["missed_sends"] == 50
    assert len(records) == result["requests"]


# Many connections, many threads


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("wait", [wait for wait in MANY_WAITS if wait != "select"])
def test_more_than_a_thousand_connections(pair: Pair, tmp_path: Path, protocol: str, wait: str) -> None:
    options = ("--connections", 1200, "--depth", 16, "--count", 2400)
    result, served, records = run(pair, tmp_path, options, protocol=protocol, wait=wait)
    assert result["connections"] == 1200
    assert result["answered"] == 2400
    # They take turns.
    numbers, times = np.unique(records["connection"], return_counts=True)
    assert (numbers == np.arange(1200)).all()
    assert (times == 2).all()
    assert served["connections"] == (1200 if protocol == "tcp" else 0)


@pytest.mark.parametrize("wait", MANY_WAITS)
def test_an_open_loop_over_many_connections(pair: Pair, tmp_path: Path, wait: str) -> None:
    options = ("--connections", 200, "--loop", "open", "--rate", 5000, "--arrivals", "poisson")
    result, _, records = run(pair, tmp_path, options, protocol="tcp", wait=wait)
    assert result["answered"] == result["requests"] == len(records) > 400
    assert len(np.unique(records["connection"])) == 200


@pytest.mark.parametrize("server_wait", [*MANY_WAITS, "uring"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_server_threads_share_a_port(pair: Pair, tmp_path: Path, protocol: str, server_wait: str) -> None:
    options = ("--connections", 64, "--depth", 8, "--threads", 2, "--thread-cpus", "0,1", "--count", 2000)
    result, served, records = run(
        pair, tmp_path, options, ("--threads", 3), protocol=protocol, wait="epoll", server_wait=server_wait
    )
    assert result["answered"] == 2000
    assert set(records["connection"]) == set(range(64))
    assert served["threads"] == len(served["thread_requests"]) == len(served["thread_usage"]) == 3
    assert sum(served["thread_requests"]) == served["requests"]
    assert min(served["thread_requests"]) > 0
    assert len(result["thread_usage"]) == 2
    assert result["readback"]["cpus"] == [CLIENT_CPU]
    assert sum(usage["cpu_ns"] for usage in result["thread_usage"]) == result["usage"]["cpu_ns"]


def test_a_thread_for_each_connection(pair: Pair, tmp_path: Path) -> None:
    """Blocking TCP threads take one connection each, whatever a hash would say."""
    options = ("--connections", 20, "--count", 1000)
    result, served, _ = run(
        pair, tmp_path, options, ("--threads", 20), protocol="tcp", wait="epoll", server_wait="blocking"
    )
    assert result["answered"] == 1000
    assert min(served["thread_requests"]) >= 50


@pytest.mark.parametrize("options", [(), ("--loop", "open", "--rate", 2000)])
@pytest.mark.parametrize("wait", ["blocking", *MANY_WAITS])
def test_a_connection_for_each_request(pair: Pair, tmp_path: Path, wait: str, options: tuple[Argument, ...]) -> None:
    shape = ("--connect-per-request", "--connections", 1 if wait == "blocking" else 4, "--count", 200)
    options = (*options, *shape, "--busy-poll", 20)
    result, served, records = run(pair, tmp_path, options, protocol="tcp", wait=wait)
    assert result["connect_per_request"]
    assert result["readback"]["busy_poll"] == 20
    assert len(result["napi_ids"]) == 1
    assert result["answered"] == len(records) == 200
    assert served["connections"] == served["requests"] > 200


# io_uring


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    ("shape", "size"),
    [((), 64), (("--connections", 10, "--depth", 40), "uniform:16-900"), (("--response-size", 20_000), 30_000)],
)
def test_uring_serves(pair: Pair, tmp_path: Path, protocol: str, shape: tuple[Argument, ...], size: int | str) -> None:
    sizes = ("--response-size", 20_000) if "--response-size" in shape else ()
    result, served, _ = run(
        pair,
        tmp_path,
        (*shape, "--count", 1000),
        sizes,
        protocol=protocol,
        wait="epoll",
        server_wait="uring",
        size=size,
    )
    assert result["answered"] == result["requests"] == 1000
    assert served["send_errors"] == served["malformed"] == 0


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_uring_busy_polls(pair: Pair, tmp_path: Path, protocol: str) -> None:
    target = pair[1]

    def share(*serving: Argument) -> float:
        before = target.tcp_ext("BusyPollRxPackets"), target.received_packets()
        run(pair, tmp_path, (), serving, protocol=protocol, wait="spin", server_wait="uring")
        after = target.tcp_ext("BusyPollRxPackets"), target.received_packets()
        return (after[0] - before[0]) / (after[1] - before[1])

    assert share() == 0
    assert share("--busy-poll", 200) > 0.5


# memcached


@contextmanager
def memcached(end: End) -> Iterator[None]:
    """The distribution's own memcached in this namespace."""
    where = ("--netns", end.path, "--cpus", SERVER_CPU, "exec", "--")
    with Generator(*where, "memcached", "-u", "root", "-t", 1, "-l", end.ipv4, "-p", MEMCACHED_PORT):
        time.sleep(0.3)
        yield


@pytest.mark.skipif(shutil.which("memcached") is None, reason="needs memcached")
@pytest.mark.parametrize(
    "options",
    [
        ("--keys", 2000),
        ("--keys", 2000, "--connections", 10, "--depth", 20),
        ("--keys", 500, *ETC, "--loop", "open", "--rate", 3000, "--connections", 4, "--threads", 2),
    ],
)
def test_memcached(pair: Pair, tmp_path: Path, options: tuple[Argument, ...]) -> None:
    app = ("--protocol-app", "memcached", "--preload", "--get-ratio", "0.8")
    shape = (*app, "--protocol", "tcp", "--wait", "epoll", "--count", 1000)
    with memcached(pair[1]):
        where = ("--connect", pair[1].ipv4, "--port", MEMCACHED_PORT, "--samples", tmp_path / "samples")
        launch = ("--netns", pair[0].path, "--cpus", CLIENT_CPU)
        with Generator(*launch, "client", *where, *with_defaults((*shape, *options))) as process:
            result = measure(process)
    counts = result["memcached"]
    assert result["answered"] == counts["gets"] + counts["sets"] == 1000
    # Every key was stored before.
    assert counts["hits"] == counts["gets"]
    assert counts["misses"] == counts["errors"] == 0
    assert counts["gets"] / 1000 == pytest.approx(0.8, abs=0.06)


# Refusals and faults


@pytest.mark.parametrize(
    "options",
    [
        ("--rate", "100"),
        ("--loop", "open"),
        ("--loop", "open", "--rate", "0"),
        ("--loop", "open", "--rate", "9", "--depth", "2"),
        ("--loop", "open", "--rate", "9", "--burst", "2"),
        ("--connections", "2"),
        ("--connections", "10001"),
        ("--threads", "2"),
        ("--thread-cpus", "a"),
        ("--connect-per-request",),
        ("--phases", "--connections", "2", "--wait", "spin"),
        ("--protocol-app", "memcached"),
        ("--preload",),
        ("--size", "uniform:15-20"),
        ("--size", "uniform:30-20"),
        ("--size", "exp:0:20"),
        ("--size", "exp:50:99999999"),
        ("--size", "normal:5"),
        ("--response-size", "8"),
        ("--phases", "--size", "32"),
        ("--phases=1",),
        ("--wait", "uring"),
    ],
)
def test_bad_client_options(tmp_path: Path, options: tuple[str, ...]) -> None:
    given = {"--wait": "blocking", "--size": "64"}
    rest = [word for name, value in given.items() if name not in options for word in (name, value)]
    where = ("--connect", "127.0.0.1", "--port", 9, "--protocol", "udp", "--samples", tmp_path / "samples")
    with Generator("client", *where, *rest, *with_defaults(options)) as process:
        assert process.failure(code=2)["got"]


@pytest.mark.parametrize(
    "options",
    [
        ("--service", "fixed"),
        ("--service", "bimodal:1:2:1.5"),
        ("--service", "gamma:1"),
        ("--stall", "5:5"),
        ("--stall", "5"),
        ("--phases", "--threads", "2"),
    ],
)
def test_bad_server_options(options: tuple[str, ...]) -> None:
    where = ("--listen", "127.0.0.1", "--port", 0, "--protocol", "udp", "--wait", "spin", "--size", 64)
    with Generator("server", *where, *options) as process:
        assert process.failure(code=2)["got"]


@pytest.mark.parametrize("loop", [("--depth", 4), ("--loop", "open", "--rate", 5000)])
def test_a_server_that_dies_is_an_error(pair: Pair, tmp_path: Path, loop: tuple[Argument, ...]) -> None:
    kind: dict[str, Any] = {"protocol": "tcp", "wait": "spin"}
    times = ("--duration-ns", 60_000 * MS)
    with (
        server(pair[1], **kind) as (serving, port),
        client(*pair, port, tmp_path / "samples", *times, *loop, **kind) as process,
    ):
        process.event("ready")
        process.event("warm")
        process.say("go")
        time.sleep(0.05)
        serving.process.kill()
        error = process.failure()
    assert error["attempted"] == "measure"
    assert error["errno"] in (errno.ECONNRESET, errno.EPIPE)


def test_threads_stop_at_once(pair: Pair, tmp_path: Path) -> None:
    options = ("--threads", 3, "--connections", 3, "--duration-ns", 60_000 * MS, "--timeout-ns", 60_000 * MS)
    with (
        server(pair[1], "--threads", 3) as (serving, port),
        client(*pair, port, tmp_path / "samples", *options) as process,
    ):
        process.event("ready")
        process.event("warm")
        process.say("go")
        time.sleep(0.05)
        process.close_input()
        assert "asked to stop" in process.failure()["got"]
        serving.stop()
