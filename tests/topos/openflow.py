"""A line of OpenFlow switches, and the controllers to choose from, as `mn --custom openflow.py --controller learning`."""

from functools import partial

from mininet.node import OVSController, OVSSwitch, RemoteController
from mininet.topo import LinearTopo


class Line(LinearTopo):
    def addSwitch(self, name, **opts):
        return super().addSwitch(name, cls=OVSSwitch, protocols="OpenFlow13", **opts)


topos = {"line": (lambda k=3: Line(k))}
controllers = {"learning": partial(OVSController, port=6655), "faraway": partial(RemoteController, ip="192.0.2.1")}
