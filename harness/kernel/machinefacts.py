"""What a guest finds that its machine is: processors, NUMA nodes, IOMMU, command line; how it runs out of memory."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping

from harness.kernel import cpufacts, facts
from harness.kernel.cpufacts import Json
from harness.kernel.hostfiles import HOST, HostFiles
from harness.kernel.syscalls import held

_KERNEL_LOG = "/dev/kmsg"
_RECORD = 8192
_UNKNOWN = "Unknown kernel command line parameters"
_LEAST_LIFE_MS = 1000
_POLLING = "using polling idle threads"


def machine_facts(nics: Mapping[str, str]) -> dict[str, Json]:
    """As JSON data. nics: PCI address of each emulated NIC by its hardware address."""
    files = HOST
    log = _kernel_log()
    topology = cpufacts.topology(files)
    return {
        "cpus": topology["cpus"],
        "sockets": topology["packages"],
        "cores": topology["cores"],
        "memory_bytes": facts.memory(files)["total_bytes"] or 0,
        "numa": cpufacts.numa(files),
        "isolated": topology["isolated"],
        "nohz_full": topology["nohz_full"],
        "mitigated": [*cpufacts.mitigated(files)],
        "cmdline": files.text("/proc/cmdline") or "",
        "unknown_words": [*_quoted(log, _UNKNOWN)],
        "idle_polls": _POLLING in log,
        "nics": {mac: _nic(files, pci) for mac, pci in nics.items()},
    }


def _nic(files: HostFiles, pci: str) -> dict[str, Json]:
    """The NUMA node (-1: none) and the kind of the IOMMU domain ("none" without one) of a PCI device."""
    place = f"/sys/bus/pci/devices/{pci}"
    node = files.number(f"{place}/numa_node")
    return {"node": -1 if node is None else node, "iommu": files.text(f"{place}/iommu_group/type") or "none"}


def _kernel_log() -> str:
    """What the kernel has said since it started; empty where it is not to be read."""
    records = []
    with contextlib.suppress(OSError), held(os.open(_KERNEL_LOG, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)) as log:
        while True:  # until EAGAIN: a record for each read
            records.append(os.read(log, _RECORD))
    return b"".join(records).decode(errors="replace")


def end_programs_when_memory_is_short() -> None:
    """Rather than evict and reread pages for minutes (thrashing): count as out of memory when they were used just now.

    Linux 6.1 with multi-generational LRU can; elsewhere this does nothing.
    """
    with contextlib.suppress(OSError):
        HOST.write("/sys/kernel/mm/lru_gen/min_ttl_ms", _LEAST_LIFE_MS)


def _quoted(log: str, head: str) -> list[str]:
    """The words in quotes behind a head, such as those that the kernel did not know."""
    rest = log.partition(head)[2].partition("\n")[0]
    return rest.split('"')[1].split() if rest.count('"') > 1 else []
