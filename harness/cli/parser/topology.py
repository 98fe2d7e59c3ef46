"""The options of `pollbench topology`, `up`, `down` and `enter`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]

_FILE = "experiment or topology file (YAML), Mininet file (FILE.py[:CLASS]), or a name such as tree,2,3"


def add_topology_commands(commands: Commands) -> None:
    """The commands that concern a topology alone."""
    topology = commands.add_parser("topology", help="show a topology: addresses, shaping, CPUs, routes")
    _what(topology)
    topology.add_argument(
        "--format", choices=("text", "dot", "svg", "json"), default="text", help="default: text"
    )
    topology.add_argument("-o", "--output", metavar="FILE", help="write it there instead of printing it")
    up = commands.add_parser("up", help="hold a topology's testbed open until `down` (needs root)")
    _what(up)
    up.add_argument("--name", metavar="NAME", help="what to call it (default: after the file)")
    up.add_argument("--napi", action="store_true", help="make its links busy-poll capable")
    up.add_argument(
        "--pingall", action="store_true", help="ping from every host to every other, and say who answers"
    )
    up.add_argument("--hold", type=int, metavar="FD", help=argparse.SUPPRESS)
    down = commands.add_parser("down", help="take down a testbed that `up` holds open (needs root)")
    down.add_argument("name", nargs="?", metavar="NAME", help="which one, if there are several")
    enter = commands.add_parser("enter", help="a shell in a node of a testbed held open by `up` (needs root)")
    enter.add_argument("node", metavar="NODE", help="a node of the testbed")
    enter.add_argument("program", nargs=argparse.REMAINDER, metavar="-- PROGRAM", help="instead of a shell")
    enter.add_argument("--name", metavar="NAME", help="which testbed, if there are several")


def _what(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help=_FILE)
    parser.add_argument("--case", metavar="NAME", help="of an experiment: the case whose topology is meant")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="override a key: args.k=8, switching=route (of an experiment: topology.args.k=8)",
    )
