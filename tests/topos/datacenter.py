#!/usr/bin/env python
"""A data centre in the style of a research prototype: helper methods, dicts of options, a controller, a main()."""

from functools import partial

from mininet.cli import CLI
from mininet.link import TCLink
from mininet.net import Mininet
from mininet.node import CPULimitedHost, OVSSwitch, RemoteController
from mininet.topo import Topo


class DataCenter(Topo):
    "k racks of n servers behind two spines"

    def build(self, k=2, n=2, bw=100):
        edge = dict(bw=bw, use_tbf=True, latency_ms=20)
        spines = [self.addSwitch("spine%d" % i, cls=OVSSwitch, protocols="OpenFlow13") for i in (1, 2)]
        for rack in range(1, k + 1):
            tor = self.addSwitch("tor%d" % rack, dpid="%016x" % (0x10 + rack), failMode="standalone")
            for spine in spines:
                self.addLink(spine, tor, cls=TCLink, bw=2 * bw)
            for server in range(1, n + 1):
                host = self.addHost("r%ds%d" % (rack, server), cpu=0.5 / (k * n), cls=CPULimitedHost)
                self.addLink(host, tor, **edge)


def run():
    "Started by hand only"
    net = Mininet(
        topo=DataCenter(),
        link=TCLink,
        host=partial(CPULimitedHost, sched="cfs"),
        controller=lambda name: RemoteController(name, ip="127.0.0.1", port=6653),
    )
    net.start()
    CLI(net)
    net.stop()


topos = {"dc": DataCenter}
controllers = {"faraway": partial(RemoteController, ip="192.0.2.1")}

if __name__ == "__main__":
    run()
