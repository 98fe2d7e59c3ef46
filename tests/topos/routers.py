#!/usr/bin/env python
"""Two sites behind routers of a class of its own, as copied from Mininet's linuxrouter and grown; a firewall beside."""

from mininet.node import Host, Node
from mininet.topo import Topo


class LinuxRouter(Node):
    def config(self, **params):
        super(LinuxRouter, self).config(**params)
        self.cmd("sysctl -w net.ipv4.ip_forward=1 > /dev/null")
        self.cmd("sysctl -w net.ipv4.conf.all.rp_filter=2")

    def terminate(self):
        self.cmd("sysctl net.ipv4.ip_forward=0")
        super(LinuxRouter, self).terminate()


class SiteRouter(LinuxRouter):
    "routes: [(network, gateway), ...]"

    def config(self, routes=(), **params):
        super(SiteRouter, self).config(**params)
        for network, gateway in routes:
            self.cmd("ip route add %s via %s dev %s" % (network, gateway, self.defaultIntf()))


class QuietHost(Host):
    def config(self, gateway=None, **params):
        r = super().config(**params)
        self.cmd("sysctl -w net.ipv6.conf.all.disable_ipv6=1; sysctl -w net.ipv6.conf.default.disable_ipv6=1")
        if gateway:
            self.cmd("route add default gw", gateway, self.intf())
        return r


class Firewall(LinuxRouter):
    def config(self, **params):
        super().config(**params)
        self.cmd("iptables -P FORWARD DROP")


class Sites(Topo):
    def build(self, cls=SiteRouter):
        r1 = self.addNode("r1", cls=cls, ip="10.255.0.1/30", routes=[("10.2.0.0/16", "10.255.0.2")])
        r2 = self.addNode("r2", cls=cls, ip="10.255.0.2/30", routes=[("10.1.0.0/16", "10.255.0.1")])
        self.addLink(r1, r2, intfName1="r1-wan", intfName2="r2-wan", bw=20)
        for site, router in ((1, r1), (2, r2)):
            switch = self.addSwitch("s%d" % site)
            self.addLink(switch, router, intfName2="r%d-lan" % site, params2={"ip": "10.%d.0.1/16" % site})
            for n in (1, 2):
                host = self.addHost(
                    "h%d%d" % (site, n),
                    cls=QuietHost,
                    ip="10.%d.0.1%d/16" % (site, n),
                    gateway="10.%d.0.1" % site,
                )
                self.addLink(host, switch)


topos = {"sites": Sites, "guarded": (lambda: Sites(Firewall))}
