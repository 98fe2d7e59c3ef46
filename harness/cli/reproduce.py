"""`pollbench reproduce`: a result set's plan once more in its own image, judged cell by cell."""

from __future__ import annotations

import argparse
import dataclasses
import json
import re

import numpy as np
import numpy.typing as npt

from harness.cli.carry_out import carry_out, new_set
from harness.cli.terminal import say
from harness.cli.vm import progress_of, say_retried
from harness.errors import EXIT_INTERRUPTED, EXIT_NOT_VALID, EXIT_OK, InputError
from harness.places.vm import accel
from harness.places.vm.emulator import same_emulator
from harness.places.vm.execute import Guests
from harness.places.vm.home import KERNEL_PARTS, Home
from harness.places.vm.reproduction import RULE, ComparedSet, judge
from harness.plan import Plan
from harness.signals import stop_on_signals
from harness.store import ResultSet
from harness.store.regular import read_regular


def reproduce(arguments: argparse.Namespace) -> int:
    """Exit code 0 when every cell was reproduced, 1 when one was not."""
    old = ResultSet.open(arguments.directory)
    made_by = old.manifest.get("vm")
    if not isinstance(made_by, dict) or "accelerator" not in made_by:
        got, todo = "it was not made by `pollbench vm run`", "make it there first: a host's times are its own"
        raise InputError("reproduce", arguments.directory, got, todo)
    accelerator = str(made_by["accelerator"])
    if not old.records():
        todo = "; ".join(old.warnings) or "make its runs first: pollbench vm run FILE --resume"
        raise InputError("reproduce", arguments.directory, "it has no run that can be read", todo)
    if arguments.against:
        new = ResultSet.open(arguments.against)
        _comparable(new, accelerator)
        return _report(old, new, accelerator, arguments.json)
    home = Home()
    emulator, differs = same_emulator(home, made_by.get("qemu"), arguments.qemu)
    if differs:
        say(f"pollbench: {differs}")
    accel.choose(accelerator, home, emulator, "what was made under KVM, only KVM can reproduce")
    plan = Plan.from_json(old.plan, f"{arguments.directory}/plan.json")
    pinned = _pinned(old)
    reproduces = str(old.path.resolve())
    with stop_on_signals() as stopper:
        guests = Guests(home, emulator, accelerator, stopper, snapshots=_resumed(old), jobs=arguments.jobs)
        # Before anything is made: another image than the set's is not here to be taken for it.
        guests.pin(pinned)
        guests.verify(plan)
        new = new_set(guests, plan, old.experiment, arguments.output, reproduces=reproduces)
        interrupted = carry_out(guests, plan, new, progress_of(guests, [(plan, new)]))
        say_retried(guests)
    if interrupted is not None:
        say(f"pollbench: {interrupted.line()}")
        say(f"pollbench: what is there is judged by: pollbench reproduce {old.path} --against {new.path}")
        return EXIT_INTERRUPTED
    return _report(old, new, accelerator, arguments.json)


def _comparable(new: ResultSet, accelerator: str) -> None:
    """InputError where the other set's time is another's."""
    made_by = new.manifest.get("vm")
    other = made_by.get("accelerator") if isinstance(made_by, dict) else None
    if other != accelerator:
        got = f"it was made {f'under {other}' if other else 'on a host'}, and the set under {accelerator}"
        raise InputError("judge a reproduction", str(new.path), got, "pollbench compare shows both side by side")


def _side(results: ResultSet) -> ComparedSet:
    def latencies(run_id: str) -> npt.NDArray[np.int64] | None:
        columns = results.sample_columns(run_id, ["latency_ns"])
        return None if columns is None else columns["latency_ns"]

    return ComparedSet(results.records(), latencies)


def _resumed(results: ResultSet) -> bool:
    """Were guests of this set resumed from snapshots? Then so are those that reproduce it."""
    boots = json.loads(read_regular(results.path / "vm.json"))["boots"]
    return any(boot.get("started") == "snapshot" for boot in boots)


def _pinned(results: ResultSet) -> list[dict[str, str]]:
    """The artefacts of each boot by their SHA-256, with the kernel that they make. Raises InputError."""
    where = str(results.path / "vm.json")
    try:
        boots = json.loads(read_regular(where))["boots"]
        pinned = [boot["hashes"] | {key: boot[key] for key in ("kernel", "release")} for boot in boots]
        hashes = [artefacts[part] for artefacts in pinned for part in ("root", *KERNEL_PARTS)]
        if not pinned or not all(re.fullmatch("[0-9a-f]{64}", sha256) for sha256 in hashes):
            raise ValueError("it names no image")
    except (OSError, ValueError, KeyError, TypeError) as error:
        why = error.strerror if isinstance(error, OSError) else f"it is damaged ({error!r})"
        todo = "the image a set was made in is told there alone; pollbench vm run makes a new set"
        raise InputError("read which image a set was made in", where, str(why), todo) from None
    return pinned


def _report(old: ResultSet, new: ResultSet, accelerator: str, as_json: bool) -> int:
    """Print the verdict of every cell, and of all; choose the exit code."""
    cells = judge(_side(old), _side(new), accelerator == "kvm")
    for text in dict.fromkeys([*old.warnings, *new.warnings]):
        say(f"pollbench: {text}")
    count = sum(cell.reproduced for cell in cells)
    good = bool(cells) and count == len(cells)
    if as_json:
        rows = [dataclasses.asdict(cell) for cell in cells]
        document = {"reproduced": good, "rule": RULE, "old": old.name, "new": new.name, "cells": rows}
        print(json.dumps(document, indent=2))
    else:
        for cell in cells:
            verdict = "reproduced    " if cell.reproduced else "NOT REPRODUCED"
            print(f"{verdict}  {cell.label}: {cell.said}")
        verdict = "reproduced" if good else "not reproduced"
        print(f"\n{old.name}: {verdict} ({count} of {len(cells)} cells) by {new.path}")
        print(f"Rule: {RULE}")
    return EXIT_OK if good else EXIT_NOT_VALID
