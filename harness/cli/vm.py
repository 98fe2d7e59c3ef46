"""`pollbench vm`: build, run, shell, info, verify, clean, export."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from harness.cli.owner import owner_of_results
from harness.cli.plan import in_words, overrides_of, plan_of, print_plan
from harness.cli.progress import Progress
from harness.cli.run import new_or_resumed, on_this_host, report
from harness.cli.say import say
from harness.errors import EXIT_NOT_VALID, EXIT_OK, InputError, Interrupted, PollbenchError
from harness.kernel import facts
from harness.places.vm import accel, build, exchange, recipe
from harness.places.vm.emulator import Qemu, find_emulator
from harness.places.vm.estimate import expected_s, takes_s
from harness.places.vm.execute import Guests, guests_of, missing
from harness.places.vm.home import Home
from harness.places.vm.kernels import with_kernels
from harness.plan import Plan, make_plan
from harness.signals import stop_on_signals
from harness.spec.load import Experiment
from harness.store import ResultSet


def vm(arguments: argparse.Namespace) -> int:
    """Dispatch to the action; see `pollbench vm --help`."""
    actions = {
        "build": _build,
        "run": _run,
        "shell": _shell,
        "info": _info,
        "verify": _verify,
        "clean": _clean,
        "export": _export,
    }
    return actions[arguments.action](arguments)


def _build(arguments: argparse.Namespace) -> int:
    home, index = Home(), Home().index()
    if arguments.source:
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
        and all(home.holds(sha256) for sha256 in build.hashes_of(key, entry).values())
    }
    for key, entry in index.items():
        if key.startswith("payload") and not home.holds(entry["sha256"]):
            # The next run makes it.
            home.artefact(entry["sha256"]).unlink(missing_ok=True)
    wanted = [name for name in names if f"kernel {name}" not in fresh]
    emulator = "qemu" not in fresh and not arguments.no_qemu
    made = build.build(home, wanted, say, root="root" not in fresh, emulator=emulator)
    for each in made:
        print(f"{each.name}: {each.size_bytes / 1e6:.1f} MB, {each.seconds:.0f} s, sha256 {each.sha256}")
        print(f"    {home.artefact(each.sha256)}")
    for line in dict.fromkeys(line for each in made for line in each.differs):
        say(f"pollbench: not as the lock pins it: {line}")
    _tell_identity(made, pinning=arguments.pin)
    if arguments.pin:
        build.pin(home)
        print(f"pinned in {recipe.LOCK}")
    if not made:
        print("everything is built already, from this recipe; --force builds it again")
    return EXIT_OK


def _tell_identity(made: list[build.Made], pinning: bool) -> None:
    pinned = recipe.read_lock().artefacts
    other = [each.name for each in made if each.name in pinned and pinned[each.name] != each.sha256]
    if made and not pinning:
        if other:
            say(f"pollbench: this image is not the pinned one, byte for byte: {', '.join(other)}")
        else:
            print("byte for byte the image that the lock pins")


def guest_plan(arguments: argparse.Namespace, home: Home) -> tuple[Experiment, Plan]:
    """The experiment as guests are to run it, under the kernels that the command names, and its plan."""
    experiment, plan = plan_of(arguments, guest=True)
    on_this_host(plan)
    names = own_kernels(arguments, home)
    if names:
        experiment = with_kernels(experiment, names)
    return experiment, make_plan(
        experiment, cases=arguments.case, repeat=arguments.repeat, seed=arguments.seed
    )


def own_kernels(arguments: argparse.Namespace, home: Home) -> list[str]:
    """The kernel sets that --kernel and --bzimage name; a user's own is made into one."""
    names = list(arguments.kernel or [])
    if arguments.bzimage:
        modules = Path(arguments.modules).resolve() if arguments.modules else None
        names.append(build.add_own_kernel(home, Path(arguments.bzimage), modules, say))
    elif arguments.modules:
        raise InputError(
            "use modules", got="of which kernel?", todo="name it with --bzimage", where="--modules"
        )
    return names


def _run(arguments: argparse.Namespace) -> int:
    home = Home()
    experiment, plan = guest_plan(arguments, home)
    if arguments.dry_run:
        # Whether KVM works is not tried for a plan.
        accelerator = "tcg-virtual" if arguments.accel == "auto" else arguments.accel
        takes = partial(takes_s, accelerator=accelerator)
        return print_plan(experiment, plan, as_json=arguments.json, in_guests=takes)
    emulator = find_emulator(home, arguments.qemu)
    chosen = accel.choose(arguments.accel, home, emulator)
    if chosen.why:
        say(f"pollbench: {chosen.why}")
    manifest = guest_manifest(plan, chosen.name, emulator) | {"overrides": dict(overrides_of(arguments.set))}
    leave = arguments.accel == "auto"
    with stop_on_signals() as stopper:
        guests = Guests(home, emulator, chosen.name, stopper, keep=arguments.keep, may_leave_kvm=leave)
        guests.verify(plan)
        results = new_or_resumed(arguments, experiment, plan, manifest)
        _same_machine(results, chosen.name, emulator)
        interrupted = carry_out(guests, [(plan, results)], arguments.redo)
        return report(arguments, plan, results, interrupted)


def guest_manifest(plan: Plan, accelerator: str, emulator: Qemu) -> dict[str, Any]:
    """What is recorded of the host and of QEMU beside a set made in guests."""
    return facts.manifest() | {
        "seed": plan.seed,
        "command": ["pollbench", *sys.argv[1:]],
        "vm": {"accelerator": accelerator, "qemu": emulator.account(), "recipe": recipe.recipe_hash()},
    }


def _same_machine(results: ResultSet, accelerator: str, emulator: Qemu) -> None:
    made_by = results.manifest.get("vm") or {}
    before = made_by.get("accelerator")
    if before != accelerator:
        got = f"it was made {f'under {before}' if before else 'on the host'}, and this would be {accelerator}"
        raise InputError("resume", str(results.path), got, "one set has one accelerator: begin a new one")
    if made_by.get("qemu") != emulator.account():
        was = Qemu((), **made_by["qemu"]).label()
        got, todo = f"it was made under {was}, and this would be {emulator.label()}", "choose by --qemu"
        raise InputError(
            "resume", str(results.path), got, f"one set has one QEMU: {todo}, or begin a new one"
        )


def carry_out(guests: Guests, parts: Sequence[tuple[Plan, ResultSet]], redo: Any = ()) -> Interrupted | None:
    """Make what is missing of plans, each with its set, in guests that they share; tables and vm.json are written
    either way. Raises PollbenchError.
    """
    from harness.tables import write_tables

    interrupted = None
    several = len(parts) > 1
    names = {run.run_id: plan.name for plan, _ in parts for run in plan.runs} if several else None
    todo = [run for plan, results in parts for run in missing(plan, results, redo)]
    expected = expected_s(todo, guests.accelerator)
    most = "at most " if any(plan.adaptive for plan, _ in parts) else ""
    say(
        f"pollbench: {len(expected)} runs in guests, about {most}{in_words(sum(expected.values()))} on an idle machine"
    )
    with Progress(names, expected) as progress:
        try:
            guests.execute_all(parts, progress, set(redo))
        except Interrupted as error:
            interrupted = error
        finally:
            for _, results in parts:
                boots = _earlier(results) + guests.boots
                results.write_file("vm.json", json.dumps({"boots": boots}, indent=1).encode())
                results.note(guests=guests_of(boots))
                write_tables(results)
    for trouble in guests.retried:
        say(f"pollbench: a guest came to grief and was booted once more: {trouble}")
    return interrupted


def _earlier(results: ResultSet) -> list[Any]:
    try:
        return list(json.loads((results.path / "vm.json").read_text())["boots"])
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _shell(arguments: argparse.Namespace) -> int:
    from harness.places.vm.shell import attended, shell_command

    home = Home()
    names = own_kernels(arguments, home)
    # Nobody measures anything in it, so the fastest emulation will do.
    emulator = find_emulator(home, arguments.qemu)
    emulated = arguments.accel == "auto" and accel.kvm_trouble(home, emulator)
    chosen = accel.choose("tcg-smoke" if emulated else arguments.accel, home, emulator)
    with shell_command(home, emulator, names[0] if names else "", chosen.name) as argv:
        say(
            "pollbench: exit ends the guest; the harness is in /run/payload; NICs: modprobe -a e1000e virtio_net"
        )
        return attended(argv)


def _info(arguments: argparse.Namespace) -> int:
    home = Home()
    entries = [(key, entry) for key, entry in sorted(home.index().items()) if not key.startswith("payload")]
    current = recipe.recipe_hash()
    rows = []
    for key, entry in entries:
        for what, sha256 in build.hashes_of(key, entry).items():
            path = home.artefact(sha256)
            size = path.stat().st_size if path.exists() else None
            rows.append(
                {
                    "what": what,
                    "sha256": sha256,
                    "bytes": size,
                    "of_this_recipe": entry.get("recipe") == current,
                }
            )
    try:
        emulator = find_emulator(home)
        choice = accel.choose("auto", home, emulator)
        program, accelerator, why = emulator.label(), choice.name, choice.why
    except PollbenchError as error:
        program, accelerator, why = error.line(), "", ""
    releases = {key.removeprefix("kernel "): entry["release"] for key, entry in entries if "release" in entry}
    if arguments.json:
        found = {"home": str(home.path), "artefacts": rows, "kernels": releases, "qemu": program}
        print(json.dumps(found | {"accelerator": accelerator, "why": why}, indent=2))
        return EXIT_OK
    print(f"{home.path}\n{program}; accelerator {accelerator or 'none'}{f' ({why})' if why else ''}")
    for row in rows:
        shown = "missing" if row["bytes"] is None else f"{row['bytes'] / 1e6:7.1f} MB"
        print(
            f"  {row['what']:<24} {shown}  {row['sha256']}{'' if row['of_this_recipe'] else '  (another recipe)'}"
        )
    for name, release in releases.items():
        print(f"  kernel {name}: {release}")
    if not rows:
        print("nothing is built yet: pollbench vm build")
    return EXIT_OK


def _verify(_arguments: argparse.Namespace) -> int:
    home, bad = Home(), 0
    entries = sorted(home.index().items())
    if not entries:
        say("pollbench: nothing is built yet: pollbench vm build")
    for key, entry in entries:
        for what, sha256 in build.hashes_of(key, entry).items():
            try:
                home.verified(sha256, what)
                print(f"{what}: ok")
            except PollbenchError as error:
                bad += 1
                print(error.line())
    return EXIT_NOT_VALID if bad else EXIT_OK


def _clean(_arguments: argparse.Namespace) -> int:
    home = Home()
    print(f"removed {home.clean() / 1e6:.0f} MB from {home.path}")
    return EXIT_OK


def _export(arguments: argparse.Namespace) -> int:
    from harness.places.vm.home import sha256_of

    target = Path(arguments.target)
    size = exchange.export(Home(), target)
    print(f"{target}: {size / 1e6:.1f} MB, sha256 {sha256_of(target)}")
    return EXIT_OK


def open_stamp() -> str:
    """The stamp of a set that begins now."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")


__all__ = ["carry_out", "guest_manifest", "guest_plan", "open_stamp", "owner_of_results", "vm"]
