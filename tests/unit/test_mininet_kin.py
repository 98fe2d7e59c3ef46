"""What is near Mininet's own files: topologies of ipmininet, other kin, Python 2; and who it is that reads them."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

import pytest

from harness.errors import InputError
from harness.mininet.python2 import translated
from harness.spec.toponame import load_topology
from harness.topology.layout import plan_layout
from tests.command import call

IPTOPO = """from ipmininet.iptopo import IPTopo
from ipmininet.ipnet import IPNet
from ipmininet.cli import IPCLI
from ipmininet.router.config import BGP, OSPF, RouterConfig, ebgp_session, SHARE
class Own(RouterConfig):
    pass
class Two(IPTopo):
    def build(self, *args, **kwargs):
        left, right = self.addRouters('left', 'right', config=Own)
        right.addDaemon(BGP, address_families=(OSPF(area='0.0.0.1'),))
        between = self.addLink(left, right, igp_metric=3, bw=10)
        between[left].addParams(ip=('2001:db8::1/64', '10.9.0.1/30'))
        between[right].addParams(ip='10.9.0.2/30')
        self.addLinks((self.addHost('a'), self.addSwitch('s1')), (self.addHost('b'), 's1', {'bw': 20}), ('s1', left))
        self.addLink(self.addHost('c', lo_addresses=['2001:db8:1::1/64']), right)
        ebgp_session(self, left, right, link_type=SHARE)
        self.addAS(1, (left,))
        super().build(*args, **kwargs)
net = IPNet(topo=Two(), use_v6=False)
try:
    net.start()
    print(net['left'].cmd('vtysh'), [router.name for router in net.routers])
    IPCLI(net)
finally:
    net.stop()
"""
OLD = b"""from mininet.topo import Topo
class T(Topo):
    def build(self, n=2):
\tprint 'hosts:', n
        for i in xrange(n):
            self.addHost('h%d' % i)
"""


def file_of(directory: Path, body: str) -> str:
    """The path of a file of this body."""
    path = directory / "lab.py"
    path.write_text(body)
    return str(path)


def test_an_iptopo_is_read_its_routers_route_and_what_is_not_done_is_told(tmp_path: Path) -> None:
    made = load_topology(file_of(tmp_path, IPTOPO))
    plan = plan_layout(made)
    assert {name: made.forwards(name) for name in made.nodes} == {
        "a": False, "b": False, "c": False, "left": True, "right": True, "s1": True,
    }  # fmt: skip
    between = next(link for link in made.links if link.between == ("left", "right"))
    assert between.addresses == ("10.9.0.1/30", "10.9.0.2/30")
    assert between.forward is not None and between.forward.rate_bps == 10_000_000
    assert plan.address("c", "a") and any(not route.to.prefixlen for route in plan.routes("a"))
    assert made.script == ["right: daemon BGP", "left-right: igp_metric", "c: lo_addresses", "addAS"]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("from mn_wifi.net import Mininet_wifi", "No module named 'mn_wifi'; it is made for Mininet-WiFi"),
        ("from mininet.net import Containernet", "it is made for Containernet, whose hosts are Docker containers"),
        ("from mininet.node import Docker", "it is made for Containernet"),
        ("from p4utils.mininetlib.network_API import NetworkAPI", "it is made for P4 switches"),
        ("import nosuchmodule", "No module named 'nosuchmodule'; install the module it imports"),
        ("import ConfigParser", "ConfigParser is of Python 2; translate it: pollbench topology .*lab.py --convert"),
        ("raise RuntimeError('no')", "lab.py:1:1: .*RuntimeError: no$"),
        ("names = {}; names.has_key(1)", r"has_key\(\) is of Python 2; translate it"),
        ("print xrange(3)", r"it is Python 2 \(a print statement\); translate it: .*--convert -o NEW.py"),
        ("try: pass\nexcept ValueError, error: pass", r'it is Python 2 \("except X, e"\)'),
        ("def f(:", "it is not Python: "),
    ],
)
def test_what_a_file_is_instead_is_named(line: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        load_topology(f"{file_of(tmp_path, line)}:T")
    assert re.search(told, caught.value.line())


def test_a_file_of_python_2_is_translated_on_request(tmp_path: Path) -> None:
    old, new = tmp_path / "old.py", tmp_path / "new.py"
    old.write_bytes(OLD)
    assert "print('hosts:', n)" in translated(OLD, "old.py")
    assert call("topology", old).returncode == 2
    done = call("topology", old, "--convert", "-o", new)
    assert (done.returncode, done.stderr) == (0, "")
    compile(new.read_text(), "new.py", "exec")
    with pytest.raises(InputError, match="it is not Python 2 either"):
        translated(b"def f(:\n", "bad.py")


def test_a_file_is_read_by_nobody_who_can_write_nothing_and_reach_nobody(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        body = f"""import os, socket
def reaches():
    try:
        return socket.create_connection(("127.0.0.1", {port}), 1) and "reached"
    except OSError:
        return "unreached"
status = open("/proc/self/status").read()
rights = [line.split()[1] for line in status.splitlines() if line.startswith(("CapEff", "CapBnd", "NoNewPrivs"))]
open({str(tmp_path / "left")!r}, "w") if os.access({str(tmp_path)!r}, os.W_OK) else None
raise ValueError(f"{{os.getuid()}} {{os.getgroups()}} {{reaches()}} {{int(rights[0], 16) & ~4}} {{rights[2]}}")
"""
        with pytest.raises(InputError) as caught:
            load_topology(f"{file_of(tmp_path, body)}:T")
    if os.geteuid() == 0:
        assert "ValueError: 65534 [] unreached 0 1" in caught.value.line()
        assert not (tmp_path / "left").exists()
    else:
        assert caught.value.line().endswith(" 0 1")
