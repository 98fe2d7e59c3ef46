"""Options of `pollbench host` and `pollbench fleet`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]


def add_host(commands: Commands) -> None:
    """`pollbench host show|prepare|restore`."""
    host = commands.add_parser(
        "host", help="prepare this host for measuring, and put back what was found (needs root)"
    )
    actions = host.add_subparsers(dest="action", required=True, metavar="ACTION")
    show = actions.add_parser("show", help="each setting: how it is, what is wanted, what to change at boot")
    prepare = actions.add_parser("prepare", help="set what differs; the values found are kept (needs root)")
    restore = actions.add_parser("restore", help="put back the values found (needs root)")
    for parser in (show, prepare):
        parser.add_argument(
            "--profile",
            default="latency",
            metavar="latency|balanced|FILE",
            help="what is wanted (default: latency)",
        )
        parser.add_argument("--cpus", metavar="LIST", help="the application's CPUs: 2-3")
        parser.add_argument(
            "--device",
            action="append",
            default=[],
            metavar="NAME",
            help="network device whose interrupts and queues are treated too (may be repeated)",
        )
    prepare.add_argument(
        "--packages", action="store_true", help="install the optional programs that are missing"
    )
    for parser in (prepare, restore):
        parser.add_argument("--check", action="store_true", help="say what would change, and do nothing")
        parser.add_argument("--state", metavar="FILE", help="where the values found are kept")
    for parser in (show, prepare, restore):
        parser.add_argument("--json", action="store_true", help="print the rows as JSON")


def add_fleet(commands: Commands) -> None:
    """`pollbench fleet run|doctor|clean`."""
    fleet = commands.add_parser("fleet", help="one experiment over the hosts of an Ansible inventory")
    actions = fleet.add_subparsers(dest="action", required=True, metavar="ACTION")
    run = actions.add_parser("run", help="split a plan over hosts, and merge what they measure into one set")
    doctor = actions.add_parser("doctor", help="the hosts against what an experiment needs, as a table")
    clean = actions.add_parser("clean", help="stop and remove what fleet runs left on the hosts")
    run.add_argument("file", metavar="FILE", help="experiment file (YAML)")
    doctor.add_argument("file", nargs="?", metavar="FILE", help="experiment file to check the hosts against")
    for parser in (run, doctor, clean):
        parser.add_argument(
            "-i",
            "--inventory",
            action="append",
            required=True,
            metavar="INVENTORY",
            help="Ansible inventory: a file, a directory, a program, or names with commas (may be repeated)",
        )
        parser.add_argument("--limit", metavar="PATTERN", help="only these hosts, as ansible-playbook has it")
        parser.add_argument(
            "--forks", type=int, default=50, metavar="N", help="hosts at a time (default: 50)"
        )
    run.add_argument(
        "--split",
        choices=("cells", "repetitions", "none"),
        help="what hosts share: repetitions (the default), groups of cells, or nothing: every host runs all of it",
    )
    run.add_argument(
        "--prepare",
        nargs="?",
        const="latency",
        metavar="PROFILE",
        help="prepare the hosts before, and put them back after (default: latency)",
    )
    run.add_argument("--case", action="append", metavar="NAME", help="only this case (may be repeated)")
    run.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override a dotted key")
    run.add_argument("--repeat", type=int, metavar="N", help="repetitions of every cell")
    run.add_argument("--seed", type=int, metavar="N", help="seed of the random order")
    run.add_argument("-o", "--output", default="results", metavar="DIR", help="where result sets go")
    run.add_argument("--resume", action="store_true", help="make what is missing of the newest set")
    run.add_argument("--dry-run", action="store_true", help="print each host's share, and do nothing")
    run.add_argument(
        "--interval", type=float, default=1.0, metavar="S", help="seconds between two looks at a host"
    )
    for parser in (run, doctor):
        parser.add_argument("--json", action="store_true", help="print the table as JSON")
