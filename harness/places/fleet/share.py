"""What a host of a fleet is told: which runs are its own, in a file, and which end of them where two make each run."""

from __future__ import annotations

import difflib
import json
import secrets
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from pathlib import Path

from harness.errors import InputError
from harness.places.carried import pack, relocated, unpack
from harness.plan import Plan


@dataclass(frozen=True)
class End:
    """One host's end of the runs that two hosts make together.

    here, there: its own node and the other host's; own, host: its own name and the other host's; token: their secret;
    keeps: whether it keeps the records.
    """

    here: str
    there: str
    own: str
    host: str
    token: str
    keeps: bool


@dataclass(frozen=True)
class Pair:
    """The hosts of the client's and of the server's node, by the inventory's names. The client's keeps the records."""

    nodes: tuple[str, str]
    hosts: tuple[str, str]
    token: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)

    @property
    def label(self) -> str:
        """What stands in the column `host`."""
        return " / ".join(self.hosts)

    def end(self, host: str) -> End:
        """What a host is told of its end."""
        own = self.hosts.index(host)
        here, there = self.nodes[own], self.nodes[1 - own]
        return End(here, there, host, self.hosts[1 - own], self.token, keeps=own == 0)


def pair_of(plan: Plan, known: Collection[str], where: str) -> Pair | None:
    """The two hosts that measure a plan together; None for a plan whose runs each need one host only.

    Raises InputError when cells differ in who measures from where, or a host is not in the inventory (`known`).
    """
    ends = set()
    for cell in plan.cells:
        hosts = cell.spec.topology.on_hosts()
        nodes = cell.spec.workload.nodes()
        ends.add(tuple((node, hosts[node]) for node in nodes) if hosts else ())
    if ends == {()}:
        return None
    if len(ends) > 1:
        got = "its cells differ in which host measures from where"
        raise InputError("run on two hosts", where, got, "make an experiment of each")
    (client, server) = ends.pop()
    for node, host in (client, server):
        if host not in known:
            near = difflib.get_close_matches(host, list(known), 1)
            todo = f'did you mean "{near[0]}"?' if near else "hosts: " + (", ".join(list(known)[:24]) or "none")
            raise InputError(f"topology.nodes.{node}.host", host, "the inventory has no such host", todo, where)
    return Pair((client[0], server[0]), (client[1], server[1]))


@dataclass(frozen=True)
class Share:
    """A host's part of a plan; `run --share-file` reads it there.

    environment: facts that stand beside its runs; again: ids of runs that it has made, and is to make anew; end: which
    end of every run it is, where two hosts make the runs together; budget_s: as `Local` has it.
    """

    plan: Plan
    environment: dict[str, str]
    again: tuple[str, ...] = ()
    end: End | None = None
    budget_s: float | None = None

    def text(self) -> str:
        """It as JSON, for `fleet_share` to read."""
        document = {"plan": self.plan.to_json(), "environment": self.environment, "again": self.again}
        document |= {"budget_s": self.budget_s}
        ends = {"ends": asdict(self.end)} if self.end else {}
        carried = pack(self.plan)
        document |= {"carried": carried} if carried else {}
        return json.dumps(document | ends)

    @classmethod
    def read(cls, path: str) -> Share:
        """The share that a file holds; raises InputError when it is damaged. `again` is the fleet's own affair."""
        try:
            document = json.loads(Path(path).read_bytes())
            end = End(**document["ends"]) if "ends" in document else None
            # Beside the share itself, where `fleet clean` finds them.
            moved = unpack(document.get("carried", {}), Path(path).resolve().parent / "files")
            plan, budget_s = Plan.from_json(relocated(document["plan"], moved), path), document["budget_s"]
            return cls(
                plan, dict(document["environment"]), end=end, budget_s=None if budget_s is None else float(budget_s)
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            todo = "it is made by pollbench fleet run"
            raise InputError("read a share", path, str(error), todo, "--share-file") from None
