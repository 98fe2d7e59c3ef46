"""`pollbench merge`: the shares that `pollbench run --share K/N` made anywhere, as one result set."""

from __future__ import annotations

import argparse
import sys
from collections import Counter

from harness.cli.carry_out import report, stamp_now, write_tables
from harness.cli.terminal import owner_of_results, say
from harness.places.fleet.gather import Gathered, gather
from harness.store import ResultSet

# Lines that name one share or host each.
_MOST = 12


def merge(arguments: argparse.Namespace) -> int:
    """Gather the shares, say who made what and what is missing, and print the table; the shares stay as they are."""
    gathered = gather(arguments.directory)
    plan, first = gathered.plan, gathered.sets[0]
    document = {**gathered.manifest(), "seed": plan.seed, "command": ["pollbench", *sys.argv[1:]]}
    results = ResultSet.create(
        arguments.output, plan.name, stamp_now(), first.experiment, plan, document, owner_of_results()
    )
    gathered.put_into(results)
    write_tables(results)
    _tell(gathered)
    todo = "the shares that owe them make them with --resume; then merge again"
    redo = "by their shares, with --resume --redo suspect,failed; then merge again"
    return report(plan, results, None, as_json=arguments.json, todo=todo, redo=redo)


def _tell(gathered: Gathered) -> None:
    """Who made what, what was left out, and which shares owe runs."""
    made = Counter(made.host for made in gathered.runs.values())
    _some([f"{host}: {count} runs" for host, count in sorted(made.items())], "hosts")
    for results in gathered.sets:
        for warning in results.warnings:
            say(f"pollbench: {results.path}: {warning}")
    out = Counter(made.host for made in gathered.left_out)
    for host, count in sorted(out.items()):
        say(f"pollbench: {count} runs of {host} are left out: of their blocks another host has made as many or more")
    owed = gathered.owed()
    _some([f"share {name}: {missing} of {size} runs are missing" for name, (missing, size) in owed.items()], "shares")


def _some(lines: list[str], of: str) -> None:
    for line in lines[:_MOST]:
        say(line)
    if len(lines) > _MOST:
        say(f"and {len(lines) - _MOST} more {of}")
