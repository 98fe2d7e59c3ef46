"""The machine that a run gets in the provided virtual machine, as the experiment file declares it under `vm`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from harness.spec.section import Section
from harness.units import Count, SizeBytes

_MIB = 1 << 20
# What we set ourselves; set twice, the guest might not boot, or not end.
_OURS = ("console", "panic", "root", "init", "rdinit", "pollbench.shell", "intel_iommu", "iommu")


def _command_line(text: str) -> str:
    """Words for a kernel's command line. ValueError for those that pollbench sets itself."""
    if not text.isprintable():
        raise ValueError("it holds a line break, or another character that cannot be seen; expected words in one line")
    for word in text.split():
        key = word.partition("=")[0]
        if key in _OURS:
            raise ValueError(f'"{key}" is set by pollbench (iommu: has a key of its own); leave it out')
        if not word.isprintable() or not word.isascii() or '"' in word:
            raise ValueError(f'"{word[:40]}" cannot stand on a kernel command line')
    if len(text) > 1000:
        raise ValueError(f"{len(text)} characters; expected at most 1000")
    return " ".join(text.split())


CommandLine = Annotated[str, AfterValidator(_command_line)]


class Machine(Section):
    """The guest's machine. It means something only in `pollbench vm run`; on the host the host is the machine."""

    kernel: str = Field(
        "",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9.+_-]{0,63}$|^$",
        description='kernel set by name, quoted: "6.1", "6.12", "7.3"; the image\'s default if absent',
    )
    cpus: Count = Field(2, ge=1, le=64, description="virtual CPUs")
    sockets: Count = Field(1, ge=1, le=8, description="sockets that the CPUs are spread over")
    threads: Count = Field(1, ge=1, le=2, description="threads of a core")
    memory_bytes: SizeBytes = Field(
        1024 * _MIB, ge=384 * _MIB, le=64 * 1024 * _MIB, alias="memory", description="memory of the guest"
    )
    numa_nodes: Count = Field(1, ge=1, le=8, description="NUMA nodes; CPUs and memory are spread evenly")
    numa_distance: Count = Field(20, ge=11, le=254, description="distance between two nodes (10 is a node's own)")
    nic_node: Count | None = Field(None, ge=0, le=7, description="NUMA node of the emulated NICs; none if absent")
    iommu: Literal["off", "lazy", "strict", "pt"] = Field(
        "off", description="virtual IOMMU: none, or translating with lazy or strict invalidation, or passing through"
    )
    cmdline: CommandLine = Field("", description="further words of the kernel's command line: isolcpus=1 idle=poll")
    profile: Literal["latency", "balanced", "none"] = Field(
        "latency", description="how the guest is set before it measures, as `pollbench host prepare` sets a host"
    )
    seed: Count = Field(1, ge=0, le=2**32 - 1, description="seed of the guest's random numbers")
    output_bytes: SizeBytes = Field(
        512 * _MIB, ge=_MIB, le=16 * 1024 * _MIB, alias="output", description="room for one boot's results"
    )
