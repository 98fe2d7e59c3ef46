"""In the child: the net that a script has made on the stage, as a graph for us and as a Topo for Mininet."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

from harness.mininet.commands import Kind, address_of, kind_of, mac_of, put, singles
from harness.mininet.graph import Graph, GraphLink, GraphNode, Options, Refused, Rehearsal
from harness.mininet.options import FOREIGN, HOST_OPTIONS, SWITCH_OPTIONS
from harness.mininet.stage import SHAPING, Stage, Step

_OWN_MODULES = ("mininet.node", "mininet.nodelib", "mininet.link")
# What a script has Mininet do that nothing comes of here; Mininet's own commands are its business.
_MOST = 100
_ELSEWHERE = "say it in the experiment file instead, or take engine: mininet"


@dataclass(frozen=True)
class Recorded:
    """A net that was built on a stage, or nearly. ended: why its script went no further, "" where it did."""

    net: Any
    stage: Stage
    ended: str = ""

    def graph(self, plain: Callable[[Any], Any], foreign: bool) -> Graph:
        """Nodes in the order in which they were added, links too; and what the script does besides. Raises Refused.

        foreign: Mininet will build it and do in its nodes what the script does, whatever that is.
        """
        net = self.net
        self._complete()
        addresses = {host.name: self._addresses(host.name) for host in net.hosts}
        lost: list[str] = []
        hosts = [self._host(host, addresses[host.name], plain, lost, foreign) for host in net.hosts]
        switches = [self._switch(switch, plain, lost, foreign) for switch in net.switches]
        links = []
        for made in net.links:
            if made.intf1 is None:
                continue
            ends = made.intf1.node, made.intf2.node
            strangers = [node.name for node in ends if net.nameToNode.get(node.name) is not node]
            if strangers:
                lost.append(f"link {ends[0]}-{ends[1]}: {strangers[0]} is no node of the net")
            else:
                links.append(GraphLink(*self._link(made, addresses, plain, lost), self._at(made)))
        self._check_interfaces()
        return Graph(hosts, switches, links, [*lost, *self._rest()])

    def as_topo(self) -> Any:
        """The same for Mininet to build, with the classes that the script has given. The stage is closed."""
        from mininet.topo import Topo

        self._complete()
        self.stage.close()
        topo, net = Topo(), self.net
        for host in net.hosts:
            cls = self.stage.added[id(host)][0] or (net.host if net.host is not type(host) else None)
            topo.addHost(host.name, **_for_topo(host.params, cls))
        for switch in net.switches:
            cls, options, _ = self.stage.added[id(switch)]
            topo.addSwitch(switch.name, **_for_topo(options, cls))
        for made in net.links:
            cls, options, _ = self.stage.added[id(made)]
            intfs = made.intf1, made.intf2
            ends = {f"port{end}": intf.node.ports[intf] for end, intf in enumerate(intfs, 1)}
            names = {f"intfName{end}": intf.name for end, intf in enumerate(intfs, 1)}
            chosen = {"cls": cls or net.link}
            topo.addLink(*(intf.node.name for intf in intfs), **{**options, **chosen, **ends, **names})
        return topo

    def _complete(self) -> None:
        """Have a net that its script has not started be built, as start() would."""
        if not self.net.built:
            self.net.build()

    def configuring(self) -> list[tuple[str, str]]:
        """(node, command) of what the script does to its nodes' network, in order; its programs are not among it."""
        names = {host.name for host in self.net.hosts}
        return [
            (step.node, command)
            for step in self._script()
            if step.node in names
            for command in singles(step.command)
            if kind_of(command) in (Kind.ADDRESS, Kind.EFFECT, Kind.UNKNOWN)
        ]

    def _script(self) -> list[Step]:
        return [step for step in self.stage.steps if step.by == "script"]

    def _at(self, made: Any) -> str:
        topo = self.net.topo
        if topo is not None and hasattr(made, "name") and (at := self.stage.places.of_node(topo, made.name)):
            return at
        return self.stage.added[id(made)][2] if id(made) in self.stage.added else ""

    def _configuring(self, name: str) -> list[str]:
        """What its class and the script type into it that we can do; Refused for other changes of its network."""
        commands = []
        for step in self.stage.steps:
            if step.node != name or step.by == "mininet":
                continue
            for command in singles(step.command):
                kind = kind_of(command)
                if kind is Kind.UNKNOWN and step.by == "script" and not self._comes_up(name, command):
                    raise Refused(f"host {name}: the script runs: {command[:120]}", _ELSEWHERE, step.at)
                if kind is Kind.EFFECT or (step.by == "class" and kind in (Kind.UNKNOWN, Kind.PROGRAM)):
                    commands.append(command)
        return commands

    def _comes_up(self, name: str, command: str) -> bool:
        """Is it about a device that is up in the end, whatever happens to it meanwhile?"""
        about = put(command)
        ours = [singles(step.command) for step in self.stage.steps if step.node == name]
        last = [
            up
            for line in ours
            for one in line
            for device, up in [put(one) or ("", True)]
            if about and device == about[0]
        ]
        return bool(last) and last[-1]

    def _addresses(self, name: str) -> dict[str, str | None]:
        """Device to address, as they are in the end."""
        known: dict[str, str | None] = {}
        for step in self.stage.steps:
            if step.node == name:
                for command in singles(step.command):
                    if (given := address_of(command)) is not None:
                        known[given[0]] = given[1]
                    if (mac := mac_of(command)) is not None and mac[0] in self.net[name].nameToIntf:
                        self.net[name].nameToIntf[mac[0]].mac = mac[1]
        return known

    def _switch(self, switch: Any, plain: Callable[[Any], Any], lost: list[str], foreign: bool) -> GraphNode:
        """Of a class of the script's own, the class of Mininet's that it derives from."""
        kind = next(kind for kind in type(switch).__mro__ if kind.__module__ in _OWN_MODULES)
        if foreign and self.stage.added[id(switch)][0] is None:
            # As Mininet will build it: of the class that the experiment names for switches that name none.
            return GraphNode(switch.name, plain(_known(switch, SWITCH_OPTIONS, lost)), self._at(switch))
        if kind is not type(switch):
            lost.append(f"{switch.name}: its class {type(switch).__name__} is taken for {kind.__name__}")
        options = {**_known(switch, SWITCH_OPTIONS, lost), "cls": kind}
        if getattr(switch, "stp", False):
            options["stp"] = True
        return GraphNode(switch.name, plain(options), self._at(switch))

    def _host(
        self, host: Any, addresses: dict[str, str | None], plain: Callable[[Any], Any], lost: list[str], foreign: bool
    ) -> GraphNode:
        kind = type(host)
        params = _known(host, HOST_OPTIONS, lost)
        default = host.intfs[min(host.intfs)].name if host.intfs else ""
        if addresses.get(default):
            params["ip"] = addresses[default]
        given: Options = plain(params)
        options = plain({**params, "cls": kind})
        own = None
        if foreign:
            if any(step.node == host.name and step.by != "mininet" for step in self.stage.steps):
                options[FOREIGN] = True
        elif (commands := self._configuring(host.name)) or kind.__module__ not in _OWN_MODULES:
            own = Rehearsal(commands, given, _where(kind), "")
        return GraphNode(host.name, options, self._at(host), own)

    def _link(
        self, made: Any, addresses: dict[str, dict[str, str | None]], plain: Callable[[Any], Any], lost: list[str]
    ) -> tuple[tuple[str, str], Options]:
        """(the names of its ends, its options); what it says and Mininet would not do goes to `lost`."""
        from mininet.link import Intf, TCIntf

        intfs = made.intf1, made.intf2
        options: dict[str, Any] = {}
        for end, intf in enumerate(intfs, 1):
            own, shapes = dict(intf.params), isinstance(intf, TCIntf)
            options[f"cls{end}"] = TCIntf if shapes else Intf
            if not shapes and (idle := [key for key in SHAPING if own.pop(key, None) is not None]):
                lost.append(f"{intf.name}: {', '.join(idle)} without effect: a {type(made).__name__} shapes nothing")
            own.pop("ip", None)
            address = addresses.get(intf.node.name, {}).get(intf.name)
            options[f"params{end}"] = {**own, "ip": address} if address else own
            options[f"port{end}"], options[f"intfName{end}"] = intf.node.ports[intf], intf.name
            if intf.mac:
                options[f"addr{end}"] = intf.mac
        return (intfs[0].node.name, intfs[1].node.name), plain(options | {"cls": type(made)})

    def _check_interfaces(self) -> None:
        for node in (*self.net.hosts, *self.net.switches):
            for intf in node.intfs.values():
                if intf.link is None and intf.name != "lo":
                    got = f"{node.name} takes the interface {intf.name} of this host"
                    raise Refused(got, "leave it out: only a link of nic: physical takes interfaces of the host")

    def _rest(self) -> list[str]:
        """What the script does that is neither done here nor part of the network, a line each."""
        hosts = {host.name for host in self.net.hosts}
        lines = []
        for step in self._script():
            if step.node in hosts:
                rest = [one for one in singles(step.command) if kind_of(one) is Kind.PROGRAM]
                lines += [f"{step.node}: {command}" for command in rest]
            else:
                lines.append(f"{step.node}: {step.command}" if step.node else step.command)
        repeated = [
            (line, len([*same])) for line, same in itertools.groupby(" ".join(one.split())[:200] for one in lines)
        ]
        short = [line if times == 1 else f"{line} ({times} times)" for line, times in repeated]
        more = [f"and {len(short) - _MOST} more"] if len(short) > _MOST else []
        return [*short[:_MOST], *more, *([self.ended] if self.ended else [])]


def _for_topo(options: Options, cls: Any) -> dict[str, Any]:
    """What a Topo is to be told of a node that perhaps came from one."""
    kept = {key: value for key, value in options.items() if key != "isSwitch"}
    return kept | ({"cls": cls} if cls else {})


def _known(node: Any, known: AbstractSet[str], lost: list[str]) -> dict[str, Any]:
    """Its parameters; those that Mininet's own classes pay no attention to go to `lost`."""
    unknown = sorted(set(node.params) - known)
    if unknown:
        lost.append(f"{node.name}: {', '.join(unknown)}")
    return {key: value for key, value in node.params.items() if key in known}


def _where(kind: Any) -> str:
    """file:line:column of a class's own config(); "" if unknown."""
    code = getattr(getattr(kind, "config", None), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}:1" if code is not None else ""
