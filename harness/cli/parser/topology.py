"""The options of `pollbench topology`, `up`, `down` and `enter`."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from harness.cli.parser.options import flag, overrides, value

if TYPE_CHECKING:
    from harness.cli.parser.options import Commands

_FILE = "experiment or topology file (YAML), Mininet file (FILE.py[:CLASS]), or a name such as tree,2,3"
_OVERRIDES = "override a key: args.k=8, switching=route (of an experiment: topology.args.k=8)"


def add(commands: Commands) -> None:
    """The commands that concern a topology alone."""
    topology = commands.add_parser("topology", help="show a topology: addresses, shaping, CPUs, routes")
    _which(topology)
    formats = ("text", "dot", "svg", "json")
    topology.add_argument("--format", choices=formats, default="text", help="default: text")
    topology.add_argument("-o", "--output", metavar="FILE", help="write it there instead of printing it")
    up = commands.add_parser("up", help="hold a topology's testbed open until `down` (needs root)")
    _which(up)
    value(up, "--name", "NAME", "what to call it (default: after the file)")
    flag(up, "--napi", "make its links busy-poll capable")
    flag(up, "--pingall", "ping from every host to every other, and say who answers")
    value(up, "--hold", "FD", argparse.SUPPRESS, type=int)
    down = commands.add_parser("down", help="take down a testbed that `up` holds open (needs root)")
    value(down, "name", "NAME", "which one, if there are several", nargs="?")
    enter = commands.add_parser("enter", help="a shell in a node of a testbed held open by `up` (needs root)")
    value(enter, "node", "NODE", "a node of the testbed")
    value(enter, "program", "-- PROGRAM", "instead of a shell", nargs=argparse.REMAINDER)
    value(enter, "--name", "NAME", "which testbed, if there are several")


def _which(parser: argparse.ArgumentParser) -> None:
    value(parser, "file", "FILE", _FILE)
    value(parser, "--case", "NAME", "of an experiment: the case whose topology is meant")
    overrides(parser, _OVERRIDES)
