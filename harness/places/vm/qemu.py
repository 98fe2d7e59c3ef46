"""The command line of one guest."""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from harness.errors import MissingError, PollbenchError
from harness.kernel import nics, standstill
from harness.places.vm.emulator import Qemu
from harness.places.vm.image import Image
from harness.places.vm.job import JOB_NAME
from harness.spec.links import emulated
from harness.spec.machine import Machine

ACCELERATORS = ("kvm", "tcg-virtual", "tcg-smoke")
BARE = ("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot")
_VIRTIO_SEND_NS = 1000
# A CPU with these has the kernel clear and copy memory by single bytes; real ones do 32 at a time. Counted, that is
# 1 ns a byte, and nothing is slower to emulate; without them it is done in words of 8 bytes.
_BY_WORDS = "erms=off,fsrm=off"
_COMMAND_LINE = (
    "console=ttyS0 quiet panic=-1 oops=panic nokaslr norandmaps cryptomgr.notests no_timer_check tsc=reliable "
    "rcupdate.rcu_expedited=1 random.trust_cpu=on net.ifnames=0 "
    # Out of memory, the guest ends: with a program killed, it would measure something else than was declared.
    "sysctl.vm.panic_on_oom=1"
)
_IOMMU = {
    "off": "",
    "lazy": "intel_iommu=on iommu.strict=0",
    "strict": "intel_iommu=on iommu.strict=1",
    "pt": "intel_iommu=on iommu=pt",
}


@dataclass(frozen=True)
class GuestFiles:
    """The files of one guest: a verified image, and what this boot alone reads and writes.

    initrd: in place of the image's initramfs one with root, modules, payload and job in it; answers go through a port.
    """

    image: Image
    job: Path
    out: Path
    console: Path
    events: Path
    initrd: Path | None = None

    @classmethod
    def of(cls, image: Image, directory: Path, job: bytes, room: int) -> GuestFiles:
        """The files of a guest of this image: in `directory` its job, and `room` bytes for its answers."""
        own = [directory / name for name in ("job", "out", "console", "events")]
        for path in own:
            path.touch()
        own[0].write_bytes(job)
        os.truncate(own[1], room)
        return cls(image, *own)

    def read_only(self) -> dict[str, Path]:
        """What the guest reads once it is up, by the name it knows it by."""
        image = self.image
        return {"root": image.root, "modules": image.modules, "payload": image.payload, "job": self.job}


def command(
    emulator: Qemu,
    machine: Machine,
    accelerator: str,
    files: GuestFiles,
    pairs: dict[str, int],
    shell: bool = False,
    saved: bool = False,
) -> list[str]:
    """The whole command line of a guest with `pairs` pairs of emulated NICs by model. Raises PollbenchError.

    saved: the guest stops itself when it waits for its job; see harness.kernel.standstill.
    """
    argv = [*emulator.argv, *BARE, "-name", "pollbench,process=pollbench-vm"]
    argv += _accelerated(accelerator, machine) + _processors(machine)
    argv += ["-seed", str(machine.seed), "-rtc", "base=2025-01-01T00:00:00,clock=vm"]
    argv += ["-kernel", str(files.image.vmlinux), "-initrd", str(files.initrd or files.image.initramfs)]
    argv += ["-append", kernel_command_line(machine, "pollbench.shell" if shell else standstill.ASKED if saved else "")]
    serial = "stdio,id=con,signal=off" if shell else f"file,id=con,path={_escaped(files.console)}"
    argv += ["-chardev", serial, "-serial", "chardev:con"]
    if saved:
        argv += ["-device", "pvpanic", "-action", "panic=pause"]
    if machine.iommu != "off":
        # No caching-mode: only devices handed through from the host need it, and under it the kernel is always strict.
        argv += ["-device", "intel-iommu,intremap=on"]
    return argv + _exchange(files, saved) + _nics(emulator, machine, accelerator, pairs)


def kernel_command_line(machine: Machine, word: str = "") -> str:
    """What the guest's kernel is told. word: what our own first process or agent is."""
    words = [_COMMAND_LINE]
    if "mitigations=" not in machine.cmdline:
        words.append("mitigations=off")
    words += [_IOMMU[machine.iommu], machine.cmdline, word]
    return " ".join(filter(None, words))


def _accelerated(accelerator: str, machine: Machine) -> list[str]:
    chip = ",kernel-irqchip=split" if accelerator == "kvm" and machine.iommu != "off" else ""
    argv = ["-machine", f"q35{chip}"]
    if accelerator == "kvm":
        return [*argv, "-accel", "kvm", "-cpu", "host"]
    # One thread for all CPUs: with more, QEMU before 8.1 breaks guests that patch their own code.
    argv += ["-accel", "tcg,thread=single", "-cpu", f"max,{_BY_WORDS}"]
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
    cpus_of_node, share = cpus // machine.numa_nodes, memory // machine.numa_nodes
    argv[-1] = str(share * machine.numa_nodes)
    for node in range(machine.numa_nodes):
        cpus_here = f"{node * cpus_of_node}-{(node + 1) * cpus_of_node - 1}"
        argv += ["-object", f"memory-backend-ram,id=mem{node},size={share}M"]
        argv += ["-numa", f"node,nodeid={node},cpus={cpus_here},memdev=mem{node}"]
    for first, second in combinations(range(machine.numa_nodes), 2):
        argv += ["-numa", f"dist,src={first},dst={second},val={machine.numa_distance}"]
    return argv


def _exchange(files: GuestFiles, saved: bool) -> list[str]:
    """What the guest reads and writes through."""
    ports = {"events": files.events}
    if files.initrd:
        # Written at once by the CPU that rings, not by another thread in real time.
        argv = ["-device", "virtio-serial-pci,ioeventfd=off"]
        ports["out"] = files.out
        # In its initramfs is no job yet; this is read at once, by the CPU that asks.
        argv += ["-fw_cfg", f"name={JOB_NAME},file={_escaped(files.job)}"] if saved else []
    else:
        argv = ["-device", "virtio-serial-pci"]
        for name, path in files.read_only().items():
            argv += _disk(name, path, "readonly=on")
        # A full disk of the host is the guest's I/O error: by default QEMU would stop the guest and wait for room.
        argv += _disk("out", files.out, "cache=unsafe,discard=unmap,detect-zeroes=unmap,werror=report")
    for name, path in ports.items():
        # A file, never a socket: without a reader the guest's first write would block for good.
        argv += ["-chardev", f"file,id={name},path={_escaped(path)}"]
        argv += ["-device", f"virtserialport,chardev={name},name={name}"]
    return argv


def _disk(name: str, path: Path, options: str) -> list[str]:
    drive = f"if=none,id={name},file={_escaped(path)},format=raw,{options}"
    return ["-drive", drive, "-device", f"virtio-blk-pci,drive={name},serial={name}"]


def _escaped(path: Path) -> str:
    return str(path).replace(",", ",,")


def _nics(emulator: Qemu, machine: Machine, accelerator: str, pairs: dict[str, int]) -> list[str]:
    """Pairs of NICs back to back, each NIC on a root port of its own (some models refuse the root bus)."""
    argv, bus, number = [], "pcie.0", 0
    if machine.nic_node is not None and pairs:
        argv += ["-device", f"pxb-pcie,id=far,bus=pcie.0,bus_nr=128,numa_node={machine.nic_node}"]
        bus = "far"
    for model, count in sorted(pairs.items()):
        if lack := emulator.lacks_nic(model):
            raise MissingError("make a NIC", on=model, got=lack)
        for pair in range(count):
            for end in (0, 1):
                number += 1
                name = f"n{number}"
                argv += ["-device", f"pcie-root-port,id=port{name},bus={bus},chassis={number},slot={number}"]
                argv += ["-netdev", f"hubport,id=hub{name},hubid={(number + 1) // 2}"]
                mac = nics.address(emulated(model).number, pair, end)
                argv += ["-device", f"{_nic(model, machine, accelerator)},bus=port{name},netdev=hub{name},mac={mac}"]
    return argv


def _nic(model: str, machine: Machine, accelerator: str) -> str:
    device = emulated(model).device
    if model == "virtio-net":
        device += ",iommu_platform=on" if machine.iommu != "off" else ""
        if accelerator != "kvm":
            # By default a doorbell, and then what it asks to send, are handled by another thread in real time, out of
            # step with the guest's: both by the CPU that rings, the sending by a timer of the guest's time, 1 us on.
            device += f",ioeventfd=off,tx=timer,x-txtimer={_VIRTIO_SEND_NS}"
    return device
