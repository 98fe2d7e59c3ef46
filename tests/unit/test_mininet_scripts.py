"""Scripts that build a net with Mininet, in the styles in which people write them: read, and nothing of them run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.errors import InputError
from harness.mininet.commands import Kind, kind_of
from harness.spec.topology import Topology
from harness.spec.toponame import load_topology
from harness.topology.draw.data import picture_of
from harness.topology.draw.text import as_text
from harness.topology.layout import plan_layout

HEAD = """import os, subprocess, sys, time
from functools import partial
from mininet.cli import CLI
from mininet.link import Intf, TCLink
from mininet.log import setLogLevel
from mininet.net import Mininet
from mininet.node import *
from mininet.topo import Topo
from mininet.util import custom, quietRun
"""
NET = "net = Mininet(controller=None, switch=OVSBridge, link=TCLink)\n"
PAIR = NET + "a, b = net.addHost('a'), net.addHost('b')\nnet.addLink(a, b, bw=5)\n"
ROUTER = (
    NET
    + """r = net.addHost('r', ip=None)
a = net.addHost('a', ip='10.1.0.2/24')
b = net.addHost('b', ip='10.2.0.2/24', defaultRoute='via 10.2.0.1')
net.addLink(a, r); net.addLink(b, r)
net.start()
"""
)


def inside(body: str, call: str = "") -> str:
    """A function `run` of this body, called when the file is run as a program."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return f"def run(**given):\n{lines}if __name__ == '__main__':\n    {call or 'run()'}\n"


def read(directory: Path, body: str, name: str = "", **more: Any) -> Topology:
    """The topology of a file of this body."""
    path = directory / "lab.py"
    path.write_text(HEAD + body)
    return load_topology(f"{path}:{name}" if name else str(path), **more)


# Body, name after the colon: which hosts and switches, and links with the rate of the first way in Mbit/s.
SHAPES: dict[str, tuple[str, str, str, list[tuple[str, int]]]] = {
    "main": (inside(PAIR + "net.start(); CLI(net); net.stop()"), "", "a b", [("a-b", 5)]),
    "no guard": (PAIR + "net.start()\nprint(net.pingAll())\n", "", "a b", [("a-b", 5)]),
    "function": (inside(PAIR + "return net", "print(0)"), "run", "a b", [("a-b", 5)]),
    "started by hand": (
        inside("""net = Mininet(build=False)
c = net.addController('c0', RemoteController, ip='127.0.0.1', port=6653)
s = net.addSwitch('s1', cls=OVSKernelSwitch)
for n in 'ab': net.addLink(net.addHost(n, Host), s, cls=TCLink, bw=7)
net.build()
for one in net.controllers: one.start()
net.get('s1').start([c])
CLI(net)"""),
        "",
        "a b s1",
        [("a-s1", 7), ("b-s1", 7)],
    ),
    "a Topo of its own": (
        """class T(Topo):
    def build(self, n=2):
        for i in range(n): self.addLink(self.addHost(f'h{i}'), self.addSwitch('s1'))
class U(T): pass
"""
        + inside("""net = Mininet(topo=T(2), link=custom(TCLink, bw=9), controller=None)
net.addLink(net.addHost('x'), net['s1'])
net.start()"""),
        "",
        "h0 h1 x s1",
        [("h0-s1", 9), ("h1-s1", 9), ("x-s1", 9)],
    ),
    "listed": (inside(PAIR + "net.start()") + "topos = {'lab': lambda: run()}\n", "lab", "a b", [("a-b", 5)]),
    "a switch class": (
        """c1 = Controller('c1', port=6634)
class Mine(OVSSwitch):
    def start(self, controllers):
        return OVSSwitch.start(self, [c1])
"""
        + inside("""net = Mininet(switch=Mine, controller=c1)
net.addLink(net.addHost('a'), net.addSwitch('s1'))
net.addLink(net.addHost('b'), 's1')
net.start()"""),
        "",
        "a b s1",
        [("a-s1", 0), ("b-s1", 0)],
    ),
    "limited hosts": (
        inside("""switch = partial(OVSSwitch, protocols='OpenFlow13')
net = Mininet(host=custom(CPULimitedHost, cpu=.25), link=TCLink, switch=switch)
net.addLink(net.addHost('a'), net.addHost('b'), bw=3)
net.run(net.pingAll)"""),
        "",
        "a b",
        [("a-b", 3)],
    ),
    "several nets": (
        inside("""for bw in (2, 4):
    net = Mininet(link=TCLink)
    net.addLink(net.addHost('a'), net.addHost('b'), bw=bw)
    net.start()
    net.stop()"""),
        "",
        "a b",
        [("a-b", 2)],
    ),
    "to the host": (
        inside(
            """if os.geteuid(): sys.exit('run it as root')
os.system('mn -c'); quietRun('ovs-vsctl show'); os.makedirs('/proc/logs')
open('/proc/log', 'w').write('x')
subprocess.check_output(['sysctl', '-w', 'vm.swappiness=1'], text=True).strip()
"""
            + PAIR
            + "net.start()\na.popen('iperf -s').wait()\ntime.sleep(5)\nsys.exit(0)"
        ),
        "",
        "a b",
        [("a-b", 5)],
    ),
    "for ever": (inside(PAIR + "net.start()\nwhile True: time.sleep(1)"), "", "a b", [("a-b", 5)]),
    "fails later": (inside(PAIR + "net.start()\nprint(int(a.cmd('echo 1')))"), "", "a b", [("a-b", 5)]),
    "plain links": (inside(PAIR.replace(", link=TCLink", "") + "net.start()"), "", "a b", [("a-b", 0)]),
    "reshaped": (
        inside(PAIR + "net.links[0].intf1.config(bw=8)\nnet.start()\nnet.links[0].intf1.config(bw=1)"),
        "",
        "a b",
        [("a-b", 8)],
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_script_is_read_as_mininet_would_build_it(shape: str, tmp_path: Path) -> None:
    body, name, nodes, links = SHAPES[shape]
    made = read(tmp_path, body, name)
    assert [*made.nodes] == nodes.split()
    rates = [tuple(way.rate_bps if way else 0 for way in (link.forward, link.reverse)) for link in made.links]
    assert [("-".join(link.between), rate) for link, (rate, _) in zip(made.links, rates, strict=True)] == [
        (ends, 1_000_000 * rate) for ends, rate in links
    ]


def test_addresses_and_routes_are_those_of_the_end_and_the_rest_is_told(tmp_path: Path) -> None:
    body = ROUTER + (
        "r.cmd('ifconfig r-eth0 10.1.0.1 netmask 255.255.255.0'); r.setIP('10.2.0.1', 24, intf='r-eth1')\n"
        "r.cmd('echo 1 > /proc/sys/net/ipv4/ip_forward')\na.cmd('route add default gw 10.1.0.1')\n"
        "a.cmd('ip route')\nb.cmd('python3 -m http.server 80 &')\nnet.iperf((a, b))\nCLI(net)\n"
    )
    made = read(tmp_path, inside(body))
    assert [link.addresses for link in made.links] == [("10.1.0.2/24", "10.1.0.1/24"), ("10.2.0.2/24", "10.2.0.1/24")]
    assert {name: made.nodes[name].default_route for name in "ab"} == {"a": "10.1.0.1", "b": "10.2.0.1"}
    assert made.forwards("r")
    assert made.script == ["a: ip route", "b: python3 -m http.server 80 &", "iperf [a, b]", "CLI"]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("a.cmd('tc qdisc add dev a-eth0 root netem delay 10ms')", r"lab.py:17:1: .*host a: the script runs: tc"),
        ("a.cmd('iptables -A INPUT -j DROP')", "the script runs: iptables -A INPUT"),
        ("a.cmd('ip link set dev a-eth0 down')", "the script runs: ip link set"),
        ("Intf('eth9', node=a)", "a takes the interface eth9 of this host"),
        ("net.addNAT(connect=net.addSwitch('s1'))", "nat0 is of class NAT"),
    ],
)
def test_what_changes_the_network_in_a_way_that_is_not_known_is_refused(line: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=told):
        read(tmp_path, inside(ROUTER + line))


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("ifconfig h1-eth0 10.0.1.1 netmask 255.255.255.0 up", Kind.ADDRESS),
        ("ip a add 10.0.1.1/24 dev h1-eth0", Kind.ADDRESS),
        ("ip addr flush dev h1-eth0 &", Kind.ADDRESS),
        ("ifconfig h1-eth0 hw ether 00:00:00:00:00:0a", Kind.ADDRESS),
        ("echo 1 | sudo tee /proc/sys/net/ipv4/ip_forward", Kind.EFFECT),
        ("route add default gw 10.0.1.254 h1-eth0 &", Kind.EFFECT),
        ("ip route add 10.2.0.0/16 via 10.0.1.254", Kind.EFFECT),
        ("ifconfig lo up", Kind.NOTHING),
        ("ifconfig h1-eth0 | grep inet", Kind.PROGRAM),
        ("ip -4 addr show h1-eth0", Kind.PROGRAM),
        ("route -n > /tmp/routes", Kind.PROGRAM),
        ("ip route add default dev h1-eth0", Kind.PROGRAM),
        ("tc -s qdisc show dev h1-eth0", Kind.PROGRAM),
        ("iperf -s -p 5001 &", Kind.PROGRAM),
        ("./tc.sh", Kind.PROGRAM),
        ("tc qdisc add dev h1-eth0 root netem delay 1ms", Kind.UNKNOWN),
        ("/sbin/ip link set h1-eth0 mtu 1400", Kind.UNKNOWN),
        ("ifconfig h1-eth0 down", Kind.UNKNOWN),
        ("iptables -t nat -A POSTROUTING -j MASQUERADE", Kind.UNKNOWN),
    ],
)
def test_what_a_command_is_to_a_topology(command: str, kind: Kind) -> None:
    assert kind_of(command) is kind


def test_hardware_addresses_of_a_script_are_kept(tmp_path: Path) -> None:
    body = PAIR + "net.start(); a.setMAC('00:00:00:00:00:0a')\nb.cmd('ifconfig b-eth0 down')\n"
    body += "b.cmd('ifconfig b-eth0 hw ether 00:00:00:00:00:0b; ifconfig b-eth0 up')"
    assert read(tmp_path, inside(body)).links[0].macs == ("00:00:00:00:00:0a", "00:00:00:00:00:0b")


def test_a_script_is_given_its_arguments_and_what_its_parser_says_is_told(tmp_path: Path) -> None:
    body = "import argparse\nparser = argparse.ArgumentParser()\nparser.add_argument('--bw', type=int, required=True)\n"
    body += inside(PAIR.replace("bw=5", "bw=parser.parse_args().bw") + "net.start()")
    with pytest.raises(InputError, match=r"sys.exit\(2\): .* the following arguments are required: --bw; .*argv:"):
        read(tmp_path, body)
    made = read(tmp_path, body, argv=["--bw", "12"])
    assert made.links[0].forward is not None and made.links[0].forward.rate_bps == 12_000_000
    assert made.argv == ["--bw", "12"]


def test_what_is_repeated_is_told_once_and_a_long_tale_is_cut(tmp_path: Path) -> None:
    loops = "for _ in range(50): a.cmd('ping b')\nfor number in range(30): b.cmd(f'echo {number}')"
    made = read(tmp_path, inside(PAIR + "net.start()\n" + loops))
    assert made.script is not None and len(made.script) == 31
    assert made.script[0] == "a: ping b (50 times)"
    shown = as_text(picture_of(plan_layout(made))).splitlines()
    assert shown[-3:] == ["  b: echo 17", "  (11 more: --format json)", "  b: echo 29"]
