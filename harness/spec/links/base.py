"""What a kind of link is: data from which a file's `nic` is checked, and from which the testbed makes the link."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import ClassVar, Literal


@dataclass(frozen=True)
class LinkKind:
    """One value of a link's `nic`. needs_guest: is it there only in a guest of `pollbench vm run`?"""

    name: str
    needs_guest: ClassVar[bool] = False


@dataclass(frozen=True)
class DevicePair(LinkKind):
    """Two virtual devices, joined back to back, that the kernel makes by one request of rtnetlink.

    device: the kernel's name of such a device, as `ip link add type` takes it; peer: number of the attribute of
    IFLA_INFO_DATA that describes the other end; options: further attributes of it, number to 32-bit value. napi: can
    the ends receive by a NAPI (with GRO on and TSO off), without which nothing can be busy-polled on them?
    """

    device: str
    peer: int
    options: Mapping[int, int] = field(default_factory=dict)
    napi: bool = False


TUNNELS = ipaddress.IPv4Network("198.18.0.0/15")
"""The addresses of tunnels' wires, two to a link: those for measuring (RFC 2544)."""


class Part(Enum):
    """What an attribute of a tunnel holds that is known only when it is made, each in the kernel's form.

    LOCAL, REMOTE: the wire's IPv4 address at this end, and at the other; NUMBER: one of the link's own, 32 bits.
    """

    LOCAL = "local"
    REMOTE = "remote"
    NUMBER = "number"


@dataclass(frozen=True)
class Overlay(LinkKind):
    """A device on top of each end of a veth pair; programs use the device, and the pair is the wire below it.

    The wire has the link's shape, and its NAPI; the device has the link's addresses. device: the kernel's name of it,
    as `ip link add type` takes it; data: attributes of IFLA_INFO_DATA, by number. joined: the device names the wire's
    end ("names"), has it as a port ("port"), or sends from an address that it has ("tunnel"). header_bytes: what it
    puts before each packet; so much larger is the wire's MTU. udp: does it send datagrams? mac: its hardware address,
    one of its own, the wire's, or none (then it carries packets, not frames). routes: is it a table of routes, with the
    link's addresses left on the wire? keys: do the two ends have to know each other's public keys? napi: does what it
    hands on bear the wire's NAPI, so that a socket can busy-poll it? frames: does it carry anybody's frames, so that it
    can be a port of a switch?
    """

    device: str
    joined: Literal["names", "port", "tunnel"]
    data: Mapping[int, bytes | Part] = field(default_factory=dict)
    header_bytes: int = 0
    udp: bool = False
    mac: Literal["own", "wire's", "none"] = "own"
    routes: bool = False
    keys: bool = False
    napi: bool = False
    frames: bool = False


@dataclass(frozen=True)
class HostNics(LinkKind):
    """Two interfaces of the host that the link's `devices` name: each is lent to its node while the testbed stands."""


@dataclass(frozen=True)
class EmulatedNic(LinkKind):
    """A model of NIC that QEMU emulates, two of them back to back. It has a NAPI whatever is set.

    number: the model's in hardware addresses, its own among all; module: the guest's driver; device: QEMU's name of it;
    since: the first QEMU that has it. address_when_up: it takes up its first address when it is set up, and has to be
    given the link's once more.
    """

    number: int
    module: str
    device: str
    since: tuple[int, int] = (0, 0)
    address_when_up: bool = False
    needs_guest: ClassVar[bool] = True
