"""No class of its own: a function that composes Mininet's own topologies and adds to them."""

from mininet.topo import Topo
from mininet.topolib import TreeTopo


class Server(TreeTopo):
    def build(self, depth=2, fanout=2, servers=1):
        TreeTopo.build(self, depth, fanout)
        for i in range(servers):
            self.addHost(f"srv{i}", ip=f"10.1.0.{i + 1}/8")
            self.addLink(f"srv{i}", "s1", bw=1000, speedup=0)


def star(n=3):
    topo = Topo(hopts={"defaultRoute": "via 10.0.0.1"}, lopts={"bw": 50})
    topo.addSwitch("s1")
    for i in range(n):
        topo.addHost(f"h{i}")
        topo.addLink(f"h{i}", "s1")
    return topo
