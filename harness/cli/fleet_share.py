"""`pollbench run --share-file`: a host of a fleet makes its part of a plan; tables are made where shares are merged."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from harness.cli.carry_out import stamp_now
from harness.cli.progress import Progress
from harness.cli.terminal import need_root, say
from harness.errors import EXIT_INTERRUPTED, EXIT_NOT_VALID, EXIT_OK, InputError, Interrupted
from harness.kernel import facts
from harness.places.fleet.service import Service, serve
from harness.places.fleet.share import End, Share
from harness.places.local import Local, assist, this_host
from harness.plan import Plan
from harness.run.measure import measure
from harness.run.two_hosts import Far, OneOfTwo
from harness.signals import stop_on_signals
from harness.spec.cells import CellSpec
from harness.store import ResultSet
from harness.units import format_cpus


def fleet_share(arguments: argparse.Namespace) -> int:
    """Make the runs that a share file names, each on disk before the next; or the slices that dask hands out."""
    service = Service.read(arguments.share_file)
    if service is not None:
        need_root("serve a fleet")
        with stop_on_signals() as stopper:
            serve(service, Path("key"), stopper, say)
        return EXIT_OK
    part = Share.read(arguments.share_file)
    plan, end = part.plan, part.end
    need_root("run a share")
    _check_cpus(plan, end)
    with stop_on_signals() as stopper, this_host(stopper, say, wait=arguments.wait) as host:
        place = replace(host, environment={**host.environment, **part.environment}, budget_s=part.budget_s)
        manifest, data = place.manifest() | {"seed": plan.seed}, Path(arguments.file).read_bytes()
        results = ResultSet.create(arguments.output, plan.name, stamp_now(), data, plan, manifest)
        try:
            with Progress() as progress:
                if end is None or end.keeps:
                    _joined(place, end).execute(plan, results, progress)
                else:
                    assist(plan, _ends(place, end), stopper, progress)
        except Interrupted as error:
            say(f"pollbench: {error.line()}")
            return EXIT_INTERRUPTED
    verdicts = {record.verdict for record in results.records()}
    return EXIT_OK if verdicts <= {"valid", "skipped"} else EXIT_NOT_VALID


def _joined(place: Local, end: End | None) -> Local:
    """The place as it is, or so that it makes every run together with the other host."""
    return place if end is None else replace(place, take=partial(measure, ends=_ends(place, end)), alone=False)


def _ends(place: Local, end: End) -> OneOfTwo:
    facts_of_end = {**place.environment, "host": end.own}
    return OneOfTwo(end.here, Far(end.there, end.host), end.token, facts_of_end, place.stopper)


def _check_cpus(plan: Plan, end: End | None) -> None:
    """InputError for a plan that names a CPU which this host does not have."""
    online = facts.online_cpus()
    todo = f"CPUs online: {format_cpus(tuple(online))}"
    for cell in plan.cells:
        for key, cpus in _named(cell.spec, end):
            if missing := tuple(cpu for cpu in cpus if cpu not in online):
                raise InputError(key, got=f"this host has no CPU {format_cpus(missing)}", todo=todo)


def _named(spec: CellSpec, end: End | None) -> Iterator[tuple[str, tuple[int, ...]]]:
    """(key, CPUs) of all that a cell names for this host; of two hosts the CPUs of its own node, one by one."""
    if end is None:
        for path, cpus in spec.cpu_lists():
            yield ".".join(map(str, path)), cpus
        return
    node, process = spec.topology.nodes[end.here], spec.settings.get(end.here, {}).get("process")
    own = {*(node.cpus or ()), *(getattr(process, "cpus", None) or ())}
    own |= {cpu for workload in spec.workloads() if workload.source == end.here for cpu in workload.cpus()}
    yield from ((f"nodes.{end.here}.cpus", (cpu,)) for cpu in sorted(own))
