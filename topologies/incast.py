"""Incast: many senders answer one receiver at once, through a switch whose last link is the bottleneck.

mn --custom topologies/incast.py --topo incast,8 --link tc
"""

from mininet.topo import Topo


class Incast(Topo):
    """n senders h1..hn and the receiver `sink`; bw in Mbit/s and queue in packets of the link to it."""

    def build(self, n=8, bw=100, queue=64):
        switch = self.addSwitch("s1")
        self.addLink(switch, self.addHost("sink"), bw=bw, max_queue_size=queue)
        for i in range(1, n + 1):
            self.addLink(self.addHost(f"h{i}"), switch)


topos = {"incast": Incast}
