"""`pollbench validate` and `schema`: what an experiment file may say."""

from __future__ import annotations

import argparse
import json

from harness.cli.terminal import say
from harness.errors import EXIT_BAD_INPUT, EXIT_OK
from harness.kernel import facts
from harness.spec.load import Experiment, check_cpus, mistakes_of
from harness.topology.placed import check_layout


def validate(arguments: argparse.Namespace) -> int:
    """Check files and say of each whether it is good, or everything that is wrong with it; exit 2 if one is not."""
    rows = []
    for path in arguments.file:
        cells, mistakes = mistakes_of(path, _check)
        lines = [mistake.line() for mistake in mistakes]
        ok = not lines
        rows.append(
            {"file": path, "ok": ok, "cells": cells if ok else 0, "error": lines[0] if lines else "", "errors": lines}
        )
        for line in lines if not arguments.json else ():
            say(f"pollbench: {line}")
        if ok and not arguments.json:
            print(f"{path}: ok, {cells} cells")
    if arguments.json:
        print(json.dumps(rows, indent=2))
    return EXIT_OK if all(row["ok"] for row in rows) else EXIT_BAD_INPUT


def _check(experiment: Experiment, guest: bool) -> None:
    """What this host, or a guest, makes of an experiment."""
    check_cpus(experiment, None if guest else facts.online_cpus(), declared_guests=True)
    check_layout(experiment)


def schema(_arguments: argparse.Namespace) -> int:
    """Print the JSON schema of experiment files."""
    from harness.spec.schema import schema as make_schema

    print(json.dumps(make_schema(), indent=2))
    return EXIT_OK
