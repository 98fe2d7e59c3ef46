"""Any use of Mininet's Topo API: noting it changes nothing, and we shape as Mininet's own code would."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from harness.mininet.child import _plain, graph_of
from harness.mininet.find import prepare
from harness.mininet.graph import Section
from harness.mininet.options import FOREIGN
from harness.mininet.places import Places
from harness.mininet.scripts import Recorded
from harness.mininet.stage import Stage
from harness.mininet.topology import document_of
from harness.units import parse_duration, parse_rate
from tests.examples import examples

prepare()

from mininet.link import Intf, Link, TCIntf, TCLink  # noqa: E402  # after what it needs is there
from mininet.net import Mininet  # noqa: E402
from mininet.topo import MultiGraph, Topo  # noqa: E402

TIMES = ["0ms", "5ms", "100us", "2secs", "1S", "7"]
SHAPING: Any = st.fixed_dictionaries(
    {},
    optional={
        "bw": st.sampled_from([0.5, 1, 5, 40, 1000]),
        "delay": st.sampled_from(TIMES),
        "loss": st.sampled_from([0, 1, 2.5, 100]),
        "max_queue_size": st.integers(1, 2000),
        "speedup": st.sampled_from([0, 20]),
        "latency_ms": st.sampled_from([1, 20.5]),
        "use_tbf": st.booleans(),
        "use_hfsc": st.booleans(),
        "enable_ecn": st.booleans(),
        "enable_red": st.booleans(),
    },
).flatmap(lambda own: st.just(own) | st.just({**own, "jitter": "1ms"} if "delay" in own else own))
LINK: Any = st.fixed_dictionaries(
    {"own": SHAPING},
    optional={
        "params1": SHAPING,
        "params2": SHAPING,
        "cls": st.sampled_from([TCLink, Link]),
        "cls1": st.sampled_from([TCIntf, Intf]),
        "numbered": st.booleans(),
    },
)
NODE: Any = st.fixed_dictionaries({}, optional={"ip": st.just("10.0.0.77/8"), "defaultRoute": st.just("via 10.0.0.9")})


class Drawn(Topo):
    """Hosts at a switch, more of them in a topology that it takes over, with default options of every kind."""

    def __init__(self, drawn: dict[str, Any], name: str = "") -> None:
        self.drawn, self.prefix = drawn, name
        super().__init__(**{key: drawn[key] for key in ("hopts", "sopts", "lopts") if key in drawn})

    def build(self, *_: Any, **__: Any) -> None:
        switch = self.addSwitch(f"s{self.prefix}1")
        for number, (node, link) in enumerate(self.drawn["hosts"]):
            host = self.addHost(f"h{self.prefix}{number}", **node)
            options = {key: value for key, value in link.items() if key not in ("own", "numbered")}
            ports = (
                dict(zip(("port1", "port2"), (3, 10 + number)[:: 1 if number % 2 else -1], strict=True))
                if link.get("numbered")
                else {}
            )
            self.addLink(*((host, switch) if number % 2 else (switch, host)), **ports, **options, **link["own"])
        if inner := self.drawn.get("inner"):
            other = Drawn(inner, "i")
            for name in other.nodes():
                self.addNode(name, **other.nodeInfo(name))
            for link in other.links(withInfo=True):
                self.addLink(**link[-1])
            self.addLink(switch, "si1")


def topologies(depth: int = 1) -> Any:
    keys = {"hopts": NODE, "sopts": st.just({"stp": True}), "lopts": SHAPING}
    inner = {"inner": topologies(depth - 1)} if depth else {}
    hosts = st.lists(st.tuples(NODE, LINK), min_size=1, max_size=3)
    return st.fixed_dictionaries({"hosts": hosts}, optional=keys | inner)


@contextmanager
def noting() -> Iterator[Places]:
    """Places that are noted for the length of the block."""
    kept = {name: getattr(MultiGraph, name) for name in ("add_node", "add_edge")}
    try:
        yield Places("/nowhere")
    finally:
        for name, method in kept.items():
            setattr(MultiGraph, name, method)


def infos(topo: Any) -> tuple[Any, Any]:
    return {name: topo.nodeInfo(name) for name in topo.nodes()}, list(topo.links(withKeys=True, withInfo=True))


def declared(document: Section) -> dict[str, tuple[Any, ...]]:
    """Device to what is declared of what it sends."""
    ways: dict[str, tuple[Any, ...]] = {}
    for link in document["links"]:
        for device, way in zip(link["devices"], ("forward", "reverse"), strict=True):
            shape = link.get(way) or {}
            times = [parse_duration(shape.get(key, "0ns")) for key in ("delay", "jitter")]
            limit = shape.get("limit") or (shape.get("qdisc") or {}).get("limit")
            rate = parse_rate(shape["rate"]) if "rate" in shape else 0
            method = shape.get("method", "")
            ways[device] = rate, method, *times, shape.get("loss", "0%"), limit, shape.get("red", "")
    return ways


def typed(stage: Stage, device: str) -> tuple[Any, ...]:
    """The same of what Mininet types for a device."""
    lines = [
        step.command for step in stage.steps if step.command.startswith("tc ") and f" dev {device} " in step.command
    ]
    text = "\n".join(line for line in lines if " add " in line)

    def first(pattern: str) -> str:
        return found[1] if (found := re.search(pattern, text)) else ""

    def time_ns(words: str) -> int:
        match = re.fullmatch(r"([\d.]+)(\D*)", words or "0")
        assert match is not None
        number, unit = match.groups()
        return round(float(number) * {"": 1e3, "u": 1e3, "m": 1e6, "s": 1e9}[unit[:1].lower()])

    rate = round(float(first(r"rate ([\d.]+)Mbit") or 0) * 1e6)
    method = next((name for name in ("htb", "tbf", "hfsc") if f" {name} " in text), "")
    times = time_ns(first(r"netem delay (\S+)")), time_ns(first(r"netem delay \S+ (\d\S*)"))
    share = float(first(r"loss ([\d.]+)") or 0)
    limit = int(first(r"netem.*limit (\d+)") or 0) or None
    red = "" if " red " not in text else "ecn" if " ecn" in text else "drop"
    return rate, method, *times, f"{share:.6g}%", limit, red


@settings(max_examples=examples(60))
@given(topologies())
def test_both_engines_shape_alike_and_as_link_info_says(drawn: dict[str, Any]) -> None:
    plain = Drawn(drawn)
    with noting() as places:
        topo = Drawn(drawn)
        assert infos(topo) == infos(plain)
        ours = document_of(graph_of(topo, False, places), "drawn", "")
        assert infos(topo) == infos(plain)
        stage = Stage(places)
        try:
            net = Mininet(topo=topo, controller=None, link=TCLink)
            recorded = document_of(Recorded(net, stage).graph(_plain, False), "recorded", "")
        finally:
            stage.close()
    assert declared(recorded) == declared(ours)
    for device, (*shape, limit, red) in declared(ours).items():
        *by_mininet, its_limit, its_red = typed(stage, device)
        assert (shape, red) == (by_mininet, its_red), device
        # A class of htb or hfsc has a queue of its own, which we have to make.
        assert limit == its_limit or (its_limit is None and limit == 1000), device
    assert FOREIGN not in str(ours)
