"""`pollbench vm`: an experiment run in guests, and the image that they are made from."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from harness.cli.building import build_programs
from harness.cli.carry_out import carry_out, open_set, report, trace
from harness.cli.ci import write_set
from harness.cli.plan import in_words, plan_of, print_plan, refuse_inventory_hosts
from harness.cli.progress import Progress
from harness.cli.terminal import say
from harness.errors import EXIT_NOT_VALID, EXIT_OK, InputError, PollbenchError
from harness.places.carried import refuse_foreign
from harness.places.place import Backlog
from harness.places.vm import accel, recipe
from harness.places.vm import build as builder
from harness.places.vm.boots import expected_s, side_by_side_s, takes_s
from harness.places.vm.emulator import Qemu, find_emulator
from harness.places.vm.execute import Guests
from harness.places.vm.home import Home, sha256_of
from harness.places.vm.image import glibc_of, image_lacks
from harness.places.vm.kernels import with_kernels
from harness.places.vm.seats import most_seats, seats
from harness.places.vm.shell import attended, shell_command
from harness.places.vm.snapshots import Snapshots
from harness.plan import Plan, make_plan
from harness.run.limits import refuse_beyond
from harness.signals import stop_on_signals
from harness.spec.load import Experiment
from harness.spec.machine import Machine
from harness.store import ResultSet


def vm(arguments: argparse.Namespace) -> int:
    """Dispatch to the action; see `pollbench vm --help`."""
    actions = (run, build, shell, matrix, info, verify, clean, export)
    return {action.__name__: action for action in actions}[arguments.action](arguments)


def run(arguments: argparse.Namespace) -> int:
    """Execute an experiment file in guests."""
    home = Home()
    experiment, plan = _guest_plan(arguments, home)
    if arguments.dry_run:
        # Whether KVM works is not tried for a plan.
        accelerator = "tcg-virtual" if arguments.accel == "auto" else arguments.accel
        jobs = most_seats(arguments.jobs, accelerator)
        takes = partial(takes_s, accelerator=accelerator, snapshots=resumes(arguments, accelerator), jobs=jobs)
        refuse_foreign(plan, None, glibc_of())
        return print_plan(experiment, plan, as_json=arguments.json, in_guests=takes, lacking=image_lacks)
    refuse_beyond(experiment, plan, guest=True)
    emulator, accelerator = machine_of(arguments, home)
    leave, saved = arguments.accel == "auto", resumes(arguments, accelerator)
    with stop_on_signals() as stopper:
        guests = Guests(
            home, emulator, accelerator, stopper, arguments.redo, arguments.keep, leave, saved, arguments.jobs
        )
        build_programs(plan)
        guests.verify(plan)
        results = open_set(guests, plan, experiment.data, arguments)
        interrupted = carry_out(guests, plan, results, progress_of(guests, [(plan, results)]))
        traced = interrupted is None and (arguments.explain or experiment.trace is not None)
        if traced:
            interrupted = trace(guests, plan, results, Progress())
        say_retried(guests)
        code = report(plan, results, interrupted, as_json=arguments.json)
        write_set(arguments, results)
        if traced and interrupted is None:
            from harness.cli.explain import explain_set

            explain_set(results, quiet=arguments.json)
        return code


def machine_of(arguments: argparse.Namespace, home: Home) -> tuple[Qemu, str]:
    """The QEMU and the accelerator that --qemu and --accel choose; says why not a better accelerator."""
    emulator = find_emulator(home, arguments.qemu)
    chosen = accel.choose(arguments.accel, home, emulator)
    if chosen.why:
        say(f"pollbench: {chosen.why}")
    return emulator, chosen.name


def resumes(arguments: argparse.Namespace, accelerator: str) -> bool:
    """Are guests resumed from snapshots? In model time only on request: see docs/vm.md, what repeats."""
    return arguments.snapshots == "yes" or (arguments.snapshots == "auto" and accelerator == "tcg-smoke")


def progress_of(
    guests: Guests, parts: Sequence[tuple[Plan, ResultSet]], names: Mapping[str, str] | None = None
) -> Progress:
    """The progress of plans in guests that they share; says how long they take. names: as in Progress."""
    runs = [run for plan, results in parts for run in Backlog(plan, results, guests.redo).runs]
    expected = expected_s(runs, guests.accelerator, guests.snapshots)
    most = "at most " if any(plan.adaptive for plan, _ in parts) else ""
    jobs = most_seats(guests.jobs, guests.accelerator)
    takes = in_words(side_by_side_s(runs, expected, jobs))
    say(f"pollbench: {len(expected)} runs in guests, about {most}{takes} on an idle machine")
    # Of several experiments there would be as many tables.
    (plan, results), *others = parts
    return Progress(names, expected) if others else Progress(names, expected, plan, results.records())


def say_retried(guests: Guests) -> None:
    """Tell of the guests that failed and were booted once more."""
    for trouble in guests.retried:
        say(f"pollbench: a guest came to grief and was booted once more: {trouble}")


def _guest_plan(arguments: argparse.Namespace, home: Home) -> tuple[Experiment, Plan]:
    """The experiment as guests are to run it, under the kernels that the command names, and its plan."""
    experiment, plan = plan_of(arguments, guest=True)
    refuse_inventory_hosts(plan)
    for name in {cell.spec.machine.kernel for cell in plan.cells} - {""}:
        _known_kernel(home, name)
    if names := own_kernels(arguments, home):
        experiment = with_kernels(experiment, names)
        plan = make_plan(experiment, arguments.case, arguments.repeat, arguments.seed)
    return experiment, plan


def build(arguments: argparse.Namespace) -> int:
    """Make what is missing of the image, or take a published one in."""
    home, index = Home(), Home().index()
    if arguments.source:
        from harness.places.vm import exchange

        for key in exchange.import_image(home, arguments.source, arguments.sha256, say):
            print(f"taken in: {key}")
        return EXIT_OK
    names = arguments.kernel or [recipe.DEFAULT_KERNEL]
    names = list(recipe.KERNELS) if names == ["all"] else names
    current = recipe.recipe_hash()
    fresh = {
        key
        for key, entry in index.items()
        if entry.get("recipe") == current
        and not arguments.force
        and all(home.holds(sha256) for sha256 in builder.hashes_of(key, entry).values())
    }
    for key, entry in index.items():
        if key.startswith("payload") and not home.holds(entry["sha256"]):
            # The next run makes it.
            home.artefact(entry["sha256"]).unlink(missing_ok=True)
    kernels = [name for name in names if f"kernel {name}" not in fresh]
    emulator = "qemu" not in fresh and not arguments.no_qemu
    made = builder.build(home, kernels, say, root="root" not in fresh, emulator=emulator)
    for part in made:
        print(f"{part.name}: {part.size_bytes / 1e6:.1f} MB, {part.seconds:.0f} s, sha256 {part.sha256}")
        print(f"    {home.artefact(part.sha256)}")
    for line in dict.fromkeys(line for part in made for line in part.differs):
        say(f"pollbench: not as the lock pins it: {line}")
    pinned = recipe.read_lock().artefacts
    differing = [part.name for part in made if pinned.get(part.name, part.sha256) != part.sha256]
    if differing and not arguments.pin:
        say(f"pollbench: this image is not the pinned one, byte for byte: {', '.join(differing)}")
    elif made and not arguments.pin:
        print("byte for byte the image that the lock pins")
    if arguments.pin:
        builder.pin(home)
        print(f"pinned in {recipe.LOCK}")
    if not made:
        print("everything is built already, from this recipe; --force builds it again")
    return EXIT_OK


def own_kernels(arguments: argparse.Namespace, home: Home) -> dict[str, str]:
    """The kernel sets that --kernel and --bzimage name, by what tables call them; a user's own is made into one.

    Raises InputError for a set that is neither shipped nor built.
    """
    names: dict[str, str] = {}
    for text in arguments.kernel or []:
        label, sign, path = text.partition("=")
        if label in names or (sign and not (path and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,60}", label))):
            got = f"{label!r} is given twice" if label in names else f"{text!r} is not LABEL=PATH"
            raise InputError("choose kernels", got=got, todo="such as base=PATH,patch=PATH", where="--kernel")
        names[label] = own_kernel(home, path) if sign else _known_kernel(home, text)
    if arguments.bzimage:
        modules = Path(arguments.modules).resolve() if arguments.modules else None
        name = builder.add_own_kernel(home, Path(arguments.bzimage), modules, say)
        names[name] = name
    elif arguments.modules:
        raise InputError("use modules", got="of which kernel?", todo="name it with --bzimage", where="--modules")
    return names


def own_kernel(home: Home, path: str) -> str:
    """The kernel set of a build tree, of a bzImage, or of bzImage:MODULES."""
    if Path(path).is_dir():
        return builder.add_built_kernel(home, Path(path), say)
    image, _, modules = path.partition(":")
    return builder.add_own_kernel(
        home, Path(image), Path(modules).resolve() if modules else None, say, ("--kernel",) * 2
    )


def _known_kernel(home: Home, name: str) -> str:
    index = home.index()
    sets = [key.removeprefix("kernel ") for key in index if key.startswith("kernel ")]
    known = list(dict.fromkeys([*recipe.KERNELS, *sets]))
    if name not in known and name not in {entry.get("release") for entry in index.values()}:
        got = f"there is no kernel set {name!r}; there is {', '.join(known)}"
        raise InputError("choose a kernel", got=got, todo="or name your own: LABEL=PATH", where="--kernel")
    return name


def shell(arguments: argparse.Namespace) -> int:
    """A shell in a guest, on this terminal; its exit code."""
    home = Home()
    names = own_kernels(arguments, home)
    # Nobody measures anything in it, so the fastest emulation will do.
    emulator = find_emulator(home, arguments.qemu)
    emulated = arguments.accel == "auto" and accel.kvm_trouble(home, emulator)
    chosen = accel.choose("tcg-smoke" if emulated else arguments.accel, home, emulator)
    with shell_command(home, emulator, next(iter(names.values()), ""), chosen.name) as argv:
        say("pollbench: exit ends the guest; the harness is in /run/payload; NICs: modprobe -a e1000e virtio_net")
        return attended(argv)


def matrix(arguments: argparse.Namespace) -> int:
    """Which sockets can be busy-polled behind which devices, in a guest of each kernel, one after another."""
    from harness.cli.matrix import show
    from harness.places.vm.matrix import in_guest

    home = Home()
    kernels = own_kernels(arguments, home).values() or [""]
    emulator, accelerator = machine_of(arguments, home)
    cells = []
    with stop_on_signals() as stopper, seats(1, 1, Machine().memory_bytes) as (seat,):
        for kernel in kernels:
            cells += in_guest(home, emulator, kernel, accelerator, seat, stopper)
    show(cells, arguments.format)
    return EXIT_OK


def info(arguments: argparse.Namespace) -> int:
    """What is built, which QEMU would run it, and under which accelerator."""
    home, current = Home(), recipe.recipe_hash()
    entries = [(key, entry) for key, entry in sorted(home.index().items()) if not key.startswith("payload")]
    rows: list[dict[str, Any]] = []
    for key, entry in entries:
        for name, sha256 in builder.hashes_of(key, entry).items():
            path, ours = home.artefact(sha256), entry.get("recipe") == current
            size = path.stat().st_size if path.exists() else None
            rows.append({"what": name, "sha256": sha256, "bytes": size, "of_this_recipe": ours})
    try:
        emulator = find_emulator(home)
        choice = accel.choose("auto", home, emulator)
        program, accelerator, why = emulator.label(), choice.name, choice.why
    except PollbenchError as error:
        program, accelerator, why = error.line(), "", ""
    saved = Snapshots(home, lambda: None).sizes()
    releases = {key.removeprefix("kernel "): entry["release"] for key, entry in entries if "release" in entry}
    if arguments.json:
        document = {"home": str(home.path), "artefacts": rows, "kernels": releases, "qemu": program}
        kept = {"count": len(saved), "bytes": sum(saved.values())}
        print(json.dumps(document | {"snapshots": kept, "accelerator": accelerator, "why": why}, indent=2))
        return EXIT_OK
    print(f"{home.path}\n{program}; accelerator {accelerator or 'none'}{f' ({why})' if why else ''}")
    for row in rows:
        shown = "missing" if row["bytes"] is None else f"{row['bytes'] / 1e6:7.1f} MB"
        print(f"  {row['what']:<24} {shown}  {row['sha256']}{'' if row['of_this_recipe'] else '  (another recipe)'}")
    for name, release in releases.items():
        print(f"  kernel {name}: {release}")
    if saved:
        print(f"  snapshots of started guests: {len(saved)}, {sum(saved.values()) / 1e6:.0f} MB")
    if not rows:
        print("nothing is built yet: pollbench vm build")
    return EXIT_OK


def verify(_arguments: argparse.Namespace) -> int:
    """Read every artefact and compare it with its hash."""
    home, bad = Home(), 0
    entries = sorted(home.index().items())
    if not entries:
        say("pollbench: nothing is built yet: pollbench vm build")
    for key, entry in entries:
        for name, sha256 in builder.hashes_of(key, entry).items():
            try:
                home.verified(sha256, name)
                print(f"{name}: ok")
            except PollbenchError as error:
                bad += 1
                print(error.line())
    return EXIT_NOT_VALID if bad else EXIT_OK


def clean(_arguments: argparse.Namespace) -> int:
    """Remove every image, and all snapshots."""
    home = Home()
    print(f"removed {home.clean() / 1e6:.0f} MB from {home.path}")
    return EXIT_OK


def export(arguments: argparse.Namespace) -> int:
    """Write the whole image into one file."""
    from harness.places.vm import exchange

    target = Path(arguments.target)
    size = exchange.export(Home(), target)
    print(f"{target}: {size / 1e6:.1f} MB, sha256 {sha256_of(target)}")
    return EXIT_OK
