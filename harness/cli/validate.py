"""`pollbench validate` and `schema`: what an experiment file may say."""

from __future__ import annotations

import argparse
import json
import sys

from harness.errors import EXIT_BAD_INPUT, EXIT_OK, InputError
from harness.kernel import facts
from harness.spec.load import check_cpus, load_experiment


def validate(arguments: argparse.Namespace) -> int:
    """Check files and say of each whether it is good; exit 2 if one is not."""
    rows = []
    for path in arguments.file:
        cells, error = 0, ""
        try:
            experiment = load_experiment(path)
            check_cpus(experiment, facts.online_cpus(), declared_guests=True)
            cells = len(experiment.cells)
        except InputError as refusal:
            error = refusal.line()
        rows.append({"file": path, "ok": not error, "cells": cells, "error": error})
        if error and not arguments.json:
            print(f"pollbench: {error}", file=sys.stderr)
        elif not arguments.json:
            print(f"{path}: ok, {cells} cells")
    if arguments.json:
        print(json.dumps(rows, indent=2))
    return EXIT_OK if all(row["ok"] for row in rows) else EXIT_BAD_INPUT


def schema(_arguments: argparse.Namespace) -> int:
    """Print the JSON schema of experiment files."""
    from harness.spec.schema import schema as make_schema

    print(json.dumps(make_schema(), indent=2))
    return EXIT_OK
