"""The options of `pollbench vm` and `pollbench reproduce`; nothing that is slow to import."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]
Options = Callable[[argparse.ArgumentParser], None]
ACCELERATORS = ("auto", "kvm", "tcg-virtual", "tcg-smoke")


def add(commands: Commands, experiment: Options, execution: Options) -> None:
    """Both commands; experiment, execution: what adds the options that they share with `run`."""
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
    run.add_argument("--keep", action="store_true", help="keep the guests' consoles in the result set")
    run.add_argument("--json", action="store_true", help="print the summary as JSON")
    emulator(run)
    shell = actions.add_parser("shell", help="a shell in a guest, on this terminal")
    kernel(shell)
    accelerator(shell)
    emulator(shell)
    info = actions.add_parser("info", help="what is built: kernels, sizes, hashes, versions, the accelerator")
    info.add_argument("--json", action="store_true", help="print it as JSON")
    actions.add_parser("verify", help="read every artefact and compare it with its hash")
    actions.add_parser("clean", help="remove every image that was built or imported")
    export = actions.add_parser("export", help="the whole image as one file, to be published")
    export.add_argument("target", metavar="FILE", help="such as pollbench-image.tar.zst")
    _reproduce(commands)


def _build(actions: Commands) -> None:
    build = actions.add_parser(
        "build", help="make the image from the pinned recipe, or take a published one in"
    )
    build.add_argument(
        "--kernel",
        metavar="K[,K...]",
        action="extend",
        type=_names,
        help="kernel sets: 6.1, 6.12, 7.3 or all (default: 6.12)",
    )
    build.add_argument(
        "--from", dest="source", metavar="FILE_OR_URL", help="take in an image that was exported"
    )
    build.add_argument("--sha256", metavar="HASH", help="with --from: refuse any other file")
    build.add_argument(
        "--no-qemu", action="store_true", help="leave the provided QEMU out: guests run under this host's own"
    )
    build.add_argument("--force", action="store_true", help="build again what is there")
    build.add_argument(
        "--pin", action="store_true", help="write versions and hashes into the lock file of this checkout"
    )


def kernel(parser: argparse.ArgumentParser) -> None:
    """The options that choose the guests' kernel."""
    parser.add_argument(
        "--kernel",
        metavar="K[,K...]",
        action="extend",
        type=_names,
        help="kernel sets to run under, interleaved by repetition",
    )
    parser.add_argument("--bzimage", metavar="PATH", help="your own kernel: bzImage or vmlinux")
    parser.add_argument("--modules", metavar="DIR", help="its modules: .../lib/modules/RELEASE")


def accelerator(parser: argparse.ArgumentParser) -> None:
    """The option that chooses what the guests' CPUs run on."""
    parser.add_argument(
        "--accel",
        choices=ACCELERATORS,
        default="auto",
        help="auto: kvm if it proves to work, else tcg-virtual (model time); tcg-smoke: functional only",
    )


def emulator(parser: argparse.ArgumentParser) -> None:
    """The option that chooses the QEMU."""
    parser.add_argument(
        "--qemu",
        metavar="provided|host|PATH",
        default="",
        help="the QEMU to use (default: the provided one if it was built, else this host's)",
    )


def _reproduce(commands: Commands) -> None:
    reproduce = commands.add_parser(
        "reproduce", help="run a result set's plan again in its image; says reproduced or not, cell by cell"
    )
    reproduce.add_argument("directory", metavar="RESULT_DIR", help="a result set of `pollbench vm run`")
    reproduce.add_argument(
        "-o", "--output", default="results", metavar="DIR", help="where the new set goes (default: results)"
    )
    emulator(reproduce)
    reproduce.add_argument("--against", metavar="DIR", help="judge this set, already made, and run nothing")
    reproduce.add_argument("--json", action="store_true", help="print the verdicts as JSON")


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of kernels")
    return list(dict.fromkeys(names))


_names.__name__ = "list of kernels"
