"""What a kind of link is: data from which a file's `nic` is checked, and from which the testbed makes the link."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar


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
