"""All that is known of one run when its programs have ended."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from harness.kernel.proc import ProcessUsage
from harness.knobs import GroupUse
from harness.knobs.feeding import Feeding
from harness.run.counters import CounterDelta
from harness.store.record import Columns, Metrics

Report = dict[str, Any]
"""A program's own account of itself: the result line of our generator, or what was read from another's output."""
Napis = dict[str, list[dict[str, int | None]]]
"""By node, what napi-get says of its devices."""


@dataclass(frozen=True)
class ProgramOutcome:
    """One program of the run: its label ("client", "background1-server"), node, way to wait, and report."""

    label: str
    node: str
    wait: str
    report: Report


@dataclass(frozen=True)
class Outcome:
    """All that is known of one run when its programs have ended.

    client, server, hog: their reports, as far as they have one (hog None without contention). protocol: of all
    workloads, joined by "+". programs: every program of a workload. napis: after the run. metrics: columns that the
    measured program itself gave. background: reports of the workloads beside it; of one that is measured too
    with its name and, as `timed`, the figures of its requests. groups: what each control group did.
    numa: the NUMA nodes of the CPUs that each node's programs may use. changed: settings that were others at the end
    of the run than when its programs started, in words. feeding: the sockets of all programs, and the NAPIs that fed
    them. idle_threads: what each node's NAPI threads used of a CPU, 1.0 is one, once the run's programs had ended.
    tcp: columns by node, of its TCP and of what it was made of.
    """

    delta: CounterDelta
    client: Report
    server: Report
    hog: Report | None
    hog_threads: int
    protocol: str
    programs: tuple[ProgramOutcome, ...]
    napis: Napis = field(default_factory=dict)
    metrics: Metrics = field(default_factory=dict)
    background: tuple[Report, ...] = ()
    groups: dict[str, GroupUse] = field(default_factory=dict)
    numa: dict[str, list[int]] = field(default_factory=dict)
    changed: tuple[str, ...] = ()
    feeding: Feeding = field(default_factory=Feeding)
    idle_threads: dict[str, float] = field(default_factory=dict)
    tcp: dict[str, Columns] = field(default_factory=dict)

    def measured(self) -> dict[str, ProgramOutcome]:
        """The programs of the measured workload by role."""
        return {program.label: program for program in self.programs if program.label in ("client", "server")}

    def measured_beside(self) -> dict[int, Report]:
        """The reports of workloads that are measured beside the first, by their place in `background`."""
        return {place: report for place, report in enumerate(self.background) if "timed" in report}

    def used_by(self, programs: Iterable[ProgramOutcome]) -> ProcessUsage:
        """What these programs used in the window, together."""
        usages = (self.delta.programs.get(program.label, ProcessUsage()) for program in programs)
        return reduce(ProcessUsage.plus, usages, ProcessUsage())
