"""What there is to show of a topology: plain data, which is also its JSON form."""

from __future__ import annotations

from typing import Any

from harness.spec.topology import Shape, Topology
from harness.topology.layout import Layout, PortLayout
from harness.units import format_cpus, format_duration, format_percent, format_rate


def described(layout: Layout) -> dict[str, Any]:
    """Nodes (kind, addresses, CPUs, routes) and links (devices, shaping of either direction) as plain data."""
    topology = layout.topology
    return {
        "description": topology.description,
        "family": topology.family,
        "engine": topology.engine,
        "switching": topology.switching if any(n.switch for n in topology.nodes.values()) else None,
        "nodes": {name: _node(layout, name) for name in topology.nodes},
        "links": [_link(layout, index) for index in range(len(layout.links))],
    }


def _node(layout: Layout, name: str) -> dict[str, Any]:
    node = layout.topology.nodes[name]
    found: dict[str, Any] = {
        "kind": kind_of(layout.topology, name),
        "addresses": [str(port.interface) for port in layout.ports[name] if port.addressed],
        "cpus": format_cpus(node.cpus) if node.cpus is not None else None,
        "routes": _routes(layout, name),
    }
    if node.cpu_share is not None:
        found["cpu_share"] = format_percent(100 * node.cpu_share)
    return found


def kind_of(topology: Topology, name: str) -> str:
    """What a node is: host, router or switch."""
    if topology.is_switch(name):
        return "switch"
    return "router" if topology.forwards(name) else "host"


def _routes(layout: Layout, name: str) -> list[str]:
    """The routes of a node, in words like those of `ip route`."""
    devices = {port.ifindex: port.device for port in layout.ports[name]}
    if layout.routed() and layout.topology.is_switch(name):
        return [
            f"{'default' if not route.to.prefixlen else route.to.network_address} "
            + " | ".join(f"dev {devices[ifindex]}" for ifindex in route.ifindexes)
            for route in layout.fabric_routes(name)
        ]
    if layout.topology.is_switch(name):
        return []
    uplinks = [port.device for port in layout.ports[name] if layout.on_switch(port)]
    if layout.routed() and uplinks:
        return ["default " + " | ".join(f"dev {device}" for device in uplinks)]
    return [
        f"{'default' if not route.to.prefixlen else route.to} via {route.gateway} dev {devices[route.ifindex]}"
        for route in layout.routes(name)
    ]


def _link(layout: Layout, index: int) -> dict[str, Any]:
    link, ports = layout.topology.links[index], layout.links[index]
    return {
        "between": list(link.between),
        "devices": [port.device for port in ports],
        "addresses": [_address(port) for port in ports],
        "mtu": link.mtu,
        "forward": shape_words(link.forward),
        "reverse": shape_words(link.reverse),
        "idle": index in layout.idle,
    }


def _address(port: PortLayout) -> str | None:
    return str(port.interface) if port.addressed else None


def shape_words(shape: Shape | None) -> str | None:
    """A shape in a few words: "100mbit (htb), delay 5ms, loss 1%"; None for none."""
    if shape is None or not (words := _parts(shape)):
        return None
    return ", ".join(words)


def _parts(shape: Shape) -> list[str]:
    words = []
    if shape.rate_bps is not None:
        words.append(f"{format_rate(shape.rate_bps)} ({shape.method})")
    if shape.delay_ns:
        jitter = f" ± {format_duration(shape.jitter_ns)}" if shape.jitter_ns else ""
        words.append(f"delay {format_duration(shape.delay_ns)}{jitter}")
    for name in ("loss", "duplicate", "reorder"):
        if share := getattr(shape, name):
            words.append(f"{name} {format_percent(100 * share)}")
    if shape.red:
        words.append("red" if shape.red == "drop" else "red with ecn")
    if shape.leaf is not None:
        limit = f" {shape.leaf.limit}" if shape.leaf.limit is not None else ""
        words.append(f"{shape.leaf.kind}{limit}")
    return words
