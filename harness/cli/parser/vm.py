"""The options of `pollbench vm` and `pollbench reproduce`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from harness.cli.parser.options import as_json, execution, experiment, flag, output, value

if TYPE_CHECKING:
    from harness.cli.parser.options import Commands

ACCELERATORS = ("auto", "kvm", "tcg-virtual", "tcg-smoke")


def add(commands: Commands) -> None:
    """`pollbench vm build|run|...` and `pollbench reproduce`."""
    vm = commands.add_parser(
        "vm",
        help="the provided virtual machine: build its image, run an experiment in it (no root, no network)",
        description="Runs experiments in guests made from one pinned image: any kernel, emulated NICs, netem. No root, "
        "and no network between host and guest. See docs/vm.md.",
    )
    actions = vm.add_subparsers(dest="action", required=True, metavar="ACTION")
    _build(actions)
    run = actions.add_parser("run", help="run an experiment in guests and print its table")
    experiment(run)
    execution(run)
    kernel(run)
    accelerator(run)
    flag(run, "--keep", "keep the guests' consoles in the result set")
    as_json(run, "the summary")
    emulator(run)
    shell = actions.add_parser("shell", help="a shell in a guest, on this terminal")
    kernel(shell)
    accelerator(shell)
    emulator(shell)
    info = actions.add_parser("info", help="what is built: kernels, sizes, hashes, versions, the accelerator")
    as_json(info, "it")
    actions.add_parser("verify", help="read every artefact and compare it with its hash")
    actions.add_parser("clean", help="remove every image that was built or imported")
    export = actions.add_parser("export", help="the whole image as one file, to be published")
    value(export, "target", "FILE", "such as pollbench-image.tar.zst")
    _reproduce(commands)


def _build(actions: Commands) -> None:
    text = "make the image from the pinned recipe, or take a published one in"
    build = actions.add_parser("build", help=text)
    _kernels(build, "kernel sets: 6.1, 6.12, 7.3 or all (default: 6.12)")
    value(build, "--from", "FILE_OR_URL", "take in an image that was exported", dest="source")
    value(build, "--sha256", "HASH", "with --from: refuse any other file")
    flag(build, "--no-qemu", "leave the provided QEMU out: guests run under this host's own")
    flag(build, "--force", "build again what is there")
    flag(build, "--pin", "write versions and hashes into the lock file of this checkout")


def _reproduce(commands: Commands) -> None:
    text = "run a result set's plan again in its image; says reproduced or not, cell by cell"
    reproduce = commands.add_parser("reproduce", help=text)
    value(reproduce, "directory", "RESULT_DIR", "a result set of `pollbench vm run`")
    output(reproduce, "where the new set goes (default: results)")
    emulator(reproduce)
    value(reproduce, "--against", "DIR", "judge this set, already made, and run nothing")
    as_json(reproduce, "the verdicts")


def kernel(parser: argparse.ArgumentParser) -> None:
    """The options that choose the guests' kernel."""
    _kernels(parser, "kernel sets to run under, interleaved by repetition")
    value(parser, "--bzimage", "PATH", "your own kernel: bzImage or vmlinux")
    value(parser, "--modules", "DIR", "its modules: .../lib/modules/RELEASE")


def accelerator(parser: argparse.ArgumentParser) -> None:
    """The option that chooses what the guests' CPUs run on."""
    text = "auto: kvm if it proves to work, else tcg-virtual (model time); tcg-smoke: functional only"
    value(parser, "--accel", None, text, choices=ACCELERATORS, default="auto")


def emulator(parser: argparse.ArgumentParser) -> None:
    """The option that chooses the QEMU."""
    text = "the QEMU to use (default: the provided one if it was built, else this host's)"
    value(parser, "--qemu", "provided|host|PATH", text, default="")


def _kernels(parser: argparse.ArgumentParser, text: str) -> None:
    value(parser, "--kernel", "K[,K...]", text, action="extend", type=_names)


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of kernels")
    return list(dict.fromkeys(names))


_names.__name__ = "list of kernels"
