"""`pollbench doctor`: what this host can do, tried for real, and what makes figures worse on it."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from contextlib import suppress
from pathlib import Path

from harness.cli import matrix
from harness.errors import EXIT_HOST_LACKS, EXIT_OK, InputError
from harness.host import setting_advice, wish_of
from harness.kernel import facts, journal
from harness.kernel.advice import Advice, stolen_in_runs
from harness.kernel.advice import advice as host_advice
from harness.kernel.probe import is_untried, meanings
from harness.run import capabilities
from harness.spec.load import check_cpus, load_experiment
from harness.store.regular import read_regular


def doctor(arguments: argparse.Namespace) -> int:
    """What this host can do, tried for real; with FILE, what that experiment lacks here; or the matrix."""
    if form := "json" if arguments.matrix and arguments.json else arguments.matrix:
        if arguments.file:
            raise InputError("show the matrix", arguments.file, "it is tried without an experiment", "leave FILE out")
        matrix.show(matrix.of_this_host(), form)
        return EXIT_OK
    able = capabilities.of_this_host()
    lacking = _lacking(arguments) if arguments.file else {}
    advice = host_advice() + _last_runs() + setting_advice(wish_of())
    if arguments.json:
        document = {"capabilities": able, "advice": [item._asdict() for item in advice], "skips": lacking}
        print(json.dumps(document, indent=2))
        return EXIT_HOST_LACKS if lacking else EXIT_OK
    print("what this host can do (each was tried just now):")
    _print_capabilities(able)
    print("\nwhat makes figures worse here:")
    for item in advice:
        mark = "ok " if item.good else "-> "
        print(f"  {mark} {item.check}: {item.state}" + ("" if item.good else f"\n        {item.why}; {item.todo}"))
    print("  settings: all at once with sudo pollbench host prepare, and back with sudo pollbench host restore")
    left = journal.stale()
    if left:
        print(f"\n{len(left)} killed run(s) left something behind; type: sudo pollbench clean")
    if arguments.file:
        outcome = "these cells would be skipped:" if lacking else "everything it needs is here"
        print(f"\n{arguments.file}: {outcome}")
        alike: dict[str, list[str]] = {}
        for label, reasons in lacking.items():
            alike.setdefault("; ".join(reasons), []).append(label)
        for reason, labels in alike.items():
            print(f"  {', '.join(labels)}: {reason}")
    sys.stdout.flush()
    return EXIT_HOST_LACKS if lacking else EXIT_OK


def _last_runs(results: Path = Path("results")) -> list[Advice]:
    """How much time was stolen from the runs of the newest set below `results`; nothing where there is none."""
    with suppress(OSError, ValueError, KeyError):
        newest = max(results.glob("*/*/runs.csv"), key=lambda path: path.stat().st_mtime)
        rows = csv.DictReader(read_regular(newest).decode().splitlines())
        shares = [float(row["set_steal_percent"]) / 100 for row in rows if row["set_steal_percent"]]
        return [stolen_in_runs(shares, str(newest.parent))] if shares else []
    return []


def _print_capabilities(able: dict[str, str]) -> None:
    """One line per capability; queueing disciplines and features, of which there are many, one line per outcome."""
    for key, words in {capabilities.GENERATOR: "the native load generator", **meanings()}.items():
        reason = able.get(key, "")
        mark = "yes" if not reason else "?  " if is_untried(reason) else "no "
        print(f"  {mark}  {words}" + (f": {reason}" if reason else ""))
    for group, words in (("qdisc", "queueing disciplines"), ("feature", "features of the links (ethtool -K)")):
        having = [key.partition(":")[2] for key in able if key.startswith(f"{group}:") and not able[key]]
        missing = [key.partition(":")[2] for key in able if key.startswith(f"{group}:") and able[key]]
        print(f"  yes  {words}: {', '.join(having) or 'none'}")
        if missing:
            print(f"  no   {words}: {', '.join(missing)}")


def _lacking(arguments: argparse.Namespace) -> dict[str, list[str]]:
    """Reasons by cell of the file, for cells this host would skip."""
    experiment = load_experiment(arguments.file)
    check_cpus(experiment, facts.online_cpus())
    lacking = {cell.label(): capabilities.lacks(cell.spec, arguments.host) for cell in experiment.cells}
    return {label: reasons for label, reasons in lacking.items() if reasons}
