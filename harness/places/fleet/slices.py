"""The engine `dask` of a fleet: slices of a plan are tasks of dask.distributed, whose workers are the hosts.

Which host makes which slice, what is taken from a slow one, and what is made anew when a host is gone, dask decides.
Here workers are brought up over the inventory, slices handed over, results taken in, and hosts that are unfit drained.
"""

from __future__ import annotations

import json
import queue
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import InputError, Interrupted, MissingError, PollbenchError
from harness.kernel.scratch import aside
from harness.places.fleet.attempt import Board, keep_log
from harness.places.fleet.crew import Crew
from harness.places.fleet.inventory import Hosts
from harness.places.fleet.merge import merge, settle
from harness.places.fleet.service import JOIN_S, SETTINGS, SLOT, TOPIC, Slice, UnmadeError, log_to, make_slice, version
from harness.places.fleet.share import Share
from harness.places.fleet.split import Allotment
from harness.places.redo import IN_A_ROW
from harness.plan import Plan, Run, estimate_s
from harness.store import ResultSet, atomic

if TYPE_CHECKING:
    from distributed import Client, Future, Scheduler, as_completed

MOST_TRIES = 3
"""A slice that came to nothing so often, on whatever hosts, is given up."""
_LOOK_S = 0.2
# Missing hosts are looked for after so many of the crew's intervals; and so often while there is nobody at all.
_LOOKS, _MOST_LOOKS = 30, 4
_TITLE = "dask"
_EVERY = "0.0.0.0"


@dataclass
class Slicing:
    """Slices of a plan at a crew's hosts.

    slices: by name; attempt: where they lie on hosts; relist: reads the inventory again; admit: of a crew, the hosts
    that may measure.
    """

    crew: Crew
    results: ResultSet
    plan: Plan
    lot: Allotment
    slices: Mapping[str, Sequence[Run]]
    attempt: str
    relist: Callable[[], Hosts]
    admit: Callable[[Crew], list[str]]
    _left: set[str] = field(default_factory=set)
    _heard: queue.SimpleQueue[dict[str, Any]] = field(default_factory=queue.SimpleQueue)
    _here: set[str] = field(default_factory=set)
    _drained: set[str] = field(default_factory=set)
    _lacks: dict[str, dict[str, str]] = field(default_factory=dict)
    _spoilt: Counter[str] = field(default_factory=Counter)
    _made: Counter[str] = field(default_factory=Counter)
    _tries: Counter[str] = field(default_factory=Counter)
    _broken: dict[str, str] = field(default_factory=dict)
    _coming_s: dict[str, float] = field(default_factory=dict)
    _begun_s: float = field(default_factory=time.monotonic)
    _once: _Once = field(init=False)

    def __post_init__(self) -> None:
        self._once = _Once(self.crew.board)

    def make(self, ready: Sequence[str]) -> None:
        """Have all slices made, beginning with the hosts that are ready; each is merged when it is done.

        Raises Interrupted when all hosts have been stopped, MissingError where no host is ready.
        """
        self._left = set(self.slices)
        try:
            where = (_own_address(self.crew.hosts), self.crew.directory)
            with _scheduler(*where, self._longest_s()) as (scheduler, client, key):
                self._tell(f"dashboard: {client.dashboard_link}")
                client.subscribe_topic(TOPIC, lambda event: self._heard.put(event[1]))
                self._carry_out(scheduler, client, key, ready)
        except Interrupted:
            # What hosts have finished of their slices is on their disks.
            there = self._here | self._coming()
            served = {name: variables for name, variables in self.crew.hosts.items() if name in there}
            if served:
                replace(self.crew.quiet(), hosts=served).ready(self.results, set(self.lot.host))
            raise
        finally:
            settle(self.results)

    def _carry_out(self, scheduler: Scheduler, client: Client, key: Path, ready: Sequence[str]) -> None:
        from distributed import as_completed

        completed = as_completed(self._submit(client), with_results=True, raise_errors=False)

        def stopping() -> bool:
            """Called again and again, also while hosts are brought up."""
            self._attend(scheduler, client, completed)
            return self.crew.stopping()

        crew = replace(self.crew, stopping=stopping)
        if not self._serve(replace(crew, hosts={name: crew.hosts[name] for name in ready}), scheduler, key):
            raise MissingError("run on the fleet", ", ".join(ready), "no host is ready", "see the lines above")
        looked_s, looks = time.monotonic(), 0
        while completed.count():
            if stopping():
                raise Interrupted("interrupted", todo="what hosts finished is kept")
            if time.monotonic() - looked_s > _LOOKS * self.crew.interval_s:
                looks = 0 if self._here or self._coming() else looks + 1
                if looks == _MOST_LOOKS:
                    self._tell(f"{len(self._left)} slices are not made: no host is left", "failed")
                    return
                self._look_for_more(crew, scheduler, key)
                looked_s = time.monotonic()
            time.sleep(_LOOK_S)
        for name in sorted(self._here):
            self.crew.board.tell(name, f"{self._made[name]} runs", "done")

    def _attend(self, scheduler: Scheduler, client: Client, completed: as_completed) -> None:
        """Take in what has come, show it, and see who is there."""
        again = [future for future, result in completed.next_batch(block=False) if self._take(future, result)]
        self._hear()
        # A host that is unfit is gone before what it did not make is handed out again.
        self._look_who_is_here(scheduler, client)
        for future in again:
            future.retry()
            completed.add(future)

    def _submit(self, client: Client) -> list[Future[Slice]]:
        names, documents, longest_s = list(self.slices), [], []
        for name in names:
            runs = self.slices[name]
            again = tuple(run.run_id for run in runs if run.run_id in self.lot.again)
            share = Share(self.plan.of_runs(runs), {"place": "fleet"}, again, None, self.crew.budget_s)
            documents.append(share.text())
            longest_s.append(max(estimate_s(replace(self.plan, runs=(run,))) for run in runs))
        return client.map(make_slice, names, documents, longest_s, key=names, pure=False, resources={SLOT: 1})

    def _serve(self, crew: Crew, scheduler: Scheduler, key: Path) -> list[str]:
        """Bring workers up on the crew's hosts; on which that went well."""
        cells = {run.cell.cell_id: run for run in self.plan.runs}
        plan = self.plan.of_runs(list(cells.values())).to_json()
        service = {"version": version(), "port": _port(scheduler), "plan": plan}
        self._coming_s |= dict.fromkeys(crew.hosts, time.monotonic() + JOIN_S)
        names = crew.serve(self.results, self.attempt, service, key)
        for name in crew.hosts.keys() - set(names):
            self._coming_s.pop(name, None)
        return names

    def _look_for_more(self, crew: Crew, scheduler: Scheduler, key: Path) -> None:
        """Bring up hosts that were not there before, are there again, or are new in the inventory."""
        with suppress(InputError):  # of an inventory that is just being written
            hosts = {name: variables for name, variables in self.relist().items() if name not in self._drained}
            self.crew.hosts = {**self.crew.hosts, **hosts}
            # Who has been started and is not there yet is not started again before it has given up.
            missing = {name: hosts[name] for name in hosts if name not in self._here | self._coming()}
            if missing:
                late = replace(crew, hosts=missing, board=self._once)
                able = {name: missing[name] for name in self.admit(late)}
                if able:
                    self._serve(replace(late, hosts=able), scheduler, key)

    def _coming(self) -> set[str]:
        return {name for name, until_s in self._coming_s.items() if time.monotonic() < until_s}

    def _look_who_is_here(self, scheduler: Scheduler, client: Client) -> None:
        here = {str(state.name): state.address for state in list(scheduler.workers.values())}
        for name in self._here - here.keys() - self._drained:
            self.crew.board.tell(name, "it is gone: its slice is made by another", "failed")
        self._here = set(here)
        self._coming_s = {name: until_s for name, until_s in self._coming_s.items() if name not in here}
        for name, address in here.items():
            reason = self._unfit(name)
            if reason and name not in self._drained and self._here - self._drained - {name}:
                self._drained.add(name)
                self.crew.board.tell(name, f"drained: {reason}", "failed")
                client.retire_workers([address])

    def _unfit(self, name: str) -> str:
        """Why a host gets no more slices; "" where it may have them."""
        if name in self._broken:
            return self._broken[name]
        if self._spoilt[name] >= IN_A_ROW:
            return f"none of its last {self._spoilt[name]} runs is to be believed (see checks in runs.csv)"
        for label, reason in self._lacks.get(name, {}).items():
            lacking = sum(label in lacks for lacks in self._lacks.values())
            if lacking < len(self._lacks) - lacking:
                return f"it lacks what most others have: {label}: {reason}"
        return ""

    def _take(self, future: Future[Slice], result: Any) -> bool:
        """Take in a slice that has ended; whether it is to be made again."""
        name = str(future.key)
        if future.status == "error":
            self._tries[name] += 1
            error = future.exception()
            # Of any other error dask itself has tried again, as long as hosts vanished.
            why = str(error)
            if isinstance(error, UnmadeError):
                host, reason = error.args
                self._broken[host] = reason
                if self._tries[name] < MOST_TRIES:
                    return True
                why = f"it came to nothing {MOST_TRIES} times, on {host} at last: {reason}"
            self._tell(f"{name} is given up: {why}", "failed")
        elif future.status == "finished":
            self._merge(result)
            if len(result["runs"]) < len(self.slices[name]):
                self._once.tell(result["host"], result["reason"])
                return False
            self._left.discard(name)
            done, left = len(self.slices) - len(self._left), len(self._left)
            left_s = (time.monotonic() - self._begun_s) / done * left
            ends = f"; about {left_s:.0f} s left" if left else ""
            self.crew.board.tell(result["host"], f"{done} of {len(self.slices)} slices are made{ends}")
        return False

    def _merge(self, brought: Slice) -> None:
        """Put the runs of a slice into the set: they come from a host, and may be no more than was asked for."""
        host, known = brought["host"], set(self.lot.host)
        if host not in self.crew.hosts:
            return
        incoming = self.crew.incoming / host
        incoming.mkdir(parents=True, exist_ok=True)
        with atomic.explained("take runs in", incoming), atomic.folder(incoming) as folder:
            for run_id, files in brought["runs"].items():
                plain = all("/" not in name and not name.startswith(".") for name in files)
                if run_id in known and plain:
                    folder.discard(run_id)
                    folder.write_directory(run_id, files)
        moved = merge(self.results, incoming, known, self.lot.again)
        self._made[host] += len(moved)
        for run_id in moved:
            record = json.loads(brought["runs"][run_id]["run.json"])
            good = record.get("verdict") != "failed" and not record.get("noise")
            self._spoilt[host] = 0 if good else self._spoilt[host] + 1

    def _hear(self) -> None:
        """Show what hosts have said meanwhile, and keep it."""
        while not self._heard.empty():
            event = self._heard.get()
            host = str(event["host"])
            if "lacks" in event:
                self._lacks[host] = dict(event["lacks"])
                self.crew.board.tell(host, "joined")
            lines = [str(line) for line in event.get("lines", ()) if line.strip()]
            if lines:
                keep_log(self.crew.directory, host, lines)
                self.crew.board.heard(host, lines)

    def _longest_s(self) -> float:
        return max(estimate_s(replace(self.plan, runs=tuple(runs))) for runs in self.slices.values())

    def _tell(self, text: str, kind: str = "at work") -> None:
        self.crew.board.tell(_TITLE, text, kind)


class _Once:
    """A Board that repeats nothing: for hosts that are looked for again and again."""

    def __init__(self, board: Board) -> None:
        self._board, self._last = board, dict[str, str]()

    def tell(self, host: str, text: str, kind: str = "at work") -> None:
        """As of any board, but for what was the last word on the host."""
        if text != "looking" and self._last.get(host) != text:
            self._last[host] = text
            self._board.tell(host, text, kind)

    def heard(self, host: str, lines: Sequence[str]) -> None:
        """As of any board."""
        self._board.heard(host, lines)


@contextmanager
def _scheduler(address: str, directory: Path, longest_s: float) -> Iterator[tuple[Scheduler, Client, Path]]:
    """dask's scheduler in this process for the block, a client of it, and a file with the key of who may connect to it.

    It listens on an address of this machine for holders of the key alone; its dashboard is on the loopback.
    """
    version()
    import dask
    from distributed import Client, LocalCluster, Security

    (directory / "logs").mkdir(parents=True, exist_ok=True)
    log_to(directory / "logs" / f"{_TITLE}.log")
    more: dict[str, Any] = {"distributed.scheduler.default-task-durations": {"slice": longest_s}}
    more |= {"distributed.admin.large-graph-warning-threshold": "1GB"}
    # dask would name the scheduler's address, where the dashboard does not listen.
    more |= {"distributed.dashboard.link": "http://127.0.0.1:{port}/status"}
    where: dict[str, Any] = {"host": address, "scheduler_port": 0, "dashboard_address": "127.0.0.1:0"}
    security: Any = Security.temporary()
    with (
        aside() as scratch,
        # dask leaves what it makes here, and would make it in the directory that all share.
        dask.config.set(SETTINGS | more | {"temporary-directory": str(scratch)}),
        LocalCluster(n_workers=0, security=security, **where) as cluster,
        Client(cluster) as client,
    ):
        key, scheduler = scratch / "key.json", cluster.scheduler
        key.touch(0o600)
        key.write_text(json.dumps({"key": security.tls_worker_key, "certificate": security.tls_worker_cert}))
        if scheduler is None:
            raise PollbenchError("start dask's scheduler", todo="see logs/dask.log beside the set's hosts")
        yield scheduler, client, key


def _own_address(hosts: Hosts) -> str:
    """The one address of this machine by which it reaches all hosts; every address where that is none or several.

    Every address, too, where the inventory says by which one hosts reach this machine, or ssh alone knows a host.
    """
    own = set()
    for name, variables in hosts.items():
        if variables.get("pollbench_controller"):
            return _EVERY
        local = variables.get("ansible_connection") == "local"
        host = "127.0.0.1" if local else str(variables.get("ansible_host") or name)
        try:
            family, kind, _, _, address = socket.getaddrinfo(host, 22, type=socket.SOCK_DGRAM)[0]
            with socket.socket(family, kind) as probe:
                probe.connect(address)  # which sends nothing
                own.add(probe.getsockname()[0])
        except OSError:
            return _EVERY
    return own.pop() if len(own) == 1 else _EVERY


def _port(scheduler: Scheduler) -> int:
    return int(scheduler.address.rpartition(":")[2])
