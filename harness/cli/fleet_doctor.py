"""`pollbench fleet doctor`: every host of an inventory against what an experiment needs, as a table."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.cli.fleet_progress import HostBoard
from harness.errors import EXIT_HOST_LACKS, EXIT_OK
from harness.places.fleet.crew import Crew, HostAnswer
from harness.places.fleet.inventory import Hosts
from harness.places.fleet.pair import pair_of
from harness.plan import make_plan


def doctor(arguments: argparse.Namespace, hosts: Hosts) -> int:
    """Ask every host's own `pollbench doctor`; exit 3 when any host cannot measure, or lacks what the file needs."""
    document = None
    if arguments.file:
        from harness.spec.load import load_experiment

        experiment = load_experiment(arguments.file)
        document = experiment.document
        pair = pair_of(make_plan(experiment, repeat=1), hosts, arguments.file)
        if pair is not None:
            hosts = {name: hosts[name] for name in pair.hosts}
    with tempfile.TemporaryDirectory(prefix="pollbench-fleet-") as scratch, HostBoard(list(hosts)) as board:
        directory, forks = Path(scratch), arguments.forks
        crew = Crew(arguments.inventory, hosts, directory, "doctor", board, lambda: False, forks)
        answers = crew.doctor(list(hosts), document)
    rows = [_row(name, answers.get(name, {})) for name in hosts]
    if arguments.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
    else:
        _print(rows)
    sys.stdout.flush()
    return EXIT_OK if all(row.ready for row in rows) else EXIT_HOST_LACKS


@dataclass(frozen=True)
class HostRow:
    """A line of the table. worse: what makes figures worse there; lacks: why the host, or a cell, cannot measure."""

    host: str
    ready: bool
    pollbench: str
    kernel: str
    cpus: int | None
    free_bytes: int | None
    worse: list[str]
    lacks: list[str]


def _row(name: str, answer: HostAnswer) -> HostRow:
    facts, findings = answer.get("facts"), answer.get("doctor")
    labels: dict[str, list[str]] = {}
    for label, reasons in (findings["skips"] if findings else {}).items():
        labels.setdefault("; ".join(reasons), []).append(label)
    lacks = [f"{', '.join(cells)}: {reason}" for reason, cells in labels.items()]
    if answer.get("error"):
        lacks = [answer["error"]]
    advice = findings["advice"] if findings else []
    return HostRow(
        host=name,
        ready=bool(facts) and not lacks,
        pollbench=facts["version"] if facts else "",
        kernel=facts["kernel"] if facts else "",
        cpus=facts["cpus"] if facts else None,
        free_bytes=facts["free_bytes"] if facts else None,
        worse=[f"{item['check']}: {item['state']}" for item in advice if not item["good"]],
        lacks=lacks,
    )


def _print(rows: list[HostRow]) -> None:
    heads = ("host", "ready", "pollbench", "kernel", "CPUs", "free MB", "noise", "lacks")
    table = [heads] + [
        (
            row.host,
            "yes" if row.ready else "no",
            row.pollbench or "-",
            row.kernel or "-",
            str(row.cpus or "-"),
            "-" if row.free_bytes is None else f"{row.free_bytes / 1e6:.0f}",
            str(len(row.worse)),
            (row.lacks or ["-"])[0] + (f" (and {len(row.lacks) - 1} more)" if len(row.lacks) > 1 else ""),
        )
        for row in rows
    ]
    widths = [max(len(line[at]) for line in table) for at in range(len(heads) - 1)]
    for line in table:
        cells = [text.ljust(width) for text, width in zip(line, widths, strict=False)]
        print("  ".join([*cells, line[-1]]).rstrip())
    worse = {text for row in rows for text in row.worse}
    if worse:
        print("noise: how many checks find what makes figures worse; pollbench doctor on the host explains each,")
        print("and pollbench fleet run --prepare sets what can be set while it measures")
