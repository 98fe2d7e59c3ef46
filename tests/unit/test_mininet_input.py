"""Mininet's topologies read from files and names: what becomes of them, and what a broken one says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.errors import InputError
from harness.mininet.find import version_of
from harness.mininet.graph import Graph, GraphLink, GraphNode
from harness.mininet.topology import document_of
from harness.plan import make_plan
from harness.spec.generated import Generator
from harness.spec.load import load_experiment
from harness.spec.messages import Mistakes
from harness.spec.rules_topology import check_topology
from harness.spec.topology import Topology
from harness.spec.toponame import load_topology
from harness.spec.yaml_tree import parse
from harness.topology.layout import plan_layout

TOPOS = Path(__file__).parents[1] / "topos"


def read(text: str, name: str = "experiment.yaml") -> Topology:
    """The topology of `topology: {...}` as a file would say it, checked."""
    tree = Generator().realise(parse(text.encode(), name), Mistakes())
    section = tree.child("topology")
    assert section is not None
    made = Topology.model_validate(section.plain())
    check_topology(made, tree)
    return made


def of(name: str, **more: Any) -> Topology:
    """A topology by its name, other keys beside."""
    keys = "".join(f", {key}: {value}" for key, value in more.items())
    return read(f'topology: {{mininet: "{name}"{keys}}}')


def file_of(directory: Path, body: str) -> str:
    """A topology file of this content; its path."""
    path = directory / "topo.py"
    path.write_text(body)
    return str(path)


@pytest.mark.parametrize(
    ("name", "hosts", "switches", "links"),
    [
        ("minimal", 2, 1, 2),
        ("single,3", 3, 1, 3),
        ("reversed,4", 4, 1, 4),
        ("linear,4", 4, 4, 7),
        ("linear,k=2,n=3", 6, 2, 7),
        ("tree,2,3", 9, 4, 12),
        ("tree,depth=3,fanout=2", 8, 7, 14),
    ],
)
def test_mininets_own_names(name: str, hosts: int, switches: int, links: int) -> None:
    made = of(name)
    assert len(made.hosts()) == hosts
    assert len(made.nodes) - hosts == switches
    assert len(made.links) == links


def test_addresses_and_interfaces_are_mininets() -> None:
    plan = plan_layout(of("linear,3"))
    assert [plan.address(f"h{n}") for n in (1, 2, 3)] == ["10.0.0.1", "10.0.0.2", "10.0.0.3"]
    assert [port.device for port in plan.ports["s2"]] == ["s2-eth1", "s2-eth2", "s2-eth3"]
    assert plan.ports["h1"][0].device == "h1-eth0"


def test_a_loop_needs_a_decision() -> None:
    with pytest.raises(InputError, match=r"experiment.yaml:1:21: .*closes a loop of bridges.*switching: route"):
        of("torus,3,3")
    assert len(plan_layout(of("torus,3,3", stp="on")).idle) == 18 - 8
    assert plan_layout(of("torus,3,3", switching="route")).idle == frozenset()


def test_explicit_ports_names_and_addresses() -> None:
    plan = plan_layout(of(f"{TOPOS}/ports.py:FrontPanel"))
    assert [port.device for port in plan.ports["s1"]] == ["s1-eth7", "ge-0-12", "ge-0-24"]
    left = plan.ports["left"][0]
    assert (left.device, str(left.interface), left.mac.hex(":")) == ("eno1", "192.168.7.10/24", "00:00:00:00:07:10")


def test_tclink_options_become_shapes() -> None:
    made = of(f"{TOPOS}/campus.py:campus")
    (desk,) = [link for link in made.links if "pc000" in link.between]
    assert desk.forward is not None and desk.forward == desk.reverse
    assert (desk.forward.rate_bps, desk.forward.method, desk.forward.burst_bytes) == (10_000_000, "htb", 15_360)
    assert desk.forward.leaf is not None and desk.forward.leaf.limit == 50
    tbf = of(f"{TOPOS}/datacenter.py:dc", switching="route")
    server = next(link.forward for link in tbf.links if "r1s1" in link.between)
    assert server is not None
    assert (server.method, server.burst_bytes, server.queue_ns) == ("tbf", 15_000, 20_000_000)
    assert tbf.nodes["r1s1"].cpu_share == pytest.approx(0.125)
    wan = of(f"{TOPOS}/wan.py:Wan")
    uplink = next(link for link in wan.links if link.between == ("site2", "wan"))
    rates = [shape.rate_bps if shape else None for shape in (uplink.forward, uplink.reverse)]
    assert rates == [10_000_000, 50_000_000]
    far = of(f"{TOPOS}/wan.py:LongHaul", args="{delay: 5ms}").links[0].forward
    assert far is not None
    assert (far.delay_ns, far.jitter_ns, far.loss, far.limit) == (5_000_000, 2_000_000, 0.01, 1000)


def test_default_options_are_those_of_nodes_and_links_without_their_own() -> None:
    made = of(f"{TOPOS}/factory.py:star")
    assert [link.forward and link.forward.rate_bps for link in made.links] == [50_000_000] * 3
    assert {made.nodes[host].default_route for host in made.hosts()} == {"10.0.0.1"}


def test_files_functions_and_modules() -> None:
    assert len(of(f"{TOPOS}/campus.py:small").hosts()) == 2
    assert len(of(f"{TOPOS}/campus.py:CampusTopo", args="[3, 1, 1]").hosts()) == 3
    assert len(of(f"{TOPOS}/factory.py:star", args="{n: 5}").hosts()) == 5
    assert of(f"{TOPOS}/ring.py").stp
    assert len(of("mininet.examples.linearbandwidth:LinearTestTopo", args="{N: 4}").hosts()) == 4


BROKEN = {
    "syntax": ("class T(:\n  pass\n", "topo.py:1:9: read topology .*: it is not Python: invalid syntax"),
    "raises": (
        "from mininet.topo import Topo\nclass T(Topo):\n    def build(self):\n        raise ValueError('no way')\n",
        r"topo.py:4:9: .* building T: ValueError: no way",
    ),
    "exits": ("import sys\nsys.exit(3)\n", r"topo.py:2:1: .* reading it: it called sys.exit\(3\)"),
    "ends": ("import os\nprint('bye')\nos._exit(4)\n", "experiment.yaml:1:21: .* status 4 before .*: bye"),
    "missing": ("from mininet.topo import Topo\nclass Tree(Topo): pass\n", 'topo.py:1:1: .*: there is no "T" in it'),
    "no-topo": ("def T(): return 7\n", "topo.py:1:1: .* T makes a int, not a mininet.topo.Topo"),
    "no-module": ("import nosuchmodule\n", "topo.py:1:1: .*No module named 'nosuchmodule'; install"),
    "arguments": (
        "from mininet.topo import Topo\nclass T(Topo):\n    def build(self, k): pass\n",
        "topo.py:.*missing 1 required positional argument: 'k'; give it, e.g. topo.py:T,2, or --set args.k=2$",
    ),
    "long": ("addHost('averyveryverylonghost')", "host 'averyveryverylonghost' cannot name a node"),
    "odd": ("addHost('h/1')", "host 'h/1' cannot name a node"),
    "long-device": (
        "addLink(self.addHost('elevenchars'), self.addSwitch('s1'))",
        "'elevenchars-eth0' cannot name an interface",
    ),
    "option": ("addHost('h1', colour='red')", 'option "colour" of host h1 is not known; known: cls, cores'),
    "link-option": (
        "addLink(self.addHost('h1'), self.addHost('h2'), bandwidth=3)",
        'option "bandwidth" of link h1-h2 is not known',
    ),
    "class": ("addHost('h1', cls=self.__class__)", "host h1 is of class T, .*engine: mininet"),
    "bw": ("addLink(self.addHost('h1'), self.addHost('h2'), bw=4000)", "bw=4000; expected Mbit/s"),
    "delay": ("addLink(self.addHost('h1'), self.addHost('h2'), delay='soon')", "delay='soon'; expected a time"),
    "jitter": ("addLink(self.addHost('h1'), self.addHost('h2'), bw=1, jitter='1ms')", "has a jitter without a delay"),
    "gro": ("addLink(self.addHost('h1'), self.addHost('h2'), gro=False)", "switches rx-gro off .*busy polling"),
    "stranger": ("addLink('h1', 'h2')", "topo.py:4:9: .*building T: KeyError: .h1."),
    "ports": (
        "addLink(self.addHost('h1'), self.addSwitch('s1'), port2=1); self.addLink(self.addHost('h2'), 's1', port2=1)",
        "port 1 of s1 is taken by link h1-s1",
    ),
    "duplicate": (
        "addLink(self.addSwitch('s1'), self.addSwitch('s2')); self.addLink('s1', 's2'); "
        "self.addLink(self.addHost('h1'), 's1')",
        "s1-s2 closes a loop of bridges",
    ),
    "address": (
        "addLink(self.addHost('h1', ip='10.0.0.1/24'), self.addSwitch('s1')); "
        "self.addLink(self.addHost('h2', ip='10.0.0.1/24'), 's1')",
        "10.0.0.1 of h2 is also that of links.0",
    ),
    "ip": ("addLink(self.addHost('h1', ip='ten'), self.addSwitch('s1'))", "host h1 has ip='ten'"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_a_broken_file_says(case: str, tmp_path: Path) -> None:
    body, told = BROKEN[case]
    if body.startswith("add"):
        body = f"from mininet.topo import Topo\nclass T(Topo):\n    def build(self):\n        self.{body}\n"
    with pytest.raises(InputError, match=told) as caught:
        of(f"{file_of(tmp_path, body)}:T")
    assert "\n" not in caught.value.line()
    assert caught.value.where.count(":") >= 2
    if "self." in body:
        assert "topo.py:4:" in caught.value.where


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{mininet: nosuch}", '1:21: .*Mininet has no topology "nosuch"; expected FILE.py:CLASS'),
        ("{mininet: nosuch.py}", "1:21: topology.mininet: there is no file nosuch.py"),
        ("{mininet: [1]}", "1:21: topology.mininet: expected text"),
        ("{mininet: minimal, args: 3}", "1:36: topology.args: expected a mapping or a list"),
        ("{mininet: minimal, cpus: {x*: 0}}", '1:37: topology.cpus: no host is called "x\\*"'),
        ("{mininet: minimal, nodes: {h9: {}}}", "1:38: topology.nodes.h9: no link reaches this node"),
    ],
)
def test_mistakes_in_the_experiment_file(text: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        read(f"topology: {text}")


def test_cpus_are_given_out() -> None:
    made = of("single,4", cpus='{"h[12]": "0", "h*": "1"}', nodes='{h2: {cpus: "3"}}')
    assert [made.nodes[f"h{n}"].cpus for n in (1, 2, 3, 4)] == [(0,), (3,), (1,), (1,)]
    assert made.nodes["s1"].cpus is None
    for how in ("spread", "pack"):
        assert all(of("single,4", cpus=how).nodes[f"h{n}"].cpus for n in (1, 2, 3, 4))


def test_an_experiment_sweeps_arguments_and_finds_its_file(tmp_path: Path) -> None:
    (tmp_path / "experiments").mkdir()
    (tmp_path / "topologies").mkdir()
    (tmp_path / "topologies" / "campus.py").write_bytes((TOPOS / "campus.py").read_bytes())
    path = tmp_path / "experiments" / "x.yaml"
    path.write_text(
        "name: x\n"
        "topology: {mininet: 'topologies/campus.py:campus', args: {desks: 1}, links: {3: {queues: 2}}}\n"
        "workload: {kind: ping-pong, from: pc000, to: pc110, duration: 1s}\n"
        "sweep: {topology.args.desks: [1, 3]}\n"
    )
    plan = make_plan(load_experiment(path))
    assert [len(cell.spec.topology.hosts()) for cell in plan.cells] == [4, 12]
    assert all(cell.spec.topology.links[3].queues == 2 for cell in plan.cells)
    again = type(plan).from_json(plan.to_json())
    assert [cell.cell_id for cell in again.cells] == [cell.cell_id for cell in plan.cells]


def test_the_stand_in_for_distutils(tmp_path: Path) -> None:
    body = (
        "import sys\nfrom mininet.node import Node\nfrom mininet.topo import Topo\n"
        "class T(Topo):\n    def build(self):\n"
        "        other = 'loaded' if 'setuptools' in sys.modules else 'h2'\n"
        "        self.addLink(self.addHost('h1'), self.addHost(other))\n"
    )
    assert of(f"{file_of(tmp_path, body)}:T").hosts() == ["h1", "h2"]
    assert version_of("2.0") < version_of("2.17.1")
    assert version_of("1.10") == version_of("1.10")
    assert not version_of("2.3") < version_of("2.3")


def test_a_name_on_the_command_line_is_a_path_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = "from mininet.topo import Topo\nclass T(Topo):\n    def build(self):\n        self.addLink({}, {})\n"
    for path, name in (("a", "right"), ("a/a", "wrong")):
        (tmp_path / path).mkdir()
        (tmp_path / path / "x.py").write_text(body.format(f"self.addHost('{name}')", "self.addHost('h2')"))
    monkeypatch.chdir(tmp_path)
    assert load_topology("a/x.py").hosts() == ["h2", "right"]
    with pytest.raises(InputError, match=r"there is no file .*/b/x\.py"):
        load_topology("b/x.py")


def test_times_are_read_as_tc_reads_them() -> None:
    for text, delay_ns in (("2secs", 2 * 10**9), ("5MS", 5 * 10**6), ("1e2us", 10**5), ("7", 7000), (0, 0)):
        (link,) = document_of(joined({"delay": text, "loss": 1}), "x", "x:1:1")["links"]
        assert link["forward"].get("delay", "0ns") == f"{delay_ns}ns"
    (link,) = document_of(joined({"delay": "0ms", "jitter": "1ms"}), "x", "x:1:1")["links"]
    assert link["forward"] == {"delay": "0ns", "jitter": "1000000ns"}
    made = read("topology: {nodes: {a: {}, b: {}}, links: [{between: [a, b], shape: {delay: 0ms, jitter: 1ms}}]}")
    assert made.links[0].forward is not None and made.links[0].forward.needs_netem
    with pytest.raises(InputError, match="jitter means nothing without a delay"):
        read("topology: {nodes: {a: {}, b: {}}, links: [{between: [a, b], shape: {jitter: 1ms}}]}")


def joined(options: dict[str, Any]) -> Graph:
    """Two hosts and a link with these options."""
    return Graph(
        [GraphNode("a", {}), GraphNode("b", {})], [], [GraphLink(("a", "b"), options | {"port1": 0, "port2": 0})]
    )
