"""What the models cannot say about switches: loops, names and addresses taken twice, subnets of a segment."""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Iterator, Mapping

from harness.errors import InputError
from harness.spec.links import Overlay
from harness.spec.messages import problem
from harness.spec.topology import Topology
from harness.spec.yaml_tree import Tree

_ETHERNET_MTU = 1500


def switching_mistakes(topology: Topology, tree: Tree) -> Iterator[InputError]:
    """Everything about switches and interfaces that cannot be built; every link's ends are nodes."""
    yield from _devices(topology, tree)
    if topology.engine == "mininet" and topology.mininet is None:
        todo = "name its topology with `mininet`, or take engine: netlink"
        yield problem(tree, ("topology", "engine"), "Mininet builds topologies of its own kind only", todo)
    if not any(node.switch for node in topology.nodes.values()):
        return
    if topology.switching == "route" and topology.family != "ipv4":
        yield problem(tree, ("topology", "switching"), "switches route IPv4 only", "take switching: bridge")
    if topology.engine == "mininet":
        yield from _emulated(topology, tree)
    controlled = topology.emulator is not None and topology.emulator.controller is not None
    if topology.switching == "bridge" and not topology.stp and not controlled:
        for index in _joined(topology)[1]:
            first, second = topology.links[index].between
            got = f"{first}-{second} closes a loop of bridges: packets would circle for ever"
            todo = "set switching: route (all shortest paths carry traffic), or stp: on (one tree does)"
            yield problem(tree, ("topology", "links", index), got, todo)
    yield from _addresses(topology, tree)


def _emulated(topology: Topology, tree: Tree) -> Iterator[InputError]:
    if topology.switching == "route":
        todo = "take engine: netlink, or stp: on"
        yield problem(tree, ("topology", "switching"), "Mininet's switches do not route", todo)
    emulator = topology.emulator
    if emulator is None or emulator.controller is None:
        return
    if isinstance(emulator.controller, str) and not re.fullmatch(r"\S+:\d{1,5}|\w+", emulator.controller):
        todo = "expected HOST:PORT, a name, or a command: {command: ovs-testcontroller ptcp:6653}"
        got = f'"{emulator.controller[:40]}" is no controller'
        yield problem(tree, ("topology", "emulator", "controller"), got, todo)
    if emulator.switch == "LinuxBridge":
        got, todo = "a LinuxBridge has no controller", "take switch: OVSSwitch"
        yield problem(tree, ("topology", "emulator", "controller"), got, todo)


def segments(topology: Topology) -> dict[str, str]:
    """Every switch to the name of its segment: the first of the switches that links between switches join."""
    return _joined(topology)[0]


def _joined(topology: Topology) -> tuple[dict[str, str], list[int]]:
    """(switch to the name of its segment, the links between switches that close a loop)."""
    leader = {name: name for name, node in topology.nodes.items() if node.switch}

    def leader_of(name: str) -> str:
        while leader[name] != name:
            leader[name] = leader[leader[name]]  # the way there is shorter next time
            name = leader[name]
        return name

    closing = []
    for index, link in enumerate(topology.links):
        if leader.keys() >= set(link.between):
            first, second = map(leader_of, link.between)
            if first == second:
                closing.append(index)
            leader[second] = first
    return {name: leader_of(name) for name in leader}, closing


def _devices(topology: Topology, tree: Tree) -> Iterator[InputError]:
    """No interface name, and no port number, twice in a node."""
    taken: dict[tuple[str, object], int] = {}
    for index, link in enumerate(topology.links):
        for key, given in (("devices", link.devices), ("ports", link.ports)):
            for node, value in zip(link.between, given or (), strict=False):
                if value is None:
                    continue
                if (node, value) in taken:
                    got = f'"{value}" of {node} is taken by links.{taken[node, value]}'
                    yield problem(tree, ("topology", "links", index, key), got, "give each its own")
                if topology.nodes[node].switch and value in (node, "lo"):
                    got = f'"{value}" is what the bridge of {node} is called'
                    yield problem(tree, ("topology", "links", index, key), got, "take another name")
                taken[node, value] = index
    yield from _wires(topology, tree, taken)


def _wires(topology: Topology, tree: Tree, taken: Mapping[tuple[str, object], int]) -> Iterator[InputError]:
    """No declared name that is an interface's without one: eth0, ..., which a wire below another device has always."""
    used: Counter[str] = Counter()
    for index, link in enumerate(topology.links):
        for end, node in enumerate(link.between):
            name = f"eth{used[node]}"
            used[node] += 1
            declared = link.devices[end] if link.devices is not None and not isinstance(link.kind, Overlay) else None
            if declared is None and (node, name) in taken:
                got = f'"{name}" is what the interface or wire of links.{index} is called in {node}'
                yield problem(tree, ("topology", "links", taken[node, name], "devices"), got, "take another name")


def unequal_mtus(topology: Topology, tree: Tree) -> Iterator[InputError]:
    """No link of a segment with another MTU than the others: a bridge drops what is too long, and tells nobody."""
    if topology.switching == "route":
        return
    where = segments(topology)
    first: dict[str, int] = {}
    for index, link in enumerate(topology.links):
        for switch in filter(where.__contains__, link.between):
            other = first.setdefault(where[switch], index)
            if (link.mtu or _ETHERNET_MTU) != (topology.links[other].mtu or _ETHERNET_MTU):
                # The one that says something, where only one of them does.
                here, there = (index, other) if link.mtu is not None else (other, index)
                mtus = [topology.links[number].mtu or _ETHERNET_MTU for number in (here, there)]
                got = f"MTU {mtus[0]}, but links.{there} of the same segment has {mtus[1]}: what is longer is dropped"
                todo = "give all links of a segment one mtu, or set switching: route"
                yield problem(tree, ("topology", "links", here, "mtu"), got, todo)
                break


def _addresses(topology: Topology, tree: Tree) -> Iterator[InputError]:
    """No address twice in a segment."""
    where = segments(topology)
    taken: dict[tuple[str, str], int] = {}
    for index, link in enumerate(topology.links):
        for end, node in enumerate(link.between):
            other = link.between[1 - end]
            address = link.addresses[end] if link.addresses is not None else None
            if other not in where or address is None:
                continue
            key = (where[other], str(ipaddress.ip_interface(address).ip))
            if key in taken:
                got = f"{key[1]} of {node} is also that of links.{taken[key]}, in the same segment"
                yield problem(tree, ("topology", "links", index, "addresses"), got, "each has its own")
            taken[key] = index
