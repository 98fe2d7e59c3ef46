"""File names of the campaign, and what is gathered of one run before it becomes a run record."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from harness.formats.text import ratio
from harness.importers.model import ImportedRun
from harness.store.record import Columns

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
    match = _NAME.fullmatch(base)
    return Name(folder, match[1], int(match[2]), match[3], int(match[4])) if match else None


def load_text(qps: int) -> str:
    """The load as the published tables print it: 200K, MAX."""
    if qps == 0:
        return "MAX"
    return f"{qps // 1000}K" if qps % 1000 == 0 else str(qps)


def natural(key: tuple[str, int, str, int]) -> tuple[object, ...]:
    """Sort key of the published tables: loads rising and MAX last, cases as `sort -V` has them, then runs."""
    folder, qps, case, run = key
    pieces = tuple(int(piece) if place % 2 else piece for place, piece in enumerate(re.split(r"(\d{1,18})", case)))
    return folder, qps == 0, qps, pieces, run


@dataclass
class Parts:
    """One run while its files are read, and what needs more than one of them. Counts are None when no file gave them.

    offered: requests per second, 0 for as many as go; server, clients: rows of nodes.csv; markers: the campaign's own
    words of failure; broken: files that are cut short; lost: requests, by mutilate's word for why no latency stands for
    them; queries: answered requests of the whole run.
    """

    run: ImportedRun
    offered: int
    server: Columns = field(default_factory=dict)
    clients: Columns = field(default_factory=dict)
    markers: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    lost: dict[str, int] = field(default_factory=dict)
    queries: float | None = None

    def finish(self, published: bool) -> None:
        """Work out what needs more than one file. published: as the campaign's published tables have it."""
        run = self.run
        parts = {"server": self.server, "clients": self.clients}
        run.nodes |= {name: part for name, part in parts.items() if part}
        if run.cpus:
            run.metrics["set_busy_percent"] = busy_percent(run.cpus)
        queries = self.queries if published else self._queries_in_window()
        self.server["perf_queries_count"] = queries
        run.metrics["cycles_per_query"] = ratio(self.count("cycles_count"), queries)
        run.metrics["instructions_per_query"] = ratio(self.count("instructions_count"), queries)
        received, fired = self.count("rx_packets_count"), self.count("interrupts_count")
        run.metrics["packets_per_interrupt"] = ratio(received, fired)

    def count(self, name: str) -> float | None:
        """A number of the server's; None where no file gave it."""
        value = self.server.get(name)
        return None if value is None or isinstance(value, str) else value

    def _queries_in_window(self) -> float | None:
        """Queries answered while perf counted: it watched only the middle of the run."""
        window, rate = self.count("perf_window_s"), self.run.metrics.get("rate_rps")
        return None if window is None or rate is None else rate * window


def busy_percent(cpus: dict[str, dict[str, float]]) -> float | None:
    """Mean of 100 - %idle over CPUs; None without any."""
    idle = [shares["idle_share"] for shares in cpus.values() if "idle_share" in shares]
    return 100 - 100 * sum(idle) / len(idle) if idle else None
