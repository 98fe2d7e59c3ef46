"""Executes a plan on the hosts of a fleet: what is missing is shared out, and what hosts make is merged as it comes."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, field
from typing import get_args

from harness.errors import InputError, Interrupted, MissingError, PollbenchError
from harness.host import role_variables, wish_of
from harness.places.fleet import service, wheel
from harness.places.fleet.attempt import Board
from harness.places.fleet.crew import Crew, HostFacts
from harness.places.fleet.inventory import Hosts
from harness.places.fleet.share import Pair
from harness.places.fleet.slices import Slicing
from harness.places.fleet.split import Allotment, Split, allot, slices_of
from harness.places.place import Manifest
from harness.plan import Plan
from harness.signals import Stopper
from harness.store import ResultSet, atomic

_STATE_FILE = "fleet.json"
_ANY = "any host"


@dataclass
class FleetState:
    """What a set keeps of its fleet, to be resumed.

    ident: the set's name on the hosts; hosts: those it was begun with; allotted: which host a run was given to, by the
    run's id; facts: what each host said of itself.
    """

    ident: str
    split: Split
    hosts: list[str]
    attempts: int = 0
    allotted: dict[str, str] = field(default_factory=dict)
    facts: dict[str, HostFacts] = field(default_factory=dict)

    @classmethod
    def of(cls, results: ResultSet) -> FleetState:
        """The state of a set. Raises InputError where no fleet made it, or the state is damaged."""
        path = results.path / _STATE_FILE
        if not path.is_file():
            todo = "leave --resume out to begin one"
            raise InputError("resume", str(results.path.parent), "no fleet made it", todo)
        try:
            state = cls(**json.loads(path.read_bytes()))
            lists = isinstance(state.hosts, list) and isinstance(state.facts, dict) and isinstance(state.attempts, int)
            names = [state.ident, *state.hosts, *state.allotted.values()] if lists else []
            if not names or state.split not in get_args(Split) or not all(isinstance(name, str) for name in names):
                raise ValueError("it is damaged")
            return state
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise InputError("resume", str(path), str(error), "begin a new set") from None

    def keep(self, results: ResultSet) -> None:
        """Write the state beside the runs."""
        results.write_file(_STATE_FILE, json.dumps(asdict(self), indent=1).encode())


@dataclass(frozen=True)
class Fleet:
    """The hosts of an inventory as a Place.

    pair: the two hosts that make every run together; profile: how hosts are prepared for measuring, "" for as they are;
    forks: hosts at a time; interval_s: between two looks at a host; redo: verdicts whose runs are made again; budget_s:
    how long a host may measure, None for as long as it takes; sliced: reads the inventory again, where dask hands
    slices out, else None.
    """

    inventories: Sequence[str]
    hosts: Hosts
    split: Split
    stopper: Stopper
    pair: Pair | None
    profile: str
    forks: int
    interval_s: float
    redo: Collection[str] = ()
    budget_s: float | None = None
    sliced: Callable[[], Hosts] | None = None

    def manifest(self) -> Manifest:
        """The inventory, its hosts and the split; the facts of hosts are in the set's state and beside their runs."""
        fleet = {"split": self.split, "inventory": self.inventories, "hosts": list(self.hosts)}
        return {"software": {"pollbench": wheel.version()}, "fleet": fleet}

    def accept(self, results: ResultSet) -> None:
        """InputError for a set that no fleet made."""
        FleetState.of(results)

    def execute(self, plan: Plan, results: ResultSet, watcher: Board) -> None:
        """Make the missing runs. A set of which nobody has measured anything is removed when the fleet fails."""
        state = self._state(plan, results)
        directory, how = (results.path / "fleet").resolve(), (self.forks, self.interval_s, self.pair, self.budget_s)
        crew = Crew(self.inventories, self.hosts, directory, state.ident, watcher, lambda: self.stopper.requested, *how)
        crew.more = f"{service.PACKAGE}=={service.version()}" if self.sliced else ""
        try:
            self._attempt(crew, plan, results, state)
        except Interrupted:
            raise Interrupted("interrupted", todo="what hosts finished is kept") from None
        except PollbenchError:
            if not state.attempts:
                # A set without a run helps nobody, least of all --resume.
                with atomic.folder(results.path.parent, below=results.below) as above:
                    above.discard(results.path.name)
            raise

    def _state(self, plan: Plan, results: ResultSet) -> FleetState:
        if (results.path / _STATE_FILE).is_file():
            return FleetState.of(results)
        # Another operator may begin the same plan in the same second.
        ident = f"{plan.name}-{results.path.name}-{secrets.token_hex(4)}"
        state = FleetState(ident, self.split, list(self.hosts))
        state.keep(results)
        return state

    def _attempt(self, crew: Crew, plan: Plan, results: ResultSet, state: FleetState) -> None:
        """See who is there and what they have, share out what is missing, and let them make it."""
        settings = role_variables(wish_of(self.profile)) if self.profile else None
        known = {run.run_id for run in plan.runs} if state.attempts else None
        attempt = f"attempt-{state.attempts + 1}"

        def choose(ready: list[str]) -> tuple[Allotment, list[str]]:
            self._need(ready)
            return self._choose(crew, plan, results, state, ready)

        if not self.sliced and not settings:
            # One play for all of it: starting Ansible takes longer than what it does here on a few hosts.
            try:
                crew.run(results, plan, attempt, choose, known)
            finally:
                state.facts |= crew.facts
                state.keep(results)
            return
        # Who gets slices is looked at when it is to serve; before only where that cannot wait.
        looked = state.attempts or settings
        ready = crew.ready(results if state.attempts else None, known or ()) if looked else list(self.hosts)
        lot, able = choose(ready)
        if not able:
            return
        touched: dict[str, None] = {}

        def prepared(crew: Crew, names: list[str]) -> list[str]:
            touched.update(dict.fromkeys(names))
            # Beside the others' figures those of a host that is not as they are would mislead.
            return crew.prepare(names, "prepare", settings) if settings and names else names

        def admitted(late: Crew) -> list[str]:
            return prepared(late, late.ready()) if settings else list(late.hosts)

        try:
            names = prepared(crew, able)
            if not names:
                raise MissingError("prepare", ", ".join(able), "no host could be", "see the lines above")
            if self.sliced:
                slices = slices_of(plan, self.split, lot, len(names))
                Slicing(crew, results, plan, lot, slices, attempt, self.sliced, admitted).make(names)
            else:
                crew.run(results, plan, attempt, lambda _: (lot, names), looked=names)
        except MissingError:
            state.attempts -= 1
            raise
        finally:
            if settings:
                # Of a host that failed at one setting the others may have been set.
                crew.quiet().prepare(list(touched), "restore", settings)
            state.facts |= crew.facts
            state.keep(results)

    def _choose(
        self, crew: Crew, plan: Plan, results: ResultSet, state: FleetState, ready: list[str]
    ) -> tuple[Allotment, list[str]]:
        """Share out what is missing among the hosts that are ready: what each makes, and who makes anything."""
        lot = self._allot(plan, results, ready, state)
        having = set(lot.host.values())
        able = [name for name in ready if name in having or (having and (self.pair or self.sliced))]
        for name in ready:
            if name not in able:
                crew.board.tell(name, "nothing to do: no further share to give", "done")
        if able:
            state.attempts += 1
            state.allotted |= {} if self.sliced else lot.host
            state.facts |= crew.facts
            state.keep(results)
        return lot, able

    def _allot(self, plan: Plan, results: ResultSet, ready: list[str], state: FleetState) -> Allotment:
        hosts, before = ([self.pair.label], {}) if self.pair else (ready, state.allotted)
        if self.sliced:
            # Of slices anybody may make each, and makes it whole: as a single host would.
            hosts, before = [_ANY], {}
        records = results.records()
        again = {record.run_id for record in records if record.verdict in self.redo}
        made = {record.run_id: str(record.environment.get("host") or "") for record in records}
        return allot(plan, self.split, hosts, made, before, again)

    def _need(self, ready: list[str]) -> None:
        """Raise MissingError where too few hosts are ready."""
        if self.pair and len(ready) < 2:
            away = ", ".join(name for name in self.pair.hosts if name not in ready)
            raise MissingError("run on two hosts", away, "it is not ready", "see the lines above")
        if not ready:
            names = ", ".join(self.hosts)
            raise MissingError("run on the fleet", names, "no host is ready", "see the lines above")
