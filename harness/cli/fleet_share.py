"""`pollbench run --share`: a host of a fleet makes its part of a plan; tables are made where shares are merged."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from harness.cli.progress import Progress
from harness.cli.run import clear_leftovers, need_root, waiting
from harness.cli.say import say
from harness.errors import EXIT_INTERRUPTED, EXIT_NOT_VALID, EXIT_OK, InputError, Interrupted
from harness.kernel import facts, journal
from harness.plan import Plan
from harness.run.measure import measure
from harness.run.runner import assist, execute
from harness.run.two_hosts import Far, OneOfTwo
from harness.signals import Stopper, stop_on_signals
from harness.spec.cells import CellSpec
from harness.spec.rules_cell import cpu_lists
from harness.store import ResultSet
from harness.units import format_cpus


def fleet_share(arguments: argparse.Namespace) -> int:
    """Make the runs that a share file names; every run is on disk before the next begins."""
    plan, environment, ends = read_share(arguments.share)
    need_root("run a share")
    _check_cpus(plan, ends)
    with stop_on_signals() as stopper, journal.host_lock(waiting(stopper) if arguments.wait else None):
        clear_leftovers()
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        manifest = facts.manifest() | {"seed": plan.seed}
        data = Path(arguments.file).read_bytes()
        results = ResultSet.create(arguments.output, plan.name, stamp, data, plan, manifest)
        here = facts.environment() | environment
        try:
            with Progress() as progress:
                if ends is None:
                    verdicts = execute(plan, results, here, stopper, progress)
                else:
                    verdicts = _with_another(plan, results, here, stopper, progress, ends)
        except Interrupted as error:
            say(f"pollbench: {error.line()}")
            return EXIT_INTERRUPTED
    return EXIT_OK if set(verdicts) <= {"valid", "skipped"} else EXIT_NOT_VALID


def _with_another(
    plan: Plan,
    results: ResultSet,
    here: dict[str, Any],
    stopper: Stopper,
    progress: Progress,
    given: dict[str, Any],
) -> Counter[str]:
    """Make the runs together with another host; the client's end keeps the records."""
    own = here | {"host": given["own"]}
    ends = OneOfTwo(given["here"], Far(given["there"], given["host"]), given["token"], own, stopper)
    if given["keeps"]:
        take = partial(measure, ends=ends)
        return execute(plan, results, here, stopper, progress, take=take)
    assist(plan, ends, stopper, progress)
    return Counter()


def _check_cpus(plan: Plan, ends: dict[str, Any] | None) -> None:
    online = facts.online_cpus()
    for cell in plan.cells:
        spec = cell.spec
        if ends is not None:
            _check_end(spec, ends["here"], online)
            continue
        for path, cpus in cpu_lists(spec.topology, spec.workloads(), spec.contention, spec.settings):
            missing = [cpu for cpu in cpus if cpu not in online]
            if missing:
                key = ".".join(map(str, path))
                todo = f"CPUs online: {format_cpus(tuple(online))}"
                raise InputError(key, got=f"this host has no CPU {format_cpus(tuple(missing))}", todo=todo)


def _check_end(spec: CellSpec, here: str, online: set[int]) -> None:
    """The CPUs that are named for this end's node."""
    node, process = spec.topology.nodes[here], spec.settings.get(here, {}).get("process")
    own = {*(node.cpus or ()), *(getattr(process, "cpus", None) or ())}
    own |= {cpu for each in spec.workloads() if each.source == here for cpu in each.cpus()}
    if missing := sorted(own - online):
        todo = f"CPUs online: {format_cpus(tuple(online))}"
        raise InputError(f"nodes.{here}.cpus", got=f"this host has no CPU {missing[0]}", todo=todo)


def read_share(path: str) -> tuple[Plan, dict[str, Any], dict[str, Any] | None]:
    """The plan and the place that a share file holds; and which end of it this is, of two. Raises InputError."""
    try:
        document = json.loads(Path(path).read_bytes())
        return Plan.from_json(document["plan"], path), dict(document["environment"]), document.get("ends")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            "read a share", path, str(error), "it is made by pollbench fleet run", "--share"
        ) from None
