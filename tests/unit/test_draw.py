"""A topology shown: the pictures of the documentation are the tool's, and every format tells the same."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from harness.cli import main
from harness.spec.toponame import load_topology
from harness.topology.draw.data import picture_of
from harness.topology.draw.text import as_dot, as_text
from harness.topology.layout import plan_layout
from tools.topology_pictures import PICTURES, SHIPPED, picture

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("path", SHIPPED, ids=[path.stem for path in SHIPPED])
def test_every_shipped_topology_has_its_picture(path: Path) -> None:
    drawn = picture(path)
    assert drawn == (PICTURES / f"{path.stem}.svg").read_text(), "run make docs"
    root = ElementTree.fromstring(drawn)
    texts = {element.text for element in root.iter() if element.tag.endswith("text")}
    assert set(load_topology(str(path)).nodes) <= texts
    assert f"pictures/{path.stem}.svg" in (ROOT / "docs" / "topologies.md").read_text()


def test_text_tells_addresses_shaping_cpus_and_routes() -> None:
    shown = picture_of(plan_layout(load_topology(str(ROOT / "topologies" / "incast.yaml"))))
    text = as_text(shown)
    assert "9 hosts, 1 switch, 9 links; engine: netlink; switching: bridge" in text
    assert "100mbit (htb), burst 15KiB, pfifo 64" in text
    assert "10.0.0.9/8" in text
    chain = as_text(picture_of(plan_layout(load_topology(str(ROOT / "topologies" / "chain.yaml")))))
    assert "default via 10.0.0.2 dev eth0" in chain and "2 routers" in chain
    tree = picture_of(plan_layout(load_topology("torus,3,3", [("stp", "on")])))
    assert as_text(tree).count("idle: out of the spanning tree") == 10


def test_dot_has_every_node_and_link() -> None:
    dot = as_dot(picture_of(plan_layout(load_topology("linear,2"))))
    assert dot.count(" -- ") == 3
    assert '"h1" [label="h1\\n10.0.0.1/8"' in dot


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["topology", "tree,1,2", "--format", "json", "--set", "switching=route"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["switching"] == "route" and list(told["nodes"]) == ["h1", "h2", "s1"]
    out = tmp_path / "x.svg"
    experiment = ROOT / "experiments" / "mininet-fat-tree.yaml"
    assert main(["topology", str(experiment), "--format", "svg", "-o", str(out)]) == 0
    assert out.read_text().startswith("<svg")
    assert main(["topology", "nosuch,3"]) == 2
    assert 'Mininet has no topology "nosuch"' in capsys.readouterr().err
