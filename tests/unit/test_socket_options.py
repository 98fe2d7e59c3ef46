"""Sockets of programs that nobody modified: which are treated, when, and what is told of each."""

from __future__ import annotations

import contextlib
import errno
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from harness.errors import MissingError, PollbenchError
from harness.kernel import pidfd, processes
from harness.knobs import KNOBS
from harness.run.socket_options import SocketOptions, sockets_file

EPOLL = "anon_inode:[eventpoll]"
POLL: dict[str, Any] = {"busy_poll": {"usecs": 50}}
FULL: dict[str, Any] = {
    "busy_poll": {"usecs": 50, "prefer": True, "budget": 64},
    "epoll_busy_poll": {"usecs": 60, "budget": 32, "prefer": True},
}


@dataclass
class Held:
    """One descriptor of a made-up process. kind "" is a file; gone: closed as soon as one looks at it."""

    kind: str
    inode: int = 0
    napi_id: int = 0
    gone: bool = False
    values: dict[str, Any] = field(default_factory=dict)


@dataclass
class Host:
    """Made-up processes: pid -> fd -> what it is; and every option that was written, in order.

    refuses: what a write comes back with; deaf: nothing that is written stays.
    """

    held: dict[int, dict[int, Held]] = field(default_factory=dict)
    written: list[tuple[int, int, str]] = field(default_factory=list)
    refuses: int = 0
    forbidden: int = 0
    deaf: bool = False
    _open: dict[int, tuple[int, int]] = field(default_factory=dict)

    def descriptors(self, pid: int) -> list[processes.Descriptor]:
        names = {"epoll": EPOLL, "": "/dev/null"}
        return [
            processes.Descriptor(fd, names.get(held.kind, f"socket:[{held.inode}]"), held.inode)
            for fd, held in self.held.get(pid, {}).items()
        ]

    @contextlib.contextmanager
    def borrowed(self, pid: int, fd: int) -> Iterator[int]:
        if self.forbidden:
            raise OSError(self.forbidden, "not to be borrowed")
        if self.held[pid][fd].gone:
            raise OSError(errno.EBADF, "Bad file descriptor")
        mine = 1000 + len(self._open)
        self._open[mine] = (pid, fd)
        yield mine

    def of(self, mine: int) -> Held:
        pid, fd = self._open[mine]
        return self.held[pid][fd]

    def facts(self, mine: int) -> pidfd.SocketFacts | None:
        held = self.of(mine)
        return None if held.kind == "unix" else pidfd.SocketFacts(held.kind, held.napi_id)

    def get(self, mine: int, name: str = "epoll") -> Any:
        return self.of(mine).values.get(name, [0, 0, 0] if name == "epoll" else 0)

    def put(self, mine: int, name: str, value: Any) -> None:
        if self.refuses:
            raise OSError(self.refuses, "no")
        self.written.append((*self._open[mine], name))
        if not self.deaf:
            self.of(mine).values[name] = value


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host()
    monkeypatch.setattr(processes, "descriptors", made.descriptors)
    monkeypatch.setattr(pidfd, "borrowed", made.borrowed)
    monkeypatch.setattr(pidfd, "facts", made.facts)
    monkeypatch.setattr(pidfd, "get_option", made.get)
    monkeypatch.setattr(pidfd, "set_option", made.put)
    monkeypatch.setattr(pidfd, "get_epoll", made.get)
    monkeypatch.setattr(pidfd, "set_epoll", lambda mine, value: made.put(mine, "epoll", value))
    return made


def options(**knobs: dict[str, Any]) -> SocketOptions:
    return SocketOptions("server", {name: KNOBS[name](**fields) for name, fields in (knobs or FULL).items()})


def test_every_setting_is_written_to_what_takes_it(host: Host) -> None:
    host.held[7] = {1: Held(""), 4: Held("udp", 40, 9), 5: Held("epoll"), 6: Held("unix", 60)}
    treats = options()
    treats.sweep("memcached", [7])
    assert host.held[7][4].values == {"SO_BUSY_POLL": 50, "SO_PREFER_BUSY_POLL": 1, "SO_BUSY_POLL_BUDGET": 64}
    assert host.held[7][5].values == {"epoll": [60, 32, 1]}
    assert host.held[7][6].values == host.held[7][1].values == {}
    rows = {row.setting: row for row in treats.rows("memcached")}
    assert rows.keys() == {
        "SO_BUSY_POLL memcached[7] fd 4 (udp) napi 9",
        "SO_PREFER_BUSY_POLL memcached[7] fd 4 (udp) napi 9",
        "SO_BUSY_POLL_BUDGET memcached[7] fd 4 (udp) napi 9",
        "EPIOCSPARAMS memcached[7] fd 5 (epoll)",
    }
    polled = rows["SO_BUSY_POLL memcached[7] fd 4 (udp) napi 9"]
    assert (polled.node, polled.knob, polled.requested, polled.found, polled.applied) == (
        "server",
        "busy_poll",
        50,
        0,
        50,
    )
    # The kernel takes this one and never shows it.
    assert rows["SO_BUSY_POLL_BUDGET memcached[7] fd 4 (udp) napi 9"].applied is None
    assert rows["EPIOCSPARAMS memcached[7] fd 5 (epoll)"].applied == [60, 32, 1]
    assert (treats.has_socket("memcached"), treats.has_epoll("memcached")) == (True, True)
    assert (treats.has_socket("other"), treats.has_epoll("other")) == (False, False)


def test_listeners_come_first_and_nothing_is_treated_twice(host: Host) -> None:
    host.held = {7: {3: Held("tcp", 30), 5: Held("tcp listener", 50)}, 8: {4: Held("tcp listener", 50)}}
    treats = options(**POLL)
    treats.sweep("memcached", [7, 8])
    # The second process inherited the listener of the first: it is the same socket.
    assert [(pid, fd) for pid, fd, _ in host.written] == [(7, 5), (7, 3)]
    treats.sweep("memcached", [7, 8])
    assert len(host.written) == 2
    host.held[7] |= {9: Held("tcp", 90)}
    treats.sweep("memcached", [7, 8])
    assert host.written[2:] == [(7, 9, "SO_BUSY_POLL")]
    # A number that is used again stands for another socket.
    host.held[7][9] = Held("tcp", 91)
    treats.sweep("memcached", [7, 8])
    assert host.written[3:] == [(7, 9, "SO_BUSY_POLL")]


def test_what_closes_while_one_looks_at_it_is_no_failure(host: Host) -> None:
    host.held[7] = {4: Held("udp", 40, gone=True), 5: Held("udp", 50)}
    host.refuses = errno.EBADF
    treats = options(**POLL)
    treats.sweep("memcached", [7, 99])
    assert treats.treated == {}
    host.refuses = 0
    treats.sweep("memcached", [7])
    assert [treated.fd for treated in treats.treated.values()] == [5]


def test_what_the_kernel_does_not_allow_is_a_skip_and_a_value_that_it_refuses_a_failure(host: Host) -> None:
    host.held[7] = {4: Held("udp", 40)}
    host.forbidden = errno.EPERM
    with pytest.raises(MissingError, match="the sockets of another process to borrowed on process 7"):
        options().sweep("memcached", [7])
    host.forbidden, host.refuses = 0, errno.EINVAL
    with pytest.raises(PollbenchError, match=r"set SO_BUSY_POLL to 50 on memcached\[7\] fd 4 \(udp\): no"):
        options().sweep("memcached", [7])
    host.refuses, host.deaf = 0, True
    with pytest.raises(PollbenchError, match=r"fd 4 \(udp\): it reads back 0"):
        options().sweep("memcached", [7])


def test_a_socket_knows_its_napi_only_after_its_first_packet(host: Host) -> None:
    host.held[7] = {4: Held("udp", 40), 5: Held("tcp listener", 50, 3), 6: Held("tcp", 60, 9), 8: Held("epoll")}
    treats = options()
    treats.sweep("memcached", [7])
    assert treats.napi_ids("memcached") == [9]
    host.held[7][4].napi_id, host.held[7][6].napi_id = 11, 12
    treats.look_again(only_unknown=True)
    assert set(treats.napi_ids("memcached")) == {9, 11}
    treats.look_again()
    assert set(treats.napi_ids("memcached")) == {11, 12}
    host.held[7][6].gone = True
    treats.look_again()
    assert set(treats.napi_ids("memcached")) == {11, 12}
    assert treats.napi_ids("other") == []


def test_a_listener_alone_is_no_socket_that_receives(host: Host) -> None:
    host.held[7] = {5: Held("tcp listener", 50)}
    treats = options()
    treats.sweep("memcached", [7])
    assert not treats.has_socket("memcached") and not treats.has_epoll("memcached")


def test_a_program_without_sockets_has_a_row_that_says_so(host: Host) -> None:
    treats = options(**POLL, epoll_busy_poll={"usecs": 60})
    rows = treats.rows("iperf3")
    assert [row.setting for row in rows] == ["SO_BUSY_POLL iperf3: no socket", "EPIOCSPARAMS iperf3: no epoll instance"]
    assert all((row.found, row.applied) == (None, None) for row in rows)


@pytest.mark.parametrize(("count", "rows"), [(16, 16), (17, 2)])
def test_many_sockets_that_are_alike_have_one_row(host: Host, count: int, rows: int) -> None:
    host.held[7] = {fd: Held("tcp", 100 + fd, 5 if fd < 13 else 6) for fd in range(10, 10 + count)}
    treats = options(**POLL)
    treats.sweep("memcached", [7])
    found = treats.rows("memcached")
    assert len(found) == rows
    if rows == 2:
        assert [row.setting for row in found] == [
            "SO_BUSY_POLL memcached: 3 sockets like fd 10 (tcp) napi 5",
            "SO_BUSY_POLL memcached: 14 sockets like fd 13 (tcp) napi 6",
        ]


def test_what_was_done_is_kept_as_a_file(host: Host) -> None:
    host.held[7] = {4: Held("udp", 40, 9)}
    treats = options(**POLL)
    assert sockets_file([treats]) == {}
    treats.sweep("memcached", [7])
    (kept,) = json.loads(sockets_file([treats])["sockets.json"])
    assert (kept["program"], kept["pid"], kept["fd"], kept["kind"], kept["napi_id"]) == ("memcached", 7, 4, "udp", 9)
    assert kept["settings"] == [
        {"knob": "busy_poll", "setting": "SO_BUSY_POLL", "requested": 50, "found": 0, "applied": 50}
    ]


def test_knobs_of_other_scopes_are_nothing_to_a_socket(host: Host) -> None:
    host.held[7] = {4: Held("udp", 40)}
    treats = options(offloads={"gro": "on"})
    treats.sweep("memcached", [7])
    assert host.written == [] and treats.rows("memcached") == []


def test_options_of_tcp_are_for_tcp_sockets() -> None:
    assert [pidfd.has_option(kind, "TCP_NODELAY") for kind in ("tcp", "mptcp listener", "udp", "af_xdp")] == [
        *(True, True),
        *(False, False),
    ]
    assert pidfd.has_option("udp", "SO_RCVLOWAT") and not pidfd.has_option("tcp", "EPIOCSPARAMS")
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        for name, value in (("TCP_NODELAY", 1), ("SO_RCVLOWAT", 77), ("SO_MAX_PACING_RATE", 10**7)):
            pidfd.set_option(sock.fileno(), name, value)
            assert pidfd.get_option(sock.fileno(), name) == value
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
