"""All that a run may change of a network interface of the host, looked at before and put back after."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import TypedDict

from harness.kernel import ethtool, netdev, netns
from harness.kernel.hostfiles import HOST, HostFiles
from harness.kernel.interrupts import affinity, interrupts_of, set_affinity
from harness.kernel.iproute import Interface, IpRoute, iproute
from harness.kernel.links import set_size, sizes
from harness.kernel.netlink import NLM_F_DUMP, NLM_F_NEW, NetlinkError, NetlinkSocket, Request, attrs, u32
from harness.kernel.netns import HERE, in_netns, sysfs_of

_RTM_NEWADDR, _RTM_GETADDR, _RTM_NEWROUTE, _RTM_GETROUTE = 20, 22, 24, 26
_RTA_OIF, _RTA_NH_ID, _RTNH_F_ONLINK = 4, 30, 4
_RTM_F_CLONED, _RTPROT_KERNEL, _RT_TABLE_LOCAL = 0x200, 2, 255
_IFADDR, _RTMSG = struct.Struct("=BBBBI"), struct.Struct("=BBBBBBBBI")
_FAMILIES = (socket.AF_INET, socket.AF_INET6)
_SYSFS = ("gro_flush_timeout", "napi_defer_hard_irqs", "threaded", "tx_queue_len")
_QUEUE = ("rps_cpus", "rps_flow_cnt", "xps_cpus")
_SYSCTLS = ("net/ipv4/conf", "net/ipv4/neigh", "net/ipv6/conf", "net/ipv6/neigh")
_NAPI = ("defer_hard_irqs", "gro_flush_timeout", "irq_suspend_timeout", "threaded")
# A new NAPI of a device begins with the device's values of the others; of these it takes what the one before had.
_KEPT_OVER_DOWN = ("irq_suspend_timeout", "threaded")


class InterfaceState(TypedDict):
    """What is to be put back of an interface, as JSON data for the journal.

    addresses, routes: the kernel's own messages as hexadecimal digits, because decoding and encoding them by pyroute2
    0.9.7 loses attributes that it does not know (docs/dependencies.md); irqs: CPUs by interrupt, in the interrupts'
    order; napis: settings in the order of their ids; coalesce: None where the driver has none; rings: their sizes.
    """

    device: str
    ifindex: int
    mac: str
    up: bool
    mtu: int
    addresses: list[str]
    routes: list[str]
    sysctls: dict[str, str]
    features: dict[str, bool]
    coalesce: dict[str, int] | None
    sysfs: dict[str, str]
    irqs: dict[str, list[int]]
    napis: list[dict[str, int | None]]
    sizes: dict[str, int]
    rings: dict[str, int]


def capture(device: str) -> InterfaceState:
    """The state of a device of this thread's namespace. Raises OSError."""
    with iproute() as ipr:
        interface = _interface(ipr, device)
    ifindex, features = interface.ifindex, ethtool.features(device)
    with NetlinkSocket() as sock, sysfs_of(HERE) as sysfs:
        return {
            "device": device,
            "ifindex": ifindex,
            "mac": interface.mac,
            "up": interface.up,
            "mtu": interface.mtu,
            "addresses": [body.hex() for body in _addresses(sock, ifindex)],
            "routes": [body.hex() for body in _routes(sock, ifindex)],
            "sysctls": _sysctls(device),
            "features": {name: value.requested for name, value in features.items() if value.changeable},
            "coalesce": _coalesce(device),
            "sysfs": _attributes(sysfs, device),
            "irqs": {str(irq.number): affinity(irq.number, HOST) for irq in interrupts_of(device, HOST, sysfs)},
            "sizes": sizes(sock, ifindex),
            "rings": _rings(device),
            "napis": [{name: getattr(napi, name) for name in _NAPI} for napi in _napis(ifindex)],
        }


def put_back(state: InterfaceState) -> list[str]:
    """Set whatever differs now from the state, of the same device in this namespace; what did not go, in words.

    Raises OSError when there is no such device.
    """
    device, failures = state["device"], list[str]()

    def attempt(subject: str, act: Callable[..., object], *arguments: object) -> None:
        try:
            act(*arguments)
        except OSError as error:
            failures.append(f"{subject}: {error.strerror or error}")

    with iproute() as ipr, NetlinkSocket() as sock, sysfs_of(HERE) as sysfs:
        now = _interface(ipr, device)
        if now.mtu != state["mtu"]:
            attempt("mtu", lambda: ipr.set_link("set the MTU", now.ifindex, mtu=state["mtu"]))
        attempt("features", _features_back, device, state["features"])
        # Journals of before have neither. A change of rings makes the queues anew: before all that hangs on them.
        for kind, size in state.get("rings", {}).items():
            if _rings(device).get(kind) != size:
                attempt(f"{kind} ring", ethtool.set_ring, device, kind, size)
        for name, value in state.get("sizes", {}).items():
            if sizes(sock, now.ifindex).get(name) != value:
                attempt(name, sock.batch, [set_size(now.ifindex, name, value)])
        attempt("coalescing", _coalesce_back, device, state["coalesce"])
        for name, value in state["sysctls"].items():
            with contextlib.suppress(OSError):  # what cannot be written was not written by us
                _file_back(HOST, f"/proc/sys/{name}", value)
        attempt("NAPIs", _napis_back, now.ifindex, state["napis"])
        if now.up != state["up"]:
            switch = "up" if state["up"] else "down"
            attempt("up or down", lambda: ipr.set_link(f"set {device} {switch}", now.ifindex, state=switch))
        for name, value in state["sysfs"].items():
            attempt(name, _file_back, sysfs, f"class/net/{device}/{name}", value)
        attempt("interrupts", _irqs_back, sysfs, device, state["irqs"])
        attempt("NAPIs", _napis_back, now.ifindex, state["napis"])
        for text in state["addresses"]:
            attempt("addresses", _again, sock, _RTM_NEWADDR, address_on(bytes.fromhex(text), now.ifindex))
        for text in state["routes"]:
            attempt("routes", _again, sock, _RTM_NEWROUTE, route_on(bytes.fromhex(text), now.ifindex))
    return failures


def is_there(state: InterfaceState, name: str) -> bool:
    """Is the interface in the namespace `name`, or in this thread's one, or nowhere: not another under its name?

    A hardware address tells: a number is given again, and changes on the way through namespaces. Raises OSError.
    """
    device = state["device"]
    if name:
        with in_netns(name):
            if device in [interface for _, interface in socket.if_nameindex()]:
                return True
    with iproute() as ipr:
        here = ipr.interfaces().get(device)
    return here is None or here.mac == state.get("mac", here.mac)


def give_back(name: str, state: InterfaceState) -> list[str]:
    """From the namespace `name` back into this thread's, as it was found; what did not go, in words.

    An interface that has gone meanwhile (a card pulled, the other end of a veth removed) needs no putting back. Raises
    OSError.
    """
    device = state["device"]
    if name in netns.names():
        with netns.opened(HERE) as home, in_netns(name), iproute() as ipr:
            inside = ipr.interfaces()
            if device in inside:
                # Before it goes down, and its NAPIs with it: the next ones inherit from them.
                with contextlib.suppress(OSError):
                    _napis_back(inside[device].ifindex, state["napis"])
                _move_out(ipr, inside[device].ifindex, device, home, state["ifindex"])
    if device not in [interface for _, interface in socket.if_nameindex()]:
        return []
    return put_back(state)


def _move_out(ipr: IpRoute, ifindex: int, device: str, home: int, former: int) -> None:
    """Back to the namespace `home`, under its former number where that is free."""
    ipr.set_link(f"set {device} down", ifindex, state="down")
    moving = f"move {device} to another namespace"
    try:
        ipr.set_link(moving, ifindex, net_ns_fd=home, new_ifindex=former)
    except OSError:
        ipr.set_link(moving, ifindex, net_ns_fd=home)


def _interface(ipr: IpRoute, device: str) -> Interface:
    interfaces = ipr.interfaces()
    if device not in interfaces:
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV), device)
    return interfaces[device]


def _addresses(sock: NetlinkSocket, ifindex: int) -> Iterator[bytes]:
    for family in _FAMILIES:
        request = Request(_RTM_GETADDR, NLM_F_DUMP, _IFADDR.pack(family, 0, 0, 0, 0), "list addresses")
        yield from (body for body in sock.ask(request) if _IFADDR.unpack_from(body)[4] == ifindex)


def _routes(sock: NetlinkSocket, ifindex: int) -> Iterator[bytes]:
    """The routes over this device alone that somebody made; the kernel's own come and go with the addresses."""
    for family in _FAMILIES:
        head = _RTMSG.pack(family, 0, 0, 0, 0, 0, 0, 0, 0)
        for body in sock.ask(Request(_RTM_GETROUTE, NLM_F_DUMP, head, "list routes")):
            _, _, _, _, table, protocol, _, _, flags = _RTMSG.unpack_from(body)
            # A route over several devices names them in another attribute.
            device = attrs(body, _RTMSG.size).get(_RTA_OIF)
            if is_made(table, protocol, flags) and device is not None and u32(device) == ifindex:
                yield body


def is_made(table: int, protocol: int, flags: int) -> bool:
    """Is this a route that somebody made, rather than the kernel by itself?"""
    return table != _RT_TABLE_LOCAL and protocol != _RTPROT_KERNEL and not flags & _RTM_F_CLONED


def address_on(body: bytes, ifindex: int) -> bytes:
    """The message of an address with the device's present number: it may be another one than it was."""
    return body[:4] + struct.pack("=I", ifindex) + body[8:]


def route_on(body: bytes, ifindex: int) -> bytes:
    """The message of a route, as one that asks for it, with the device's present number.

    The flags tell of the route's state, apart from one. A nexthop object, gone with the device, is left out: the
    message says beside it where it led, and the kernel refuses both together.
    """
    head = bytearray(body[: _RTMSG.size])
    struct.pack_into("=I", head, 8, u32(body, 8) & _RTNH_F_ONLINK)
    parts, at = [bytes(head)], _RTMSG.size
    while at + 4 <= len(body):
        size, kind = struct.unpack_from("=HH", body, at)
        end = at + max((size + 3) & ~3, 4)
        if kind == _RTA_OIF:
            parts.append(body[at : at + 4] + struct.pack("=I", ifindex))
        elif kind != _RTA_NH_ID:
            parts.append(body[at:end])
        at = end
    return b"".join(parts)


def _again(sock: NetlinkSocket, kind: int, body: bytes) -> None:
    """Make an address or a route as the message says, unless the kernel has made it already."""
    try:
        sock.batch([Request(kind, NLM_F_NEW, body, "put it back")])
    except NetlinkError as error:
        if error.errno != errno.EEXIST:
            raise


def _sysctls(device: str) -> dict[str, str]:
    directories = [f"{base}/{device}" for base in _SYSCTLS]
    names = [f"{directory}/{name}" for directory in directories for name in HOST.names(f"/proc/sys/{directory}")]
    return _values(HOST, "/proc/sys", names)


def _attributes(sysfs: HostFiles, device: str) -> dict[str, str]:
    base = f"class/net/{device}"
    queues = [f"queues/{queue}/{name}" for queue in sysfs.names(f"{base}/queues") for name in _QUEUE]
    return _values(sysfs, base, [*_SYSFS, *queues])


def _values(files: HostFiles, base: str, names: list[str]) -> dict[str, str]:
    """Of those that can be read: older kernels have fewer, and some cannot be read before they are set."""
    return {name: value for name in names if (value := files.text(f"{base}/{name}")) is not None}


def _file_back(files: HostFiles, name: str, value: str) -> None:
    if files.text(name) != value:
        files.write(name, value)


def _features_back(device: str, features: Mapping[str, bool]) -> None:
    now = ethtool.features(device)
    differ = {name: on for name, on in features.items() if name in now and now[name].requested != on}
    if differ:
        ethtool.set_features(device, differ)


def _coalesce(device: str) -> dict[str, int] | None:
    try:
        return ethtool.coalesce(device)
    except OSError:
        return None


def _rings(device: str) -> dict[str, int]:
    """The sizes of a device's rings; none where the driver has none."""
    try:
        return {kind: size for kind, (size, _) in ethtool.rings(device).items()}
    except OSError:
        return {}


def _coalesce_back(device: str, values: Mapping[str, int] | None) -> None:
    now = _coalesce(device)
    if values is not None and now is not None and now != values:
        ethtool.set_coalesce(device, values)


def _irqs_back(sysfs: HostFiles, device: str, affinities: Mapping[str, list[int]]) -> None:
    """By their order: an interrupt may have another number after the device was down."""
    for irq, cpus in zip(interrupts_of(device, HOST, sysfs), affinities.values(), strict=False):
        if affinity(irq.number, HOST) != cpus:
            set_affinity(irq.number, cpus, HOST)


def _napis(ifindex: int) -> list[netdev.Napi]:
    return sorted(netdev.napis_of(ifindex) or [], key=lambda napi: napi.napi_id)


def _napis_back(ifindex: int, settings: list[dict[str, int | None]]) -> None:
    """By their order. Of a device that was down nobody knows what its NAPIs had: what they hand on goes back to 0."""
    unknown: dict[str, int | None] = dict.fromkeys(_KEPT_OVER_DOWN, 0)
    napis = _napis(ifindex)
    more = [unknown] * (len(napis) - len(settings))
    for napi, known in zip(napis, [*settings, *more], strict=False):
        values = {name: value for name, value in known.items() if getattr(napi, name) is not None}
        differ = {name: value for name, value in values.items() if value is not None and getattr(napi, name) != value}
        if differ:
            netdev.napi_set(napi.napi_id, **differ)
