"""Nodes, links and shaping as the experiment file declares them; attributes carry their unit."""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from harness.spec.links import LINK_KINDS, LinkKind
from harness.spec.routing import NetworkAddress, Routing
from harness.spec.section import Section, StableSection
from harness.spec.shape import Shape
from harness.units import Count, CpuSet, DurationNs, OnOff, Share, SizeBytes

_NODE_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,14}$"
_MAC = r"^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$"


def _node_name(name: str) -> str:
    """A name that a network namespace, a shell and a result column can all carry."""
    if not re.fullmatch(_NODE_NAME[1:-1], name):
        raise ValueError(
            f'"{name[:40]}" cannot name a node; expected 1 to 15 of A-Z a-z 0-9 - _ . starting with a letter or digit'
        )
    return name


def _interface_address(text: str) -> str:
    """An address with its prefix length, "10.1.0.1/24", usable by one end of a link; normalised."""
    form = 'expected an interface address such as "10.1.0.1/24" or "fd00::1/64"'
    try:
        interface = ipaddress.ip_interface(text)
    except ValueError:
        raise ValueError(f'"{text[:60]}" is not an address; {form}') from None
    if "/" not in text:
        raise ValueError(f'"{text}" has no prefix length; {form}')
    address, network = interface.ip, interface.network
    if address.is_multicast or address.is_loopback or address.is_unspecified:
        raise ValueError(f'"{text}" cannot be given to an interface; {form}')
    if interface.version == 4 and address.packed[0] == 0:
        raise ValueError(f'"{text}" is of 0.0.0.0/8, which hosts use only before they have an address; {form}')
    edge = {network.network_address, network.broadcast_address} if interface.version == 4 else set()
    if network.prefixlen < network.max_prefixlen - 1 and address in edge:
        raise ValueError(f'"{text}" is the network or broadcast address of {network}; {form}')
    return str(interface)


def _gateway(text: str) -> str:
    """An address without prefix length; normalised."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError(f'"{text[:60]}" is not an address; expected one such as "10.1.0.1"') from None


def _mac(text: str) -> str:
    """A hardware address that one device can have; in lower case."""
    if not re.fullmatch(_MAC[1:-1], text) or int(text[1], 16) & 1 or not int(text.replace(":", ""), 16):
        raise ValueError(f'"{text[:40]}" is no address of a device; expected one such as "02:00:00:00:00:01"')
    return text.lower()


def _sysctl(name: str) -> str:
    """A sysctl of a network namespace, other than those that keys of their own set."""
    if not re.fullmatch(r"net(\.[A-Za-z0-9_-]+){2,6}|net(/[A-Za-z0-9_.-]+){2,6}", name) or ".." in name:
        raise ValueError(f'"{name[:60]}" is no sysctl of a network namespace; expected one such as "net.ipv4.tcp_ecn"')
    if name.replace("/", ".") in _OWN_SYSCTLS:
        raise ValueError(f'"{name}" is what the node\'s key "forwarding" sets; use that')
    return name


def _sysctl_value(value: object) -> str:
    """What is written to a sysctl, as text: one line."""
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not re.fullmatch(r"[ -~\t]{1,200}", text):
        raise ValueError(f"{str(value)[:40]!r} cannot be written to a sysctl; expected a number or a line of text")
    return " ".join(text.split())


_OWN_SYSCTLS = ("net.ipv4.ip_forward", "net.ipv4.conf.all.forwarding", "net.ipv6.conf.all.forwarding")
SysctlName = Annotated[str, AfterValidator(_sysctl), Field(json_schema_extra={"examples": ["net.ipv4.tcp_ecn"]})]
SysctlValue = Annotated[str, BeforeValidator(_sysctl_value, json_schema_input_type=int | str)]
GatewayAddress = Annotated[str, AfterValidator(_gateway), Field(json_schema_extra={"examples": ["10.1.0.1"]})]
Mac = Annotated[str, AfterValidator(_mac), Field(json_schema_extra={"pattern": _MAC})]
HostName = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[^\s/,]+$")]
NodeName = Annotated[str, AfterValidator(_node_name), Field(json_schema_extra={"pattern": _NODE_NAME})]
InterfaceAddress = Annotated[
    str, AfterValidator(_interface_address), Field(json_schema_extra={"examples": ["10.1.0.1/24"]})
]
if TYPE_CHECKING:
    NicName = str
else:
    NicName = Literal[tuple(LINK_KINDS)]


class Pcap(Section):
    """The last packets that passed the two ends of a link while a run was made, kept as a pcapng file."""

    keep_bytes: SizeBytes = Field(
        4 << 20, alias="keep", ge=1 << 16, le=15 << 20, description="bytes of the file; the oldest packets go first"
    )
    snap_bytes: SizeBytes = Field(
        128, alias="snap", ge=14, le=65535, description="of each packet, its first bytes that are kept"
    )


class Node(StableSection):
    """One network namespace: its CPUs, the host that it is on, and how it forwards."""

    added_later: ClassVar[frozenset[str]] = frozenset(
        (
            "switch",
            "priority",
            "default_route",
            "routes",
            "cpu_share",
            "host",
            "interface",
            "sysctls",
            "initcwnd",
            "initrwnd",
            "routing",
        )
    )

    cpus: CpuSet | None = Field(None, description="CPUs of this node's workload processes; any CPU if absent")
    host: HostName | None = Field(
        None, description="host of the fleet's inventory that this node is on (only in `pollbench fleet run`)"
    )
    interface: NodeName | None = Field(
        None, description="network interface of that host, lent to the run; never one the host is reached by"
    )
    forwarding: OnOff | None = Field(None, description="routes packets; if absent, on where a node has several links")
    switch: OnOff = Field(False, description="joins its links at layer 2: a bridge in a namespace of its own")
    priority: Count | None = Field(
        None, description="of a switch: the lowest becomes the root of the spanning tree", ge=0, le=65535
    )
    default_route: GatewayAddress | None = Field(None, description="gateway of everything that is not nearby")
    routes: dict[NetworkAddress, GatewayAddress] | None = Field(
        None, description="network to gateway, of routes that are not computed"
    )
    sysctls: dict[SysctlName, SysctlValue] | None = Field(
        None, description="sysctls of the node's network namespace, name to value; they end with it"
    )
    initcwnd: Count | None = Field(
        None, ge=1, le=65535, description="segments that a new TCP connection sends before it hears of any (kernel: 10)"
    )
    initrwnd: Count | None = Field(
        None, ge=1, le=65535, description="segments that a new TCP connection tells its peer it has room for"
    )
    routing: Routing | None = Field(
        None, description="a routing daemon, which makes the node's routes: BIRD or FRR, where it is installed"
    )
    cpu_share: Share | None = Field(
        None, description="share of the machine's CPU time that the node's workload may use (a control group's quota)"
    )


class Link(StableSection):
    """One veth pair, with or without a device on top of each end, or pair of emulated NICs, between two nodes."""

    added_later: ClassVar[frozenset[str]] = frozenset(("devices", "macs", "ports", "nic", "pcap", "queue_series_ns"))

    between: tuple[NodeName, NodeName] = Field(description="the two nodes; the first is end 0")
    addresses: tuple[InterfaceAddress | None, InterfaceAddress | None] | None = Field(
        None,
        description="interface addresses of the two ends, in one subnet; chosen automatically if absent; "
        "null for an end on a switch",
    )
    devices: tuple[NodeName | None, NodeName | None] | None = Field(
        None,
        description="names of the two interfaces; eth0, eth1, ... if absent; with nic: physical, "
        "which of this host's are lent to the run",
    )
    macs: tuple[Mac | None, Mac | None] | None = Field(
        None, description="hardware addresses of the two interfaces; chosen automatically if absent"
    )
    ports: tuple[Count, Count] | None = Field(
        None, description="numbers of the two interfaces in their nodes, which order them; in file order if absent"
    )
    mtu: Count | None = Field(None, ge=68, le=65535, description="bytes; the kernel's 1500 if absent")
    queues: Count = Field(1, ge=1, le=256, description="receive and transmit queues of each end")
    nic: NicName = Field(
        "veth",
        description="kind of link: veth or netkit; a device on top of a veth pair (macvlan, vxlan, ...); physical, two "
        "interfaces of this host; or a pair of emulated NICs back to back (only in `pollbench vm run`)",
    )
    shape: Shape | None = Field(None, description="shaping of both directions")
    own_forward: Shape | None = Field(None, alias="forward", description="first node to second; replaces shape")
    own_reverse: Shape | None = Field(None, alias="reverse", description="second node to first; replaces shape")
    pcap: Pcap | None = Field(None, description="keep the packets of every run, as both ends saw them")
    queue_series_ns: DurationNs | None = Field(
        None,
        alias="queue_series",
        ge=100_000,
        le=10**9,
        description="how often the queues of its shaped directions are looked into while it is measured with",
    )

    @property
    def kind(self) -> LinkKind:
        """What its `nic` stands for."""
        return LINK_KINDS[self.nic]

    @property
    def shaped(self) -> bool:
        """Is anything declared of its packets?"""
        return self.forward is not None or self.reverse is not None

    def declared_shapes(self) -> dict[str, Shape]:
        """The shapes by the keys that declare them."""
        shapes = {"shape": self.shape, "forward": self.own_forward, "reverse": self.own_reverse}
        return {key: shape for key, shape in shapes.items() if shape is not None}

    @property
    def forward(self) -> Shape | None:
        """Egress of end 0, between[0] -> between[1]; None if unshaped."""
        return self.shape if self.own_forward is None else self.own_forward

    @property
    def reverse(self) -> Shape | None:
        """Egress of end 1, between[1] -> between[0]; None if unshaped."""
        return self.shape if self.own_reverse is None else self.own_reverse


class Controller(Section):
    """An OpenFlow controller that is started for the testbed, where Mininet's switches are."""

    command: str = Field(min_length=1, description="program and arguments")
    port: Count = Field(6653, description="TCP port that it listens on", ge=1, le=65535)


class Emulator(Section):
    """How Mininet builds a topology under engine: mininet."""

    switch: Literal["LinuxBridge", "OVSBridge", "OVSSwitch"] = Field(
        "LinuxBridge", description="class of switches that name none"
    )
    controller: str | Controller | None = Field(
        None,
        description="OpenFlow controller: a command; HOST:PORT, seen from the switches; or a name in the file's "
        "`controllers`; none if absent",
    )


class Topology(StableSection):
    """Namespaces and the links between them."""

    added_later: ClassVar[frozenset[str]] = frozenset(
        ("switching", "stp", "engine", "mininet", "mininet_from", "args", "argv", "script", "emulator", "cpus")
    )

    description: str = Field("", description="what the topology is, in words")
    family: Literal["ipv4", "ipv6"] = Field("ipv4", description="address family of the testbed")
    nodes: dict[NodeName, Node] = Field(min_length=1, description="node name to node")
    links: tuple[Link, ...] = Field((), description="veth pairs")
    datapath: Literal["auto", "napi", "plain"] = Field(
        "auto", description="auto: NAPI-capable veth for all cells if any cell needs it; napi, plain: forced"
    )

    switching: Literal["bridge", "route"] = Field(
        "bridge", description="bridge: switches forward at layer 2; route: by static routes, over all shortest paths"
    )
    stp: OnOff = Field(
        False, description="switching: bridge: links that close a loop stay idle, as the spanning tree protocol has it"
    )
    engine: Literal["netlink", "mininet"] = Field(
        "netlink", description="who builds it: netlink, pollbench itself; mininet, Mininet (for topologies of its own)"
    )
    mininet_from: str | None = Field(None, description="directory of the file that `mininet` names; filled in")
    mininet: str | None = Field(
        None, description="a topology of Mininet's: FILE.py:CLASS, MODULE:CLASS, or a name such as tree,2,3"
    )
    args: dict[str, Any] | list[Any] | None = Field(
        None, description="arguments of the Mininet topology: by name (a mapping) or by position (a list)"
    )
    argv: list[str] | None = Field(None, description="words that a Mininet file finds on its command line")
    script: list[str] | None = Field(
        None, description="what the Mininet file does besides making its net, which is not done; filled in"
    )
    emulator: Emulator | None = Field(None, description="engine: mininet: the classes that Mininet uses")
    cpus: Literal["spread", "pack"] | dict[str, CpuSet] | None = Field(
        None,
        description="CPUs of nodes that declare none: spread, hosts in turn over the CPUs; pack, neighbours together; "
        "or a mapping of name patterns (h1*) to CPU lists",
    )

    def source(self) -> tuple[str, str]:
        """(what `mininet` names, the directory its file is in)."""
        return self.mininet or "", self.mininet_from or "."

    def is_switch(self, node: str) -> bool:
        """Is `node` a switch?"""
        return self.nodes[node].switch

    def hosts(self) -> list[str]:
        """Every node that is no switch, in file order."""
        return [name for name, node in self.nodes.items() if not node.switch]

    def on_hosts(self) -> dict[str, str]:
        """Node to host of the inventory; empty where the topology is made on one host."""
        return {name: node.host for name, node in self.nodes.items() if node.host is not None}

    def needs_guest(self) -> bool:
        """Are there links that only a guest of `pollbench vm run` has?"""
        return any(link.kind.needs_guest for link in self.links)

    def is_shaped(self) -> bool:
        """Is anything declared of any link's packets?"""
        return any(link.shaped for link in self.links)

    def forwards(self, node: str) -> bool:
        """Whether `node` passes packets on between its links."""
        if self.nodes[node].switch:
            return True
        declared = self.nodes[node].forwarding
        return self._links_at[node] > 1 if declared is None else declared

    @cached_property
    def _links_at(self) -> Counter[str]:
        """How many links each node has."""
        return Counter(node for link in self.links for node in set(link.between))
