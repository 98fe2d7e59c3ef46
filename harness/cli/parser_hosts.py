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
