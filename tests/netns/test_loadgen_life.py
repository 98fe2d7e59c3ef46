"""How the load generator's processes start, fail and end: launch options, errors, and every way to stop."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import loadgen
from harness.errors import MissingError
from tests.generator import PATIENCE_S, Argument, Generator, client, server
from tests.vethpair import End, missing, veth_pair

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing())

WAITS = ("blocking", "spin", "poll", "select", "epoll")
PROTOCOLS = ("udp", "tcp")
# Far longer than our patience, but not so long that the room for its samples becomes a burden.
LONG_NS = 60_000_000_000
HOG = ("hog", "--kind", "spin", "--threads", 1, "--load", 1)
Pair = tuple[End, End]


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    """Client's and server's namespace, joined by a link."""
    with veth_pair() as ends:
        yield ends


def ended(pid: int) -> bool:
    """Whether the process ends within our patience; a zombie has ended."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state in "ZX":
            return True
        time.sleep(0.01)
    return False


# Launching


@pytest.mark.parametrize(
    ("options", "policy", "priority", "nice"),
    [
        ((), os.SCHED_OTHER, 0, 0),
        (("--nice", 7), os.SCHED_OTHER, 0, 7),
        (("--policy", "batch", "--nice", -3), os.SCHED_BATCH, 0, -3),
        (("--policy", "idle"), os.SCHED_IDLE, 0, 0),
        (("--policy", "fifo", "--priority", 11), os.SCHED_FIFO, 11, 0),
        (("--policy", "rr", "--priority", 12), os.SCHED_RR, 12, 0),
    ],
)
def test_launch_options_take_effect(
    pair: Pair, options: tuple[Argument, ...], policy: int, priority: int, nice: int
) -> None:
    with Generator("--netns", pair[0].path, "--cpus", "1", *options, *HOG) as process:
        (tid,) = process.event("ready")["tids"]
        for each in (process.process.pid, tid):
            assert os.sched_getaffinity(each) == {1}
            assert os.sched_getscheduler(each) == policy
            assert os.sched_getparam(each).sched_priority == priority
            assert os.getpriority(os.PRIO_PROCESS, each) == nice
        assert os.stat(f"/proc/{tid}/ns/net").st_ino == os.stat(pair[0].path).st_ino
        readback = process.stop()["readback"]
    names = {os.SCHED_OTHER: "other", os.SCHED_BATCH: "batch", os.SCHED_IDLE: "idle", os.SCHED_FIFO: "fifo"}
    expected = {"policy": names.get(policy, "rr"), "priority": priority, "nice": nice, "cpus": [1]}
    assert readback == expected


def test_exec_becomes_the_command() -> None:
    code = "import os; print(sorted(os.sched_getaffinity(0)), os.nice(0), os.getpgrp() == os.getpid())"
    with Generator("--cpus", 0, "--nice", 5, "exec", "--", sys.executable, "-c", code) as process:
        out, _ = process.process.communicate(timeout=PATIENCE_S)
    assert out.decode().split("\n")[0] == "[0] 5 True"
    assert process.process.returncode == 0


def test_it_leads_a_group_in_our_session_and_ignores_the_interrupt_key() -> None:
    with Generator(*HOG) as process:
        process.event("ready")
        pid = process.process.pid
        assert os.getpgid(pid) == pid
        assert os.getsid(pid) == os.getsid(0)
        process.process.send_signal(signal.SIGINT)
        process.stop()


@pytest.mark.parametrize("mode", [HOG, ("exec", "--", "sleep", "600")])
def test_it_dies_with_its_parent(mode: tuple[Argument, ...]) -> None:
    command = [str(loadgen.path()), *(str(word) for word in mode)]
    start = f"print(subprocess.Popen({command!r}, stdout=subprocess.DEVNULL).pid, flush=True)"
    code = f"import subprocess, time; {start}; time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        time.sleep(0.2)  # past the moment in which it asks to die with its parent
        parent.kill()
        assert ended(pid)


def test_missing_executable_says_how_to_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loadgen, "EXECUTABLE", "no-such-program")
    with pytest.raises(MissingError, match="pip install"):
        loadgen.path()


# Errors


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("dance",),
        ("--cpus", "banana", *HOG),
        ("--cpus", "1-0", *HOG),
        ("--cpus", "0,", *HOG),
        ("--priority", "5", *HOG),
        ("--policy", "fifo", *HOG),
        ("--policy", "deadline", *HOG),
        ("--nice", "20", *HOG),
        ("--nice",),
        (*HOG, "--load", "5"),
        ("hog", "--kind", "spin", "--threads", "0", "--load", "5"),
        ("hog", "--kind", "spin", "--threads", "1", "--load", "101"),
        ("hog", "--kind", "spin", "--threads", "1", "--load", "nan"),
        ("hog", "--kind", "spin", "--threads", "1x", "--load", "1"),
        ("hog", "--kind", "spin", "--threads", "99999999999999999999", "--load", "1"),
        ("hog", "--kind", "spin", "--load", "1"),
        (*HOG, "more"),
        ("exec", "true"),
        ("exec", "--"),
        ("server", "--protocol", "udp", "--listen", "::1", "--port", "0", "--wait", "spin", "--size", "7"),
        ("server", "--protocol", "udp", "--listen", "::1", "--port", "0", "--wait", "spin", "--size", "65508"),
        *(
            ("server", "--protocol", "udp", "--listen", "127.0.0.1", "--port", "0", "--size", "64", *options)
            for options in (
                ("--wait", "spin", "--epoll-busy-poll", "1,2,1"),
                ("--wait", "epoll", "--epoll-busy-poll", "1,2"),
                ("--wait", "epoll", "--epoll-busy-poll", "1,2,1,"),
                ("--wait", "epoll", "--epoll-busy-poll", "1,2,2"),
                ("--wait", "spin", "--busy-poll", "-1"),
                ("--wait", "sleep"),
            )
        ),
    ],
)
def test_bad_command_lines(arguments: tuple[Argument, ...]) -> None:
    with Generator(*arguments) as process:
        error = process.failure(code=2)
    assert error["attempted"] == "read the command line"
    assert error["on"] and error["got"]


def test_launching_errors_name_their_object() -> None:
    for arguments, on, code in (
        (("--netns", "/run/netns/no-such", *HOG), "/run/netns/no-such", errno.ENOENT),
        (("--netns", "/etc/passwd", *HOG), "/etc/passwd", errno.EINVAL),
        (("--cpus", "8000", *HOG), "8000", errno.EINVAL),
        (("--cpus", "0,8000", *HOG), "0,8000", 0),
        (("exec", "--", "/no/such/program"), "/no/such/program", errno.ENOENT),
    ):
        with Generator(*arguments) as process:
            error = process.failure()
        assert (error["on"], error["errno"]) == (on, code), error


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_taken_port_is_an_error(pair: Pair, protocol: str) -> None:
    with server(pair[1], protocol=protocol) as (_, port):
        where = ("--listen", pair[1].ipv4, "--port", port)
        options = (*where, "--protocol", protocol, "--wait", "spin", "--size", 64)
        with Generator("--netns", pair[1].path, "server", *options) as second:
            error = second.failure()
    assert error["errno"] == errno.EADDRINUSE
    assert error["on"] == f"{protocol} {pair[1].ipv4}:{port}"


@pytest.mark.parametrize(("address", "code"), [("10.1.2.3", errno.EADDRNOTAVAIL), ("example", 0), ("", 0)])
def test_a_bad_address_is_an_error(pair: Pair, address: str, code: int) -> None:
    options = ("--listen", address, "--port", 0, "--protocol", "udp", "--wait", "spin", "--size", 64)
    with Generator("--netns", pair[1].path, "server", *options) as process:
        error = process.failure()
    assert error["errno"] == code
    assert address in error["on"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_no_server_is_an_error(pair: Pair, tmp_path: Path, protocol: str) -> None:
    with client(*pair, 9, tmp_path / "samples", protocol=protocol) as process:
        error = process.failure()
    assert error["errno"] == errno.ECONNREFUSED


def test_a_silent_server_is_an_error(pair: Pair, tmp_path: Path) -> None:
    for protocol in PROTOCOLS:
        with server(pair[1], protocol=protocol) as (serving, port):
            serving.process.send_signal(signal.SIGSTOP)
            options = ("--timeout-ns", 20_000_000)
            with client(*pair, port, tmp_path / "samples", *options, protocol=protocol) as process:
                error = process.failure()
        assert (error["attempted"], error["errno"]) == ("get a first reply", errno.ETIMEDOUT)


def test_a_connection_that_ends_is_an_error(pair: Pair, tmp_path: Path) -> None:
    with (
        server(pair[1], protocol="tcp") as (serving, port),
        client(*pair, port, tmp_path / "samples", protocol="tcp") as process,
    ):
        process.event("ready")
        process.event("warm")
        serving.stop()
        process.say("go")
        error = process.failure()
    assert error["errno"] in (errno.ECONNRESET, errno.EPIPE)


def test_a_samples_file_that_cannot_be_made_is_an_error(pair: Pair) -> None:
    with client(*pair, 9, Path("/no/such/directory/samples")) as process:
        error = process.failure()
    assert (error["on"], error["errno"]) == ("/no/such/directory/samples", errno.ENOENT)


# Stopping


@pytest.mark.parametrize("connected", [False, True])
@pytest.mark.parametrize("wait", WAITS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_server_stops_at_once(pair: Pair, tmp_path: Path, protocol: str, wait: str, connected: bool) -> None:
    kind = {"protocol": protocol, "wait": wait}
    with server(pair[1], **kind) as (serving, port):
        if not connected:
            serving.stop()
            return
        with client(pair[0], pair[1], port, tmp_path / "samples", **kind) as process:
            process.event("ready")
            process.event("warm")  # connected, and silent from here on
            assert serving.stop()["requests"] > 0


@pytest.mark.parametrize("how", ["end of input", "SIGTERM"])
@pytest.mark.parametrize("when", ["ready", "measuring", "blocked", "done"])
@pytest.mark.parametrize("wait", WAITS)
def test_a_client_stops_at_once(pair: Pair, tmp_path: Path, wait: str, when: str, how: str) -> None:
    times = ("--timeout-ns", LONG_NS, "--duration-ns", 1 if when == "done" else LONG_NS)
    with (
        server(pair[1], wait=wait) as (serving, port),
        client(*pair, port, tmp_path / "samples", *times, wait=wait) as process,
    ):
        process.event("ready")
        process.event("warm")
        if when != "ready":
            process.say("go")
        if when == "done":
            process.event("done")
        else:
            time.sleep(0.05)
        if when == "blocked":
            serving.process.send_signal(signal.SIGSTOP)
            time.sleep(0.02)
        if how == "SIGTERM":
            process.process.terminate()
        else:
            process.close_input()
        error = process.failure()
    assert "asked to stop" in error["got"]


def test_commands_may_be_written_ahead(pair: Pair, tmp_path: Path) -> None:
    with server(pair[1]) as (_, port), client(*pair, port, tmp_path / "samples") as process:
        process.say("go\nfinish")
        process.close_input()
        events = [process.event()["event"] for _ in range(4)]
    assert events == ["ready", "warm", "done", "result"]


def test_an_unknown_command_is_an_error(pair: Pair, tmp_path: Path) -> None:
    with server(pair[1]) as (_, port), client(*pair, port, tmp_path / "samples") as process:
        process.event("ready")
        process.event("warm")
        process.say("run" * 20)
        assert process.failure()["got"].startswith("run")


def test_nobody_reading_its_events_ends_it() -> None:
    with Generator(*HOG) as process:
        process.event("ready")
        assert process.process.stdout is not None
        process.process.stdout.close()
        process.process.stdout = None
        process.process.terminate()
        assert process.process.wait(PATIENCE_S) == 1
