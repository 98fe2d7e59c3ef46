"""`pollbench run --share`: a host of a fleet makes its part of a plan; tables are made where shares are merged."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.cli.progress import Progress
from harness.cli.run import clear_leftovers, need_root, waiting
from harness.cli.say import say
from harness.errors import EXIT_INTERRUPTED, EXIT_NOT_VALID, EXIT_OK, InputError, Interrupted
from harness.kernel import facts, journal
from harness.plan import Plan
from harness.runner import execute
from harness.spec.rules_cell import cpu_lists
from harness.stopping import stop_on_signals
from harness.store import ResultSet
from harness.units import format_cpus


def share(arguments: argparse.Namespace) -> int:
    """Make the runs that a share file names; every run is on disk before the next begins."""
    plan, environment = read_share(arguments.share)
    need_root("run a share")
    _check_cpus(plan)
    with stop_on_signals() as stopper, journal.host_lock(waiting(stopper) if arguments.wait else None):
        clear_leftovers()
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        manifest = facts.manifest() | {"seed": plan.seed}
        data = Path(arguments.file).read_bytes()
        results = ResultSet.create(arguments.output, plan.name, stamp, data, plan, manifest)
        try:
            with Progress() as progress:
                verdicts = execute(plan, results, facts.environment() | environment, stopper, progress)
        except Interrupted as error:
            say(f"pollbench: {error.line()}")
            return EXIT_INTERRUPTED
    return EXIT_OK if set(verdicts) <= {"valid", "skipped"} else EXIT_NOT_VALID


def _check_cpus(plan: Plan) -> None:
    online = facts.online_cpus()
    for cell in plan.cells:
        spec = cell.spec
        for path, cpus in cpu_lists(spec.topology, spec.workloads(), spec.contention, spec.settings):
            missing = [cpu for cpu in cpus if cpu not in online]
            if missing:
                key = ".".join(map(str, path))
                todo = f"CPUs online: {format_cpus(tuple(online))}"
                raise InputError(key, got=f"this host has no CPU {format_cpus(tuple(missing))}", todo=todo)


def read_share(path: str) -> tuple[Plan, dict[str, Any]]:
    """The plan and the place that a share file holds. Raises InputError."""
    try:
        document = json.loads(Path(path).read_bytes())
        return Plan.from_json(document["plan"], path), dict(document["environment"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            "read a share", path, str(error), "it is made by pollbench fleet run", "--share"
        ) from None
