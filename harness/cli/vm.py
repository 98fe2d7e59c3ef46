"""`pollbench vm`: an experiment run in guests; the other actions are in vm_image.py."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from functools import partial

from harness.cli import vm_image
from harness.cli.carry_out import carry_out, open_set, report
from harness.cli.plan import in_words, plan_of, print_plan
from harness.cli.progress import Progress
from harness.cli.run import refuse_inventory_hosts
from harness.cli.terminal import say
from harness.places.place import Backlog
from harness.places.vm import accel
from harness.places.vm.emulator import Qemu, find_emulator
from harness.places.vm.estimate import expected_s, takes_s
from harness.places.vm.execute import Guests
from harness.places.vm.home import Home
from harness.places.vm.kernels import with_kernels
from harness.plan import Plan, make_plan
from harness.signals import stop_on_signals
from harness.spec.load import Experiment
from harness.store import ResultSet

_ACTIONS = {
    "build": vm_image.build,
    "shell": vm_image.shell,
    "info": vm_image.info,
    "verify": vm_image.verify,
    "clean": vm_image.clean,
    "export": vm_image.export,
}


def vm(arguments: argparse.Namespace) -> int:
    """Dispatch to the action; see `pollbench vm --help`."""
    return (run if arguments.action == "run" else _ACTIONS[arguments.action])(arguments)


def run(arguments: argparse.Namespace) -> int:
    """Execute an experiment file in guests."""
    home = Home()
    experiment, plan = _guest_plan(arguments, home)
    if arguments.dry_run:
        # Whether KVM works is not tried for a plan.
        accelerator = "tcg-virtual" if arguments.accel == "auto" else arguments.accel
        takes = partial(takes_s, accelerator=accelerator)
        return print_plan(experiment, plan, as_json=arguments.json, in_guests=takes)
    emulator, accelerator = machine_of(arguments, home)
    leave = arguments.accel == "auto"
    with stop_on_signals() as stopper:
        guests = Guests(home, emulator, accelerator, stopper, arguments.redo, arguments.keep, leave)
        guests.verify(plan)
        results = open_set(guests, plan, experiment.data, arguments)
        interrupted = carry_out(guests, plan, results, progress_of(guests, [(plan, results)]))
        say_retried(guests)
        return report(plan, results, interrupted, as_json=arguments.json)


def machine_of(arguments: argparse.Namespace, home: Home) -> tuple[Qemu, str]:
    """The QEMU and the accelerator that --qemu and --accel choose; says why not a better accelerator."""
    emulator = find_emulator(home, arguments.qemu)
    chosen = accel.choose(arguments.accel, home, emulator)
    if chosen.why:
        say(f"pollbench: {chosen.why}")
    return emulator, chosen.name


def progress_of(
    guests: Guests, parts: Sequence[tuple[Plan, ResultSet]], names: Mapping[str, str] | None = None
) -> Progress:
    """The progress of plans in guests that they share; says how long they take. names: as in Progress."""
    runs = [run for plan, results in parts for run in Backlog(plan, results, guests.redo).runs]
    expected = expected_s(runs, guests.accelerator)
    most = "at most " if any(plan.adaptive for plan, _ in parts) else ""
    takes = in_words(sum(expected.values()))
    say(f"pollbench: {len(expected)} runs in guests, about {most}{takes} on an idle machine")
    return Progress(names, expected)


def say_retried(guests: Guests) -> None:
    """Tell of the guests that failed and were booted once more."""
    for trouble in guests.retried:
        say(f"pollbench: a guest came to grief and was booted once more: {trouble}")


def _guest_plan(arguments: argparse.Namespace, home: Home) -> tuple[Experiment, Plan]:
    """The experiment as guests are to run it, under the kernels that the command names, and its plan."""
    experiment, plan = plan_of(arguments, guest=True)
    refuse_inventory_hosts(plan)
    names = vm_image.own_kernels(arguments, home)
    if not names:
        return experiment, plan
    experiment = with_kernels(experiment, names)
    return experiment, make_plan(experiment, arguments.case, arguments.repeat, arguments.seed)
