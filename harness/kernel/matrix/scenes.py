"""The kinds of devices that packets come in by: each built between two namespaces of its own, or three."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import ipaddress
import os
import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.errors import PollbenchError
from harness.kernel import bpf, ethtool, links, nics, wireguard
from harness.kernel.hostfiles import HOST, sysctl_file
from harness.kernel.matrix import xsk
from harness.kernel.netlink import NetlinkSocket, Request
from harness.kernel.netns import in_netns, unnamed
from harness.kernel.overlays import OverlayEnd, new_overlay
from harness.kernel.syscalls import held

CLIENT, SERVER = "10.99.0.1", "10.99.0.2"
_UNDER = {CLIENT: "10.98.0.1", SERVER: "10.98.0.2"}
# Of either end, the first device that is made in its namespace.
_NEAR, _FAR = 10, 11
_MACVLAN_MODE, _MACVLAN_BRIDGE, _IPVLAN_MODE, _IPVLAN_L2 = 1, 4, 1, 0
_VXLAN_ID, _VXLAN_REMOTE, _VXLAN_LINK, _VXLAN_LOCAL, _VXLAN_PORT, _PORT = 1, 2, 3, 4, 15, 4789
_BOND_MODE, _ACTIVE_BACKUP, _VRF_TABLE, _TABLE = 1, 1, 1, 10
_NETKIT_PEER, _NETKIT_MODE, _NETKIT_L2 = 1, 5, 0
_TUNSETIFF, _IFF_TUN, _IFF_TAP, _IFF_NAPI, _IFF_NO_PI = 0x400454CA, 1, 2, 0x10, 0x1000
_FRAME_BYTES, _LOOK_MS = 65536, 50
_CARRIER_S = 10.0
_LRO = ("vmxnet3",)


@dataclass
class Scene:
    """Two ends that reach each other. client, server, owner: descriptors of namespaces, owner's that of the NAPI.

    device: by which packets reach the server; lowest: the device of `owner` that has the NAPI, if any has; bound: the
    device that the server's sockets are bound to, "" for none.
    """

    client: int
    server: int
    owner: int
    device: str = "vb"
    lowest: str = "vb"
    bound: str = ""


Build = Callable[[Scene, int, contextlib.ExitStack], None]
"""Builds a scene in its namespaces; a third one, and a stack for what is to go with it."""


@contextlib.contextmanager
def built(build: Build) -> Iterator[Scene]:
    """A scene for the block; all of it goes with its namespaces. Raises OSError where the kernel lacks something."""
    with contextlib.ExitStack() as stack:
        client, server, owner = (_quiet(stack.enter_context(unnamed())) for _ in range(3))
        scene = Scene(client, server, server)
        build(scene, owner, stack)
        yield scene


# -- steps ------------------------------------------------------------------------------------------------------------


def _quiet(netns: int) -> int:
    """The namespace, whose devices will greet nobody: IPv6 does by itself, and such packets would be counted."""
    with in_netns(netns), contextlib.suppress(OSError):
        HOST.write(sysctl_file("net.ipv6.conf.default.disable_ipv6"), 1)
    return netns


def _ask(netns: int, *requests: Request) -> None:
    with in_netns(netns), NetlinkSocket() as sock:
        sock.batch(requests)


def _device(
    kind: str, device: str, data: Mapping[int, bytes] | None = None, below: int = 0, netns_fd: int | None = None
) -> Request:
    return new_overlay(OverlayEnd(kind, device, 0, b"", None, below, data or {}, netns_fd))


def _u32(value: int) -> bytes:
    return struct.pack("=I", value)


def _index(netns: int, device: str) -> int:
    with in_netns(netns):
        return socket.if_nametoindex(device)


def _start(netns: int, device: str, address: str = "") -> None:
    index = _index(netns, device)
    given = [links.new_address(index, ipaddress.IPv4Interface(f"{address}/24"))] if address else []
    _ask(netns, links.link_up(index, device), *given)


def _enslave(netns: int, device: str, master: str) -> None:
    _ask(netns, links.set_master(_index(netns, device), _index(netns, master), device))


def _pair(scene: Scene, far: int, napi: bool = True) -> None:
    """veth: va of the client, vb of the namespace `far`; not up yet."""
    ends = (links.VethEnd(scene.client, "va", _NEAR, b"\2\0\0\0\0\1"), links.VethEnd(far, "vb", _FAR, b"\2\0\0\0\0\2"))
    _ask(scene.client, links.new_pair(*ends))
    for end in ends if napi else ():
        with in_netns(end.netns_fd):
            ethtool.set_features(end.device, ethtool.VETH_NAPI_FEATURES)


# -- kinds ------------------------------------------------------------------------------------------------------------


def _loopback(scene: Scene, _owner: int, _stack: contextlib.ExitStack) -> None:
    scene.client = scene.server
    scene.device = scene.lowest = "lo"
    for address in (CLIENT, SERVER):
        _start(scene.server, "lo", address)


def _veth(scene: Scene, _owner: int, _stack: contextlib.ExitStack) -> None:
    _pair(scene, scene.server, napi=False)
    _both_up(scene)


def _veth_napi(scene: Scene, _owner: int, _stack: contextlib.ExitStack) -> None:
    _pair(scene, scene.server)
    _both_up(scene)


def _both_up(scene: Scene) -> None:
    _start(scene.client, "va", CLIENT)
    _start(scene.server, "vb", SERVER)


def _veth_xdp(scene: Scene, _owner: int, _stack: contextlib.ExitStack) -> None:
    _pair(scene, scene.server, napi=False)
    with held(bpf.load(bpf.XDP, bpf.PASS)) as program:
        _ask(scene.server, xsk.attach(_FAR, program, xsk.IN_DRIVER))
    _both_up(scene)


def _child(kind: str, data: Mapping[int, bytes]) -> Build:
    """A device on top of the veth, in a namespace of its own as a container's is."""

    def build(scene: Scene, owner: int, _stack: contextlib.ExitStack) -> None:
        _pair(scene, owner)
        scene.owner, scene.device = owner, "vc"
        _start(scene.client, "va", CLIENT)
        _start(owner, "vb")
        _ask(owner, _device(kind, "vc", data, _FAR, scene.server))
        _start(scene.server, "vc", SERVER)

    return build


def _master(kind: str, data: Mapping[int, bytes] | None = None) -> Build:
    """A device above the veth that has the address: packets come in by the veth, and are the master's."""

    def build(scene: Scene, _owner: int, _stack: contextlib.ExitStack) -> None:
        _pair(scene, scene.server)
        scene.device = "vm"
        _ask(scene.server, _device(kind, "vm", data))
        _enslave(scene.server, "vb", "vm")
        _start(scene.client, "va", CLIENT)
        _start(scene.server, "vb")
        _start(scene.server, "vm", SERVER)

    return build


def _vrf(scene: Scene, _owner: int, _stack: contextlib.ExitStack) -> None:
    _pair(scene, scene.server)
    scene.bound = "vm"
    _ask(scene.server, _device("vrf", "vm", {_VRF_TABLE: _u32(_TABLE)}))
    _start(scene.server, "vm")
    _enslave(scene.server, "vb", "vm")
    _both_up(scene)


def _vxlan(scene: Scene, _owner: int, _stack: contextlib.ExitStack) -> None:
    _underlay(scene)
    for netns, parent, own, other in _ends(scene):
        data = {
            _VXLAN_ID: _u32(1),
            _VXLAN_REMOTE: socket.inet_aton(_UNDER[other]),
            _VXLAN_LINK: _u32(parent),
            _VXLAN_LOCAL: socket.inet_aton(_UNDER[own]),
            _VXLAN_PORT: struct.pack("!H", _PORT),
        }
        _ask(netns, _device("vxlan", "vx", data))
        _start(netns, "vx", own)
    scene.device = "vx"


def _wireguard(scene: Scene, _owner: int, _stack: contextlib.ExitStack) -> None:
    _underlay(scene)
    keys: dict[str, bytes] = {}
    numbers: dict[str, int] = {}
    for netns, _, own, _ in _ends(scene):
        _ask(netns, _device("wireguard", "wg"))
        with in_netns(netns):
            numbers[own] = socket.if_nametoindex("wg")
            keys[own] = wireguard.set_keys(numbers[own])
    for netns, _, own, other in _ends(scene):
        with in_netns(netns):
            address = ipaddress.IPv4Address(_UNDER[other])
            wireguard.set_peer(numbers[own], keys[other], address, numbers[other])
        _start(netns, "wg", own)
    scene.device = "wg"


def _underlay(scene: Scene) -> None:
    _pair(scene, scene.server)
    _start(scene.client, "va", _UNDER[CLIENT])
    _start(scene.server, "vb", _UNDER[SERVER])


def _ends(scene: Scene) -> tuple[tuple[int, int, str, str], ...]:
    """Of either end: its namespace, the index of its veth, its address, the other's."""
    return (scene.client, _NEAR, CLIENT, SERVER), (scene.server, _FAR, SERVER, CLIENT)


def _netkit(scene: Scene, _owner: int, _stack: contextlib.ExitStack) -> None:
    scene.device = scene.lowest = "vb"
    near = links.VethEnd(scene.client, "va", _NEAR, b"\2\0\0\0\0\1")
    far = links.VethEnd(scene.server, "vb", _FAR, b"\2\0\0\0\0\2")
    _ask(scene.client, links.new_pair(near, far, "netkit", _NETKIT_PEER, {_NETKIT_MODE: _NETKIT_L2}))
    _both_up(scene)


def _tunnel(mode: int) -> Build:
    """A tun or tap device in either namespace, and a thread of ours that hands packets from one to the other."""

    def build(scene: Scene, _owner: int, stack: contextlib.ExitStack) -> None:
        files = []
        for netns, address in ((scene.client, CLIENT), (scene.server, SERVER)):
            with in_netns(netns):
                fd = stack.enter_context(held(os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)))
                fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", b"tu", mode | _IFF_NO_PI | _IFF_NAPI))
            _start(netns, "tu", address)
            files.append(fd)
        scene.device = scene.lowest = "tu"
        stack.enter_context(_carried(*files))

    return build


@contextlib.contextmanager
def _carried(first: int, second: int) -> Iterator[None]:
    """Packets of either file go into the other, for the block."""
    ended = threading.Event()
    others = {first: second, second: first}

    def carry() -> None:
        poll = select.poll()
        for fd in others:
            poll.register(fd, select.POLLIN)
        while not ended.is_set():
            for fd, _ in poll.poll(_LOOK_MS):
                with contextlib.suppress(OSError):
                    os.write(others[fd], os.read(fd, _FRAME_BYTES))

    thread = threading.Thread(target=carry)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def nic_kinds(nics: Mapping[str, Sequence[str]]) -> dict[str, Build]:
    """The kinds of a guest's NICs, by model: two back to back, by the addresses that they were made with."""
    kinds = {name: _nic(name, macs) for name, macs in nics.items()}
    # With it vmxnet3 hands packets on without the id of its NAPI.
    without = {"rx-lro": False}
    return kinds | {f"{name} without LRO": _nic(name, nics[name], without) for name in _LRO if name in nics}


def _nic(name: str, macs: Sequence[str], features: Mapping[str, bool] | None = None) -> Build:
    """NICs with one queue, where they take that."""

    def build(scene: Scene, _owner: int, _stack: contextlib.ExitStack) -> None:
        scene.device = scene.lowest = "nb"
        near = (scene.client, "na", _NEAR, CLIENT, macs[0])
        far = (scene.server, "nb", _FAR, SERVER, macs[1])
        for netns, device, index, address, mac in (near, far):
            try:
                found = socket.if_nametoindex(nics.fresh(mac, name))
                with NetlinkSocket() as outside:
                    outside.batch([links.adopt(found, links.VethEnd(netns, device, index, b""))])
                with in_netns(netns):
                    nics.set_queues(device, 1)
                    if features:
                        ethtool.set_features(device, features)
            except PollbenchError as error:
                raise OSError(errno.ENODEV, error.got) from None
            _start(netns, device, address)
        for netns, device, *_ in (near, far):
            with in_netns(netns):
                ethtool.await_carrier(device, _CARRIER_S)

    return build


KINDS: dict[str, Build] = {
    "loopback": _loopback,
    "veth": _veth,
    "veth with GRO": _veth_napi,
    "veth with XDP": _veth_xdp,
    "macvlan": _child("macvlan", {_MACVLAN_MODE: _u32(_MACVLAN_BRIDGE)}),
    "ipvlan": _child("ipvlan", {_IPVLAN_MODE: struct.pack("=H", _IPVLAN_L2)}),
    "bridge": _master("bridge"),
    "bond": _master("bond", {_BOND_MODE: bytes([_ACTIVE_BACKUP])}),
    "vrf": _vrf,
    "vxlan": _vxlan,
    "wireguard": _wireguard,
    "netkit": _netkit,
    "tap": _tunnel(_IFF_TAP),
    "tun": _tunnel(_IFF_TUN),
}
"""How each is built. All but the first two, and the last three, stand on a veth that receives by NAPI."""
