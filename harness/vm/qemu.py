"""QEMU: which one is here, and the command line of one guest."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harness.errors import MissingError, PollbenchError
from harness.kernel import nics
from harness.spec.machine import Machine

PROGRAM = "qemu-system-x86_64"
LEAST = (7, 0)
ACCELERATORS = ("kvm", "tcg-virtual", "tcg-smoke")
# The first QEMU that has the model; the others are older than any we take.
_SINCE = {"igb": (8, 0)}
_DEVICES = {"virtio-net": "virtio-net-pci"}
_COMMAND_LINE = (
    "console=ttyS0 quiet panic=-1 oops=panic nokaslr norandmaps cryptomgr.notests no_timer_check tsc=reliable "
    "rcupdate.rcu_expedited=1 random.trust_cpu=on net.ifnames=0"
)
_IOMMU = {
    "off": "",
    "lazy": "intel_iommu=on iommu.strict=0",
    "strict": "intel_iommu=on iommu.strict=1",
    "pt": "intel_iommu=on iommu=pt",
}


@dataclass(frozen=True)
class Files:
    """The files of one guest: verified artefacts, and what this boot alone reads and writes."""

    vmlinux: Path
    initramfs: Path
    root: Path
    modules: Path
    payload: Path
    job: Path
    out: Path
    console: Path
    events: Path


@cache
def version(program: str = PROGRAM) -> tuple[int, int]:
    """QEMU's version. Raises MissingError when there is none, or it is too old."""
    if shutil.which(program) is None:
        raise MissingError("start a guest", got=f"there is no {program}", todo="apt install qemu-system-x86")
    told = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"version (\d+)\.(\d+)", told)
    if match is None:
        raise MissingError("start a guest", on=program, got=f"it does not tell its version ({told[:60]!r})")
    found = int(match[1]), int(match[2])
    if found < LEAST:
        got = f"QEMU {found[0]}.{found[1]} is too old"
        raise MissingError("start a guest", got=got, todo=f"install QEMU {LEAST[0]}.{LEAST[1]} or newer")
    return found


def lacks_nic(model: str, found: tuple[int, int]) -> str:
    """Why this QEMU cannot make a NIC model; empty when it can."""
    since = _SINCE.get(model)
    if since is None or found >= since:
        return ""
    return f"QEMU {found[0]}.{found[1]} has no {model}: it came with QEMU {since[0]}.{since[1]}"


def lacks_cpus(machine: Machine, release: str, accelerator: str, found: tuple[int, int]) -> str:
    """Why this QEMU cannot start the CPUs of a kernel under an accelerator; empty when it can.

    Counting instructions, QEMU before 8.1 gives a CPU all the time until the next timer, and a kernel before 6.5 starts
    its CPUs by a handshake in which each spins for the other: 6.1 never comes up with 7.2, and does with 10.0.
    """
    version = tuple(int(part) for part in re.findall(r"\d+", release)[:2])
    if accelerator != "tcg-virtual" or machine.cpus == 1 or version >= (6, 5) or found >= (8, 1):
        return ""
    return (
        f"QEMU {found[0]}.{found[1]} cannot start a second CPU of kernel {release} under tcg-virtual: take QEMU 8.1 or "
        "newer, vm.cpus: 1, or a kernel from 6.5 on"
    )


def command(
    machine: Machine, accelerator: str, files: Files, pairs: dict[str, int], shell: bool = False
) -> list[str]:
    """The whole command line of a guest with `pairs` pairs of emulated NICs by model. Raises PollbenchError."""
    argv = [PROGRAM, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-name", "pollbench"]
    argv += _accelerated(accelerator, machine) + _processors(machine)
    argv += ["-seed", str(machine.seed), "-rtc", "base=2025-01-01T00:00:00,clock=vm"]
    argv += ["-kernel", str(files.vmlinux), "-initrd", str(files.initramfs)]
    argv += ["-append", kernel_command_line(machine, shell)]
    serial = "stdio,id=con,signal=off" if shell else f"file,id=con,path={_escaped(files.console)}"
    argv += ["-chardev", serial, "-serial", "chardev:con"]
    if machine.iommu != "off":
        # No caching-mode: only devices handed through from the host need it, and under it the kernel is always strict.
        argv += ["-device", "intel-iommu,intremap=on"]
    for name in ("root", "modules", "payload", "job"):
        argv += _disk(name, getattr(files, name), "readonly=on")
    argv += _disk("out", files.out, "cache=unsafe,discard=unmap,detect-zeroes=unmap")
    # A file, never a socket: without a reader the guest's first write would block for good.
    argv += ["-device", "virtio-serial-pci", "-chardev", f"file,id=ev,path={_escaped(files.events)}"]
    argv += ["-device", "virtserialport,chardev=ev,name=events"]
    return argv + _nics(machine, pairs)


def kernel_command_line(machine: Machine, shell: bool = False) -> str:
    """What the guest's kernel is told."""
    words = [_COMMAND_LINE]
    if "mitigations=" not in machine.cmdline:
        words.append("mitigations=off")
    words += [_IOMMU[machine.iommu], machine.cmdline, "pollbench.shell" if shell else ""]
    return " ".join(filter(None, words))


def _accelerated(accelerator: str, machine: Machine) -> list[str]:
    chip = ",kernel-irqchip=split" if accelerator == "kvm" and machine.iommu != "off" else ""
    argv = ["-machine", f"q35{chip}"]
    if accelerator == "kvm":
        return [*argv, "-accel", "kvm", "-cpu", "host"]
    # One thread for all CPUs: with more, QEMU before 8.1 breaks guests that patch their own code.
    argv += ["-accel", "tcg,thread=single", "-cpu", "max"]
    if accelerator == "tcg-virtual":
        # Guest time is the count of executed instructions, 1 ns each; time without work is skipped.
        argv += ["-icount", "shift=0,align=off,sleep=off"]
    return argv


def _processors(machine: Machine) -> list[str]:
    cpus, memory = machine.cpus, machine.memory_bytes >> 20
    per_socket = machine.sockets * machine.threads
    if cpus % per_socket or cpus % machine.numa_nodes:
        got = f"{cpus} CPUs cannot be spread over {machine.sockets} sockets, {machine.threads} threads a core and "
        raise PollbenchError("lay out the machine", got=got + f"{machine.numa_nodes} NUMA nodes evenly")
    argv = ["-smp", f"{cpus},sockets={machine.sockets},cores={cpus // per_socket},threads={machine.threads}"]
    argv += ["-m", str(memory)]
    if machine.numa_nodes == 1:
        return argv
    each, share = cpus // machine.numa_nodes, memory // machine.numa_nodes
    argv[-1] = str(share * machine.numa_nodes)
    for node in range(machine.numa_nodes):
        argv += ["-object", f"memory-backend-ram,id=mem{node},size={share}M"]
        argv += ["-numa", f"node,nodeid={node},cpus={node * each}-{(node + 1) * each - 1},memdev=mem{node}"]
    for one in range(machine.numa_nodes):
        for other in range(one + 1, machine.numa_nodes):
            argv += ["-numa", f"dist,src={one},dst={other},val={machine.numa_distance}"]
    return argv


def _disk(name: str, path: Path, options: str) -> list[str]:
    drive = f"if=none,id={name},file={_escaped(path)},format=raw,{options}"
    return ["-drive", drive, "-device", f"virtio-blk-pci,drive={name},serial={name}"]


def _escaped(path: Path) -> str:
    return str(path).replace(",", ",,")


def _nics(machine: Machine, pairs: dict[str, int]) -> list[str]:
    """Pairs of NICs back to back, each NIC on a root port of its own (some models refuse the root bus)."""
    argv, bus, number = [], "pcie.0", 0
    if machine.nic_node is not None and pairs:
        argv += ["-device", f"pxb-pcie,id=far,bus=pcie.0,bus_nr=128,numa_node={machine.nic_node}"]
        bus = "far"
    for model, count in sorted(pairs.items()):
        if lack := lacks_nic(model, version()):
            raise MissingError("make a NIC", on=model, got=lack)
        for pair in range(count):
            for end in (0, 1):
                number += 1
                name = f"n{number}"
                argv += ["-device", f"pcie-root-port,id=port{name},bus={bus},chassis={number},slot={number}"]
                argv += ["-netdev", f"hubport,id=hub{name},hubid={(number + 1) // 2}"]
                mac = nics.address(model, pair, end)
                argv += ["-device", f"{_nic(model, machine)},bus=port{name},netdev=hub{name},mac={mac}"]
    return argv


def _nic(model: str, machine: Machine) -> str:
    device = _DEVICES.get(model, model)
    if model == "virtio-net":
        # A doorbell handled by another thread would be handled in real time, out of step with the guest's.
        device += ",ioeventfd=off" + (",iommu_platform=on" if machine.iommu != "off" else "")
    return device
