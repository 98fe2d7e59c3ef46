"""The second half of the KVM probe: KVM that runs a boot sector and no guest is left, remembered, and told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.cli.progress import Progress
from harness.places.vm import accel
from harness.places.vm.boot import GuestFailure
from harness.places.vm.emulator import Qemu
from harness.places.vm.execute import Guests
from harness.places.vm.home import Home
from harness.places.vm.image import Image
from harness.plan import Plan, load_experiment, make_plan
from harness.signals import stop_on_signals
from harness.store import ResultSet
from tests import experiment

# Comes up under no accelerator, and tells which it was given.
STILLBORN = """#!/bin/sh
case "$*" in *"-accel kvm"*) echo no kvm >&2; exit 3 ;; *) echo no tcg >&2; exit 4 ;; esac
"""


def stillborn(tmp_path: Path, may_leave_kvm: bool) -> tuple[Guests, Plan, ResultSet]:
    program = tmp_path / "qemu"
    program.write_text(STILLBORN)
    program.chmod(0o755)
    emulator = Qemu((str(program),), "10.0.13", str(program))
    home = Home(tmp_path / "home")
    home.prepare()
    plan = make_plan(load_experiment(experiment.write(tmp_path)))
    manifest = {"vm": {"accelerator": "kvm", "recipe": "r"}}
    results = ResultSet.create(tmp_path, plan.name, "20261122T101500Z", b"", plan, manifest)
    with stop_on_signals() as stopper:
        guests = Guests(home, emulator, "kvm", stopper, may_leave_kvm=may_leave_kvm)
    none = tmp_path / "none"
    guests._images[""] = Image("6.12", "6.12.1", none, none, none, none, none, {})
    return guests, plan, results


def test_kvm_that_brings_up_no_guest_is_left_and_remembered(tmp_path: Path) -> None:
    guests, plan, results = stillborn(tmp_path, may_leave_kvm=True)
    with pytest.raises(GuestFailure, match="no tcg"):
        guests.execute(plan, results, Progress())
    assert [boot["accelerator"] for boot in guests.boots] == ["kvm", "tcg-virtual", "tcg-virtual"]
    assert "no kvm" in guests.retried[0]
    assert guests.retried[0].endswith("using tcg-virtual, model time")
    assert results.manifest["vm"] == {"accelerator": "tcg-virtual", "recipe": "r"}
    remembered = json.loads((guests.home.path / accel._MEMORY).read_text())["trouble"]
    assert "KVM is present but unusable" in remembered
    # Of another QEMU nothing is known.
    other = replace(guests.emulator, version="9.9.9")
    assert other.label() not in json.loads((guests.home.path / accel._MEMORY).read_text())["key"]


def test_who_asked_for_kvm_gets_no_other_time(tmp_path: Path) -> None:
    guests, plan, results = stillborn(tmp_path, may_leave_kvm=False)
    with pytest.raises(GuestFailure, match="no kvm"):
        guests.execute(plan, results, Progress())
    assert [boot["accelerator"] for boot in guests.boots] == ["kvm", "kvm"]
    assert results.manifest["vm"]["accelerator"] == "kvm"
