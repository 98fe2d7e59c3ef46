from mininet.topo import Topo as _Topo


# An access switch whose ports are numbered as on the front panel, interfaces named like a router's.
class FrontPanel(_Topo):
    def __init__(self):
        _Topo.__init__(self)
        s = self.addSwitch("s1")
        left = self.addHost("left", ip="192.168.7.10/24", mac="00:00:00:00:07:10")
        right = self.addHost("right", ip="192.168.7.20/24", mac="00:00:00:00:07:20")
        spare = self.addHost("spare", ip="192.168.7.30/24")
        self.addLink(left, s, port1=0, port2=12, intfName1="eno1", intfName2="ge-0-12")
        self.addLink(s, right, 24, 0, intfName1="ge-0-24")
        self.addLink(s, spare, port1=7)
