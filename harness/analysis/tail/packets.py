"""Requests of programs that tell nothing: their packets at the client's device, and what the scheduler did with both.

Whoever sends a packet over a veth pair is on its CPU while the packet passes: the one in whose NET_RX a request comes
out right after it was sent is the client, the one in whose NET_RX the reply comes in is the server.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence

import numpy as np

from harness.analysis.tail.timeline import Cpu, Events, Task, cpus_of, tasks_of
from harness.analysis.tail.trace import Request
from harness.store.trace import NET_RX, SOFTIRQS, Kind, Meta

_SENT_TO_NET_RX_NS = 20_000
_SERVANTS = ("ksoftirqd", "napi/", "backlog_napi/", "idle")


def requests_by_packets(columns: Mapping[str, np.ndarray], meta: Meta, events: Events) -> list[Request]:
    """The requests whose server's task is known: from the client's device and back to it.

    columns: intended_ns, latency_ns. The server has a request as soon as it runs after that woke it, where it did; one
    that was awake may have had it at any time, so all until the reply is its work.
    """
    cpus = cpus_of(events, meta)
    sent = columns["intended_ns"] + meta.start_ns
    received = sent + columns["latency_ns"]
    inside = (columns["latency_ns"] >= 0) & (sent >= meta.begin_ns) & (received <= meta.end_ns)
    sent, received, numbers = sent[inside], received[inside], np.flatnonzero(inside)
    clients = _known(_senders(events, sent), meta, "client")
    servers = _known([_replying(cpus, ns) for ns in received.tolist()], meta, "server")
    tasks = tasks_of(set(servers) - {0}, events, cpus)
    found = []
    for number, begin, end, client, server in zip(
        numbers.tolist(), sent.tolist(), received.tolist(), clients, servers, strict=True
    ):
        if client and server and client != server:
            taken = _taken(cpus, tasks[server], begin, end)
            found.append(Request(number, begin, begin, taken, end, end, client, server))
    return found


def _senders(events: Events, sent: np.ndarray) -> list[int]:
    """The task in which NET_RX began right after each of these times, 0: in none."""
    begun = events[(events["kind"] == Kind.SOFTIRQ_ENTRY) & (events["a"] == NET_RX)]
    if not len(begun):
        return [0] * len(sent)
    place = np.minimum(np.searchsorted(begun["ns"], sent), len(begun) - 1)
    late = begun["ns"][place] - sent
    return np.where((late >= 0) & (late < _SENT_TO_NET_RX_NS), begun["pid"][place], 0).tolist()


def _replying(cpus: Mapping[int, Cpu], ns: int) -> int:
    """The task in whose NET_RX a packet came in at this time, 0: none is known."""
    for cpu in cpus.values():
        place = bisect_right(cpu.begins, ns) - 1
        if place >= 0 and cpu.doings[place].what == "softirq" and cpu.doings[place].who == SOFTIRQS[NET_RX]:
            return max(0, cpu.doings[place].task)
    return 0


def _known(tasks: Sequence[int], meta: Meta, role: str) -> list[int]:
    """The same, without the kernel's own and those of other roles; where there is but one, it is all of them."""
    fits = {
        task: meta.label(task) in ("", role) and not meta.names.get(task, "").startswith(_SERVANTS)
        for task in set(tasks) - {0}
    }
    of_role = [task for task, good in fits.items() if good]
    return of_role * len(tasks) if len(of_role) == 1 else [task if fits.get(task) else 0 for task in tasks]


def _taken(cpus: Mapping[int, Cpu], server: Task, begin: int, end: int) -> int:
    """When the server ran after a NET_RX had woken it for this request; `begin` where none did."""
    for woken in server.wakings[bisect_right(server.wakings, begin) : bisect_right(server.wakings, end)]:
        doings = (cpu.at(woken)[0] for cpu in cpus.values())
        if any(doing.what == "softirq" and doing.who == SOFTIRQS[NET_RX] for doing in doings):
            runs = (first for first, _, state in server.spans(woken, end) if state.how == "runs")
            return next(runs, end)
    return begin
