"""A ring with a chord, spanning tree on Linux bridges: `mn --custom ring.py --topo ring,5 --switch lxbr,stp=1`."""

from mininet.nodelib import LinuxBridge
from mininet.topo import Topo
from mininet.util import irange


class RingTopo(Topo):
    def build(self, n=4, **_opts):
        switches = [self.addSwitch("s%d" % i, cls=LinuxBridge, stp=True, prio=100 + i) for i in irange(1, n)]
        for i, switch in enumerate(switches):
            self.addLink(switch, self.addHost("h%d" % (i + 1)))
            self.addLink(switch, switches[(i + 1) % n])
        if n > 3:
            self.addLink(switches[0], switches[n // 2])


topos = {"ring": RingTopo}
