"""All that a run may change of a network interface of the host, looked at before and put back after."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from harness.kernel import ethtool, links, netdev, netns, sysctl
from harness.kernel.hostfiles import HOST, HostFiles
from harness.kernel.interrupts import affinity, interrupts_of, set_affinity
from harness.kernel.netlink import (
    NLM_F_CREATE,
    NLM_F_DUMP,
    NLM_F_EXCL,
    NetlinkError,
    NetlinkSocket,
    Request,
    attrs,
    u32,
)
from harness.kernel.netns import HERE, in_netns, sysfs_of

State = dict[str, Any]

_RTM_NEWADDR, _RTM_GETADDR, _RTM_NEWROUTE, _RTM_GETROUTE = 20, 22, 24, 26
_RTA_OIF, _RTA_MULTIPATH, _RTNH_F_ONLINK = 4, 9, 4
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTM_F_CLONED, _RTPROT_KERNEL, _RT_TABLE_LOCAL = 0x200, 2, 255
_IFADDR, _RTMSG = struct.Struct("=BBBBI"), struct.Struct("=BBBBBBBBI")
_FAMILIES = (socket.AF_INET, socket.AF_INET6)
_SYSFS = ("gro_flush_timeout", "napi_defer_hard_irqs", "threaded", "tx_queue_len")
_QUEUE = ("rps_cpus", "rps_flow_cnt", "xps_cpus")
_SYSCTLS = ("net/ipv4/conf", "net/ipv4/neigh", "net/ipv6/conf", "net/ipv6/neigh")
_NAPI = ("defer_hard_irqs", "gro_flush_timeout", "irq_suspend_timeout")


def capture(device: str) -> State:
    """What is to be put back of a device of this thread's namespace, as plain data. Raises OSError."""
    ifindex = socket.if_nametoindex(device)
    with NetlinkSocket() as sock, sysfs_of(HERE) as sysfs:
        link = links.link_dump_one(sock, ifindex)
        return {
            "device": device,
            "ifindex": ifindex,
            "up": link.up,
            "mtu": link.mtu,
            "addresses": [body.hex() for body in _addresses(sock, ifindex)],
            "routes": [body.hex() for body in routes(sock) if _own_route(body, ifindex)],
            "sysctls": _sysctls(device),
            "features": {
                name: each.requested for name, each in ethtool.features(device).items() if each.changeable
            },
            "coalesce": _coalesce(device),
            "sysfs": _files(sysfs, device),
            "irqs": {
                str(irq.number): affinity(irq.number, HOST) for irq in interrupts_of(device, HOST, sysfs)
            },
            "napis": [{name: getattr(napi, name) for name in _NAPI} for napi in _napis(ifindex)],
        }


def put_back(state: Mapping[str, Any]) -> list[str]:
    """Set whatever differs now from what was found, of the same device in this namespace; what did not go, in words.

    Raises OSError when there is no such device.
    """
    device, wrong = str(state["device"]), list[str]()
    ifindex = socket.if_nametoindex(device)

    def attempt(what: str, act: Callable[[], object]) -> None:
        try:
            act()
        except OSError as error:
            wrong.append(f"{what}: {error.strerror or error}")

    with NetlinkSocket() as sock, sysfs_of(HERE) as sysfs:
        now = links.link_dump_one(sock, ifindex)
        if now.mtu != state["mtu"]:
            attempt("mtu", lambda: sock.batch([links.set_mtu(ifindex, int(state["mtu"]))]))
        attempt("features", lambda: _features_back(device, state["features"]))
        attempt("coalescing", lambda: _coalesce_back(device, state["coalesce"]))
        _sysctls_back(device, state["sysctls"])
        if now.up != state["up"]:
            switch = links.link_up if state["up"] else links.link_down
            attempt("up or down", lambda: sock.batch([switch(ifindex, device)]))
        for path, value in state["sysfs"].items():
            attempt(path, lambda path=path, value=value: _file_back(sysfs, device, path, value))  # type: ignore[misc]
        attempt("interrupts", lambda: _irqs_back(sysfs, device, state["irqs"]))
        attempt("NAPIs", lambda: _napis_back(ifindex, state["napis"]))
        for kind, key in ((_RTM_NEWADDR, "addresses"), (_RTM_NEWROUTE, "routes")):
            for text in state[key]:
                body = _on_device(kind, bytes.fromhex(text), ifindex)
                attempt(key, lambda kind=kind, key=key, body=body: _again(sock, kind, body, key))  # type: ignore[misc]
    return wrong


def give_back(name: str, state: Mapping[str, Any]) -> list[str]:
    """From the namespace `name` back into this thread's, as it was found; what did not go, in words.

    An interface that has gone meanwhile (a card pulled, the other end of a veth removed) needs no putting back. Raises
    OSError.
    """
    device = str(state["device"])
    home = os.open(HERE, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if name in netns.names():
            with in_netns(name), NetlinkSocket() as sock:
                inside = {link.device: link.ifindex for link in links.link_dump(sock)}
                if device in inside:
                    _move_out(sock, inside[device], device, home, int(state["ifindex"]))
    finally:
        os.close(home)
    with NetlinkSocket() as sock:
        if device not in {link.device for link in links.link_dump(sock)}:
            return []
    return put_back(state)


def _move_out(sock: NetlinkSocket, ifindex: int, device: str, home: int, wanted: int) -> None:
    sock.batch([links.link_down(ifindex, device)])
    try:
        sock.batch([links.move(ifindex, device, home, wanted)])
    except OSError:
        # Its old number is taken.
        sock.batch([links.move(ifindex, device, home)])


def _addresses(sock: NetlinkSocket, ifindex: int) -> Iterator[bytes]:
    for family in _FAMILIES:
        request = Request(_RTM_GETADDR, NLM_F_DUMP, _IFADDR.pack(family, 0, 0, 0, 0), "list addresses")
        yield from (body for body in sock.ask(request) if _IFADDR.unpack_from(body)[4] == ifindex)


def addresses_of(sock: NetlinkSocket, ifindex: int) -> set[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """The addresses of a device."""
    found = set()
    for body in _addresses(sock, ifindex):
        said = attrs(body, _IFADDR.size)
        found.add(ipaddress.ip_address(said.get(_IFA_LOCAL) or said[_IFA_ADDRESS]))
    return found


def routes(sock: NetlinkSocket) -> Iterator[bytes]:
    """Every route of the namespace that somebody made; the kernel's own come and go with the addresses."""
    for family in _FAMILIES:
        request = Request(
            _RTM_GETROUTE, NLM_F_DUMP, _RTMSG.pack(family, 0, 0, 0, 0, 0, 0, 0, 0), "list routes"
        )
        for body in sock.ask(request):
            _, _, _, _, table, protocol, _, _, flags = _RTMSG.unpack_from(body)
            if table != _RT_TABLE_LOCAL and protocol != _RTPROT_KERNEL and not flags & _RTM_F_CLONED:
                yield body


def leads_out_by(body: bytes, ifindex: int) -> tuple[bool, bool]:
    """(whether a route uses the device, whether it is a default route)."""
    found = attrs(body, _RTMSG.size)
    ways = [u32(found[_RTA_OIF])] if _RTA_OIF in found else []
    several, at = found.get(_RTA_MULTIPATH, b""), 0
    while at + 8 <= len(several):
        size, _, _, way = struct.unpack_from("=HBBi", several, at)
        ways.append(way)
        at += max(size, 8)
    return ifindex in ways, _RTMSG.unpack_from(body)[1] == 0


def is_shared(body: bytes) -> bool:
    """Does the route spread over several devices?"""
    return _RTA_MULTIPATH in attrs(body, _RTMSG.size)


def _own_route(body: bytes, ifindex: int) -> bool:
    return not is_shared(body) and leads_out_by(body, ifindex)[0]


def _on_device(kind: int, body: bytes, ifindex: int) -> bytes:
    """The message with this device's present number: it may be another one than it was."""
    if kind == _RTM_NEWADDR:
        return body[:4] + struct.pack("=I", ifindex) + body[8:]
    at, out = _RTMSG.size, bytearray(body)
    # What the kernel tells of a route's state is nothing that one may ask for.
    struct.pack_into("=I", out, 8, u32(body, 8) & _RTNH_F_ONLINK)
    while at + 4 <= len(out):
        size, name = struct.unpack_from("=HH", out, at)
        if name == _RTA_OIF:
            struct.pack_into("=I", out, at + 4, ifindex)
        at += max((size + 3) & ~3, 4)
    return bytes(out)


def _again(sock: NetlinkSocket, kind: int, body: bytes, what: str) -> None:
    """Make an address or a route as it was told; one that has come by itself is as good."""
    try:
        sock.batch([Request(kind, NLM_F_CREATE | NLM_F_EXCL, body, f"put back {what}")])
    except NetlinkError as error:
        if error.errno != errno.EEXIST:
            raise


def _sysctls(device: str) -> dict[str, str]:
    found = {}
    for base in _SYSCTLS:
        directory = sysctl.path_of(f"{base}/{device}")
        with contextlib.suppress(OSError):
            for name in sorted(os.listdir(directory)):
                with contextlib.suppress(OSError):  # some cannot be read before they are set
                    found[f"{base}/{device}/{name}"] = sysctl.read(f"{base}/{device}/{name}")
    return found


def _sysctls_back(device: str, wanted: Mapping[str, str]) -> None:
    """Those that differ; what cannot be written was not written by us."""
    now = _sysctls(device)
    for name, value in wanted.items():
        if now.get(name) != value:
            with contextlib.suppress(OSError):
                sysctl.write(name, value)


def _features_back(device: str, wanted: Mapping[str, bool]) -> None:
    now = ethtool.features(device)
    differ = {name: on for name, on in wanted.items() if name in now and now[name].requested != on}
    if differ:
        ethtool.set_features(device, differ)


def _coalesce(device: str) -> dict[str, int] | None:
    try:
        return ethtool.coalesce(device)
    except OSError:
        return None


def _coalesce_back(device: str, wanted: Mapping[str, int] | None) -> None:
    now = _coalesce(device)
    if wanted is not None and now is not None and now != wanted:
        ethtool.set_coalesce(device, wanted)


def _files(sysfs: HostFiles, device: str) -> dict[str, str]:
    base = f"class/net/{device}"
    queues = [f"queues/{queue}/{name}" for queue in sysfs.list(f"{base}/queues") for name in _QUEUE]
    found = {}
    for name in (*_SYSFS, *queues):
        with contextlib.suppress(OSError):  # older kernels, and devices with one queue, have fewer
            found[name] = sysfs.read(f"{base}/{name}")
    return found


def _file_back(sysfs: HostFiles, device: str, name: str, value: str) -> None:
    path = f"class/net/{device}/{name}"
    if sysfs.read(path) != value:
        sysfs.write(path, value)


def _irqs_back(sysfs: HostFiles, device: str, wanted: Mapping[str, list[int]]) -> None:
    """By their order: an interrupt may have another number after the device was down."""
    for irq, cpus in zip(interrupts_of(device, HOST, sysfs), wanted.values(), strict=False):
        if affinity(irq.number, HOST) != cpus:
            set_affinity(irq.number, cpus, HOST)


def _napis(ifindex: int) -> list[netdev.Napi]:
    try:
        return sorted(netdev.napi_get(ifindex=ifindex), key=lambda napi: napi.napi_id)
    except OSError:  # before Linux 6.8
        return []


def _napis_back(ifindex: int, wanted: list[dict[str, int | None]]) -> None:
    for napi, values in zip(_napis(ifindex), wanted, strict=False):
        differ = {
            name: value
            for name, value in values.items()
            if value is not None and getattr(napi, name) != value
        }
        if differ:
            netdev.napi_set(napi.napi_id, **differ)
