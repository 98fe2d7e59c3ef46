"""The options of `pollbench fleet`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.cli.parser.options import as_json, experiment, flag, output, value

if TYPE_CHECKING:
    from harness.cli.parser.options import Commands

_INVENTORY = "Ansible inventory: a file, a directory, a program, or names with commas (may be repeated)"
_SPLIT = "what hosts share: repetitions (the default), groups of cells, or nothing: every host runs all of it"
_PREPARE = "prepare the hosts before, and put them back after (default: latency)"


def add(commands: Commands) -> None:
    """`pollbench fleet run|doctor|clean`."""
    fleet = commands.add_parser("fleet", help="one experiment over the hosts of an Ansible inventory")
    actions = fleet.add_subparsers(dest="action", required=True, metavar="ACTION")
    run = actions.add_parser("run", help="split a plan over hosts, and merge what they measure into one set")
    doctor = actions.add_parser("doctor", help="the hosts against what an experiment needs, as a table")
    clean = actions.add_parser("clean", help="stop and remove what fleet runs left on the hosts")
    experiment(run)
    value(doctor, "file", "FILE", "experiment file to check the hosts against", nargs="?")
    for parser in (run, doctor, clean):
        parser.add_argument("-i", "--inventory", action="append", required=True, metavar="INVENTORY", help=_INVENTORY)
        value(parser, "--limit", "PATTERN", "only these hosts, as ansible-playbook has it")
        value(parser, "--forks", "N", "hosts at a time (default: 50)", type=int, default=50)
    value(run, "--split", None, _SPLIT, choices=("cells", "repetitions", "none"))
    value(run, "--prepare", "PROFILE", _PREPARE, nargs="?", const="latency")
    output(run)
    flag(run, "--resume", "make what is missing of the newest set")
    flag(run, "--dry-run", "print each host's share, and do nothing")
    value(run, "--interval", "S", "seconds between two looks at a host", type=float, default=1.0)
    for parser in (run, doctor):
        as_json(parser, "the table")
