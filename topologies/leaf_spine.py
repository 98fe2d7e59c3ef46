"""Leaf-spine: every leaf switch has a link to every spine, so that there are as many paths as spines.

pollbench: take `switching: route`, which uses them all; `stp: on` uses one tree.
mn --custom topologies/leaf_spine.py --topo leaf_spine,3,2,2 --link tc --switch lxbr,stp=1
"""

from mininet.topo import Topo


class LeafSpine(Topo):
    """`leaves` leaf switches with `hosts` hosts each, and `spines` spines; bw in Mbit/s of links, none if absent."""

    def build(self, leaves=3, spines=2, hosts=2, bw=None):
        opts = {"bw": bw} if bw else {}
        tops = [self.addSwitch(f"spine{i}", dpid=f"{i:016x}") for i in range(1, spines + 1)]
        number = 0
        for i in range(1, leaves + 1):
            leaf = self.addSwitch(f"leaf{i}", dpid=f"{256 + i:016x}")
            for top in tops:
                self.addLink(leaf, top, **opts)
            for _ in range(hosts):
                number += 1
                self.addLink(self.addHost(f"h{number}"), leaf, **opts)


topos = {"leaf_spine": LeafSpine}
