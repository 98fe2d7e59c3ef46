"""Routing daemons of nodes, BIRD or FRR: started in their namespaces, and waited for until their routes are there."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, NamedTuple

from harness.errors import MissingError, PollbenchError
from harness.kernel.journal import Journal
from harness.kernel.netlink import NetlinkSocket
from harness.kernel.netns import in_netns
from harness.kernel.routes import MadeRoute, made_by_daemons
from harness.mininet.load import with_last_line
from harness.signals import pause
from harness.spec.routing import Routing
from harness.store.record import Columns
from harness.testbed.daemons import daemon, own_directory
from harness.testbed.namespaces import namespace_name
from harness.topology.layout import Layout, Network

_PACKAGES = {"bird": "bird2", "frr": "frr"}
# Where distributions keep them, besides the path of whoever types the command.
_PLACES = ("/usr/sbin", "/usr/lib/frr", "/usr/libexec/frr", "/usr/local/sbin")
# A line that begins so in a configuration of FRR is for this daemon; zebra, the first, is always there.
_FRR = {
    "ospfd": r"router ospf\b",
    "ospf6d": r"router ospf6\b",
    "bgpd": r"router bgp\b",
    "ripd": r"router rip\b",
    "ripngd": r"router ripng\b",
    "isisd": r"router isis\b",
    "babeld": r"router babel\b",
    "eigrpd": r"router eigrp\b",
    "staticd": r"ip(v6)? route\b",
    "bfdd": r"bfd\b",
}
_PAUSE_S, _MOST_SHOWN = 0.02, 20


class _Running(NamedTuple):
    """A node's daemons: their processes by name, what they print, and the networks to which they have to find ways."""

    node: str
    routing: Routing
    home: Path
    processes: dict[str, subprocess.Popen[bytes]]
    printed: IO[bytes]
    networks: tuple[Network, ...]


def programs_of(routing: Routing) -> dict[str, str]:
    """The programs that a node's routing takes, by name or path, and the package that brings each on Debian."""
    names = ["bird"]
    if routing.daemon == "frr":
        names = ["zebra", *(name for name, line in _FRR.items() if re.search(rf"(?m)^{line}", routing.text))]
    return {_place(name): _PACKAGES[routing.daemon] for name in names}


def _place(name: str) -> str:
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *_PLACES])) or name


@contextlib.contextmanager
def routed(layout: Layout, fds: Mapping[str, int], journal: Journal) -> Iterator[dict[str, Columns]]:
    """Have the declared daemons make their routes, for the length of the block; columns of nodes.csv by node.

    Raises MissingError for one that is not installed, PollbenchError for one that ends, or whose routes do not come.
    """
    declared = {name: node.routing for name, node in layout.topology.nodes.items() if node.routing is not None}
    if not declared:
        yield {}
        return
    with contextlib.ExitStack() as stack:
        home, began_s = stack.enter_context(own_directory("routing", journal)), time.monotonic()
        running = []
        for node, routing in declared.items():
            printed = stack.enter_context(tempfile.TemporaryFile())
            processes = {}
            for name, command in _commands(node, routing, home / node).items():
                launcher = ["ip", "netns", "exec", namespace_name(journal.token, node)]
                started = daemon([*launcher, *command], os.environ, journal, printed)
                processes[name] = stack.enter_context(started)
            awaited = networks(layout, node)
            running.append(_Running(node, routing, home / node, processes, printed, awaited))
        for one in running:
            _await(one, fds[one.node], layout.topology.family, began_s)
        after_ms = round((time.monotonic() - began_s) * 1e3, 1)
        made = {one.node: made_routes(fds[one.node], layout.topology.family) for one in running}
        yield {
            one.node: {
                "routing": _version(one.routing),
                "routes": "; ".join(route.text() for route in made[one.node][:_MOST_SHOWN]),
                "routes_after_ms": after_ms,
            }
            for one in running
        }


def made_routes(fd: int, family: str) -> list[MadeRoute]:
    """The routes that daemons have made in a namespace. Raises OSError."""
    with in_netns(fd), NetlinkSocket() as sock:
        return made_by_daemons(sock, family)


def networks(layout: Layout, node: str) -> tuple[Network, ...]:
    """To which a node's daemon has to have routes: those declared, else all subnets that are not the node's own.

    Nor those to which the file itself declares a route, the default one apart.
    """
    routing = layout.topology.nodes[node].routing
    if routing is not None and routing.until is not None:
        return tuple(map(ipaddress.ip_network, routing.until))
    own = {port.interface.network for port in layout.ports[node]}
    others = (port.interface.network for pair in layout.links for port in pair if port.addressed)
    given = [MadeRoute(route.to, ()) for route in layout.routes(node) if route.to.prefixlen]
    return tuple(
        network
        for network in dict.fromkeys(others)
        if network not in own and not any(_leads(route, network) for route in given)
    )


def _commands(node: str, routing: Routing, own: Path) -> dict[str, list[str]]:
    """The command lines of a node's daemons by their names, in the order of their start; their files in `own`, made.

    Raises MissingError.
    """
    own.mkdir()
    file = own / routing.file_name
    file.write_text(routing.text)
    if routing.daemon == "frr":
        with contextlib.suppress(LookupError):
            # Its daemons give up root's rights for this user's, who is to read it, and to write there.
            for path in (own, file):
                shutil.chown(path, "frr", "frr")
    commands = {}
    for program, package in programs_of(routing).items():
        if not os.path.isabs(program):
            todo = f"install it: apt install {package}"
            raise MissingError("start a routing daemon", node, f"there is no program {program}", todo)
        name = Path(program).name
        if name == "bird":
            commands[name] = [program, "-d", "-c", str(file), "-s", str(own / "bird.ctl")]
        else:
            files = ["-f", str(file), "-i", f"{own}/{name}.pid", "-z", f"{own}/zserv.api", "--vty_socket", str(own)]
            commands[name] = [program, *files, "-P", "0", "--log", "stdout"]
    return commands


def _await(one: _Running, fd: int, family: str, began_s: float) -> None:
    """Wait until a node's daemons have all routes that are waited for. Raises PollbenchError."""
    within_s = one.routing.within_ns / 1e9
    while True:
        routes = made_routes(fd, family)
        missing = [network for network in one.networks if not any(_leads(route, network) for route in routes)]
        for name, process in one.processes.items():
            if process.poll() is not None:
                raise _useless(one, f"{name} ended with status {process.returncode}")
        if not missing:
            return
        if time.monotonic() - began_s > within_s:
            raise _useless(one, f"no route to {missing[0]} within {within_s:g} s (its key within)")
        pause(_PAUSE_S)


def _leads(route: MadeRoute, network: Network) -> bool:
    """Is it a way to all of the network?"""
    return network.prefixlen >= route.to.prefixlen and network.network_address in route.to


def _useless(one: _Running, got: str) -> PollbenchError:
    one.printed.seek(0)
    # A mistake in its configuration is at a line and column of the user's file.
    printed = one.printed.read().replace(os.fsencode(one.home) + b"/", b"")
    todo = f"see its configuration, {one.routing.file_name}"
    return PollbenchError("start a routing daemon", one.node, with_last_line(got, printed), todo)


def _version(routing: Routing) -> str:
    """What a daemon says it is, on its own: "BIRD version 2.0.12"."""
    program = next(iter(programs_of(routing)))
    done = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=30, check=False)
    return (done.stdout + done.stderr).strip().partition("\n")[0]
