"""File names of the campaign, and what is gathered of one run before it becomes a run record."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from harness.importers.figures import share
from harness.importers.model import ImportedRun
from harness.store.record import KnobRow

_NAME = re.compile(r"([A-Za-z_]+)-(\d{1,12})-(.+)-(\d{1,6})\.out")


@dataclass(frozen=True)
class Name:
    """A parsed file name. qps: offered load, 0 for as much as goes; folder: below what was imported."""

    folder: str
    kind: str
    qps: int
    case: str
    run: int

    @property
    def key(self) -> tuple[str, int, str, int]:
        """What the files of one run have in common."""
        return self.folder, self.qps, self.case, self.run

    @property
    def label(self) -> str:
        """The rest of the name, after the kind."""
        return f"{self.qps}-{self.case}-{self.run}.out"


def parse_name(name: str) -> Name | None:
    """The parts of KIND-QPS-TESTCASE-RUN.out; None for another name."""
    folder, _, base = name.rpartition("/")
    found = _NAME.fullmatch(base)
    return Name(folder, found[1], int(found[2]), found[3], int(found[4])) if found else None


def load_text(qps: int) -> str:
    """The load as the published tables print it: 200K, MAX."""
    if qps == 0:
        return "MAX"
    return f"{qps // 1000}K" if qps % 1000 == 0 else str(qps)


def natural(key: tuple[str, int, str, int]) -> tuple[Any, ...]:
    """Sort key of the published tables: loads rising and MAX last, cases as `sort -V` has them, then runs."""
    folder, qps, case, run = key
    pieces = tuple(
        int(piece) if place % 2 else piece for place, piece in enumerate(re.split(r"(\d{1,18})", case))
    )
    return folder, qps == 0, qps, pieces, run


@dataclass
class Parts:
    """What the files of one run said. Counts are None when no file gave them."""

    metrics: dict[str, float | None] = field(default_factory=dict)
    server: dict[str, Any] = field(default_factory=dict)
    clients: dict[str, Any] = field(default_factory=dict)
    cpus: dict[str, dict[str, Any]] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    workload: dict[str, Any] = field(default_factory=dict)
    knobs: list[KnobRow] = field(default_factory=list)
    markers: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    misses: int = 0
    queries: float | None = None

    def fill(self, run: ImportedRun, published: bool) -> None:
        """Put everything into the run, and work out what needs more than one file."""
        run.metrics |= self.metrics
        run.environment |= self.environment
        run.workload |= self.workload
        run.nodes |= {
            name: part for name, part in (("server", self.server), ("clients", self.clients)) if part
        }
        run.cpus |= self.cpus
        run.knobs += self.knobs
        if self.cpus:
            run.metrics["set_busy_percent"] = busy_percent(self.cpus)
        wanted = self.queries if published else self._queries_in_window()
        self.server["perf_queries_count"] = wanted
        run.metrics["cycles_per_query"] = share(self.server.get("cycles_count"), wanted)
        run.metrics["instructions_per_query"] = share(self.server.get("instructions_count"), wanted)
        received, fired = self.server.get("rx_packets_count"), self.server.get("interrupts_count")
        run.metrics["packets_per_interrupt"] = share(received, fired)

    def _queries_in_window(self) -> float | None:
        """Queries answered while perf counted: it watched only the middle of the run."""
        window, rate = self.server.get("perf_window_s"), self.metrics.get("rate_rps")
        return None if window is None or rate is None else rate * window


def busy_percent(cpus: dict[str, dict[str, Any]]) -> float | None:
    """Mean of 100 - %idle over CPUs; None without any."""
    idle = [part["idle_share"] for part in cpus.values() if part.get("idle_share") is not None]
    return 100 - 100 * sum(idle) / len(idle) if idle else None
