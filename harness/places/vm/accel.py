"""Chooses the accelerator: KVM only after it has proved in seconds that it runs code; else instruction-counted time."""

from __future__ import annotations

import json
import subprocess
import time
from typing import NamedTuple

from harness.errors import InputError, MissingError
from harness.kernel import facts
from harness.places.vm import qemu
from harness.places.vm.emulator import Qemu
from harness.places.vm.home import Home

_PROBE_S = 3.0
# Leaves by the debug-exit device with 0x10: QEMU's exit code is then 0x10 * 2 + 1.
_PROVED = 33
_LOOPS = 1 << 26
_MEMORY = "kvm-probe.json"


class Choice(NamedTuple):
    """The accelerator to use, and in words why not a better one."""

    name: str
    why: str = ""


def choose(asked: str, home: Home, emulator: Qemu, todo: str = "") -> Choice:
    """The accelerator for `auto`, or the one asked for if it works. Raises MissingError, InputError.

    todo: what the user can do where KVM was asked for and does not work; default: to ask for no accelerator.
    """
    if asked not in ("auto", *qemu.ACCELERATORS):
        raise InputError("choose an accelerator", on=asked, todo=f"expected auto, {', '.join(qemu.ACCELERATORS)}")
    if asked not in ("auto", "kvm"):
        return Choice(asked)
    reason = kvm_trouble(home, emulator)
    if not reason:
        return Choice("kvm")
    if asked == "kvm":
        raise MissingError("use KVM", got=reason, todo=todo or "leave --accel out to use tcg-virtual")
    return _emulated(reason)


def kvm_trouble(home: Home, emulator: Qemu) -> str:
    """Why KVM cannot be used here; empty when a boot sector ran under it. Remembered until the host boots anew."""
    if not facts.kvm_openable():
        return "this user cannot open KVM (no such device, or not in its group)"
    try:
        remembered = json.loads((home.path / _MEMORY).read_text())
        if remembered["key"] == _key(emulator):
            return str(remembered["trouble"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return _remember(home, emulator, _try_kvm(home, emulator))


def without_kvm(home: Home, emulator: Qemu, trouble: str) -> Choice:
    """The accelerator after a guest under KVM did not come up although the probe passed; this is remembered too."""
    return _emulated(_remember(home, emulator, f"KVM is present but unusable ({trouble})"))


def _emulated(reason: str) -> Choice:
    return Choice("tcg-virtual", f"{reason}; using tcg-virtual, model time")


def _key(emulator: Qemu) -> str:
    return f"{facts.boot_id()} {emulator.label()}"


def _remember(home: Home, emulator: Qemu, trouble: str) -> str:
    home.prepare()
    (home.path / _MEMORY).write_text(json.dumps({"key": _key(emulator), "trouble": trouble}))
    return trouble


def _try_kvm(home: Home, emulator: Qemu) -> str:
    with home.workshop() as workshop:
        disk = workshop / "probe.img"
        disk.write_bytes(boot_sector())
        argv = [*emulator.argv, *qemu.BARE, "-machine", "pc", "-accel", "kvm"]
        argv += ["-drive", f"file={disk},format=raw,if=ide", "-device", "isa-debug-exit,iobase=0xf4,iosize=4"]
        begun = time.monotonic()
        try:
            done = subprocess.run(argv, capture_output=True, text=True, timeout=_PROBE_S, check=False)
        except subprocess.TimeoutExpired:
            how = f"a boot sector did not come to its end in {_PROBE_S:.0f} s"
        else:
            if done.returncode == _PROVED:
                return ""
            last = " ".join(done.stderr.split())[-120:]
            how = f"a boot sector ended with exit code {done.returncode} after {time.monotonic() - begun:.1f} s {last}"
    module = facts.kvm_module() or "no vendor module"
    return f"KVM is present but unusable ({module}: {how.strip()})"


def boot_sector() -> bytes:
    """512 bytes for the BIOS: count down from 2^26 (minutes, where each instruction is emulated), then leave."""
    code = bytes([0x66, 0xB9]) + _LOOPS.to_bytes(4, "little")  # mov ecx, loops
    code += bytes([0x66, 0x49, 0x75, 0xFC])  # again: dec ecx; jnz again
    code += bytes([0xBA, 0xF4, 0x00, 0xB0, 0x10, 0xEE])  # mov dx, 0xf4; mov al, 0x10; out dx, al
    code += bytes([0xF4, 0xEB, 0xFD])  # hlt; jmp to hlt
    return code.ljust(510, b"\0") + b"\x55\xaa"
