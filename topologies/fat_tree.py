"""Fat tree of k-port switches (Al-Fares and others, 2008): k pods, k*k*k/4 hosts, k*k/4 core switches.

pollbench: take `switching: route`, which uses all shortest paths; `stp: on` uses one tree.
mn --custom topologies/fat_tree.py --topo fat_tree,4 --switch lxbr,stp=1
"""

from mininet.topo import Topo


class FatTree(Topo):
    """k: ports of every switch, an even number; bw in Mbit/s of every link, none if absent."""

    def build(self, k=4, bw=None):
        if k < 2 or k % 2:
            raise ValueError(f"k is the number of ports of a switch, an even number from 2: not {k}")
        half, opts = k // 2, {"bw": bw} if bw else {}
        cores = [self.addSwitch(f"c{i}", dpid=f"{i + 1:016x}") for i in range(half * half)]
        for pod in range(k):
            uppers = [self.addSwitch(f"a{pod}x{i}", dpid=f"{0x10000 + pod * 256 + i:016x}") for i in range(half)]
            lowers = [self.addSwitch(f"e{pod}x{i}", dpid=f"{0x20000 + pod * 256 + i:016x}") for i in range(half)]
            for i, upper in enumerate(uppers):
                for core in cores[i * half : (i + 1) * half]:
                    self.addLink(core, upper, **opts)
                for lower in lowers:
                    self.addLink(upper, lower, **opts)
            for i, lower in enumerate(lowers):
                for h in range(half):
                    host = self.addHost(f"h{pod}x{i}x{h}", ip=f"10.{pod}.{i}.{h + 2}/8")
                    self.addLink(lower, host, **opts)


topos = {"fat_tree": FatTree}
