"""The load generator built with every warning an error and under sanitizers, through each of its loops."""

from __future__ import annotations

import os
import select
import shlex
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import chain
from pathlib import Path

import pytest

from harness import loadgen
from harness.kernel.netns import in_netns
from harness.run import link_watch
from harness.run.link_changes import LinkChanger
from harness.signals import Stopper
from tests.beds import bed
from tests.beds import pair as pair_of
from tests.generator import PATIENCE_S, Argument, Generator, client, measure, server
from tests.vethpair import End, missing, veth_pair

pytestmark = [pytest.mark.skipif(bool(missing()), reason=missing()), pytest.mark.slow]

COMPILER = shlex.split(os.environ.get("CC", "cc"))
WARNINGS = ("-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-Wpedantic", "-Werror")
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
Pair = tuple[End, End]


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    """Client's and server's namespace, joined by a link that can be busy-polled."""
    with veth_pair() as ends:
        yield ends


@pytest.fixture(scope="module")
def executable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sanitized build."""
    target = tmp_path_factory.mktemp("sanitized") / "pollbench-loadgen"
    options = ["-std=gnu11", "-D_GNU_SOURCE", "-O1", "-g", "-pthread", *WARNINGS, *SANITIZERS]
    sources = [str(path) for path in sorted(Path(loadgen.__file__).parent.glob("*.c"))]
    trivial = [*COMPILER, *SANITIZERS, "-x", "c", "-", "-o", str(target)]
    if subprocess.run(trivial, input=b"int main(void){return 0;}", capture_output=True, check=False).returncode:
        pytest.skip("this compiler has no address and undefined-behaviour sanitizers")
    subprocess.run([*COMPILER, *options, *sources, "-lm", "-o", str(target)], check=True)
    return target


def ends_clean(process: Generator) -> None:
    """Nothing was said on standard error: neither a report nor a leak."""
    assert process.process.wait(PATIENCE_S) == 0
    assert process.process.stderr is not None
    assert process.process.stderr.read().decode() == ""


def until_ended(pid: int) -> None:
    """Wait until a child of ours has ended, which somebody else reaps."""
    deadline = time.monotonic() + PATIENCE_S
    while not os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        assert time.monotonic() < deadline, "it goes on"
        time.sleep(0.005)


@pytest.mark.parametrize("wait", ["blocking", "spin", "poll", "select", "epoll"])
@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_ping_pong(pair: Pair, tmp_path: Path, executable: Path, protocol: str, wait: str) -> None:
    options: tuple[Argument, ...] = ("--busy-poll", 20, "--prefer-busy-poll", 0)
    if wait == "epoll":
        options = (*options, "--epoll-busy-poll", "20,8,0")
    kind = {"protocol": protocol, "wait": wait, "size": 20_000, "executable": executable}
    with server(pair[1], *options, **kind) as (serving, port):
        for _ in range(2):
            with client(pair[0], pair[1], port, tmp_path / "samples", *options, **kind) as process:
                assert measure(process)["requests"] > 0
                ends_clean(process)
        serving.stop()
        ends_clean(serving)


@pytest.mark.parametrize(
    ("waits", "sockets", "options"),
    [
        (("spin", "poll"), ("af_xdp", "kernel"), ("--loop", "open", "--rate", 5000)),
        (("epoll", "spin"), ("kernel", "af_xdp"), ("--depth", 40)),
        (("poll", "select"), ("af_xdp", "af_xdp"), ("--depth", 3000)),
    ],
)
def test_af_xdp(
    pair: Pair,
    tmp_path: Path,
    executable: Path,
    waits: tuple[str, str],
    sockets: tuple[str, str],
    options: tuple[Argument, ...],
) -> None:
    """The last has more requests out than a ring has frames: some are dropped, and counted as lost."""
    sizes, kind = ("--response-size", "uniform:16-1472"), {"executable": executable, "size": "uniform:16-1472"}
    with server(pair[1], "--socket", sockets[1], *sizes, wait=waits[1], **kind) as (answering, port):
        to = (pair[0], pair[1], port, tmp_path / "samples")
        with client(*to, "--socket", sockets[0], *options, *sizes, wait=waits[0], **kind) as process:
            assert measure(process)["requests"] > 0
            ends_clean(process)
        answering.stop()
        ends_clean(answering)


@pytest.mark.parametrize("wait", ["poll", "select", "epoll"])
def test_connections_come_and_go(pair: Pair, tmp_path: Path, executable: Path, wait: str) -> None:
    kind = {"protocol": "tcp", "wait": wait}
    with server(pair[1], executable=executable, **kind) as (serving, port), ExitStack() as stack:
        started = [client(pair[0], pair[1], port, tmp_path / str(i), **kind) for i in range(6)]
        clients = [stack.enter_context(process) for process in started]
        for process in clients:
            process.event("ready")
            process.event("warm")
        # They leave in another order than they came, and some stay to the end.
        for i in (2, 0, 5):
            clients[i].close_input()
            clients[i].failure()
        serving.stop()
        ends_clean(serving)


@pytest.mark.parametrize(
    ("protocol", "waits", "serving", "options"),
    [
        ("udp", ("spin", "epoll"), (), ("--loop", "open", "--rate", 9000, "--arrivals", "poisson")),
        ("tcp", ("poll", "spin"), (), ("--loop", "open", "--rate", 9000, "--connections", 50)),
        ("tcp", ("epoll", "uring"), (), ("--connections", 50, "--depth", 80)),
        ("udp", ("epoll", "uring"), ("--threads", 2), ("--connections", 50, "--depth", 80)),
        ("udp", ("epoll", "epoll"), ("--threads", 2, "--batch", 7), ("--connections", 50, "--depth", 80)),
        ("udp", ("spin", "blocking"), ("--batch", 64), ("--depth", 200)),
        ("tcp", ("epoll", "epoll"), ("--zerocopy",), ("--connections", 50, "--depth", 80)),
        ("tcp", ("poll", "blocking"), ("--zerocopy",), ("--depth", 5)),
        ("tcp", ("epoll", "uring"), ("--multishot", "--threads", 2), ("--connections", 50, "--depth", 80)),
        ("tcp", ("epoll", "uring"), ("--multishot",), ("--connect-per-request", "--connections", 4, "--depth", 3)),
        ("tcp", ("epoll", "epoll"), ("--threads", 3), ("--threads", 3, "--connections", 9, "--cooldown-ns", 9000)),
        ("tcp", ("blocking", "blocking"), ("--threads", 2), ("--threads", 2, "--connections", 2)),
        ("tcp", ("epoll", "poll"), (), ("--connect-per-request", "--connections", 4, "--depth", 3)),
        ("tcp", ("spin", "blocking"), ("--service", "exp:9000"), ("--depth", 5)),
        ("udp", ("poll", "spin"), ("--phases",), ("--phases", "--count", 300)),
        ("tcp", ("epoll", "epoll"), ("--phases",), ("--phases", "--depth", 3)),
    ],
)
def test_loads(
    pair: Pair,
    tmp_path: Path,
    executable: Path,
    protocol: str,
    waits: tuple[str, str],
    serving: tuple[Argument, ...],
    options: tuple[Argument, ...],
) -> None:
    sizes = () if "--phases" in options else ("--response-size", "uniform:16-9000")
    kind = {"protocol": protocol, "executable": executable, "size": "64" if not sizes else "exp:200:5000"}
    with server(pair[1], *serving, *sizes, wait=waits[1], **kind) as (answering, port):
        with client(pair[0], pair[1], port, tmp_path / "samples", *options, *sizes, wait=waits[0], **kind) as process:
            assert measure(process)["answered"] > 0
            ends_clean(process)
        answering.stop()
        ends_clean(answering)


@pytest.mark.parametrize("wait", ["epoll", "spin", "select"])
def test_memcached(pair: Pair, tmp_path: Path, executable: Path, wait: str) -> None:
    """A stand-in for the server: it answers each request by the protocol, all with the one value that it has."""
    app = (
        "--protocol-app",
        "memcached",
        "--preload",
        "--keys",
        50,
        "--key-size",
        "etc-key",
        "--value-size",
        "etc-value",
    )
    kind = {"protocol": "tcp", "wait": wait, "size": None, "executable": executable}
    with in_netns(pair[1].path):
        listener = socket.create_server((pair[1].ipv4, 0))
    with listener, threads(lambda: answer_memcached(listener)):
        port = listener.getsockname()[1]
        options = (*app, "--count", 200, "--connections", 2, "--depth", 4)
        with client(pair[0], pair[1], port, tmp_path / "samples", *options, **kind) as process:
            counts = measure(process)["memcached"]
            ends_clean(process)
    assert counts["gets"] + counts["sets"] == 200 and counts["hits"] == counts["gets"] and not counts["errors"]


def answer_memcached(listener: socket.socket) -> None:
    """Serve both connections to their ends."""
    streams = [listener.accept()[0] for _ in range(2)]
    with ExitStack() as stack:
        for stream in streams:
            stack.enter_context(stream)
        while streams:
            for stream in select.select(streams, [], [])[0]:
                head = stream.recv(24, socket.MSG_WAITALL)
                if len(head) < 24:
                    streams.remove(stream)
                    continue
                opcode, body, opaque = head[1], *struct.unpack_from(">II", head, 8)
                stream.recv(body, socket.MSG_WAITALL)
                value = b"v" * 700 if opcode == 0 else b""
                # A get's answer has the four bytes of its flags before the value.
                extras = 4 if value else 0
                answer = struct.pack(">BBHBBHIIQ", 0x81, opcode, 0, extras, 0, 0, extras + len(value), opaque, 0)
                stream.sendall(answer + bytes(extras) + value)


@contextmanager
def threads(work: Callable[[], None]) -> Iterator[None]:
    """The work in a thread of its own, which ends with the block."""
    thread = threading.Thread(target=work)
    thread.start()
    yield
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


@pytest.mark.parametrize("kind", ["network", "poller"])
def test_hog_with_packets(pair: Pair, executable: Path, kind: str) -> None:
    with server(pair[1], executable=executable) as (answering, port):
        where = ("--connect", pair[1].ipv4, "--port", port)
        options = ("--kind", kind, "--threads", 2, "--load", 50, *where)
        with Generator("--netns", pair[0].path, "hog", *options, executable=executable) as process:
            process.event("ready")
            process.stop()
            ends_clean(process)
        answering.stop()
        ends_clean(answering)


@pytest.mark.parametrize("kind", ["spin", "syscall", "cache", "memory"])
def test_hog(executable: Path, kind: str) -> None:
    options = ("--kind", kind, "--threads", 3, "--load", 50, "--working-set", 1 << 20)
    with Generator("--cpus", "0-1", "hog", *options, executable=executable) as process:
        process.event("ready")
        process.stop()
        ends_clean(process)


def test_errors(executable: Path) -> None:
    for arguments, code in (
        (("--cpus", "0,,1", "hog"), 2),
        (("--netns", '/no\x01"such\\path/ä', "hog"), 1),
        (("server", "--size"), 2),
        (("client", "--size", "uniform:9-"), 2),
    ):
        with Generator(*arguments, executable=executable) as process:
            process.failure(code)
            assert process.process.stderr is not None
            assert process.process.stderr.read().decode() == ""


def test_links_change_and_are_watched(executable: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Schedules, series and packets, each by a helper that goes through its own ring or its points more than once."""
    monkeypatch.setattr(loadgen, "path", lambda: executable)
    monkeypatch.setattr(link_watch, "MOST_POINTS", 4)
    steps = [{"at": 0, "rate": "20mbit"}, {"at": "5ms", "down": "3ms"}, {"at": "12ms", "rate": "5mbit"}]
    shape = {"rate": "10mbit", "changes": {"steps": steps, "every": "20ms"}}
    declared = pair_of(shape=shape, queue_series="1ms", pcap={"keep": "64KiB", "snap": "1001B"})
    with bed(declared) as testbed, ExitStack() as stack:
        of_run = testbed, Stopper(), stack, set[int]()
        timed = link_watch.OnWire("a", "udp", 9)
        helpers = (LinkChanger(*of_run), link_watch.LinkWatch(*of_run, timed))
        for helper in helpers:
            helper.begin()
        with in_netns(testbed.nodes["a"].fd):
            out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with out:
            for _ in range(100):
                # Nobody has this port: half the packets are answers that say so.
                with suppress(ConnectionRefusedError):
                    out.sendto(bytes(1200), (testbed.address("b"), 9))
                time.sleep(0.001)
        for helper in helpers:
            helper.end()
            assert not [one for one in helper.doubts if "late by" not in one], helper.doubts
            for pid in chain.from_iterable(helper.families().values()):
                # Its leaks are told at its end, after its result.
                until_ended(pid)
            said = {name: data for name, data in helper.files().items() if name.endswith(".stderr.txt")}
            assert said == {}
        passed = helpers[1].passed
        assert passed is not None and 0 < passed.size <= 100 and set(passed["payload"]) == {1200}


def test_a_program_that_knows_names(pair: Pair, executable: Path, tmp_path: Path) -> None:
    names = tmp_path / "names"
    names.write_text("10.9.8.7\tserver\n")
    room = tmp_path / "room"
    room.mkdir()
    known = ("exec", "--names", names, "--room", room, "--", "getent", "hosts", "server")
    with Generator("--netns", pair[0].path, *known, executable=executable) as process:
        assert process.process.wait(PATIENCE_S) == 0 and process.process.stdout is not None
        assert process.process.stdout.read().split() == [b"10.9.8.7", b"server"]
    assert list(room.iterdir()) == [] and "server" not in Path("/etc/hosts").read_text()
