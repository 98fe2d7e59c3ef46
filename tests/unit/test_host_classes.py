"""Host classes of a user's own: tried without a shell, what they do becomes keys of the node, or an error names it."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import InputError
from harness.mininet.commands import effects
from harness.spec.toponame import load_topology
from harness.topology.layout import plan_layout

TOPOS = Path(__file__).parents[1] / "topos"


@pytest.mark.parametrize(
    ("command", "node"),
    [
        ("sysctl net.ipv4.ip_forward=1", {"forwarding": True}),
        ("sudo sysctl -w net.ipv4.ip_forward=0 2>&1 >/dev/null", {"forwarding": False}),
        ("sysctl -w net.ipv4.ip_forward = 1", {"forwarding": True}),
        ("sysctl net.ipv4.conf.all.forwarding=1", {"forwarding": True}),
        ("echo 1 > /proc/sys/net/ipv4/ip_forward", {"forwarding": True}),
        ("sysctl -n net.ipv4.ip_forward", {}),
        ("sysctl -w net.ipv6.conf.all.disable_ipv6=1", {}),
        ("ip route del default; ip route add default via 10.0.0.1", {"default_route": "10.0.0.1"}),
        ("route add default gw 10.0.0.1 h1-eth0", {"default_route": "10.0.0.1"}),
        ("ip route add 10.2.0.0/16 via 10.1.0.1 dev r1-eth0", {"routes": {"10.2.0.0/16": "10.1.0.1"}}),
        ("route add -net 10.2.0.0 netmask 255.255.0.0 gw 10.1.0.1", {"routes": {"10.2.0.0/255.255.0.0": "10.1.0.1"}}),
        ("ifconfig r0-eth1 up && ip link set dev r0-eth2 up", {}),
    ],
)
def test_commands_become_keys(command: str, node: dict[str, object]) -> None:
    assert effects([command]) == node


@pytest.mark.parametrize(
    "command",
    [
        "iptables -A FORWARD -j DROP",
        "sysctl net.ipv4.tcp_congestion_control=bbr",
        "sysctl net.ipv6.conf.all.disable_ipv6=0",
        "ip addr add 10.0.0.9/8 dev h1-eth0",
        "ethtool -K h1-eth0 tx off",
        "python3 -m http.server &",
    ],
)
def test_another_command_is_named(command: str) -> None:
    with pytest.raises(ValueError, match="^" + command.split()[0]):
        effects(["sysctl net.ipv4.ip_forward=1", command])


def test_the_linux_router_of_mininet() -> None:
    made = load_topology("mininet.examples.linuxrouter:NetworkTopo")
    plan = plan_layout(made)
    assert made.forwards("r0") and not made.forwards("h1")
    assert [(port.device, str(port.interface)) for port in plan.ports["r0"]] == [
        ("r0-eth1", "192.168.1.1/24"),
        ("r0-eth2", "172.16.0.1/12"),
        ("r0-eth3", "10.0.0.1/8"),
    ]
    assert plan.address("h3", "h1") == "10.0.0.100"


def test_routes_and_gateways_of_a_class() -> None:
    made = load_topology(f"{TOPOS}/routers.py:sites")
    plan = plan_layout(made)
    assert [(str(route.to), str(route.gateway)) for route in plan.routes("r1")] == [("10.2.0.0/16", "10.255.0.2")]
    assert [str(route.gateway) for route in plan.routes("h21")] == ["10.2.0.1"]


REFUSED = {
    "command": (
        "self.cmd('iptables -F')",
        "topo.py:4:1: .*host h1 is of class H, which runs: iptables -F; take engine",
    ),
    "raises": ("raise ValueError('no config')", "class H, whose configuration raises ValueError: no config"),
    "exits": ("exit(7)", r"class H, which calls sys.exit\(7\)"),
    "starts": ("import subprocess; subprocess.Popen(['touch', FILE])", "class H, which does subprocess.Popen touch"),
    "system": (
        "import os\n        try: os.system('touch ' + FILE)\n        except OSError: pass",
        "which does os.system",
    ),
    "writes": ("open(FILE, 'w')", "class H, which writes .*touched on this host"),
    "base": ("self.params.clear()", r"class H, whose config\(\) does not call that of its base class"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_class_may_not_do(case: str, tmp_path: Path) -> None:
    body, told = REFUSED[case]
    path, touched = tmp_path / "topo.py", tmp_path / "touched"
    path.write_text(
        f"from mininet.topo import Topo\nfrom mininet.node import Host\nclass H(Host):\n    def config(self, **p):\n"
        f"        FILE = {str(touched)!r}\n"
        + ("" if case == "base" else "        super().config(**p)\n")
        + f"        {body}\n"
        "class T(Topo):\n  def build(self):\n    self.addLink(self.addHost('h1', cls=H), self.addSwitch('s1'))\n"
    )
    with pytest.raises(InputError, match=told):
        load_topology(f"{path}:T")
    assert not touched.exists()
