"""engine: mininet. Mininet builds in a process and a namespace of its own; its hosts become nodes of our testbed."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from typing import IO

from harness.errors import InputError, MissingError, PollbenchError
from harness.kernel import netns
from harness.kernel.journal import Journal
from harness.kernel.links import LOOPBACK_IFINDEX, link_up
from harness.kernel.netdev import family
from harness.kernel.netlink import NetlinkSocket
from harness.kernel.netns import in_netns
from harness.kernel.proc import start_ticks
from harness.kernel.readback import qdisc_dump
from harness.mininet.graph import EmulationRequest, Refused, TopoRequest
from harness.mininet.interpreter import isolated
from harness.mininet.load import load_graph, with_last_line
from harness.signals import await_readable
from harness.spec.topology import Controller, Emulator
from harness.store.record import QdiscRow
from harness.testbed.daemons import daemon
from harness.testbed.lent import with_ports
from harness.testbed.namespaces import namespace, namespace_name
from harness.testbed.openvswitch import controller_running, open_vswitch
from harness.testbed.wiring import no_qdisc, qdisc_row
from harness.topology.layout import Layout, PortLayout

# What Mininet runs, and which package brings it on Debian.
_PROGRAMS = {"mnexec": "mininet", "ip": "iproute2", "ifconfig": "net-tools", "ethtool": "ethtool", "tc": "iproute2"}
# What stands for a node in the name of the namespace that all switches share.
_ROOT = ".mininet"
# How long switches may take to find their controller; one that the user will start by hand is not waited for long.
_CONNECT_S, _CONNECT_REMOTE_S = 20.0, 2.0
_STOP_S, _STOP_PER_NODE_S = 30.0, 0.2
# Many times what Mininet takes: spanning trees settle within a minute, a node needs tenths of a second.
_BUILD_S, _BUILD_PER_NODE_S = 240.0, 2.0


@contextlib.contextmanager
def emulated(layout: Layout, journal: Journal) -> Iterator[dict[str, int]]:
    """Have Mininet build the layout's topology; node to descriptor of its namespace, for the length of the block.

    All switches share one namespace, as in Mininet, but it is none of the host's. Raises MissingError for a program
    that is not installed, InputError for a topology that Mininet cannot build, PollbenchError otherwise.
    """
    topology = layout.topology
    emulator = topology.emulator or Emulator()
    missing_programs(emulator)
    source = TopoRequest.of(*topology.source(), topology.args, topology.argv)
    with contextlib.ExitStack() as stack:
        root = stack.enter_context(namespace(_ROOT, journal))
        with in_netns(root), NetlinkSocket() as sock:
            sock.batch([link_up(LOOPBACK_IFINDEX, "lo")])
        launcher = ["ip", "netns", "exec", namespace_name(journal.token, _ROOT)]
        environment = dict(os.environ)
        open_flow = emulator.switch.startswith("OVS") or _names_open_vswitch(source)
        if open_flow:
            environment |= stack.enter_context(open_vswitch(launcher, journal))
        controller, ours = emulator.controller, isinstance(emulator.controller, Controller)
        if isinstance(controller, Controller):
            running = controller_running(controller, launcher, environment, root, journal)
            controller = stack.enter_context(running)
        request = EmulationRequest(
            topo=source,
            switch=emulator.switch,
            controller=controller,
            stp=topology.stp,
            open_flow=open_flow,
            # To ask for the family loads the module: a look at what is loaded would find nothing on the first run.
            kernel_datapath=family("ovs_datapath") is not None,
            connect_s=_CONNECT_S if ours else _CONNECT_REMOTE_S,
            must_connect=ours,
        )
        pids = stack.enter_context(_mininet(request, len(topology.nodes), launcher, environment, journal))
        fds = {}
        for node in topology.nodes:
            path = netns.path_of_fd(root) if topology.is_switch(node) else netns.path_of_process(pids[node])
            fds[node] = stack.enter_context(namespace(node, journal, path))
        yield fds


def programs_of(emulator: Emulator) -> dict[str, str]:
    """What Mininet runs, and the package that brings each on Debian."""
    switch = {"brctl": "bridge-utils"} if emulator.switch == "LinuxBridge" else {"ovs-vsctl": "openvswitch-switch"}
    return _PROGRAMS | switch


def missing_programs(emulator: Emulator) -> None:
    """MissingError, naming the package, for the first program of Mininet's that is not installed."""
    for program, package in programs_of(emulator).items():
        if shutil.which(program) is None:
            todo = f"install it: apt install {package}; engine: netlink does without"
            raise MissingError("build by Mininet", got=f"there is no program {program}", todo=todo)


def _names_open_vswitch(source: TopoRequest) -> bool:
    """Is a class of Open vSwitch's that of a switch in the file itself?"""
    graph = load_graph(source, source.name, rehearsed=False)
    classes = (switch.options.get("cls") or {} for switch in graph.switches)
    return any("OVSSwitch" in cls.get("bases", ()) for cls in classes)


@contextlib.contextmanager
def _mininet(
    request: EmulationRequest, nodes: int, launcher: list[str], environment: dict[str, str], journal: Journal
) -> Iterator[dict[str, int]]:
    """The process that holds Mininet; node to the process in its namespace.

    It reads the user's file once more, and may do otherwise than the first time: it has so long to build, and to end.
    """
    build_s, stop_s = _BUILD_S + _BUILD_PER_NODE_S * nodes, _STOP_S + _STOP_PER_NODE_S * nodes
    reader, writer = os.pipe()
    python = isolated("harness.mininet.emulate", str(writer))
    # What Open vSwitch's programs need, and Python's variables as they are to be for ours.
    environment = python.environment | {name: value for name, value in environment.items() if name.startswith("OVS_")}
    with (
        open(reader, "rb") as pipe,
        tempfile.TemporaryFile() as printed,
        daemon(
            [*launcher, *python.argv], environment, journal, printed, stdin=subprocess.PIPE, pass_fds=[writer]
        ) as child,
    ):
        os.close(writer)
        started: dict[int, int] = {}
        try:
            assert child.stdin is not None
            child.stdin.write(json.dumps(asdict(request)).encode() + b"\n")
            child.stdin.flush()
            if not await_readable(pipe.fileno(), build_s):
                got = f"still building after {build_s:g} s"
                raise PollbenchError("build by Mininet", on=request.topo.name, got=got)
            pids = _checked(pipe.readline(), request.topo.name, printed)
            for pid in pids.values():
                started[pid] = start_ticks(pid)
                journal.note("process", pid=pid, start_ticks=started[pid])
            yield pids
        finally:
            # While it builds it does not listen, and there is nothing of it that would have to be taken down in order.
            _stop(child, stop_s if started else 0.0, started)


def _checked(answer: bytes, name: str, printed: IO[bytes]) -> dict[str, int]:
    """The answer, unless it is an error, or none."""
    if not answer:
        printed.seek(0)
        raise PollbenchError("build by Mininet", on=name, got=with_last_line("its process ended", printed.read()))
    pids = json.loads(answer)
    if not isinstance(pids.get("error"), dict):
        return dict(pids)
    error = Refused(**pids["error"])
    if error.where:
        raise InputError(f"build {name} by Mininet", got=error.got, todo=error.todo, where=error.where)
    raise PollbenchError("build by Mininet", on=name, got=error.got, todo=error.todo)


def _stop(child: subprocess.Popen[bytes], patience_s: float, started: dict[int, int]) -> None:
    """End of input means: take it down. What does not go by itself is ended, and so are the nodes' shells."""
    assert child.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        child.stdin.close()
    try:
        child.wait(patience_s)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    for pid, ticks in started.items():
        if ticks and start_ticks(pid) == ticks:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def observed(layout: Layout, fds: dict[str, int]) -> Layout:
    """The layout with the numbers that Mininet's interfaces have. PollbenchError for one that is not there."""
    numbers: dict[str, dict[str, int]] = {}
    for node, fd in fds.items():
        with in_netns(fd):
            numbers[node] = {device: ifindex for ifindex, device in socket.if_nameindex()}

    def real(port: PortLayout) -> PortLayout:
        if port.device not in numbers[port.node]:
            on = f"{port.device} of {port.node}"
            raise PollbenchError("build by Mininet", on=on, got="Mininet made no such interface")
        return port._replace(ifindex=numbers[port.node][port.device])

    return with_ports(layout, real)


def check_shaping(layout: Layout, fds: dict[str, int]) -> list[QdiscRow]:
    """A row for every declared qdisc that Mininet installed; MissingError for one that it only reported."""
    rows = []
    for node, ports in layout.ports.items():
        shaped = [port for port in ports if port.discs]
        if not shaped:
            continue
        states = qdisc_dump(fds[node])
        for port in shaped:
            there = {state.kind: state for state in states if state.ifindex == port.ifindex}
            for disc in port.discs:
                # Where there is no netem, Mininet's other queue is that of its class, which no qdisc shows.
                if disc.kind not in there and disc.kind not in ("pfifo", "bfifo"):
                    raise no_qdisc(disc.kind, f"{port.device} of {node}")
                if disc.kind in there:
                    rows.append(qdisc_row(port, disc, there[disc.kind].options))
    return rows
