#!/usr/bin/env python
"""No Topo: a program that builds a net of two segments, makes a host their router, and goes on."""

import os

from mininet.cli import CLI
from mininet.link import TCLink
from mininet.log import info, setLogLevel
from mininet.net import Mininet
from mininet.nodelib import LinuxBridge


def segments():
    os.system("mn -c")
    net = Mininet(controller=None, switch=LinuxBridge, link=TCLink)
    info("*** Hosts\n")
    left = net.addHost("left", ip="192.168.1.2/24")
    right = net.addHost("right", ip="192.168.2.2/24", defaultRoute="via 192.168.2.1")
    middle = net.addHost("middle", ip="192.168.1.1/24")
    for number, host in enumerate((left, right), 1):
        switch = net.addSwitch(f"s{number}")
        net.addLink(host, switch, bw=20)
        net.addLink(middle, switch)
    net.start()
    middle.setIP("192.168.2.1", 24, intf="middle-eth1")
    middle.cmd("sysctl -w net.ipv4.ip_forward=1")
    left.cmd("ip route add default via 192.168.1.1")
    right.cmd("iperf -s &")
    net.pingAll()
    CLI(net)
    net.stop()


if __name__ == "__main__":
    setLogLevel("info")
    segments()
