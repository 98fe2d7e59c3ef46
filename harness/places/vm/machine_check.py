"""Is a guest the machine that its experiment declares? Compares what the guest reports with what was declared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError

from harness.errors import PollbenchError
from harness.places.vm.boot import GuestFailure
from harness.spec.machine import Machine
from harness.units import parse_cpus

# Firmware and the kernel keep some for themselves before they count.
_LEAST_MEMORY = 0.75
# What lays out the domain of a NIC behind the IOMMU, as the kernel names it.
_DOMAINS = {"lazy": "DMA-FQ", "strict": "DMA", "pt": "identity", "off": "none"}
# With one of these in `cmdline`, fewer processors or less memory are what was asked for.
_FEWER = ("maxcpus", "nr_cpus", "nosmp", "mem")
# The kernel leaves these to the first process, or to a module that is loaded later; ours among them.
_NOT_THE_KERNELS = ("pollbench.", "BOOT_IMAGE")


class NumaNode(BaseModel):
    """One NUMA node: its CPUs as the kernel lists them, and its distances to all nodes."""

    cpus: str | None = None
    memory_bytes: int | None = None
    distances: str | None = None


class Nic(BaseModel):
    """Where an emulated NIC is: its NUMA node, -1 for none, and the kind of its IOMMU domain."""

    node: int
    iommu: str


class HostSetting(BaseModel):
    """One setting of a good measuring host and what became of it in the guest; see harness.places.vm.guest."""

    name: str = Field(max_length=64)
    state: Literal["changed", "ok", "failed", "not applicable"]
    wanted: str = Field(max_length=200)
    found: str = Field(max_length=200)
    reason: str = Field(max_length=200)


class GuestAccount(BaseModel):
    """The machine as the guest found it; harness.kernel.machinefacts says what each means. host: how it was set."""

    cpus: int
    sockets: int | None
    cores: int | None
    memory_bytes: int
    numa: dict[str, NumaNode] = Field(max_length=64)
    isolated: list[int] = Field(max_length=64)
    nohz_full: list[int] = Field(max_length=64)
    mitigated: list[str] = Field(max_length=64)
    cmdline: str = Field(max_length=4096)
    unknown_words: list[str] = Field(max_length=64)
    idle_polls: bool
    nics: dict[str, Nic] = Field(max_length=128)
    host: list[HostSetting] = Field(max_length=100)


class NotAsDeclared(PollbenchError):  # noqa: N818  # as the others are named
    """The guest is not the machine that the experiment declares."""

    def __init__(self, deviating: list[str]) -> None:
        todo = "declare what this kernel and QEMU have, or take others"
        super().__init__("make the machine that `vm` declares", got="; ".join(deviating), todo=todo)


def guest_account(event: Any) -> GuestAccount:
    """A guest's report of its machine, validated. Raises GuestFailure when it has another form."""
    try:
        return GuestAccount.model_validate(event)
    except ValidationError as error:
        got = f"its account of its machine is none of ours ({error.error_count()} fields)"
        raise GuestFailure("damaged answer", got) from None


def deviations(machine: Machine, guest: GuestAccount) -> list[str]:
    """In words, everything that was declared of a machine and is not so in the guest; empty when all of it is."""
    checks = (_processors, _nodes, _nics, _command_line)
    return [text for check in checks for text in check(machine, guest)]


def _processors(machine: Machine, guest: GuestAccount) -> Iterator[str]:
    if _words(machine.cmdline).keys() & set(_FEWER):
        return
    asked = {"cpus": machine.cpus, "sockets": machine.sockets, "cores": machine.cpus // machine.threads}
    for name, want in asked.items():
        if (have := getattr(guest, name)) != want:
            yield f"{name}: {want} declared, the guest has {have}"
    if not _LEAST_MEMORY * machine.memory_bytes <= guest.memory_bytes <= machine.memory_bytes:
        want, have = machine.memory_bytes >> 20, guest.memory_bytes >> 20
        yield f"memory: {want} MiB declared, the guest has {have} MiB"


def _nodes(machine: Machine, guest: GuestAccount) -> Iterator[str]:
    count = machine.numa_nodes
    if count == 1:
        return
    if len(guest.numa) != count:
        yield f"numa_nodes: {count} declared, the guest has {len(guest.numa) or 'none'}"
        return
    for number in range(count):
        node = guest.numa.get(str(number), NumaNode())
        want = " ".join(str(10 if other == number else machine.numa_distance) for other in range(count))
        if node.distances != want:
            yield f"numa_distance: node {number} should be {want} from the nodes, it is {node.distances}"
        share = machine.cpus // count
        cpus = set(parse_cpus(node.cpus)) if node.cpus else set()
        if cpus != set(range(number * share, (number + 1) * share)):
            yield f"numa_nodes: node {number} has the CPUs {node.cpus or 'none'}"


def _nics(machine: Machine, guest: GuestAccount) -> Iterator[str]:
    for mac, nic in sorted(guest.nics.items()):
        if machine.nic_node is not None and nic.node != machine.nic_node:
            yield f"nic_node: {machine.nic_node} declared, the NIC {mac} is on {nic.node}"
        if nic.iommu != (want := _DOMAINS[machine.iommu]):
            yield f"iommu: {machine.iommu} declared, which is a domain {want}; the NIC {mac} has {nic.iommu}"


def _command_line(machine: Machine, guest: GuestAccount) -> Iterator[str]:
    asked, have = _words(machine.cmdline), set(guest.cmdline.split())
    for word in machine.cmdline.split():
        if word not in have:
            yield f"cmdline: {word} did not reach the kernel"
    for word in guest.unknown_words:
        if word in machine.cmdline.split() and not word.startswith(_NOT_THE_KERNELS):
            yield f"cmdline: this kernel does not know {word}"
    for key, cpus in {"isolcpus": guest.isolated, "nohz_full": guest.nohz_full}.items():
        if key in asked and not set(_cpus(asked[key])) <= set(cpus):
            shown = ",".join(map(str, cpus)) or "none"
            yield f"cmdline: {key}={asked[key]} declared, the kernel did so with {shown}"
    if asked.get("mitigations", "off") == "off" and guest.mitigated:
        yield f"mitigations: off declared, the kernel mitigates {', '.join(guest.mitigated)}"
    if asked.get("idle") == "poll" and not guest.idle_polls:
        yield "cmdline: idle=poll declared, the kernel's idle threads do not poll"


def _words(text: str) -> dict[str, str]:
    return {key: value for key, _, value in (word.partition("=") for word in text.split())}


def _cpus(text: str) -> list[int]:
    """The CPUs of a list that flags may lead: "managed_irq,domain,1-2"."""
    pieces = [piece for piece in text.split(",") if piece[:1].isdigit()]
    return sorted(parse_cpus(",".join(pieces))) if pieces else []
