"""Dumbbell: senders on one switch, receivers on another, and one slow link between the two.

mn --custom topologies/dumbbell.py --topo dumbbell,4 --link tc
"""

from mininet.topo import Topo


class Dumbbell(Topo):
    """n senders h1..hn and n receivers r1..rn; bw in Mbit/s of the bottleneck, edge of all other links."""

    def build(self, n=2, bw=100, edge=None):
        left, right = self.addSwitch("s1"), self.addSwitch("s2")
        edges = {"bw": edge} if edge else {}
        for i in range(1, n + 1):
            self.addLink(self.addHost(f"h{i}"), left, **edges)
        for i in range(1, n + 1):
            self.addLink(self.addHost(f"r{i}"), right, **edges)
        self.addLink(left, right, bw=bw)


topos = {"dumbbell": Dumbbell}
