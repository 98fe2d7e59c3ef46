"""The child process in which Mininet itself builds a topology and holds it, until its standard input ends."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from harness.mininet.find import Namespace, make_topo, prepare
from harness.mininet.graph import EmulationRequest, Refused, TopoRequest
from harness.mininet.places import Places
from harness.mininet.scripts import Recorded

# Of memory and of what is printed: those of harness.kernel.keeper, under which the file was read first.
_LIMITS = {resource.RLIMIT_AS: 4 << 30, resource.RLIMIT_FSIZE: 256 << 20}
_OVS = {"OVSSwitch", "OVSKernelSwitch", "OVSBridge"}
# Of spanning trees. Seconds: a port that is to forward listens for one forward delay and learns for another; 15 is what
# bridges come with, and these are the shortest that the protocol allows.
_PATIENCE_S, _LOOK_S = 60.0, 0.2
_BRIDGE_DELAY, _OVS_DELAY, _OVS_MAX_AGE, _HELLO = 2, 4, 6, 1


def build(request: EmulationRequest) -> Any:
    """The started Mininet of a request. Raises Refused, and whatever Mininet raises, SystemExit too."""
    prepare()
    # All of Mininet comes before the user's file, whose directory is on the path from then on.
    import mininet.net
    from mininet import node, nodelib
    from mininet.link import TCLink, TCULink
    from mininet.log import setLogLevel

    with _limited():
        topo, namespace = make_topo(request.topo, Places(request.topo.directory))
    commands: list[tuple[str, str]] = []
    if isinstance(topo, Recorded):
        # What the file's script would have made, made from here, where it cannot reach the host.
        topo, commands = topo.as_topo(), topo.configuring()
    if foreign := getattr(topo, "foreign", ""):
        raise Refused(foreign, "take engine: netlink")
    setLogLevel("critical")
    # Its raising of host-wide limits is left out; this process's own limits end with it.
    mininet.net.fixLimits = lambda: None
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    _tame(node, nodelib)
    switch = getattr(nodelib, request.switch, None) or getattr(node, request.switch)
    controller = _controller(request.controller, node, namespace)
    _complete(topo, switch, controller is not None, request.kernel_datapath)
    if request.stp:
        for name in topo.switches():
            topo.nodeInfo(name).setdefault("stp", True)
    # The user-space datapath passes packets on whose checksum the sender left to hardware that is not there.
    link = TCULink if request.open_flow and not request.kernel_datapath else TCLink
    # The switches' namespace is this process's own, made for this testbed alone.
    net = mininet.net.Mininet(topo=topo, switch=switch, link=link, controller=controller, waitConnected=False)
    net.start()
    if controller is not None:
        _connect(net, request.connect_s, request.must_connect)
    _settle(net.switches)
    for name, command in commands:
        net[name].cmd(command)
    return net


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    """The user's file is read again here: within the limits that it was read with, which its hosts do not have."""
    before = {limit: resource.getrlimit(limit) for limit in _LIMITS}
    for limit, most in _LIMITS.items():
        soft, hard = before[limit]
        resource.setrlimit(limit, (most if soft == resource.RLIM_INFINITY else min(most, soft), hard))
    try:
        yield
    finally:
        for limit, found in before.items():
            resource.setrlimit(limit, found)


def _tame(node: Any, nodelib: Any) -> None:
    """Mininet's NAT edits /etc/network/interfaces and restarts the host's network manager: here it does neither."""

    class Everything(str):
        def __contains__(self, part: object) -> bool:
            return True

    class File:
        def read(self) -> str:
            return Everything()

    def cmd(nat: Any, *words: Any, **more: Any) -> Any:
        return "" if str(words[0]).startswith("service ") else node.Node.cmd(nat, *words, **more)

    nodelib.open, nodelib.NAT.cmd = (lambda _path: File()), cmd


def _controller(name: str | None, node: Any, namespace: Namespace) -> Any:
    """What makes the controller: a remote one, or one of the file's own."""
    if name is None:
        return None
    # There is nobody else in this namespace who could listen there; and the question needs telnet.
    node.Controller.checkListening = lambda _controller: None
    host, colon, port = name.rpartition(":")
    if colon:
        return lambda own, **keys: node.RemoteController(own, ip=host or "127.0.0.1", port=int(port), **keys)
    controllers = namespace.get("controllers")
    listed = controllers if isinstance(controllers, dict) else {}
    if name not in listed:
        names = ", ".join(map(str, listed)) or "none"
        where = f"{namespace.get('__file__', '')}:1:1"
        raise Refused(f'there is no controller "{name}" in it', f"its `controllers`: {names}", where)
    return listed[name]


def _complete(topo: Any, default: Any, controlled: bool, kernel: bool) -> None:
    """Open vSwitch without its kernel module, or without a controller, still has to forward."""
    for name in topo.switches():
        info = topo.nodeInfo(name)
        cls = info.get("cls", default)
        names = [base.__name__ for base in getattr(getattr(cls, "func", cls), "__mro__", ())]
        if not _OVS.isdisjoint(names):
            if not kernel:
                info["datapath"] = "user"
            if not controlled:
                info["failMode"] = "standalone"


def _connect(net: Any, patience_s: float, must: bool) -> None:
    """Until the switches have found their controller. Refused when they do not, and must."""
    deadline = time.monotonic() + patience_s
    waiting = [switch for switch in net.switches if hasattr(switch, "connected")]
    while waiting := [switch for switch in waiting if not switch.connected()]:
        if time.monotonic() > deadline:
            if must:
                got = f"switch {waiting[0].name} has not found its controller after {patience_s:g} s"
                raise Refused(got, "see that the controller speaks OpenFlow on this port")
            return
        time.sleep(0.05)


def _settle(switches: list[Any]) -> None:
    """Hurry the trees, and wait until they settle; or for a minute, which Mininet's own files never wait either."""
    bridges = [switch for switch in switches if getattr(switch, "stp", False) and hasattr(switch, "prio")]
    others = [switch for switch in switches if getattr(switch, "stp", False) and hasattr(switch, "vsctl")]
    # Their times, then down and up again, all together: the timers that run have the old times.
    times = f"brctl setfd {{0}} {_BRIDGE_DELAY}; brctl sethello {{0}} {_HELLO}"
    for command in (times, "ifconfig {0} down", "ifconfig {0} up"):
        for bridge in bridges:
            bridge.cmd(command.format(bridge))
    for switch in others:
        switch.vsctl(
            f"set bridge {switch} other_config:stp-forward-delay={_OVS_DELAY} other_config:stp-hello-time={_HELLO} "
            f"other_config:stp-max-age={_OVS_MAX_AGE}"
        )
    deadline = time.monotonic() + _PATIENCE_S
    _wait(bridges, lambda bridge: str(bridge.cmd("brctl showstp", bridge)), deadline)
    _wait(others, lambda switch: str(switch.vsctl("--columns=status list port")), deadline)


def _wait(switches: list[Any], state_of: Callable[[Any], str], deadline: float) -> None:
    """Wait until no port of theirs listens or learns any more, or the deadline has come."""
    for switch in switches:
        while any(word in state_of(switch).lower() for word in ("listen", "learn")):
            if time.monotonic() >= deadline:
                return
            time.sleep(_LOOK_S)


def main(out: int) -> None:
    """Read a request (one line) from standard input, answer on `out`, hold on until the input ends.

    The answer: node to the process by whose namespace it is found; or {"error": ...}.
    """
    net = None
    try:
        asked = json.loads(sys.stdin.readline())
        net = build(EmulationRequest(**asked | {"topo": TopoRequest(**asked["topo"])}))
        answer = {node.name: node.pid for node in (*net.hosts, *net.switches, *net.controllers)}
    except Refused as error:
        answer = error.answer()
    except SystemExit as error:
        answer = Refused(f"Mininet called sys.exit({error.code})").answer()
    except Exception as error:  # noqa: BLE001  # Mininet raises bare Exceptions, and runs the user's classes
        answer = Refused(" ".join(f"{type(error).__name__}: {error}".split())[:400]).answer()
    with os.fdopen(out, "w") as pipe:
        pipe.write(json.dumps(answer) + "\n")
    if net is not None:
        sys.stdin.read()
        net.stop()


if __name__ == "__main__":
    main(int(sys.argv[1]))
