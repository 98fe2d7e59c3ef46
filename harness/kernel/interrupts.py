"""Which interrupts a network device has, and to which CPUs they go.

Sent to other hosts together with host_settings.py: needs Python 3.8 and the standard library alone.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import NamedTuple

from .cpulists import format_cpu_list, parse_cpu_list
from .hostfiles import HostFiles

# Some drivers keep the name of their interrupt in as little room as that of a thread or an interface.
_CUT_CHARACTERS = 15
# "eth0-tx-1", "virtio0-output.0"; but "eth0-TxRx-0" is of both, as "ena-Tx-Rx-0" is.
_SENDS = re.compile(r"(?<![a-z])(tx|output)(?![a-z])", re.IGNORECASE)
_RECEIVES = re.compile("rx|input", re.IGNORECASE)


class Interrupt(NamedTuple):
    """One interrupt line. sharers: the names of other devices' handlers on the same line (legacy INTx)."""

    number: int
    sharers: tuple[str, ...] = ()


def interrupts_of(device: str, files: HostFiles, sysfs: HostFiles | None = None) -> list[Interrupt]:
    """The interrupts of a network device by number; none of a virtual device (veth, bridge, VLAN), or of no device.

    A PCI device has its MSI and MSI-X interrupts listed; of a virtio device they are listed at the PCI device above
    it. Elsewhere (virtio-mmio, platform devices, legacy INTx) the names in /proc/interrupts tell. sysfs: the /sys of
    the device's network namespace, where it is not that of `files`.
    """
    sysfs = sysfs or HostFiles(files.path("/sys"))
    place = f"class/net/{device}/device"
    if not sysfs.names(place):
        return []
    above = [f"{place}/.."] if sysfs.link(f"{place}/subsystem") == "virtio" else []
    for directory in (place, *above):
        numbers = [int(name) for name in sysfs.names(f"{directory}/msi_irqs") if name.isdigit()]
        if numbers:
            return [Interrupt(number) for number in sorted(numbers)]
    return _by_name(device, files, sysfs)


def send_alone(numbers: Collection[int], files: HostFiles) -> set[int]:
    """Those of these lines that are of transmit queues alone, by the names of their handlers."""
    return {
        number
        for number, handlers in _handlers(files).items()
        if number in numbers and all(_SENDS.search(name) and not _RECEIVES.search(name) for name in handlers)
    }


def _by_name(device: str, files: HostFiles, sysfs: HostFiles) -> list[Interrupt]:
    """The lines that bear the name of the interface ("eth1-rx-0") or of its bus device ("virtio0")."""
    own = [name for name in (device, sysfs.link(f"class/net/{device}/device")) if name]
    longer = [name for name in sysfs.names("class/net") if name != device and _bears(name, device)]
    interrupts = []
    for number, handlers in _handlers(files).items():
        ours = [
            handler
            for handler in handlers
            if any(_bears(handler, name) for name in own) and not any(_bears(handler, name) for name in longer)
        ]
        if ours:
            interrupts.append(Interrupt(number, tuple(handler for handler in handlers if handler not in ours)))
    return interrupts


def _bears(handler: str, name: str) -> bool:
    """Is it this name, perhaps cut, or the name and something behind it? ("virtio10" does not bear "virtio1".)"""
    if handler.startswith(name):
        return not handler[len(name) : len(name) + 1].isalnum()
    return len(handler) >= _CUT_CHARACTERS and name.startswith(handler)


def _handlers(files: HostFiles) -> dict[int, list[str]]:
    """The names of the handlers of every numbered line. Source: proc(5), /proc/interrupts.

    Behind the counts stand the controller, its own number and the trigger, in columns that differ between
    architectures, then the names, separated by commas: the first is the last word before a comma.
    """
    handlers = {}
    for line in files.lines("/proc/interrupts"):
        number, _, rest = line.strip().partition(":")
        first, *others = rest.split(", ")
        if number.isdigit() and first.split():
            handlers[int(number)] = [first.split()[-1], *(other.strip() for other in others)]
    return handlers


def affinity(number: int, files: HostFiles) -> list[int]:
    """The CPUs that an interrupt may go to. Raises OSError."""
    return parse_cpu_list(files.read(affinity_file(number)))


def set_affinity(number: int, cpus: list[int], files: HostFiles) -> None:
    """Let an interrupt go to these CPUs alone. Raises OSError."""
    files.write(affinity_file(number), format_cpu_list(cpus))


def affinity_file(number: int) -> str:
    """The file that holds the CPUs of an interrupt, as a list."""
    return f"/proc/irq/{number}/smp_affinity_list"
