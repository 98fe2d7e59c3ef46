"""The settings of a testbed as they stand when a run's programs start and at its end, and the difference."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Collection
from typing import NamedTuple

from harness.kernel import ethtool
from harness.kernel.facts import SOCKET_MEMORY
from harness.kernel.hostfiles import HOST, HostFiles, sysctl_file
from harness.kernel.netns import in_netns, sysfs_of
from harness.kernel.readback import qdisc_dump
from harness.run import knobs as apply
from harness.testbed import NodeHandle, Testbed
from harness.testbed.routing import made_routes

_STATE = "operstate"
_SYSFS = ("threaded", "napi_defer_hard_irqs", "gro_flush_timeout", "mtu", _STATE, "tx_queue_len")
_QUEUES = {"rx": ("rps_cpus", "rps_flow_cnt"), "tx": ("xps_cpus",)}
_NAPI = ("defer_hard_irqs", "gro_flush_timeout", "irq_suspend_timeout", "threaded")
_ON = "on"
_SYSCTLS = (
    "net.core.busy_read",
    "net.core.busy_poll",
    "net.core.netdev_budget",
    "net.core.netdev_budget_usecs",
    "net.core.dev_weight",
    "net.core.rps_sock_flow_entries",
    *(f"net.core.{name}" for name in SOCKET_MEMORY),
)


class StandingSetting(NamedTuple):
    """A setting and what it belongs to: ("server", "eth0", "rx-gro"); node "" is the host."""

    node: str
    device: str
    setting: str

    def text(self) -> str:
        """The setting for a reader."""
        return f"{self.setting} of {'/'.join(filter(None, (self.node, self.device))) or 'the host'}"


Standing = dict[StandingSetting, str]
"""Every setting that was read, with its value as text."""


def read(testbed: Testbed) -> Standing:
    """All that a knob or a link can set on the testbed's nodes, and of the host's receive path. Raises OSError."""
    standing: Standing = {}
    for name in _SYSCTLS:
        with contextlib.suppress(OSError):  # a kernel without busy polling, or RPS
            standing[StandingSetting("", "", name)] = HOST.read(sysctl_file(name))
    for node in testbed.nodes.values():
        standing |= _of_node(node)
        if "routing" in testbed.columns.get(node.name, {}):
            made = made_routes(node.fd, testbed.layout.topology.family)
            standing[StandingSetting(node.name, "", "routes")] = "; ".join(route.text() for route in made) or "none"
    return standing


def differences(before: Standing, after: Standing, restarted: Collection[tuple[str, str]] = ()) -> tuple[str, ...]:
    """What is not as it was, in words, by the order of reading; empty when all is.

    restarted: node and device of links that our own programs take down when they start and end.
    """
    return tuple(
        f"{place.text()} changed underneath, during the run: from {old} to {new}"
        for place in dict.fromkeys([*before, *after])
        if (place.setting != _STATE or (place.node, place.device) not in restarted)
        and (old := before.get(place, _absent(after, place))) != (new := after.get(place, _absent(before, place)))
    )


def _absent(other: Standing, place: StandingSetting) -> str:
    """What is said of a setting that was read only the other time: of features only those that are on are listed."""
    return "off" if other.get(place) == _ON else "not there"


def _carrying(sysfs: HostFiles, device: str) -> str:
    """The state of a device. Raises OSError.

    One that carries may be `unknown`, or still `down`, until the kernel's link watch has been at it: up to a second
    later, 6.1. One that is taken down tells of no carrier at all.
    """
    operstate = sysfs.read(f"class/net/{device}/{_STATE}")
    with contextlib.suppress(OSError):
        if operstate in ("unknown", "down") and sysfs.read(f"class/net/{device}/carrier") == "1":
            return "up"
    return "up" if operstate == "unknown" else operstate


def _of_node(node: NodeHandle) -> Standing:
    """A node's features, sysfs values, steering of queues, rings, NAPI settings and qdiscs, by device."""
    standing: Standing = {}
    devices = {port.ifindex: port.device for port in node.ports}
    with in_netns(node.fd):
        there = {name for _, name in socket.if_nameindex()}
        # A device that has gone is told of by all that was read of it before.
        devices = {index: device for index, device in devices.items() if device in there}
        for device in devices.values():
            for feature in ethtool.active_features(device):
                standing[StandingSetting(node.name, device, feature)] = _ON
            with contextlib.suppress(OSError):  # a driver without rings
                for kind, (size, _) in ethtool.rings(device).items():
                    standing[StandingSetting(node.name, device, f"{kind} ring")] = str(size)
            for number, napi in enumerate(apply.device_napis(device)):
                values = napi._asdict()
                shown = ", ".join(f"{key} {values[key]}" for key in _NAPI if values.get(key) is not None)
                standing[StandingSetting(node.name, device, f"NAPI {number}")] = f"id {napi.napi_id} ({shown})"
    with sysfs_of(node.fd) as sysfs:
        for device in devices.values():
            queues = sorted(sysfs.list(f"class/net/{device}/queues"))
            steering = (f"queues/{queue}/{name}" for queue in queues for name in _QUEUES.get(queue[:2], ()))
            for name in (*_SYSFS, *steering):
                with contextlib.suppress(OSError):  # older kernels lack some, a single queue is not steered to
                    value = _carrying(sysfs, device) if name == _STATE else sysfs.read(f"class/net/{device}/{name}")
                    standing[StandingSetting(node.name, device, name)] = value
    for qdisc in qdisc_dump(node.fd):
        if qdisc.ifindex in devices:
            options = ", ".join(f"{key} {value}" for key, value in sorted(qdisc.options.items()))
            place = StandingSetting(node.name, devices[qdisc.ifindex], f"qdisc at parent {qdisc.parent:x}")
            standing[place] = f"{qdisc.kind} ({options})" if options else qdisc.kind
    return standing
