"""Links with a device on top of their wire: what a file may say of them, and where addresses and routes go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.errors import InputError
from harness.places import vm
from harness.spec.links import LINK_KINDS, Overlay
from harness.spec.load import load_experiment
from harness.topology.draw.data import picture_of
from harness.topology.layout import plan_layout
from harness.topology.pacing import link_notes
from tests import experiment
from tests.beds import chain, pair


def test_a_name_that_the_wire_below_has_is_refused(tmp_path: Path) -> None:
    links = [{"between": ["server", "client"], "nic": "macvlan", "devices": [None, "eth0"]}]
    file = experiment.write(tmp_path, topology={"nodes": {"client": {}, "server": {}}, "links": links})
    with pytest.raises(InputError, match='"eth0" is what the interface or wire'):
        load_experiment(str(file))


@pytest.mark.parametrize(
    ("link", "message"),
    [
        (
            {"nic": "ipvlan"},
            "ipvlan does not carry the frames of others, so that a switch has no use for it; take one of",
        ),
        (
            {"nic": "geneve", "mtu": 65500},
            "the wire of geneve has to carry 50 bytes more, over 65535; take 65485 at most",
        ),
        ({"nic": "vxlan", "addresses": ["198.18.0.9/24", None]}, "198.18.0.9/24 is of 198.18.0.0/15, where the wires"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, link: dict[str, Any], message: str) -> None:
    nodes = {"client": {}, "server": {}, "s1": {"switch": True}}
    links = [{"between": ["client", "s1"]} | link, {"between": ["server", "s1"]}]
    with pytest.raises(InputError) as refused:
        load_experiment(str(experiment.write(tmp_path, topology={"nodes": nodes, "links": links})))
    assert message in str(refused.value)


def test_addresses_and_routes_are_of_the_device_on_top_and_shapes_of_the_wire() -> None:
    layout = plan_layout(chain("a", "router", "b", nic="vxlan", shape={"rate": "10mbit"}))
    (port,) = layout.ports["a"]
    assert port.over is not None
    (route,) = layout.routes("a")
    assert route.ifindexes == (port.over.ifindex,) == port.ip_device[:1]
    assert (port.device, port.over.device, bool(port.discs)) == ("eth0", "vxlan_0", True)
    picture = picture_of(layout)
    assert picture.nodes["a"].routes == ["default via 10.0.0.2 dev vxlan_0"]
    assert [link.devices for link in picture.links] == [("vxlan_0", "vxlan_0"), ("vxlan_1", "vxlan_0")]
    wires = [port.over.wire_address for ports in layout.links for port in ports if port.over is not None]
    assert [str(wire) for wire in wires] == ["198.18.0.0/31", "198.18.0.1/31", "198.18.0.2/31", "198.18.0.3/31"]


def test_declared_names_and_addresses_are_those_of_the_device_that_programs_see() -> None:
    mac = "02:00:00:00:00:77"
    (port,) = plan_layout(pair(nic="macvlan", devices=["lan", None], macs=[mac, None])).ports["a"]
    assert port.over is not None
    assert (port.device, port.over.device, port.over.mac.hex(":")) == ("eth0", "lan", mac)
    assert port.mac != port.over.mac
    (port,) = plan_layout(pair(nic="ipvlan", macs=[mac, None])).ports["a"]
    assert port.mac.hex(":") == mac


def test_the_guests_have_the_module_of_every_kind() -> None:
    modules = (Path(vm.__file__).parent / "data" / "modules.txt").read_text().split()
    named = {"bond": "bonding", "gre": "ip_gre"}
    for kind in LINK_KINDS.values():
        if isinstance(kind, Overlay):
            assert named.get(kind.device, kind.device) in modules, kind.name


@pytest.mark.parametrize(
    "kind", [kind for kind in LINK_KINDS.values() if isinstance(kind, Overlay)], ids=lambda kind: kind.name
)
def test_a_plan_says_which_links_cannot_be_polled(kind: Overlay) -> None:
    notes = link_notes(pair(nic=kind.name), netem=True)
    assert notes == (
        [] if kind.napi else [f"a - b: what {kind.name} hands on bears no NAPI: no socket can busy-poll it"]
    )
