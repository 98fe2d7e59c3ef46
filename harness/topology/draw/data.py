"""What there is to show of a topology: plain data, which is also its JSON form."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from harness.spec.shape import Shape
from harness.spec.topology import Topology
from harness.topology.layout import Layout, PortLayout
from harness.units import format_cpus, format_duration, format_percent, format_rate, format_size


@dataclass
class NodePicture:
    """A node. cpus: as a list in text ("0-3"), None for any; cpu_share: its quota, "" for none."""

    kind: Literal["host", "router", "switch"]
    addresses: list[str]
    cpus: str | None
    routes: list[str]
    cpu_share: str = ""

    def lines(self, addresses: int | None = None) -> list[str]:
        """Its addresses (the first few), then its CPUs, for the label of its box."""
        return [*self.addresses[:addresses], *([f"CPU {self.cpus}"] if self.cpus else [])]


@dataclass(frozen=True)
class LinkPicture:
    """A link: of each end device and address, of each direction its shaping in words; None for none."""

    between: tuple[str, str]
    devices: tuple[str, str]
    addresses: tuple[str | None, str | None]
    mtu: int | None
    forward: str | None
    reverse: str | None
    idle: bool


@dataclass(frozen=True)
class TopologyPicture:
    """A topology to be shown. switching: None where there is no switch; script: what its file does, and nobody else."""

    description: str
    family: str
    engine: str
    switching: str | None
    nodes: dict[str, NodePicture]
    links: list[LinkPicture]
    script: list[str]

    def as_json(self) -> dict[str, Any]:
        """The same as JSON data."""
        document = asdict(self)
        if not self.script:
            del document["script"]
        for node in document["nodes"].values():
            if not node["cpu_share"]:
                del node["cpu_share"]
        return document


def picture_of(layout: Layout) -> TopologyPicture:
    """What there is to show of a layout: nodes with addresses, CPUs and routes; links with devices and shaping."""
    topology = layout.topology
    return TopologyPicture(
        description=topology.description,
        family=topology.family,
        engine=topology.engine,
        switching=topology.switching if any(node.switch for node in topology.nodes.values()) else None,
        nodes={name: _node(layout, name) for name in topology.nodes},
        links=[_link(layout, index) for index in range(len(layout.links))],
        script=topology.script or [],
    )


def _node(layout: Layout, name: str) -> NodePicture:
    node = layout.topology.nodes[name]
    return NodePicture(
        kind=kind_of(layout.topology, name),
        addresses=[str(port.interface) for port in layout.ports[name] if port.addressed],
        cpus=format_cpus(node.cpus) if node.cpus is not None else None,
        routes=_routes(layout, name),
        cpu_share=format_percent(100 * node.cpu_share) if node.cpu_share is not None else "",
    )


def kind_of(topology: Topology, name: str) -> Literal["host", "router", "switch"]:
    """What a node is."""
    if topology.is_switch(name):
        return "switch"
    return "router" if topology.forwards(name) else "host"


def _routes(layout: Layout, name: str) -> list[str]:
    """The routes of a node, in words like those of `ip route`."""
    devices = {port.ip_device[0]: port.ip_device[1] for port in layout.ports[name]}
    routes = []
    for route in layout.routes(name):
        to = "default" if not route.to.prefixlen else route.to.network_address if route.fabric else route.to
        ways = " | ".join(f"dev {devices[ifindex]}" for ifindex in route.ifindexes)
        routes.append(f"{to} {ways}" if route.fabric else f"{to} via {route.gateway} {ways}")
    return routes


def _link(layout: Layout, index: int) -> LinkPicture:
    link, (first, second) = layout.topology.links[index], layout.links[index]
    return LinkPicture(
        between=link.between,
        devices=(first.ip_device[1], second.ip_device[1]),
        addresses=(_address(first), _address(second)),
        mtu=link.mtu,
        forward=shape_words(link.forward),
        reverse=shape_words(link.reverse),
        idle=index in layout.idle,
    )


def _address(port: PortLayout) -> str | None:
    return str(port.interface) if port.addressed else None


def _queue_words(shape: Shape) -> list[str]:
    """A declared burst and the declared length of a queue."""
    words = [f"burst {format_size(shape.burst_bytes)}"] if shape.burst_bytes is not None else []
    if shape.queue_packets is not None:
        return [*words, f"queue {shape.queue_packets} packets"]
    if shape.queue_bytes is not None:
        return [*words, f"queue {format_size(shape.queue_bytes)}"]
    return [*words, *([f"queue {format_duration(shape.queue_ns)}"] if "queue_ns" in shape.model_fields_set else [])]


def shape_words(shape: Shape | None) -> str | None:
    """A shape in a few words: "100mbit (htb), delay 5ms, loss 1%"; None for none."""
    words = []
    if shape is None:
        return None
    if shape.rate_bps is not None:
        by = f" ({shape.method})" if shape.method is not None else ""
        words.append(f"{format_rate(shape.rate_bps)}{by}")
        words += _queue_words(shape)
    if shape.delay_ns:
        jitter = f" ± {format_duration(shape.jitter_ns)}" if shape.jitter_ns else ""
        jitter += " in order" if shape.jitter_ns and shape.keep_order else ""
        jitter += f" ({shape.distribution})" if shape.distribution is not None else ""
        words.append(f"delay {format_duration(shape.delay_ns)}{jitter}")
    for name in ("loss", "duplicate", "reorder", "corrupt"):
        if share := getattr(shape, name):
            words.append(f"{name} {format_percent(100 * share)}")
    if (chain := shape.chain) is not None:
        words.append(f"loss {format_percent(round(100 * chain.share(), 3))} in bursts of {chain.burst():.3g}")
    if shape.ecn:
        words.append("marked, not lost")
    if shape.slots is not None:
        words.append(f"slots of {format_duration(shape.slots.least_ns)}")
    if shape.red:
        words.append("red" if shape.red == "drop" else "red with ecn")
    if shape.leaf is not None:
        limit = f" {shape.leaf.limit}" if shape.leaf.limit is not None else ""
        words.append(f"{shape.leaf.kind}{limit}")
    if shape.course is not None:
        again = f", every {format_duration(shape.course.period_ns)}" if shape.course.period_ns else ""
        words.append(f"changes: {len(shape.course.phases)} phases{again}")
    return ", ".join(words) or None
