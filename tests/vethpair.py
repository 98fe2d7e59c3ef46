"""Two throw-away namespaces joined by a veth pair, made with iproute2: what tests of the C program run in."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

TOOLS = ("ip", "ethtool")
_numbers = itertools.count()


@dataclass(frozen=True)
class End:
    """One namespace: its name, its path for setns, and its addresses on the link."""

    name: str
    ipv4: str
    ipv6: str

    @property
    def path(self) -> str:
        """Where iproute2 keeps the namespace."""
        return f"/run/netns/{self.name}"

    def address(self, family: str) -> str:
        """The address of this end, family "ipv4" or "ipv6"."""
        return self.ipv4 if family == "ipv4" else self.ipv6

    def tcp_ext(self, counter: str) -> int:
        """A counter of this namespace's TcpExt table."""
        text = _run("ip", "netns", "exec", self.name, "cat", "/proc/net/netstat")
        names, values = (line.split() for line in text.splitlines() if line.startswith("TcpExt:"))
        return int(values[names.index(counter)])

    def received_packets(self) -> int:
        """Packets received on the link so far."""
        return int(_run("ip", "netns", "exec", self.name, "cat", "/sys/class/net/eth0/statistics/rx_packets"))


def missing() -> str:
    """Why no pair can be made here, or "" if it can."""
    if os.geteuid() != 0:
        return "needs root"
    absent = [tool for tool in TOOLS if shutil.which(tool) is None]
    return f"needs {' and '.join(absent)}" if absent else ""


def _run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@contextmanager
def _namespace(name: str) -> Iterator[None]:
    _run("ip", "netns", "add", name)
    try:
        yield
    finally:
        _run("ip", "netns", "del", name)


def _configure(end: End, napi: bool) -> None:
    _run("ip", "-n", end.name, "addr", "add", f"{end.ipv4}/24", "dev", "eth0")
    _run("ip", "-n", end.name, "addr", "add", f"{end.ipv6}/64", "dev", "eth0", "nodad")
    if napi:
        # A veth end receives through NAPI, and can be busy-polled, only with GRO here and no TSO at its peer.
        _run("ip", "netns", "exec", end.name, "ethtool", "-K", "eth0", "gro", "on", "tso", "off")
    _run("ip", "-n", end.name, "link", "set", "eth0", "up")


@contextmanager
def veth_pair(*, napi: bool = True) -> Iterator[tuple[End, End]]:
    """Two joined ends, the client's and the server's; gone at the end, whatever happened."""
    mark = f"pbtest-{os.getpid()}-{next(_numbers)}"
    client = End(f"{mark}-c", "10.98.0.1", "fd98::1")
    server = End(f"{mark}-s", "10.98.0.2", "fd98::2")
    with ExitStack() as stack:
        stack.enter_context(_namespace(client.name))
        stack.enter_context(_namespace(server.name))
        _run("ip", "-n", client.name, "link", "add", "eth0", "type", "veth", "peer", "eth0", "netns", server.name)
        _configure(client, napi)
        _configure(server, napi)
        yield client, server
