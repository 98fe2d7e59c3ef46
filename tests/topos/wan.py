"""WAN between two sites with different shaping by direction (params1, params2) and routes to a gateway."""

from mininet.topo import Topo
from mininet.log import setLogLevel, info

setLogLevel("info")


class Wan(Topo):
    def build(self, sites=2, **kw):
        backbone = self.addSwitch("wan")
        for i in range(1, sites + 1):
            site = self.addSwitch("site%s" % i)
            self.addLink(site, backbone, params1={"bw": 5 * i}, params2={"bw": 50})
            info("*** site", i, "uplink 5, downlink 50\n")
            for h in ("a", "b"):
                self.addHost(
                    "%s%d" % (h, i), ip="172.16.%d.%d/16" % (i, ord(h)), defaultRoute="via 172.16.0.1"
                )
                self.addLink("%s%d" % (h, i), site)


class LongHaul(Topo):
    "needs netem"

    def build(self, delay="20ms", loss=1):
        h1, h2 = [self.addHost("h%d" % n) for n in (1, 2)]
        s1 = self.addSwitch("s1")
        self.addLink(h1, s1, bw=10, delay=delay, jitter="2ms", loss=loss, max_queue_size=1000)
        self.addLink(s1, h2)
