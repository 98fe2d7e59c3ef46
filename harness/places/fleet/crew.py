"""The hosts of an inventory at work: looked at, prepared, given shares of a plan, followed, stopped and cleaned."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import socket
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypedDict

from harness.errors import Interrupted
from harness.host.ansible import explain, play
from harness.places.fleet import wheel
from harness.places.fleet.attempt import Attempt, Board, Outcomes, why_ended
from harness.places.fleet.inventory import Hosts
from harness.places.fleet.merge import merge, settle
from harness.places.fleet.share import Pair, Share
from harness.places.fleet.split import Allotment
from harness.plan import Plan
from harness.store import ResultSet


class HostFacts(TypedDict):
    """What a host says of itself. version: of its pollbench; cpus: how many it has; free_bytes: on its disk."""

    version: str
    kernel: str
    cpus: int
    root: bool
    free_bytes: int


Choose = Callable[[list[str]], tuple[Allotment, list[str]]]
"""Called with the hosts that are ready; what each is to make, and who gets a share at all."""

GIVEN = "given"
"""The file beside shares by which playbooks/action_plugins/pollbench_share.py sees that all have been written."""
_BECOME = (
    "{{ (ansible_connection | default('ssh')) != 'local' and "
    "(ansible_user | default(lookup('ansible.builtin.env', 'USER'), true)) != 'root' }}"
)

HostAnswer = dict[str, Any]
"""A host's answer when it is asked what it can do: `facts`, and `doctor`, as `pollbench doctor --json` says it there
(`advice`, and `skips`: reasons by cell that the host would skip); `error` says why the rest is missing."""


@dataclass
class Crew:
    """Hosts of an inventory, and where what belongs to the fleet run is kept.

    directory: for artifacts, shares and what is fetched; ident: the set's name on the hosts; board: told of each host's
    progress; stopping: asked again and again whether to end; interval_s: between two looks at a host; pair: the two
    hosts that make every run together; budget_s: how long a host may measure; facts: by host, what it said of itself;
    more: a package that is installed beside ours; after: called after every event of a play's.
    """

    inventories: Sequence[str]
    hosts: Hosts
    directory: Path
    ident: str
    board: Board
    stopping: Callable[[], bool]
    forks: int
    interval_s: float = 1.0
    pair: Pair | None = None
    budget_s: float | None = None
    facts: dict[str, HostFacts] = field(default_factory=dict)
    more: str = ""
    after: Callable[[], object] = bool
    _wheel: dict[str, str] = field(default_factory=dict)

    def ready(
        self, before: ResultSet | None = None, known: Collection[str] = (), serving: Mapping[str, Any] | None = None
    ) -> list[str]:
        """The hosts that can measure, in the inventory's order: reached, with this version, as root.

        before: the set of an earlier attempt: what that left running is stopped, and what it finished of the `known`
        runs is merged. serving: variables by which these hosts start a worker in the same play.
        """
        messages: dict[str, list[str]] = {}
        for name in self.hosts:
            self.board.tell(name, "looking")

        def take(host: str, step: str, result: Mapping[str, Any]) -> None:
            if step == "look":
                self.facts[host] = result["facts"]
            if step == "fetch" and before is not None:
                merge(before, self.incoming / host, known)
            messages[host] = [*messages.get(host, ()), *result.get("lines", ())]
            if step == "follow" and result["done"]:
                outcomes.failed[host] = why_ended(result, messages[host])
                self.board.tell(host, outcomes.failed[host], "failed")

        outcomes = Outcomes(take)
        variables: dict[str, Any] = {**(serving or {}), **(self._fetching(before) if before else {})}
        skipped = set() if before is not None else {"begun"}
        self._play("fleet_serve" if serving else "fleet_ready", self.hosts, variables, outcomes, skipped)
        if before is not None:
            settle(before)
        return self._able(outcomes)

    def run(
        self,
        results: ResultSet,
        plan: Plan,
        name: str,
        choose: Choose,
        known: Collection[str] | None = None,
        looked: Collection[str] = (),
    ) -> None:
        """Look at the hosts and let those that can make their shares, as the attempt `name`; merge as runs come.

        choose: called with the hosts that can, once, what each makes; known: of an earlier attempt as for `ready`, None
        for the first; looked: hosts that are known to be ready, and nobody else is asked.
        Raises Interrupted, when all of them have been stopped.
        """
        shares = self.directory / "shares" / name
        # Of an attempt that came to nothing.
        shutil.rmtree(shares, ignore_errors=True)
        shares.mkdir(parents=True)
        at_work: list[Attempt] = []
        looks = () if looked else tuple(self.hosts)
        for host in looks:
            self.board.tell(host, "looking")

        def take(host: str, step: str, result: Mapping[str, Any]) -> None:
            if at_work:
                at_work[0].take(host, step, result)
            elif step == "fetch":
                merge(results, self.incoming / host, known or ())
            elif step == "look":
                self.facts[host] = result["facts"]

        outcomes = Outcomes(take)

        def share_out() -> None:
            """As soon as all have been looked at, and some can measure."""
            ready = looked or self._able(outcomes)
            if at_work or not ready or not outcomes.known(looks):
                return
            if known is not None:
                settle(results)
            lot, names = choose(list(ready))
            sizes = self._write_shares(shares, names, plan, lot)
            at_work.append(Attempt(results, lot, self.incoming, self.board, sizes, self.pair))
            (shares / GIVEN).touch()

        def stopping() -> bool:
            if not at_work and outcomes.silent():
                # The others do not wait for a host that the inventory has lost since it was listed.
                self._miss(looks, outcomes)
                share_out()
            return self.stopping() or bool(at_work and at_work[0].left_alone(outcomes.failed))

        variables = self._starting(name, shares, results) | self._fetching(results)
        # All steps in one fork where each host has its own at the same time: who has been looked at waits for others.
        at_once = looks and self.forks >= len(looks)
        steps = ("look start" if at_once else "start") + " follow fetch"
        variables |= {"fleet_interval_s": self.interval_s, "fleet_steps": steps}
        skipped = {"begun"} if known is None else set[str]()
        playing = replace(self, stopping=stopping, after=share_out)
        try:
            book = "fleet_measure" if looked else "fleet_run"
            playing._play(book, looked or self.hosts, variables, outcomes, skipped | ({"look"} if at_once else set()))
        except Interrupted:
            if at_work:
                self._stop(at_work[0], outcomes.failed)
            if self.stopping():
                raise
        finally:
            settle(results)
        if not at_work:
            # All have failed at being looked at: there was nothing to begin.
            choose([])

    def _able(self, outcomes: Outcomes) -> list[str]:
        return [name for name in self.hosts if name in self.facts and name not in outcomes.failed]

    def serve(self, results: ResultSet, attempt: str, service: Mapping[str, Any], key: Path) -> list[str]:
        """Look at the hosts, and start a worker of dask's on those that are ready; their names.

        attempt: its directory there; service: what `Service` has, but for the host's name; key: a file that holds the
        secret of all, which no command line shows. Whether a host has come the scheduler knows.
        """
        shares = self.directory / "shares" / attempt
        shares.mkdir(parents=True, exist_ok=True)
        for name in self.hosts:
            (shares / f"{name}.json").write_text(json.dumps({"service": {**service, "name": name}}))
        (shares / GIVEN).touch()
        return self.ready(serving=self._starting(attempt, shares, results) | {"fleet_key": str(key)})

    def _starting(self, attempt: str, shares: Path, results: ResultSet) -> dict[str, Any]:
        """The variables by which hosts start what is theirs in an attempt."""
        experiment = self.directory / "experiment.yaml"
        experiment.write_bytes(results.experiment)
        return {
            "fleet_shares": str(shares),
            "fleet_attempt": attempt,
            "fleet_experiment": str(experiment),
            "fleet_operator": f"{getpass.getuser()}@{socket.gethostname()}",
        }

    def _stop(self, attempt: Attempt, failed: Mapping[str, str]) -> None:
        """Stop the hosts that are still at work, and fetch what they finished."""
        alone = attempt.left_alone(failed)
        names = attempt.going(failed)
        for name in names:
            attempt.reasons.setdefault(name, f"stopped, since {alone} has ended" if alone else "stopped")
            self.board.tell(name, "stopping")
        if names:
            variables = self._fetching(attempt.results)
            self.quiet()._play("fleet_ready", names, variables, Outcomes(attempt.take), {"push", "look"})

    def prepare(self, names: Collection[str], action: str, variables: Mapping[str, Any]) -> list[str]:
        """Prepare hosts for measuring, or put them back, as the role's variables say; where that went well."""

        def take(host: str, _task: str, result: Mapping[str, Any]) -> None:
            count = sum(row["state"] in ("changed", "restored") for row in result.get("rows", []))
            self.board.tell(host, f"{action}: {count} values")

        outcomes = Outcomes(take)
        self._play("host", names, {"measuring_host_action": action, **variables}, outcomes)
        return [name for name in names if name not in outcomes.failed]

    def doctor(self, document: Any) -> dict[str, HostAnswer]:
        """What each host says of itself. document: the experiment to check it against."""
        answers: dict[str, HostAnswer] = {name: {} for name in self.hosts}
        experiment = self.directory / "experiment.yaml"
        if document is not None:
            # JSON is YAML too; topologies that the file only names are in it.
            experiment.write_text(json.dumps(document))

        def take(host: str, _task: str, result: Mapping[str, Any]) -> None:
            answers[host] |= {key: result[key] for key in ("facts", "doctor", "error") if key in result}

        variables = {"fleet_experiment": "" if document is None else str(experiment)}
        outcomes = Outcomes(take)
        self._play("fleet_doctor", self.hosts, variables, outcomes)
        for name, reason in outcomes.failed.items():
            answers[name]["error"] = reason
        return answers

    def clean(self) -> dict[str, tuple[int, list[dict[str, str]]]]:
        """Stop, put back and remove what fleet runs left; by host how many bytes, and the acts of `clean --json`."""
        freed: dict[str, tuple[int, list[dict[str, str]]]] = {}

        def take(host: str, _task: str, result: Mapping[str, Any]) -> None:
            if "freed_bytes" in result:
                freed[host] = (int(result["freed_bytes"]), result.get("acts", []))

        self._play("fleet_clean", self.hosts, {}, Outcomes(take))
        return freed

    @property
    def incoming(self) -> Path:
        """Where what is fetched lies until it is merged; on the set's own file system, so that merging is renaming."""
        return self.directory / "incoming"

    def _fetching(self, results: ResultSet) -> dict[str, str]:
        return {"fleet_have": str(results.path / "runs"), "fleet_incoming": str(self.incoming)}

    def _play(
        self,
        name: str,
        names: Collection[str],
        variables: Mapping[str, Any],
        outcomes: Outcomes,
        skipped: Collection[str] = (),
    ) -> None:
        """Play a playbook on some of the hosts. skipped: tags of its tasks that nobody needs."""
        self.directory.mkdir(parents=True, exist_ok=True)
        limit = self.directory / "limit"
        limit.write_text("".join(f"{name}\n" for name in names))
        base = {"fleet_version": wheel.version(), **self._wheel_variables(), "fleet_id": self.ident, **variables}
        tags = {*skipped} if self._wheel else {*skipped, "push"}
        skipping = ["--skip-tags", ",".join(sorted(tags))] if tags else []
        # Two that wait for each other have to be followed at the same time.
        forks = max(min(self.forks, len(names)), 2 if self.pair else 1)

        def take(event: Mapping[str, Any]) -> None:
            before = len(outcomes.failed)
            outcomes(event)
            if len(outcomes.failed) > before:
                host = next(reversed(outcomes.failed))
                self.board.tell(host, outcomes.failed[host], "failed")
            self.after()

        artifacts = self.directory / "ansible"
        with open(limit) as hosts:
            # Under a name in which Ansible sees no second pattern, whatever the directory of results is called.
            options = ["--limit", f"@/proc/{os.getpid()}/fd/{hosts.fileno()}", *skipping]
            become, inventories = self._become(names)
            played = play(name, inventories, base, artifacts, take, self.stopping, options, forks, become)
        if not outcomes.heard or (played.status != "successful" and not outcomes.failed):
            raise explain(played, f"play {name}")
        self._miss(names, outcomes)

    def _miss(self, names: Collection[str], outcomes: Outcomes) -> None:
        """Say of hosts that the play did not come to that they have failed."""
        for host in (host for host in names if host not in outcomes.heard):
            outcomes.failed[host] = "nothing was heard of it: does the inventory still name it?"
            self.board.tell(host, outcomes.failed[host], "failed")

    def _become(self, names: Collection[str]) -> tuple[bool, Sequence[str]]:
        """Whether hosts have to make us root where their inventory does not say, and the inventories to be played.

        Where hosts differ each has it in an inventory of ours: an expression in the playbooks every host's fork of
        Ansible would compile anew for each task.
        """
        needs = {name: _needs_root(self.hosts[name]) for name in names if "ansible_become" not in self.hosts[name]}
        if len(set(needs.values())) <= 1 and _BECOME not in needs.values():
            return any(needs.values()), self.inventories
        own = self.directory / "become.yml"
        own.write_text(json.dumps({"all": {"hosts": {name: {"ansible_become": need} for name, need in needs.items()}}}))
        return False, [*self.inventories, str(own)]

    def _wheel_variables(self) -> dict[str, str]:
        """The wheel to push, made once, if any host names no pollbench of its own."""
        if not self._wheel and any("pollbench_command" not in variables for variables in self.hosts.values()):
            made = wheel.make_wheel(self.directory / "wheel")
            more = {"pollbench_more": self.more} if self.more else {}
            ident = "-".join(filter(None, (wheel.wheel_id(made), self.more.replace("==", "-"))))
            # In place: those that stand for some of the hosts share it.
            self._wheel.update({"pollbench_wheel": str(made), "pollbench_wheel_id": ident, **more})
        return self._wheel

    def _write_shares(self, shares: Path, names: Collection[str], plan: Plan, lot: Allotment) -> dict[str, int]:
        shares.mkdir(parents=True, exist_ok=True)
        sizes = {}
        for name in names:
            owner = self.pair.label if self.pair else name
            runs = lot.runs_of(owner, plan)
            sizes[name] = len(runs)
            again = tuple(run.run_id for run in runs if run.run_id in lot.again)
            environment, end = {"place": "fleet", "host": owner}, self.pair.end(name) if self.pair else None
            share = Share(plan.of_runs(runs), environment, again, end, self.budget_s)
            (shares / f"{name}.json").write_text(share.text())
        return sizes

    def quiet(self) -> Crew:
        """The same hosts, for putting away: this is not stopped again."""
        return replace(self, stopping=lambda: False)


def _needs_root(variables: Mapping[str, Any]) -> bool | str:
    """Whether a host has to make us root; an expression of Ansible's where its variables are such."""
    connection = variables.get("ansible_connection", "ssh")
    user = variables.get("ansible_user") or os.environ.get("USER", "")
    if not isinstance(user, str) or not isinstance(connection, str) or "{{" in user + connection:
        return _BECOME
    return connection != "local" and user != "root"
