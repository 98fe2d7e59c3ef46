"""The options of `pollbench doctor`, `clean` and `host`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.cli.parser.options import as_json, flag, value, values

if TYPE_CHECKING:
    from harness.cli.parser.options import Commands


def add(commands: Commands) -> None:
    """The commands that concern this host."""
    text = "what this host can do, tried for real, and what an experiment lacks"
    doctor = commands.add_parser("doctor", help=text)
    value(doctor, "file", "FILE", "experiment file to check this host against", nargs="?")
    value(doctor, "--host", "NAME", "what FILE calls this host, if its nodes are on hosts", default="")
    as_json(doctor, "the findings")
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
