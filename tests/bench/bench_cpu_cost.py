"""Is the CPU cost of the set true? Held against a trace of every task switch, interrupt and softirq of the same window.

The trace is the kernel's own (tracefs, an instance of its own in a private place, removed at the end). Both count all
time that was not idle; the trace knows exactly what ran, so that hogs, other programs and pollbench itself are taken
out of it without the interrupts that ran over them.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml

from harness.cli import main as pollbench
from harness.run import counters, cpu_cost, metrics
from harness.run.counters import Snapshot
from harness.run.outcome import Outcome
from harness.store.record import Metrics
from tests.experiment import NO_NOISE_LIMITS

CASES: dict[str, dict[str, Any]] = {
    "base": {},
    "defer20": {"*": {"coalesce": {"napi_defer_hard_irqs": 100, "gro_flush_timeout": "20us"}}},
    "rps-other": {"server": {"rps": {"cpus": "0"}}, "client": {"rps": {"cpus": "1"}}},
    "threaded": {"server": {"threaded_napi": {"mode": "on"}}},
    "busypoll50": {"*": {"busy_poll": {"usecs": 50}}},
}
_EVENTS = (
    "sched/sched_switch",
    "sched/sched_wakeup",
    "irq/softirq_entry",
    "irq/softirq_exit",
    "irq/irq_handler_entry",
    "irq/irq_handler_exit",
    "irq_vectors/enable",
)
_LINE = re.compile(r"\[(\d+)\] .*? (\d+)\.(\d{6}): (\w+): (.*)")
_SWITCH = re.compile(r"prev_pid=(\d+) .*next_pid=(\d+) ")
_WOKEN = re.compile(r" pid=(\d+) ")


@dataclass
class Seen:
    """What the run handed over while it was traced."""

    snapshots: list[Snapshot] = field(default_factory=list)
    roles: dict[int, str] = field(default_factory=dict)
    settled: int = 0


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
    """Tell what the run read and when: the readings of its counters, its processes, and its requests."""
    seen, take, cost = Seen(), counters.take, cpu_cost.cost_metrics

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

    def noting_cost(outcome: Outcome, settled: int) -> Metrics:
        seen.settled = settled
        return cost(outcome, settled)

    with patch.object(counters, "take", noting_take), patch.object(metrics, "cost_metrics", noting_cost):
        yield seen


def busy_ns(text: Iterator[str], seen: Seen) -> Counter[str]:
    """Time of the set in the window by whose it was: ours, kernel, irq (wherever taken), hog, other, idle.

    inferred: switches (not ns) that the trace lacks. Some kernels keep those out of the idle task of one CPU, not what
    interrupts it: the task that is next seen to leave that CPU was there since it was woken.
    """
    before, after = seen.snapshots[0], seen.snapshots[-1]
    begins = {cpu: clock.at_ns for cpu, clock in before.last.clocks.items()}
    ends = {cpu: clock.at_ns for cpu, clock in after.first.clocks.items()}
    kernel = {tid for tid in after.tasks.run_ns if 2 in (tid, after.tasks.parent.get(tid))}
    task: dict[int, int] = {}
    depth, since = Counter[int](), dict(begins)
    total = Counter[str]()
    woken: dict[int, int] = {}
    open_spans: dict[int, list[tuple[int, int]]] = {cpu: [] for cpu in begins}  # of tasks, since the last switch

    def give(cpu: int, leaving: int) -> None:
        """All time since the last switch goes to the task that leaves, but for what an unseen switch ends."""
        came, split = task.get(cpu, leaving), 0
        if came != leaving:
            total["inferred"] += 1
            split = woken.get(leaving, 0)
        for begin, end in open_spans[cpu]:
            cut = min(max(split, begin), end)
            total[_owner(came, kernel, seen)] += cut - begin
            total[_owner(leaving, kernel, seen)] += end - cut
        open_spans[cpu] = []

    for line in text:
        match = _LINE.search(line)
        if not match:
            continue
        cpu, at_ns, event = int(match[1]), int(match[2] + match[3]) * 1000, match[4]
        if event == "sched_wakeup" and (whom := _WOKEN.search(match[5])):
            woken[int(whom[1])] = at_ns
        if cpu not in begins:
            continue
        span = max(since[cpu], begins[cpu]), min(at_ns, ends[cpu])
        since[cpu] = max(at_ns, since[cpu])
        if span[0] < span[1] and depth[cpu]:
            total["irq"] += span[1] - span[0]
        elif span[0] < span[1]:
            open_spans[cpu].append(span)
        if event == "sched_switch" and (switch := _SWITCH.search(match[5])):
            give(cpu, int(switch[1]))
            task[cpu] = int(switch[2])
        elif event.endswith("_entry"):
            depth[cpu] += 1
        elif event.endswith("_exit"):
            depth[cpu] = max(0, depth[cpu] - 1)
    for cpu, end in ends.items():
        open_spans[cpu].append((min(max(since[cpu], begins[cpu]), end), end))
        give(cpu, task.get(cpu, 0))
    return total


def _owner(tid: int, kernel: set[int], seen: Seen) -> str:
    if tid == 0:
        return "idle"
    return "kernel" if tid in kernel else seen.roles.get(tid, "other")


def lost(instance: Path) -> int:
    """Events that found no room in the buffers."""
    stats = [path.read_text() for path in instance.glob("per_cpu/cpu*/stats")]
    return sum(int(count) for text in stats for count in re.findall(r"^overrun: (\d+)", text, re.MULTILINE))


def measured(case: str, hog: bool, duration: str, rate: int) -> dict[str, float]:
    """One traced run of a case: the product's cost, its bounds, and the trace's, us per request."""
    workload: dict[str, Any] = {"kind": "ping-pong", "from": "client", "to": "server", "protocol": "udp"}
    if rate:
        workload |= {"kind": "open-loop", "rate": rate, "late": "1s"}
    document: dict[str, Any] = {
        "name": "cost",
        "topology": {
            "nodes": {"client": {"cpus": "0"}, "server": {"cpus": "1"}},
            "links": [{"between": ["client", "server"]}],
        },
        "workload": workload | {"warmup": "100ms", "duration": duration},
        "cases": {case: {"settings": CASES[case]} if CASES[case] else {}},
        "checks": NO_NOISE_LIMITS,
        "repeat": 1,
    }
    if hog:
        document["contention"] = {"on": "server.cpus", "kind": "spin", "threads": 1, "load": "50%"}
    with tempfile.TemporaryDirectory() as place, tracing() as instance, watched(instance) as seen:
        path = Path(place, "cost.yaml")
        path.write_text(yaml.safe_dump(document))
        output = io.StringIO()
        with redirect_stdout(output), redirect_stderr(output):
            pollbench(["run", str(path), "-o", place, "--json"])
        records = [json.loads(p.read_text()) for p in Path(place).glob("cost/*/runs/*/run.json")]
        if len(seen.snapshots) != 2 or not seen.settled or lost(instance):
            sys.exit(f"{case}: {lost(instance)} events lost; {output.getvalue()[-2000:]}")
        with (instance / "trace").open() as text:
            total = busy_ns(text, seen)
    figures = records[0]["metrics"]
    names = ("set_cpu", "set_cpu_low", "set_cpu_high", "cpu", "set_idle")
    row = {name: figures[f"{name}_us_per_request"] for name in names}
    row["trace"] = (total["ours"] + total["kernel"] + total["irq"]) / seen.settled / 1e3
    row["trace_irq"] = total["irq"] / seen.settled / 1e3
    row["trace_idle"] = total["idle"] / seen.settled / 1e3
    row["inferred"] = total["inferred"]
    row["foreign"] = figures["foreign_percent"]
    return row


def main() -> None:
    """Print the table: the product's cost against the trace's, and the sign of every pair with base."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--duration", default="500ms")
    parser.add_argument("--rate", type=int, default=0, help="requests/s of an open loop; 0: a closed loop")
    parser.add_argument("--case", action="append", choices=CASES, help="only these cases")
    parser.add_argument("--hog", choices=("both", "none", "only"), default="both")
    options = parser.parse_args()
    hogs = {"both": (False, True), "none": (False,), "only": (True,)}[options.hog]
    print("| hog | case | processes only | whole set [least..most] | trace | of it irq | product / trace | sign |")
    print("|---|---|---|---|---|---|---|---|")
    for hog in hogs:
        base: dict[str, float] = {}
        for case in options.case or CASES:
            row = measured(case, hog, options.duration, options.rate)
            base = base or row
            agree = (row["set_cpu"] >= base["set_cpu"]) == (row["trace"] >= base["trace"])
            print(
                f"| {'spin 50 %' if hog else 'none'} | {case} | {row['cpu']:.1f} | {row['set_cpu']:.1f} "
                f"[{row['set_cpu_low']:.1f}..{row['set_cpu_high']:.1f}] | {row['trace']:.1f} | {row['trace_irq']:.1f} "
                f"| {row['set_cpu'] / row['trace']:.2f} | {'right' if agree else 'WRONG'} | "
                f"idle {row['set_idle']:.1f} / {row['trace_idle']:.1f}, foreign {row['foreign']:.0f} %, "
                f"{row['inferred']:.0f} switches inferred",
                flush=True,
            )


if __name__ == "__main__":
    main()
