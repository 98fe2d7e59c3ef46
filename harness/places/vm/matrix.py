"""The map of what can be busy-polled, made in a guest of one kernel."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from harness.kernel.matrix import Cell
from harness.places.vm import console, wire
from harness.places.vm.boot import GuestFailure, more_events
from harness.places.vm.emulator import Qemu
from harness.places.vm.home import Home
from harness.places.vm.image import open_image
from harness.places.vm.job import job_image
from harness.places.vm.kind import Kind
from harness.places.vm.launch import BOOT_S, launched, patient_s
from harness.places.vm.seats import Seat
from harness.signals import Stopper
from harness.spec.links import LINK_KINDS, EmulatedNic
from harness.spec.machine import Machine

_LOOK_S = 0.1


def in_guest(home: Home, emulator: Qemu, kernel: str, accelerator: str, seat: Seat, stopper: Stopper) -> list[Cell]:
    """Every cell, tried in a guest with this kernel. Raises MissingError (not built), GuestFailure, Interrupted."""
    machine = Machine()
    emulated = [name for name, kind in LINK_KINDS.items() if isinstance(kind, EmulatedNic)]
    models = [name for name in emulated if not emulator.lacks_nic(name)]
    kind = Kind(home, emulator, open_image(home, kernel), machine, accelerator, dict.fromkeys(models, 1))
    with home.workshop() as workshop:
        files = kind.files(workshop, job_image({"matrix": models}))
        with launched(kind.command(files, machine.seed), accelerator, seat, stopper) as child:
            # Twice: once to come up, once for what it is to do.
            deadline = patient_s(child) + 2 * BOOT_S[accelerator]
            while child.ended() is None:
                if patient_s(child) > deadline:
                    raise GuestFailure("hang", f"waited in vain for the cells; {console.last(files.console)}")
                stopper.pause(_LOOK_S)
        events, at = [], 0
        while True:
            some, at = more_events(files.events, at)
            events += some
            if not some:
                break
        if not any(event.get("ev") == "exit" and event.get("code") == 0 for event in events):
            raise GuestFailure("early end", console.last(files.console))
    return [_cell(event) for event in events if event.get("ev") == "cell"]


def _cell(event: dict[str, object]) -> Cell:
    """One cell as the guest told it, checked: its words are shown as they are."""
    try:
        cell = TypeAdapter(Cell).validate_python({field.name: event[field.name] for field in fields(Cell)})
    except (KeyError, ValidationError) as error:
        raise GuestFailure("damaged answer", repr(error)[:200]) from None
    texts: dict[str, Any] = {key: wire.printable(value) for key, value in vars(cell).items() if isinstance(value, str)}
    return replace(cell, **texts)
