"""Two hosts that make every run together: which they are, what each has to know, and which keeps the records."""

from __future__ import annotations

import difflib
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field

from harness.errors import InputError
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
