"""engine: mininet. Mininet builds in a process and a namespace of its own; its hosts become nodes of our testbed."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from harness.errors import InputError, MissingError, PollbenchError
from harness.kernel import netns
from harness.kernel.journal import Journal
from harness.kernel.links import LOOPBACK_IFINDEX, link_dump, link_up
from harness.kernel.netdev import family
from harness.kernel.netlink import NetlinkSocket
from harness.kernel.netns import in_netns
from harness.kernel.proc import start_ticks
from harness.kernel.rtnl import missing_reason, missing_remedy, qdisc_dump
from harness.mininet.load import child_environment, load_graph
from harness.spec.topology import Controller, Emulator, Topology
from harness.store.record import Columns, QdiscRow
from harness.testbed.controller import controller_running
from harness.testbed.openvswitch import open_vswitch
from harness.topology.layout import Layout, PortLayout

# What Mininet runs, and which package brings it on Debian.
_PROGRAMS = {
    "mnexec": "mininet",
    "ip": "iproute2",
    "ifconfig": "net-tools",
    "ethtool": "ethtool",
    "tc": "iproute2",
}
# How long switches may take to find their controller; one that the user will start by hand is not waited for long.
_CONNECT_S, _CONNECT_REMOTE_S = 20.0, 2.0
_STOP_S, _STOP_PER_NODE_S = 30.0, 0.2


@contextlib.contextmanager
def emulated(layout: Layout, journal: Journal) -> Iterator[dict[str, int]]:
    """Have Mininet build the layout's topology; node to descriptor of its namespace, for the length of the block.

    All switches share one namespace, as in Mininet, but it is none of the host's. Raises MissingError for a program
    that is not installed, InputError for a topology that Mininet cannot build, PollbenchError otherwise.
    """
    topology = layout.topology
    emulator = topology.emulator or Emulator()
    missing_programs(emulator)
    open_flow = emulator.switch.startswith("OVS") or _names_open_vswitch(topology)
    with contextlib.ExitStack() as stack:
        name = f"pb-{journal.token}-.mininet"
        root = stack.enter_context(_own_namespace(name, journal))
        launcher = ["ip", "netns", "exec", name]
        environment = child_environment()
        if open_flow:
            environment |= stack.enter_context(open_vswitch(launcher, journal))
        wanted = emulator.controller
        if isinstance(wanted, Controller):
            running = controller_running(wanted, launcher, environment, root, journal)
            wanted = stack.enter_context(running)
        ours = isinstance(emulator.controller, Controller)
        request = _request(topology, emulator.switch, wanted) | {
            "open_flow": open_flow,
            "connect_s": _CONNECT_S if ours else _CONNECT_REMOTE_S,
            "must_connect": ours,
        }
        told = stack.enter_context(_mininet(layout, request, launcher, environment, journal))
        nodes = told["nodes"]
        fds = {}
        for node in topology.nodes:
            if topology.is_switch(node):
                fds[node] = stack.enter_context(_named(node, netns.path_of_fd(root), journal))
            else:
                fds[node] = stack.enter_context(
                    _named(node, netns.path_of_process(nodes[node]["pid"]), journal)
                )
        yield fds


def programs_of(emulator: Emulator) -> dict[str, str]:
    """What Mininet runs, and the package that brings each on Debian."""
    switch = (
        {"brctl": "bridge-utils"} if emulator.switch == "LinuxBridge" else {"ovs-vsctl": "openvswitch-switch"}
    )
    return _PROGRAMS | switch


def missing_programs(emulator: Emulator) -> None:
    """MissingError, naming the package, for the first program of Mininet's that is not installed."""
    for program, package in programs_of(emulator).items():
        if shutil.which(program) is None:
            todo = f"install it: apt install {package}; engine: netlink does without"
            raise MissingError("build by Mininet", got=f"there is no program {program}", todo=todo)


@contextlib.contextmanager
def _own_namespace(name: str, journal: Journal) -> Iterator[int]:
    number = journal.note("netns", name=name)
    fd = netns.create(name)
    try:
        with in_netns(fd), NetlinkSocket() as sock:
            sock.batch([link_up(LOOPBACK_IFINDEX, "lo")])
        yield fd
    finally:
        os.close(fd)
        netns.remove(name)
        journal.done(number)


@contextlib.contextmanager
def _named(node: str, source: str, journal: Journal) -> Iterator[int]:
    """A namespace that is there already, under our name for the node."""
    name = f"pb-{journal.token}-{node}"
    number = journal.note("netns", name=name)
    fd = netns.adopt(name, source)
    try:
        yield fd
    finally:
        os.close(fd)
        netns.remove(name)
        journal.done(number)


def _names_open_vswitch(topology: Topology) -> bool:
    """Is a class of Open vSwitch's that of a switch in the file itself?"""
    name, directory = topology.source()
    graph = load_graph(name, directory, topology.args, name, rehearsed=False)
    classes = (switch["opts"].get("cls") or {} for switch in graph["switches"])
    return any("OVSSwitch" in cls.get("bases", ()) for cls in classes)


def _request(topology: Topology, switch: str, controller: str | None) -> dict[str, Any]:
    """What the process is asked for; see harness.mininet.emulate."""
    name, directory = topology.source()
    return {
        "name": name,
        "directory": directory,
        "args": topology.args if isinstance(topology.args, list) else [],
        "keywords": topology.args if isinstance(topology.args, dict) else {},
        "switch": switch,
        "controller": controller,
        "stp": topology.stp,
        # To ask for the family loads the module: a look at what is loaded would find nothing on the first run.
        "kernel_datapath": family("ovs_datapath") is not None,
    }


@contextlib.contextmanager
def _mininet(
    layout: Layout,
    request: dict[str, Any],
    launcher: list[str],
    environment: dict[str, str],
    journal: Journal,
) -> Iterator[dict[str, Any]]:
    """The process that holds Mininet; what it tells of its nodes."""
    topology = layout.topology
    reader, writer = os.pipe()
    command = [*launcher, sys.executable, "-P", "-m", "harness.mininet.emulate", str(writer)]
    with open(reader, "rb") as pipe, tempfile.TemporaryFile() as said:
        child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=subprocess.STDOUT,
            pass_fds=[writer],
            start_new_session=True,
            env=environment,
        )
        os.close(writer)
        number = journal.note("process", pid=child.pid, start_ticks=start_ticks(child.pid))
        pids: dict[int, int] = {}
        try:
            assert child.stdin is not None
            child.stdin.write(json.dumps(request).encode() + b"\n")
            child.stdin.flush()
            answer = pipe.readline()
            told = _checked(answer, topology.mininet or "", said)
            for node in told["nodes"].values():
                pids[node["pid"]] = start_ticks(node["pid"])
                journal.note("process", pid=node["pid"], start_ticks=pids[node["pid"]])
            yield told
        finally:
            _stop(child, _STOP_S + _STOP_PER_NODE_S * len(topology.nodes), pids)
            journal.done(number)


def _checked(answer: bytes, name: str, said: Any) -> dict[str, Any]:
    if not answer:
        said.seek(0)
        last = said.read().decode(errors="replace").strip().splitlines()[-1:]
        raise PollbenchError("build by Mininet", on=name, got=": ".join(["its process ended", *last])[:400])
    told: dict[str, Any] = json.loads(answer)
    if "error" in told:
        error = told["error"]
        if error["where"]:
            raise InputError(
                f"build {name} by Mininet", got=error["got"], todo=error["todo"], where=error["where"]
            )
        raise PollbenchError("build by Mininet", on=name, got=error["got"], todo=error["todo"])
    return told


def _stop(child: subprocess.Popen[bytes], patience_s: float, pids: dict[int, int]) -> None:
    """End of input means: take it down. What does not go by itself is ended, and so are the nodes' shells."""
    assert child.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        child.stdin.close()
    try:
        child.wait(patience_s)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    for pid, started in pids.items():
        if started and start_ticks(pid) == started:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def observed(layout: Layout, fds: dict[str, int]) -> Layout:
    """The layout with the numbers that Mininet's interfaces have. PollbenchError for one that is not there."""
    numbers: dict[str, dict[str, int]] = {}
    for node, fd in fds.items():
        with in_netns(fd), NetlinkSocket() as sock:
            numbers[node] = {link.device: link.ifindex for link in link_dump(sock)}

    def real(port: PortLayout) -> PortLayout:
        if port.device not in numbers[port.node]:
            on = f"{port.device} of {port.node}"
            raise PollbenchError("build by Mininet", on=on, got="Mininet made no such interface")
        return port._replace(ifindex=numbers[port.node][port.device])

    return replace(
        layout,
        links=tuple((real(one), real(other)) for one, other in layout.links),
        ports={node: tuple(map(real, ports)) for node, ports in layout.ports.items()},
    )


def check_shaping(layout: Layout, fds: dict[str, int]) -> list[QdiscRow]:
    """A row for every declared qdisc that Mininet installed; MissingError for one that it only reported."""
    rows = []
    for node, ports in layout.ports.items():
        wanted = [port for port in ports if port.discs]
        if not wanted:
            continue
        states = qdisc_dump(fds[node])
        for port in wanted:
            there = {state.kind: state for state in states if state.ifindex == port.ifindex}
            for disc in port.discs:
                # Where there is no netem, Mininet's other queue is that of its class, which no qdisc shows.
                if disc.kind not in there and disc.kind not in ("pfifo", "bfifo"):
                    on, todo = f"{port.device} of {node}", missing_remedy(disc.kind)
                    raise MissingError("shape a link", on=on, got=missing_reason(disc.kind), todo=todo)
                if disc.kind in there:
                    requested: Columns = {"kind": disc.kind, **disc.options}
                    read_back: Columns = {"kind": disc.kind, **there[disc.kind].options}
                    rows.append(QdiscRow(node, port.device, requested, read_back))
    return rows
