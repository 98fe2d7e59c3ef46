"""The options of the commands that say where: this host, a fleet, guests, and testbeds held open."""

from __future__ import annotations

import argparse

from harness.cli.parser.options import (
    Commands,
    as_json,
    budget,
    ci_files,
    count,
    execution,
    experiment,
    explained,
    flag,
    interval,
    output,
    output_format,
    overrides,
    redo,
    value,
    values,
)

_MATRIX_FORMATS = ("text", "csv", "json")
_INVENTORY = "Ansible inventory: a file, a directory, a program, or names with commas (may be repeated)"
_SPLIT = "what a host gets whole: blocks (default): a sweep point's cases, once; repetitions; cells; none: all of it"
_ENGINE = "who hands work out: ansible (default), a share for each host; dask: slices of minutes, to who is free"
_PREPARE = "prepare the hosts before, and put them back after (default: latency)"
_TOPOLOGY = "experiment or topology file (YAML), Mininet file (FILE.py[:CLASS]), or a name such as tree,2,3"
_ACCEL = "auto: kvm if it proves to work, else tcg-virtual (model time); tcg-smoke: functional only"
_ACCELERATORS = ("auto", "kvm", "tcg-virtual", "tcg-smoke")
_OVERRIDES = "override a key: args.k=8, switching=route (of an experiment: topology.args.k=8)"


def add(commands: Commands) -> None:
    """`pollbench doctor`, `clean`, `host`, `fleet`, `vm` and `reproduce`."""
    _host(commands)
    _fleet(commands)
    _vm(commands)
    _reproduce(commands)


def _host(commands: Commands) -> None:
    text = "what this host can do, tried for real, and what an experiment lacks"
    doctor = commands.add_parser("doctor", help=text)
    value(doctor, "file", "FILE", "experiment file to check this host against", nargs="?")
    value(doctor, "--host", "NAME", "what FILE calls this host, if its nodes are on hosts", default="")
    as_json(doctor, "the findings")
    text = "which sockets can be busy-polled behind which devices, each tried on packets (needs root): text, csv, json"
    value(doctor, "--matrix", None, text, nargs="?", const="text", choices=_MATRIX_FORMATS)
    clean = commands.add_parser("clean", help="remove and restore whatever a killed run left (needs root)")
    flag(clean, "--dry-run", "say what would be done, and do nothing")
    as_json(clean, "what was done")
    text = "prepare this host for measuring, and put back what was found (needs root)"
    host = commands.add_parser("host", help=text)
    actions = host.add_subparsers(dest="action", required=True, metavar="ACTION")
    show = actions.add_parser("show", help="each setting: how it is, what is wanted, what to change at boot")
    prepare = actions.add_parser("prepare", help="set what differs; the values found are kept (needs root)")
    restore = actions.add_parser("restore", help="put back the values found (needs root)")
    device = "network device whose interrupts and queues are treated too (may be repeated)"
    for parser in (show, prepare):
        profiles = "latency|balanced|FILE"
        value(parser, "--profile", profiles, "what is wanted (default: latency)", default="latency")
        value(parser, "--cpus", "LIST", "the application's CPUs: 2-3")
        values(parser, "--device", "NAME", device, default=[])
    flag(prepare, "--packages", "install the optional programs that are missing")
    for parser in (prepare, restore):
        flag(parser, "--check", "say what would change, and do nothing")
        value(parser, "--state", "FILE", "where the values found are kept")
    for parser in (show, prepare, restore):
        as_json(parser, "the rows")


def _fleet(commands: Commands) -> None:
    fleet = commands.add_parser("fleet", help="one experiment over the hosts of an Ansible inventory")
    actions = fleet.add_subparsers(dest="action", required=True, metavar="ACTION")
    run = actions.add_parser("run", help="split a plan over hosts, and merge what they measure into one set")
    doctor = actions.add_parser("doctor", help="the hosts against what an experiment needs, as a table")
    clean = actions.add_parser("clean", help="stop and remove what fleet runs left on the hosts")
    experiment(run)
    value(doctor, "file", "FILE", "experiment file to check the hosts against", nargs="?")
    for parser in (run, doctor, clean):
        inventory(parser, required=True)
        value(parser, "--limit", "PATTERN", "only these hosts, as ansible-playbook has it")
        value(parser, "--forks", "N", "hosts at a time (default: 50)", type=count, default=50)
    value(run, "--engine", None, _ENGINE, choices=("ansible", "dask"), default="ansible")
    value(run, "--split", None, _SPLIT, choices=("blocks", "cells", "repetitions", "none"))
    value(run, "--prepare", "PROFILE", _PREPARE, nargs="?", const="latency")
    output(run)
    flag(run, "--resume", "make what is missing of the newest set")
    redo(run)
    budget(run, " on a host")
    flag(run, "--dry-run", "print each host's share, and do nothing")
    value(run, "--interval", "S", "seconds between two looks at a host", type=interval, default=1.0)
    for parser in (run, doctor):
        as_json(parser, "the table")


def _vm(commands: Commands) -> None:
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
    guests(run)
    explained(run)
    flag(run, "--keep", "keep the guests' consoles in the result set")
    ci_files(run)
    as_json(run, "the summary")
    emulator(run)
    snapshots(run)
    jobs(run)
    _bisect(actions)
    shell = actions.add_parser("shell", help="a shell in a guest, on this terminal")
    guests(shell)
    emulator(shell)
    text = "which sockets can be busy-polled behind which devices, in a guest of each kernel"
    matrix = actions.add_parser("matrix", help=text)
    guests(matrix)
    emulator(matrix)
    output_format(matrix, _MATRIX_FORMATS)
    info = actions.add_parser("info", help="what is built: kernels, sizes, hashes, versions, the accelerator")
    as_json(info, "it")
    actions.add_parser("verify", help="read every artefact and compare it with its hash")
    actions.add_parser("clean", help="remove every image that was built or imported, and all snapshots")
    export = actions.add_parser("export", help="the whole image as one file, to be published")
    value(export, "target", "FILE", "such as pollbench-image.tar.zst")


def _bisect(actions: Commands) -> None:
    bisect = actions.add_parser(
        "bisect",
        help="the first commit of a kernel tree under which an experiment meets a condition: git bisect, with verdicts",
        description="Bisects DIR in place, as git bisect does. Each commit is built, measured in guests and compared "
        "with the good one: bad where a --fail-if is met, good where all are refuted, else skipped; so is what does "
        "not build or boot. Builds and result sets are kept: typed again, it goes on. Exit code 0: one commit is "
        "found; 1: none is, or one of several.",
    )
    experiment(bisect)
    value(bisect, "--tree", "DIR", "a checkout of the kernel, without changes", required=True)
    value(bisect, "--good", "REV", "a commit without the fault; all are compared with it", required=True)
    value(bisect, "--bad", "REV", "a later commit with it", required=True)
    values(bisect, "--fail-if", "CONDITION", 'what is bad: "rtt_p99_us > +5%%" (may be repeated)', default=[])
    text = "what builds a commit, for sh in DIR (default: make, as DIR is configured)"
    value(bisect, "--build", "COMMAND", text, default='make -s olddefconfig && make -s -j"$(nproc)"')
    text = "what the build leaves, below DIR, where it is no kernel's tree"
    value(bisect, "--built", "bzImage[:MODULES]", text, default="")
    output(bisect, "where result sets go, by commit (default: results/bisect)", default="results/bisect")
    value(bisect, "--accel", None, _ACCEL, choices=_ACCELERATORS, default="auto")
    emulator(bisect)
    snapshots(bisect)
    jobs(bisect)
    as_json(bisect, "the steps and the commit")


def _build(actions: Commands) -> None:
    text = "make the image from the pinned recipe, or take a published one in"
    build = actions.add_parser("build", help=text)
    text = "kernel sets: 6.1, 6.12, 7.3 or all (default: 6.12)"
    value(build, "--kernel", "K[,K...]", text, action="extend", type=_names)
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
    jobs(reproduce)
    value(reproduce, "--against", "DIR", "judge this set, already made, and run nothing")
    as_json(reproduce, "the verdicts")


def inventory(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """The option that names hosts."""
    parser.add_argument("-i", "--inventory", action="append", required=required, metavar="INVENTORY", help=_INVENTORY)


def guests(parser: argparse.ArgumentParser) -> None:
    """The options that choose the guests' kernel, and what their CPUs run on."""
    text = (
        "kernels to run under, interleaved by repetition: kernel sets, or LABEL=PATH of a build tree or a bzImage "
        "(bzImage:MODULES)"
    )
    value(parser, "--kernel", "K[,K...]", text, action="extend", type=_names)
    value(parser, "--bzimage", "PATH", "your own kernel: bzImage or vmlinux", action=_Once)
    value(parser, "--modules", "DIR", "its modules: .../lib/modules/RELEASE")
    value(parser, "--accel", None, _ACCEL, choices=_ACCELERATORS, default="auto")


class _Once(argparse.Action):
    """An option that would hide its former value, were it given twice."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: object, option: str | None = None
    ) -> None:
        if getattr(namespace, self.dest, None) is not None:
            parser.error(f"{option} is given twice; for two kernels: --kernel base=PATH,patch=PATH")
        setattr(namespace, self.dest, values)


def emulator(parser: argparse.ArgumentParser) -> None:
    """The option that chooses the QEMU."""
    text = "the QEMU to use (default: the provided one if it was built, else this host's)"
    value(parser, "--qemu", "provided|host|PATH", text, default="")


def snapshots(parser: argparse.ArgumentParser) -> None:
    """The option that says whether guests are resumed from snapshots."""
    text = (
        "yes: save a guest that has started, and resume it in place of each boot like it; auto: under tcg-smoke alone"
    )
    value(parser, "--snapshots", None, text, choices=("auto", "yes", "no"), default="auto")


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise argparse.ArgumentTypeError(f"{text!r} is no list of kernels")
    return list(dict.fromkeys(names))


_names.__name__ = "list of kernels"


def add_topology(commands: Commands) -> None:
    """The commands that concern a topology alone."""
    topology = commands.add_parser("topology", help="show a topology: addresses, shaping, CPUs, routes")
    _which(topology)
    formats = ("text", "dot", "svg", "json")
    value(topology, "--format", None, "default: text", choices=formats, default="text")
    output(topology, "write it there instead of printing it", "FILE", None)
    flag(topology, "--convert", "print a Mininet file of Python 2 as Python 3 instead (-o: write it)")
    up = commands.add_parser("up", help="hold a topology's testbed open until `down` (needs root)")
    _which(up)
    value(up, "--name", "NAME", "what to call it (default: after the file)")
    flag(up, "--napi", "make its links busy-poll capable")
    flag(up, "--pingall", "ping from every host to every other, and say who answers")
    value(up, "--hold", "FD", argparse.SUPPRESS, type=int)
    down = commands.add_parser("down", help="take down a testbed that `up` holds open (needs root)")
    value(down, "name", "NAME", "which one, if there are several", nargs="?")
    value(down, "--name", "NAME", "the same, as `up` has it", dest="called")
    enter = commands.add_parser("enter", help="a shell in a node of a testbed held open by `up` (needs root)")
    value(enter, "node", "NODE", "a node of the testbed")
    value(enter, "program", "-- PROGRAM", "instead of a shell", nargs=argparse.REMAINDER)
    value(enter, "--name", "NAME", "which testbed, if there are several")


def _which(parser: argparse.ArgumentParser) -> None:
    value(parser, "file", "FILE", _TOPOLOGY)
    value(parser, "--case", "NAME", "of an experiment: the case whose topology is meant")
    overrides(parser, _OVERRIDES)
    value(parser, "words", "-- WORD", "what a Mininet file finds on its command line", nargs="*")


def jobs(parser: argparse.ArgumentParser) -> None:
    """The option that says how many guests run side by side."""
    text = "guests side by side, each on a CPU of its own (default: one for each CPU that is idle; under kvm one)"
    value(parser, "--jobs", "N", text, type=count)
