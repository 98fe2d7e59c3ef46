"""`pollbench clean`: undo what killed runs left on this host."""

from __future__ import annotations

import argparse
import json

from harness.cli.terminal import need_root
from harness.errors import EXIT_NOT_VALID, EXIT_OK
from harness.kernel import journal


def clean(arguments: argparse.Namespace) -> int:
    """Undo what dead runs left; live ones, and what is not ours, are left alone."""
    if not arguments.dry_run:
        need_root("clean")
    done = journal.clean(dry_run=arguments.dry_run)
    if arguments.json:
        print(json.dumps([act._asdict() for act in done], indent=2))
    else:
        for act in done:
            words = (act.action, act.kind, act.subject, f"({act.reason})" if act.reason else "")
            print(" ".join(filter(None, words)))
        if not done:
            print("nothing to clean: no killed run left anything on this host")
    return EXIT_NOT_VALID if any(act.action == "failed" for act in done) else EXIT_OK
