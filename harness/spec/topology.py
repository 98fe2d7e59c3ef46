"""Nodes, links and shaping as the experiment file declares them; attributes carry their unit."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from harness.units import Count, CpuSet, DurationNs, OnOff, RateBps, Share, SizeBytes

_NODE_NAME = r"^[a-z0-9][a-z0-9_.-]{0,14}$"


def _node_name(name: str) -> str:
    """A name that a network namespace, a shell and a result column can all carry."""
    if not re.fullmatch(_NODE_NAME[1:-1], name):
        raise ValueError(
            f'"{name[:40]}" cannot name a node; '
            "expected 1 to 15 of a-z 0-9 - _ . starting with a letter or digit"
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
    edge = {network.network_address, network.broadcast_address} if interface.version == 4 else set()
    if network.prefixlen < network.max_prefixlen - 1 and address in edge:
        raise ValueError(f'"{text}" is the network or broadcast address of {network}; {form}')
    return str(interface)


NodeName = Annotated[str, AfterValidator(_node_name), Field(json_schema_extra={"pattern": _NODE_NAME})]
InterfaceAddress = Annotated[
    str, AfterValidator(_interface_address), Field(json_schema_extra={"examples": ["10.1.0.1/24"]})
]


class Section(BaseModel):
    """A part of the experiment file: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True)


class Qdisc(Section):
    """The queueing discipline at the leaf of a shaped direction."""

    kind: Literal["fq", "fq_codel", "cake", "codel", "sfq", "pfifo", "bfifo"]
    limit: Count | None = Field(
        None,
        ge=1,
        le=2**32 - 1,
        description="packets (bytes for bfifo); the kernel's default if absent",
    )


class Shape(Section):
    """What happens to packets in one direction of a link. An empty shape is an unshaped direction."""

    rate_bps: RateBps | None = Field(None, alias="rate", description="bandwidth limit")
    burst_bytes: SizeBytes | None = Field(
        None, alias="burst", description="bytes that may pass at once; chosen from the rate if absent"
    )
    queue_ns: DurationNs = Field(
        50_000_000,
        alias="queue",
        description="longest wait in the tbf queue (tbf's latency)",
    )
    method: Literal["tbf", "htb"] = Field("tbf", description="qdisc that enforces the rate")
    delay_ns: DurationNs = Field(0, alias="delay", description="added one-way delay (netem)")
    jitter_ns: DurationNs = Field(0, alias="jitter", description="variation of the delay (netem)")
    loss: Share = Field(0.0, description="share of packets lost (netem)")
    duplicate: Share = Field(0.0, description="share of packets sent twice (netem)")
    reorder: Share = Field(0.0, description="share of packets sent without the delay (netem)")
    leaf: Qdisc | None = Field(None, alias="qdisc", description="leaf queueing discipline")

    @property
    def needs_netem(self) -> bool:
        """True if any part of the shape can only be done by netem."""
        return any((self.delay_ns, self.jitter_ns, self.loss, self.duplicate, self.reorder))


class Node(Section):
    """One network namespace."""

    cpus: CpuSet | None = Field(None, description="CPUs of this node's workload processes; any CPU if absent")
    forwarding: OnOff | None = Field(
        None,
        description="routes packets; if absent, on where a node has several links",
    )


class Link(Section):
    """One veth pair, or pair of emulated NICs, between two nodes."""

    between: tuple[NodeName, NodeName] = Field(description="the two nodes; the first is end 0")
    addresses: tuple[InterfaceAddress, InterfaceAddress] | None = Field(
        None, description="interface addresses of the two ends, in one subnet; chosen automatically if absent"
    )
    mtu: Count | None = Field(None, ge=68, le=65535, description="bytes; the kernel's 1500 if absent")
    queues: Count = Field(1, ge=1, le=256, description="receive and transmit queues of each end")
    nic: Literal["veth", "e1000e", "igb", "virtio-net", "vmxnet3"] = Field(
        "veth", description="veth, or a pair of emulated NICs back to back (only in `pollbench vm run`)"
    )
    shape: Shape | None = Field(None, description="shaping of both directions")
    own_forward: Shape | None = Field(
        None,
        alias="forward",
        description="first node to second; replaces shape",
    )
    own_reverse: Shape | None = Field(
        None,
        alias="reverse",
        description="second node to first; replaces shape",
    )

    @property
    def forward(self) -> Shape | None:
        """Egress of end 0, between[0] -> between[1]; None if unshaped."""
        return self.shape if self.own_forward is None else self.own_forward

    @property
    def reverse(self) -> Shape | None:
        """Egress of end 1, between[1] -> between[0]; None if unshaped."""
        return self.shape if self.own_reverse is None else self.own_reverse


class Topology(Section):
    """Namespaces and the links between them."""

    description: str = Field("", description="what the topology is, in words")
    family: Literal["ipv4", "ipv6"] = Field("ipv4", description="address family of the testbed")
    nodes: dict[NodeName, Node] = Field(min_length=1, description="node name to node")
    links: tuple[Link, ...] = Field((), description="veth pairs")
    datapath: Literal["auto", "napi", "plain"] = Field(
        "auto",
        description="auto: NAPI-capable veth for all cells if any cell needs it; napi, plain: forced",
    )

    def links_of(self, node: str) -> list[Link]:
        """The links with an end in `node`, in file order."""
        return [link for link in self.links if node in link.between]

    def needs_guest(self) -> bool:
        """Are there links that only a guest of `pollbench vm run` has?"""
        return any(link.nic != "veth" for link in self.links)

    def forwards(self, node: str) -> bool:
        """Whether `node` routes packets between its links."""
        declared = self.nodes[node].forwarding
        return len(self.links_of(node)) > 1 if declared is None else declared
