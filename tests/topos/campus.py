"""A multi-level tree with names of its own and TCLink options by level, as in a networking course."""

from mininet.topo import Topo


class CampusTopo(Topo):
    """core - buildings - floors - desks; every level is slower than the one above."""

    core_opts = dict(bw=1000, use_htb=True)
    building_opts = dict(bw=100, max_queue_size=200, use_htb=True)
    desk_opts = dict(bw=10, max_queue_size=50, use_htb=True)

    def __init__(self, buildings=2, floors=2, desks=2, **opts):
        self.buildings, self.floors, self.desks = buildings, floors, desks
        super(CampusTopo, self).__init__(**opts)

    def build(self):
        core = self.addSwitch("core", dpid="0000000000000001")
        for b in range(self.buildings):
            building = self.addSwitch("b%d" % b)
            self.addLink(core, building, **{k: v for k, v in self.core_opts.items() if k != "use_htb"})
            for f in range(self.floors):
                floor = self.addSwitch("b%df%d" % (b, f))
                self.addLink(building, floor, bw=100, max_queue_size=200)
                for d in range(self.desks):
                    desk = self.addHost("pc%d%d%d" % (b, f, d), ip="10.%d.%d.%d/8" % (b, f, d + 1))
                    self.addLink(floor, desk, bw=10, max_queue_size=50)


topos = {"campus": CampusTopo, "small": (lambda: CampusTopo(1, 1, 2))}
