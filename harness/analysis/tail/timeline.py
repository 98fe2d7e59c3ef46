"""What each CPU did and in which state each of our tasks was, at every moment of a trace."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.store.trace import NET_RX, SOFTIRQS, VECTORS, Kind, Meta

Events = npt.NDArray[Any]
_HIDDEN = -1
# As plain numbers: a comparison with an IntEnum takes several times as long, and there are millions.
_SWITCH, _WAKING = int(Kind.SWITCH), int(Kind.WAKING)
_SOFTIRQ_ENTRY, _SOFTIRQ_EXIT = int(Kind.SOFTIRQ_ENTRY), int(Kind.SOFTIRQ_EXIT)
_SOFTIRQ_RAISE = int(Kind.SOFTIRQ_RAISE)
_IRQ_ENTRY, _VECTOR_ENTRY = int(Kind.IRQ_ENTRY), int(Kind.VECTOR_ENTRY)
_EXITS = (int(Kind.IRQ_EXIT), int(Kind.VECTOR_EXIT))
_NET_RX = SOFTIRQS[NET_RX]
_BY_TASKS = (SOFTIRQS.index("NET_TX"), NET_RX)
"""Softirqs that tasks begin as well, by sending."""
_GAP_NS = 2_000
_STATE_BITS = 0xFF
"""Of a state: above it stands only that the kernel took the CPU away."""


class Raised(NamedTuple):
    """When NET_RX became due on a CPU, in which interrupt ("": in none), and which task was there then."""

    ns: int
    irq: str
    task: int


class Doing(NamedTuple):
    """What a CPU does. what: "task", "irq", "softirq", or "hidden": out of idle, the switch itself is not in the trace.

    who: the interrupt or softirq; task: who runs, or is interrupted; raised: of a NET_RX, by what it became due.
    """

    what: str
    who: str
    task: int
    raised: Raised | None = None


class Span(NamedTuple):
    """A stretch of time, ns, with what was so during it."""

    begin: int
    end: int
    doing: Doing


class Cpu:
    """One CPU's way through the trace.

    Some kernels keep the switches out of the idle task of a CPU out of the trace. Every event says who was running
    when it was made, so a task that is suddenly there came from idle, since the event before.
    """

    def __init__(self, events: Events, meta: Meta) -> None:
        self.begins: list[int] = []
        self.doings: list[Doing] = []
        self.event_ns: list[int] = events["ns"].tolist()
        self.hidden: list[tuple[int, int, int]] = []
        """Switches that the trace lacks: after the first time, before the second, to which task."""
        self._irqs: list[str] = []
        self._softirq = ""
        self._due: Raised | None = None
        self._raised: Raised | None = None
        self._task = -1
        self._names = dict(enumerate(VECTORS))
        self._meta = meta
        before = 0
        columns = (events[name].tolist() for name in ("ns", "kind", "a", "pid"))
        for ns, kind, a, pid in zip(*columns, strict=True):
            jumped = pid != self._task
            if jumped:
                self._jump(before, ns, pid)
            before = ns
            if self._take(kind, a, ns) or jumped:
                self._note(ns)

    def _jump(self, before_ns: int, ns: int, pid: int) -> None:
        """The task is another than the last event left here."""
        if self._task >= 0:
            self.hidden.append((before_ns, ns, pid))
            self._irqs, self._softirq = [], ""
            self.begins.append(before_ns)
            self.doings.append(Doing("hidden", "", pid))
        self._task = pid

    def _take(self, kind: int, a: int, ns: int) -> bool:
        """What an event changes; False where it changes nothing."""
        if kind == _SWITCH:
            self._task, self._irqs, self._softirq = a, [], ""
        elif kind == _SOFTIRQ_ENTRY:
            self._softirq = SOFTIRQS[a] if 0 <= a < len(SOFTIRQS) else str(a)
            if a == NET_RX:  # made due by an interrupt, or else by the task itself, which sends
                self._raised, self._due = self._due or Raised(ns, "", self._task), None
            self._close_gap(a, ns)
        elif kind == _SOFTIRQ_EXIT:
            self._softirq = ""
        elif kind == _IRQ_ENTRY:
            self._irqs.append(self._meta.irqs.get(a) or f"irq {a}")
        elif kind == _VECTOR_ENTRY:
            self._irqs.append(self._names.get(a, str(a)))
        elif kind in _EXITS:
            if self._irqs:
                self._irqs.pop()
        else:
            if kind == _SOFTIRQ_RAISE and a == NET_RX:
                self._raise(ns)
            return False
        return True

    def _close_gap(self, softirq: int, ns: int) -> None:
        """On its way out of an interrupt a CPU takes up the softirqs that this made due: no task runs between."""
        by_task = softirq in _BY_TASKS and not (softirq == NET_RX and self._raised and self._raised.irq)
        if by_task or len(self.begins) < 2 or ns - self.begins[-1] > _GAP_NS:
            return
        before, last = self.doings[-2:]
        if last.what == "task" and before.what in ("irq", "softirq"):
            self.doings[-1] = before

    def _raise(self, ns: int) -> None:
        """NET_RX is due; by itself, where it had more than it may do at once: for the same packets."""
        if self._irqs or not self._softirq:
            self._due = Raised(ns, self._irqs[-1] if self._irqs else "", self._task)
        else:
            self._due = self._due or self._raised

    def _note(self, ns: int) -> None:
        if self._irqs:
            doing = Doing("irq", self._irqs[-1], self._task)
        elif self._softirq:
            doing = Doing("softirq", self._softirq, self._task, self._raised if self._softirq == _NET_RX else None)
        else:
            doing = Doing("task", "", self._task)
        self.begins.append(ns)
        self.doings.append(doing)

    def at(self, ns: int) -> tuple[Doing, int]:
        """What it did at a moment, and since when."""
        place = bisect_right(self.begins, ns) - 1
        return (self.doings[place], self.begins[place]) if place >= 0 else (Doing("task", "", -1), ns)

    def spans(self, begin: int, end: int) -> Iterator[Span]:
        """What it did from `begin` to `end`, without a gap."""
        place = bisect_right(self.begins, begin) - 1
        while begin < end:
            after = place + 1
            until = min(end, self.begins[after]) if after < len(self.begins) else end
            if until > begin:
                doing = self.doings[place] if place >= 0 else Doing("task", "", -1)
                yield Span(begin, until, doing)
                begin = until
            place = after

    def busy_before(self, ns: int) -> float:
        """The time of interrupts and softirqs before a moment, ns; differences of it count."""
        if not hasattr(self, "_sums"):
            ends = [*self.begins[1:], self.begins[-1]] if self.begins else []
            lengths = [
                end - begin if doing.what in ("irq", "softirq") else 0
                for begin, end, doing in zip(self.begins, ends, self.doings, strict=True)
            ]
            self._sums = np.concatenate([[0], np.cumsum(lengths)]).tolist()
        place = bisect_right(self.begins, ns) - 1
        if place < 0:
            return 0.0
        inside = self.doings[place].what in ("irq", "softirq")
        return float(self._sums[place] + (ns - self.begins[place] if inside else 0))


class State(NamedTuple):
    """How a task was. how: "runs", "ready" (it could, and does not) or "asleep"; why: the state in which it sleeps.

    cpu: where it runs, or ran next.
    """

    how: str
    why: int
    cpu: int


class Task:
    """One task's states over the trace."""

    def __init__(self, tid: int, events: Events, cpus: dict[int, Cpu]) -> None:
        self.tid = tid
        self.begins: list[int] = []
        self.states: list[State] = []
        self.wakings: list[int] = []
        self._early: int | None = None
        kinds, switches = events["kind"], events["kind"] == Kind.SWITCH
        own = (switches & ((events["pid"] == tid) | (events["a"] == tid))) | (
            (kinds == Kind.WAKING) & (events["a"] == tid)
        )
        changes = [
            (int(ns), int(kind), int(a), int(b), int(cpu))
            for ns, kind, a, b, cpu in events[own][["ns", "kind", "a", "b", "cpu"]].tolist()
        ]
        woken = [ns for ns, kind, *_ in changes if kind == _WAKING]
        for number, cpu in cpus.items():
            for after, before, task in cpu.hidden:
                if task == tid:
                    last = woken[max(0, bisect_right(woken, before) - 1)] if woken else 0
                    changes.append((max(after, last + 1 if last < before else 0), _HIDDEN, tid, 0, number))
        for ns, kind, a, b, cpu in sorted(changes):
            self._change(ns, kind, a, b, cpu)
        self._place()

    def _change(self, ns: int, kind: int, a: int, b: int, cpu: int) -> None:
        how = self.states[-1].how if self.states else ""
        if kind == _WAKING:
            if how == "runs":
                self._early = ns
                return
            self.wakings.append(ns)
            state = State("ready", 0, -1)
        elif kind == _HIDDEN or a == self.tid:  # it left an idle CPU unseen: since when it runs, its next event knows
            if how == "asleep" and self._early is not None:
                # Woken on its way to sleep, before the switch that says so: it only waited for its CPU since.
                self.wakings.append(self._early)
                self.states[-1] = State("ready", 0, cpu)
            self._early = None
            state = State("runs", 0, cpu)
        else:
            why = b & _STATE_BITS
            state = State("asleep", why, cpu) if why else State("ready", 0, cpu)
        self.begins.append(ns)
        self.states.append(state)

    def _place(self) -> None:
        """A task that is ready waits for the CPU where it runs next."""
        cpu = -1
        for index in range(len(self.states) - 1, -1, -1):
            state = self.states[index]
            if state.how == "runs":
                cpu = state.cpu
            elif state.how == "ready" and cpu >= 0:
                self.states[index] = state._replace(cpu=cpu)

    def woken(self, begin: int, end: int) -> int | None:
        """When it was last woken in a stretch of time: what it was woken for before came from others."""
        place = bisect_right(self.wakings, end) - 1
        return self.wakings[place] if place >= 0 and self.wakings[place] > begin else None

    def spans(self, begin: int, end: int) -> Iterator[tuple[int, int, State]]:
        """Its states from `begin` to `end`, without a gap; before the first event it is thought to run."""
        place = bisect_right(self.begins, begin) - 1
        while begin < end:
            after = place + 1
            until = min(end, self.begins[after]) if after < len(self.begins) else end
            if until > begin:
                first = self.states[0].cpu if self.states else -1
                yield begin, until, self.states[place] if place >= 0 else State("runs", 0, first)
                begin = until
            place = after


class Stolen:
    """Time that the hypervisor took from a CPU, by the scheduler's clock: what passed, less what was run."""

    LEAST_NS = 5000

    def __init__(self, events: Events, cpu: Cpu) -> None:
        self.begins: list[int] = []
        self.parts: list[tuple[int, int, float]] = []
        since: int | None = None
        both = np.isin(events["kind"], (Kind.SWITCH, Kind.RUNTIME))
        for ns, kind, a, b, pid in events[both][["ns", "kind", "a", "b", "pid"]].tolist():
            if kind == _SWITCH:
                since = ns if a else None
            elif since is not None and a == pid:
                taken = float(ns - since - b)
                if taken > self.LEAST_NS:
                    taken -= cpu.busy_before(ns) - cpu.busy_before(since)
                if taken > self.LEAST_NS:
                    self.begins.append(since)
                    self.parts.append((since, ns, taken))
                since = ns

    def within(self, begin: int, end: int) -> float:
        """How much of a stretch may have been stolen, ns: where in its stint it was, the clock does not say."""
        total = 0.0
        place = max(0, bisect_right(self.begins, begin) - 1)
        while place < len(self.parts) and self.parts[place][0] < end:
            since, until, taken = self.parts[place]
            total += min(taken, max(0, min(end, until) - max(begin, since)))
            place += 1
        return min(total, end - begin)


def cpus_of(events: Events, meta: Meta) -> dict[int, Cpu]:
    """Every traced CPU's way."""
    return {cpu: Cpu(events[events["cpu"] == cpu], meta) for cpu in meta.cpus}


def tasks_of(tids: Iterable[int], events: Events, cpus: dict[int, Cpu]) -> dict[int, Task]:
    """The states of these tasks."""
    return {tid: Task(tid, events, cpus) for tid in tids}
