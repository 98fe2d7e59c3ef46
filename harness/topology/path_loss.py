"""The packet loss that a topology declares along a path: a run may lose that much without being suspect."""

from __future__ import annotations

from harness.spec.shape import Shape
from harness.spec.topology import Topology
from harness.topology.layout import Layout, plan_layout


def round_trip_loss(topology: Topology, start: str, end: str) -> float:
    """Share of packets lost on the way or on the way back, on the most lossy of the paths of the fewest hops."""
    shapes = (shape for link in topology.links for shape in (link.forward, link.reverse))
    if not any(_loss(shape) for shape in shapes):
        return 0.0
    layout = plan_layout(topology)
    return 1.0 - _kept(layout, start, end) * _kept(layout, end, start)


def _kept(layout: Layout, start: str, end: str) -> float:
    """Share of the packets that arrive; 1 where there is no path."""
    reached, seen = {start: 1.0}, {start}
    while reached and end not in reached:
        further: dict[str, float] = {}
        for node, kept in reached.items():
            if node != start and not layout.forwarding[node]:
                continue
            for port in layout.ports[node]:
                far, shape = port.peer_node, layout.shape(port)
                if far not in seen and port.link not in layout.idle:
                    further[far] = min(further.get(far, 1.0), kept * (1.0 - _loss(shape)))
        seen |= further.keys()
        reached = further
    return reached.get(end, 1.0)


def _loss(shape: Shape | None) -> float:
    """Share of packets lost in one direction; of one that changes, the mean over its time."""
    if shape is None:
        return 0.0
    return shape.mean_loss if shape.course is None else shape.course.mean_loss()
