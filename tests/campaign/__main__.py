"""Campaigns against what strangers write: `python -m tests.campaign mutate`, by `make campaign`, never by make test.

A subcommand is a module function below; each prints a table, and how to repeat each failure alone.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import random
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.campaign import fuzz, jail
from tests.campaign.beds import BEDS
from tests.campaign.judge import Failure, Worker, judge, minimised
from tests.campaign.kinds import KINDS, Sources, mutant

# Who is killed.
SCENES = ("run", "clean", "holder", "up", "down", "generator", "server", "hog", "fleet", "guest")
# Of so many mutants; an inventory costs a start of Ansible, a suite seconds.
SHARES = {
    "experiments": 38,
    "traces": 8,
    "tables": 20,
    "mappings": 8,
    "sets": 20,
    "histories": 8,
    "explained": 8,
    "suites": 1,
    "imports": 10,
    "journals": 10,
    "inventories": 2,
    "fleets": 2,
}


def mutate(arguments: argparse.Namespace) -> int:
    """Make mutants, run them, print the table; exit code 1 if any failed."""
    tried: Counter[str] = Counter()
    failed: dict[tuple[str, int], Failure] = {}
    began = time.monotonic()
    chosen = _chosen(arguments)
    # A thread each: what takes time is the commands, which are in the worker's process.
    with ThreadPoolExecutor(arguments.jobs) as pool:
        shares = [chosen[number :: arguments.jobs] for number in range(arguments.jobs)]
        for kinds, failures in pool.map(functools.partial(_share, arguments, began), shares):
            tried += kinds
            failed |= failures
    _print(tried, failed, time.monotonic() - began)
    return 1 if failed else 0


def _share(
    arguments: argparse.Namespace, began: float, chosen: list[tuple[str, int]]
) -> tuple[Counter[str], dict[tuple[str, int], Failure]]:
    """Mutants one after another: how many of each kind, and which failed."""
    tried: Counter[str] = Counter()
    failed: dict[tuple[str, int], Failure] = {}
    with tempfile.TemporaryDirectory(prefix="pollbench-campaign-") as scratch, Worker() as worker:
        sources = Sources(Path(scratch))
        for number, (kind, seed) in enumerate(chosen, 1):
            if arguments.minutes and time.monotonic() - began > 60 * arguments.minutes:
                break
            made = mutant(sources, kind, seed)
            tried[kind] += 1
            if not number % 100:
                print(f"{number} of {len(chosen)}", file=sys.stderr, flush=True)
            if failure := judge(worker, made):
                failed[kind, seed] = failure
                print(f"{kind}:{seed}: {failure.sort} ({failure.detail}): {' '.join(failure.words[:3])}", flush=True)
                if arguments.minimise and not made.special:
                    small = minimised(worker, made, failure)
                    print(f"  {len(made.data)} bytes, at least these: {small[:400]!r}", flush=True)
                elif made.special:
                    print(f"  {made.path.name} is {made.special}", flush=True)
    return tried, failed


def _chosen(arguments: argparse.Namespace) -> list[tuple[str, int]]:
    """(kind, seed) of every mutant that is asked for."""
    if arguments.only:
        pairs = [text.partition(":") for text in arguments.only]
        return [(kind, int(seed)) for kind, _, seed in pairs]
    shares = {kind: SHARES[kind] for kind in arguments.kind or KINDS}
    whole = sum(shares.values())
    counts = {kind: max(1, round(arguments.count * share / whole)) for kind, share in shares.items()}
    pairs = [(kind, arguments.seed + number) for kind, count in counts.items() for number in range(count)]
    random.Random(arguments.seed).shuffle(pairs)  # one that ends early has tried every kind
    return pairs


def _print(tried: Counter[str], failed: dict[tuple[str, int], Failure], took_s: float) -> None:
    sorts = ("traceback", "hang", "exit code", "escape", "journal")
    print(f"\n{'kind':<12}{'tried':>7}{'survived':>10}" + "".join(f"{sort:>11}" for sort in sorts))
    for kind in (*tried, "all"):
        own = [failure for (of, _), failure in failed.items() if kind in (of, "all")]
        count = sum(tried.values()) if kind == "all" else tried[kind]
        counts = Counter(failure.sort for failure in own)
        print(f"{kind:<12}{count:>7}{count - len(own):>10}" + "".join(f"{counts[sort]:>11}" for sort in sorts))
    print(f"in {took_s:.0f} s; one alone: python -m tests.campaign mutate --only KIND:SEED --minimise")


def _jailed(commands: Any, name: str, meant: str) -> argparse.ArgumentParser:
    """A campaign in namespaces of its own, with the words that all of these know."""
    words: argparse.ArgumentParser = commands.add_parser(name, help=meant)
    words.add_argument("--seed", type=int, default=1, help="of the first scene (default: 1)")
    words.add_argument("--only", action="append", metavar="NAME:SEED", help="this scene alone (may be repeated)")
    words.add_argument("--minutes", type=float, help="end after so many")
    words.add_argument("--hosts-network", action="store_true", help="in the host's network namespace: its sysctls too")
    return words


def _in_jail(arguments: argparse.Namespace) -> int:
    code = jail.entered(sys.argv[1:], arguments.hosts_network)
    if code is not None:
        return code
    module = importlib.import_module(f"tests.campaign.{arguments.campaign}")
    outcome: int = getattr(module, arguments.campaign)(arguments)
    return outcome


def main() -> int:
    """Parse the words and dispatch. Further campaigns (kills, a soak) are further subcommands here."""
    parser = argparse.ArgumentParser(prog="python -m tests.campaign", description=__doc__)
    commands = parser.add_subparsers(dest="campaign", required=True)
    words = commands.add_parser("mutate", help="mutants of files against the commands that read them")
    words.add_argument("--count", type=int, default=2000, help="how many mutants (default: 2000)")
    words.add_argument("--seed", type=int, default=1, help="of the first mutant of each kind (default: 1)")
    words.add_argument("--kind", action="append", choices=tuple(KINDS), help="only this kind (may be repeated)")
    words.add_argument("--only", action="append", metavar="KIND:SEED", help="this mutant alone (may be repeated)")
    words.add_argument("--minutes", type=float, help="end after so many")
    words.add_argument("--jobs", type=int, default=1, help="how many at a time (default: 1)")
    words.add_argument("--minimise", action="store_true", help="look for the smallest input that fails")
    words.set_defaults(run=mutate)
    words = _jailed(commands, "kill", "SIGKILL of whoever takes part, at random moments, and then clean")
    words.add_argument("--count", type=int, default=2000, help="how many kills (default: 2000)")
    words.add_argument("--victim", action="append", choices=tuple(SCENES), help="only this (may be repeated)")
    words.add_argument("--bed", action="append", choices=tuple(BEDS), help="only this testbed (may be repeated)")
    words = _jailed(commands, "interrupt", "every command under Ctrl-C at random moments")
    words.add_argument("--count", type=int, default=300, help="how many commands (default: 300)")
    words = _jailed(commands, "limits", "commands without room, descriptors, memory, system calls, privilege")
    words.add_argument("--count", type=int, default=300, help="how many commands (default: 300)")
    words.add_argument("--limit", action="append", help="only this limit (may be repeated)")
    words = _jailed(commands, "users", "two users, with and without rights, at one moment")
    words.add_argument("--count", type=int, default=100, help="how many pairs of commands (default: 100)")
    words = commands.add_parser("fuzz", help="parsers under coverage-guided fuzzing (atheris, libFuzzer)")
    words.add_argument("--target", action="append", choices=fuzz.NAMES, help="only this (may be repeated)")
    words.add_argument("--minutes", type=float, default=10, help="for each (default: 10)")
    words.add_argument("--seed", type=int, default=1, help="of the fuzzer (default: 1)")
    words.set_defaults(run=fuzz.fuzz)
    words = _jailed(commands, "soak", "one experiment of many short runs: memory and descriptors stay as they are")
    words.add_argument("--count", type=int, default=500, help="how many runs (default: 500)")
    arguments = parser.parse_args()
    if arguments.campaign not in ("mutate", "fuzz"):
        return _in_jail(arguments)
    code: int = arguments.run(arguments)
    return code


if __name__ == "__main__":
    sys.exit(main())
