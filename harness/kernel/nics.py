"""The emulated NICs of a guest: found by the address they were made with, and probed anew for every run."""

from __future__ import annotations

import errno
import subprocess
import time
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from harness.errors import MissingError, PollbenchError
from harness.kernel import ethtool
from harness.kernel.hostfiles import HOST

_PATIENCE_S, _PAUSE_S = 10.0, 0.02
# Set by the agent of a guest and by nobody else: on a host, real NICs are not ours to take.
_known: dict[str, str] = {}


def address(model: int, pair: int, end: int) -> str:
    """The address that an emulated NIC is made with: number of its model, which pair, which end (0 or 1)."""
    return f"52:54:00:{model:02x}:{pair:02x}:{end + 1:02x}"


def load(modules: Iterable[str], addresses: Collection[str]) -> dict[str, str]:
    """Load the drivers and wait for the NICs of these addresses; what was found, PCI address by NIC address."""
    for module in modules:
        subprocess.run(["modprobe", module], check=False, capture_output=True)
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        _known.update({HOST.text(f"/sys/class/net/{name}/address") or "": pci for name, pci in _pci_addresses()})
        if set(addresses) <= set(_known) or time.monotonic() > deadline:
            return dict(_known)
        time.sleep(_PAUSE_S)


def _pci_addresses() -> Iterator[tuple[str, str]]:
    """Every PCI NIC of this namespace and the PCI address that it is at."""
    for device in HOST.names("/sys/class/net"):
        place = Path(f"/sys/class/net/{device}/device").resolve()
        # A virtio device lies below its PCI device.
        pci = next((part for part in (place, *place.parents) if part.name.count(":") == 2), None)
        if pci is not None and "pci" in str(pci):
            yield device, pci.name


def fresh(mac: str, where: str) -> str:
    """Probe the NIC of an address anew, so that nothing of an earlier run is left in it; its device name, here.

    where: which it is, for messages. Raises MissingError outside of a guest of ours, or when this kernel has no driver
    for it; PollbenchError.
    """
    if not _known:
        todo = "an emulated NIC is there only in a guest: pollbench vm run FILE"
        raise MissingError("connect a link", on=where, got="this host is no guest of pollbench", todo=todo)
    if mac not in _known:
        raise MissingError("connect a link", on=where, got="the guest has no such NIC, or this kernel no driver for it")
    driver = Path(f"/sys/bus/pci/devices/{_known[mac]}/driver")
    try:
        home = driver.resolve()
        (home / "unbind").write_text(_known[mac])
        (home / "bind").write_text(_known[mac])
    except OSError as error:
        raise PollbenchError("probe a NIC anew", on=where, got=str(error)) from error
    return _await_device(_known[mac], where)


def _await_device(pci: str, where: str) -> str:
    """Its name, found by its place: what a run gave a vmxnet3 as its address is its address when it comes back."""
    deadline = time.monotonic() + _PATIENCE_S
    while (device := {place: device for device, place in _pci_addresses()}.get(pci)) is None:
        if time.monotonic() > deadline:
            raise PollbenchError("probe a NIC anew", on=where, got=f"it did not come back within {_PATIENCE_S:.0f} s")
        time.sleep(_PAUSE_S)
    return device


def set_queues(device: str, count: int) -> None:
    """Give a NIC of this thread's namespace its queue pairs. Raises MissingError when the model has fewer."""
    try:
        now, most = ethtool.channels(device)["combined"]
    except OSError:
        now = most = 1  # a driver with one queue, or a fixed number of them, does not know the question
    if count > most:
        raise MissingError("set up queues", on=device, got=f"{count} asked for, the model has {most}")
    if now != count:
        try:
            ethtool.set_channels(device, "combined", count)
        except OSError as error:
            # A driver that always takes one for each CPU (vmxnet3): more than were asked for do no harm.
            if error.errno != errno.EOPNOTSUPP or now < count:
                raise
