"""Executes a plan on the hosts of a fleet: what is missing is shared out, and what hosts make is merged as it comes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from harness.errors import InputError, Interrupted, MissingError, PollbenchError
from harness.host import role_variables, wish_of
from harness.places.fleet import wheel
from harness.places.fleet.attempt import Board
from harness.places.fleet.crew import Crew, HostFacts
from harness.places.fleet.inventory import Hosts
from harness.places.fleet.share import Pair
from harness.places.fleet.split import Split, allot
from harness.places.place import Manifest
from harness.plan import Plan
from harness.signals import Stopper
from harness.store import ResultSet, atomic

_STATE_FILE = "fleet.json"


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
            return cls(**json.loads(path.read_bytes()))
        except (OSError, ValueError, TypeError) as error:
            raise InputError("resume", str(path), str(error), "begin a new set") from None

    def keep(self, results: ResultSet) -> None:
        """Write the state beside the runs."""
        results.write_file(_STATE_FILE, json.dumps(asdict(self), indent=1).encode())


@dataclass(frozen=True)
class Fleet:
    """The hosts of an inventory as a Place.

    pair: the two hosts that make every run together; profile: how hosts are prepared for measuring, "" for as they are;
    forks: hosts at a time; interval_s: between two looks at a host.
    """

    inventories: Sequence[str]
    hosts: Hosts
    split: Split
    stopper: Stopper
    pair: Pair | None
    profile: str
    forks: int
    interval_s: float

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
        directory, how = (results.path / "fleet").resolve(), (self.forks, self.interval_s, self.pair)
        crew = Crew(self.inventories, self.hosts, directory, state.ident, watcher, lambda: self.stopper.requested, *how)
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
        ident = f"{plan.name}-{results.path.name}-{plan.plan_hash[:6]}"
        state = FleetState(ident, self.split, list(self.hosts))
        state.keep(results)
        return state

    def _attempt(self, crew: Crew, plan: Plan, results: ResultSet, state: FleetState) -> None:
        """See who is there and what they have, share out what is missing, and let them make it."""
        ready = self._ready(crew, plan, results if state.attempts else None)
        hosts, before = ([self.pair.label], {}) if self.pair else (ready, state.allotted)
        made = {record.run_id: str(record.environment.get("host") or "") for record in results.records()}
        lot = allot(plan, self.split, hosts, made, before)
        having = set(lot.host.values())
        able = [name for name in ready if name in having or (self.pair and having)]
        for name in ready:
            if name not in able:
                crew.board.tell(name, "nothing to do: no further share to give", "done")
        if not able:
            return
        state.attempts += 1
        state.allotted |= lot.host
        state.facts |= crew.facts
        state.keep(results)
        settings = role_variables(wish_of(self.profile)) if self.profile else None
        prepared = crew.prepare(able, "prepare", settings) if settings else []
        try:
            crew.run(able, results, plan, lot, f"attempt-{state.attempts}")
        finally:
            if settings and prepared:
                crew.quiet().prepare(prepared, "restore", settings)

    def _ready(self, crew: Crew, plan: Plan, before: ResultSet | None) -> list[str]:
        """The hosts that can measure. before: as in Crew.ready. Raises MissingError where there are too few."""
        ready = crew.ready(before, {run.run_id for run in plan.runs})
        if self.pair and len(ready) < 2:
            away = ", ".join(name for name in self.pair.hosts if name not in ready)
            raise MissingError("run on two hosts", away, "it is not ready", "see the lines above")
        if not ready:
            names = ", ".join(self.hosts)
            raise MissingError("run on the fleet", names, "no host is ready", "see the lines above")
        return ready
