"""A trace of every task switch, interrupt and softirq of one run's window, on this host and, packed along, in guests.

The trace is the kernel's own (tracefs, an instance of its own in a private place, removed at the end).
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from harness.places.vm import guest
from harness.run import counters
from harness.run.counters import Snapshot

FILE = "trace.json"
"""What a traced run leaves among the files that its programs said."""
_EVENTS = (
    "sched/sched_switch",
    "sched/sched_wakeup",
    "irq/softirq_entry",
    "irq/softirq_exit",
    "irq/irq_handler_entry",
    "irq/irq_handler_exit",
    "irq_vectors/enable",
    "power/cpu_idle",
)
_LINE = re.compile(r"\[(\d+)\] .*? (\d+)\.(\d{6}): (\w+): (.*)")
_SWITCH = re.compile(r"prev_pid=(\d+) .*next_pid=(\d+) ")
_WOKEN = re.compile(r" pid=(\d+) ")
_AWAKE = "state=4294967295"
_CALLS = ("reschedule_", "call_function_")
"""What a CPU is woken by from another one."""


@dataclass
class Seen:
    """What the run handed over while it was traced. roles: "ours" or "hog" by thread."""

    snapshots: list[Snapshot] = field(default_factory=list)
    roles: dict[int, str] = field(default_factory=dict)


def traced(measure: Callable[..., Any]) -> Callable[..., Any]:
    """The same, traced: whose the time of the window was goes into the run's files, ns by CPU."""

    def measured(spec: Any, stopper: Any, files: dict[str, bytes], **more: Any) -> Any:
        with tracing() as instance, watched(instance) as seen:
            outcome = measure(spec, stopper, files, **more)
            with (instance / "trace").open() as text:
                times = times_of(text, seen)
            hogs = asdict(seen.snapshots[-1].first.hogs.minus(seen.snapshots[0].last.hogs))
            files[FILE] = json.dumps({"cpus": times, "lost": lost(instance), "hogs": hogs}).encode()
        return outcome

    return measured


def main(job: str, out: str) -> None:
    """The agent in a guest, with every run traced."""
    guest.measure = traced(guest.measure)  # type: ignore[attr-defined]
    guest.main(job, out)


@contextmanager
def tracing() -> Iterator[Path]:
    """An instance of the kernel's trace buffers with the events on; tracing begins when `tracing_on` says so."""
    with tempfile.TemporaryDirectory(prefix="pollbench-trace-") as place:
        subprocess.run(["mount", "-t", "tracefs", "nodev", place], check=True)
        instance = Path(place, "instances", "pollbench-cost")
        try:
            instance.mkdir()
            (instance / "tracing_on").write_text("0")
            (instance / "trace_clock").write_text("mono")
            (instance / "buffer_size_kb").write_text("40960")
            for event in _EVENTS:
                switch = instance / "events" / event
                (switch if switch.name == "enable" else switch / "enable").write_text("1")
            yield instance
        finally:
            if instance.exists():
                (instance / "tracing_on").write_text("0")
                instance.rmdir()
            subprocess.run(["umount", place], check=True)


@contextmanager
def watched(instance: Path) -> Iterator[Seen]:
    """Trace between the run's two readings of its counters, and note these and its processes."""
    seen, take = Seen(), counters.take

    def noting_take(nodes: Any, pids: Any, *more: Any) -> Snapshot:
        (instance / "tracing_on").write_text("1")
        snapshot = take(nodes, pids, *more)
        if seen.snapshots:
            (instance / "tracing_on").write_text("0")
        for label, processes in pids.items():
            for task in (task for pid in processes for task in Path(f"/proc/{pid}/task").iterdir()):
                seen.roles[int(task.name)] = "hog" if label == "hog" else "ours"
        seen.snapshots.append(snapshot)
        return snapshot

    with patch.object(counters, "take", noting_take):
        yield seen


def lost(instance: Path) -> int:
    """Events that found no room in the buffers."""
    stats = [path.read_text() for path in instance.glob("per_cpu/cpu*/stats")]
    return sum(int(count) for text in stats for count in re.findall(r"^overrun: (\d+)", text, re.MULTILINE))


def times_of(text: Iterator[str], seen: Seen) -> dict[int, Counter[str]]:
    """Each CPU's time in the window by whose it was, ns: ours, kernel, irq (wherever taken), path, hog, other, idle.

    path: of the idle task, but not idle: the kernel's way to sleep and back; only where the trace shows it. inferred:
    how many switches (not ns) the trace lacks. clock: what the product's idle clock says. over-hog: of irq, what was
    taken over hogs.
    """
    before, after = seen.snapshots[0], seen.snapshots[-1]
    kernel = {tid for tid in after.tasks.run_ns if 2 in (tid, after.tasks.parent.get(tid))}
    woken: dict[int, tuple[int, int]] = {}
    cpus = {
        cpu: _Cpu(cpu, clock.at_ns, after.first.clocks[cpu].at_ns, woken, kernel, seen.roles)
        for cpu, clock in before.last.clocks.items()
    }
    for line in text:
        if match := _LINE.search(line):
            cpu, at_ns, event = int(match[1]), int(match[2] + match[3]) * 1000, match[4]
            if event == "sched_wakeup" and (whom := _WOKEN.search(match[5])):
                woken[int(whom[1])] = at_ns, cpu
            if cpu in cpus:
                cpus[cpu].event(at_ns, event, match[5])
    for cpu, one in cpus.items():
        one.finish()
        one.total["clock"] = after.first.clocks[cpu].idle_ns - before.last.clocks[cpu].idle_ns
    return {cpu: one.total for cpu, one in cpus.items()}


class _Cpu:
    """One CPU's way through the trace.

    Some kernels keep the switches out of the idle task of one CPU out of the trace, and its sleeps too, but not what
    interrupts it: the task that is next seen to leave such a CPU was there since it was woken, or, where the wake-up
    had to come to a CPU that was halted, since the interrupt that brought it. Until that arrived the CPU was idle.
    """

    def __init__(
        self, cpu: int, begin: int, end: int, woken: dict[int, tuple[int, int]], kernel: set[int], roles: dict[int, str]
    ) -> None:
        self._cpu, self.begin, self.end, self.since = cpu, begin, end, begin
        self.total = Counter[str]()
        self._woken, self._kernel, self._roles = woken, kernel, roles
        self._depth, self._asleep, self._sleeps_shown = 0, False, False
        self._task: int | None = None
        # Since the last switch: of tasks begin, end, asleep, and when other CPUs' interrupts came.
        self._spans: list[tuple[int, int, bool]] = []
        self._calls: list[int] = []

    def event(self, at_ns: int, name: str, text: str) -> None:
        """The next event on this CPU."""
        self._until(at_ns)
        if name == "sched_switch" and (switch := _SWITCH.search(text)):
            self._give(int(switch[1]))
            self._task = int(switch[2])
        elif name == "cpu_idle":
            self._asleep, self._sleeps_shown = _AWAKE not in text, True
        elif name.endswith("_entry"):
            self._depth += 1
            if name.startswith(_CALLS):
                self._calls.append(at_ns)
        elif name.endswith("_exit"):
            self._depth = max(0, self._depth - 1)
            self._asleep = False  # whatever interrupts a CPU ends its sleep, and it says so a little later

    def finish(self) -> None:
        """The end of the window."""
        self._until(self.end)
        self._give(self._task or 0)

    def _until(self, at_ns: int) -> None:
        begin, end = max(self.since, self.begin), min(at_ns, self.end)
        self.since = max(at_ns, self.since)
        if begin < end and self._depth:
            self.total["irq"] += end - begin
            self.total["over-hog"] += end - begin if self._task and self._owner(self._task, False) == "hog" else 0
        elif begin < end:
            self._spans.append((begin, end, self._asleep))

    def _give(self, leaving: int) -> None:
        """All time since the last switch goes to the task that leaves, but for what an unseen switch ends."""
        came, split = leaving if self._task is None else self._task, 0
        if came != leaving:
            self.total["inferred"] += 1
            split = self._arrival(*self._woken.get(leaving, (0, self._cpu)))
        for begin, end, asleep in self._spans:
            cut = min(max(split, begin), end)
            self.total[self._owner(came, asleep)] += cut - begin
            self.total[self._owner(leaving, asleep)] += end - cut
        self._spans, self._calls = [], []

    def _arrival(self, woken_ns: int, by: int) -> int:
        """When a wake-up came here: another CPU's with its next interrupt; else (and where a CPU polls) at once."""
        calls = self._calls if by != self._cpu else []
        return next((at_ns for at_ns in calls if at_ns > woken_ns), woken_ns)

    def _owner(self, tid: int, asleep: bool) -> str:
        if tid == 0:
            return "path" if self._sleeps_shown and not asleep else "idle"
        return "kernel" if tid in self._kernel else self._roles.get(tid, "other")
