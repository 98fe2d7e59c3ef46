"""Is the CPU cost of the set true? Held against a trace of every task switch, interrupt and softirq of the same window.

Both count all time that was not idle; the trace knows exactly what ran, so that hogs, other programs and pollbench
itself are taken out of it without the interrupts that ran over them. On this host, or (--in-vm) in guests.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml

from harness.cli import main as pollbench
from harness.places import local
from harness.places.vm import image
from harness.run import metrics as run_metrics
from harness.run.outcome import Outcome
from harness.store.record import Metrics
from tests.bench import cost_trace
from tests.experiment import NO_NOISE_LIMITS

CASES: dict[str, dict[str, Any]] = {
    "base": {},
    "defer20": {"*": {"coalesce": {"napi_defer_hard_irqs": 100, "gro_flush_timeout": "20us"}}},
    # A veth's packets are received on the CPU of their sender: the other one is the receiver's own.
    "rps-other": {"server": {"rps": {"cpus": "1"}}, "client": {"rps": {"cpus": "0"}}},
    "threaded": {"server": {"threaded_napi": {"mode": "on"}}},
    "busypoll50": {"*": {"busy_poll": {"usecs": 50}}},
}
_ENTRY = "import sys\n\nfrom harness.cost_trace import main\n\nmain(*sys.argv[1:])\n"


HOGS: dict[str, dict[str, Any]] = {
    "normal": {},
    "nice": {"nice": 19},
    "fifo": {"policy": "fifo", "priority": 10},
    "syscall": {"kind": "syscall"},
}


def document(options: argparse.Namespace, hog: bool) -> dict[str, Any]:
    """The experiment of all cases, with or without a hog."""
    workload: dict[str, Any] = {"kind": "ping-pong", "from": "client", "to": "server", "protocol": "udp"}
    if options.rate:
        workload |= {"kind": "open-loop", "rate": options.rate, "late": "1s"}
    nodes = dict(zip(("client", "server"), ({"cpus": cpu} for cpu in options.cpus.split(",")), strict=True))
    whole: dict[str, Any] = {
        "name": "cost",
        "topology": {"nodes": nodes, "links": [{"between": ["client", "server"]}]},
        "workload": workload | {"warmup": "100ms" if not options.in_vm else "20ms", "duration": options.duration},
        "cases": {name: {"settings": CASES[name]} if CASES[name] else {} for name in options.case or CASES},
        "checks": NO_NOISE_LIMITS,
        "repeat": options.repeat,
    }
    if hog:
        spin = {"on": "server.cpus", "kind": "spin", "threads": 1, "load": "50%"}
        whole["contention"] = spin | HOGS[options.hog_class]
    return whole


@contextmanager
def tracing_runs() -> Iterator[None]:
    """Have every run traced, here, and in guests by packing the trace into what they carry."""
    sources, make_run, cost_metrics = image._sources, local.make_run, run_metrics.cost_metrics

    def with_requests(outcome: Outcome, settled: int) -> Metrics:
        return cost_metrics(outcome, settled) | {"settled": settled}

    def traced_run(run: Any, environment: Any, stopper: Any, take: Any) -> Any:
        return make_run(run, environment, stopper, cost_trace.traced(take))

    def with_trace() -> Iterator[tuple[str, Path]]:
        yield from sources()
        yield "harness/cost_trace.py", Path(cost_trace.__file__)

    with (
        patch.object(local, "make_run", traced_run),
        patch.object(run_metrics, "cost_metrics", with_requests),
        patch.object(image, "_sources", with_trace),
        patch.object(image, "_ENTRY", _ENTRY),
    ):
        yield


def rows_of(options: argparse.Namespace, hog: bool) -> Iterator[dict[str, Any]]:
    """Of every run its case, the product's figures and the trace's, us per request."""
    with tempfile.TemporaryDirectory() as place, tracing_runs():
        path = Path(place, "cost.yaml")
        path.write_text(yaml.safe_dump(document(options, hog)))
        output = io.StringIO()
        with redirect_stdout(output), redirect_stderr(output):
            pollbench([*(["vm"] if options.in_vm else []), "run", str(path), "-o", place, "--json"])
        records = sorted(Path(place).glob("cost/*/runs/*/run.json"))
        if len(records) != len(options.case or CASES) * options.repeat:
            sys.exit(output.getvalue()[-2000:])
        for record in records:
            run = json.loads(record.read_text())
            trace = json.loads(next(record.parent.rglob(cost_trace.FILE)).read_text())
            yield {"case": run["case"]} | _figures(run["metrics"], trace)


def _figures(metrics: dict[str, float], trace: dict[str, Any]) -> dict[str, Any]:
    names = ("set_cpu", "set_cpu_low", "set_cpu_high", "cpu", "set_idle")
    row: dict[str, Any] = {name: metrics[f"{name}_us_per_request"] for name in names}
    # Of the whole window between the readings, which is longer than that of the latencies.
    requests = metrics["settled"]
    total = sum((Counter(times) for times in trace["cpus"].values()), Counter[str]())
    us = {name: ns / requests / 1e3 for name, ns in total.items()}
    row["trace"] = us.get("ours", 0) + us.get("kernel", 0) + us.get("irq", 0) + us.get("path", 0)
    hogs = trace["hogs"]
    row["hog"] = {
        "by the trace": us.get("hog", 0) + us.get("over-hog", 0),
        "by events": (hogs["switched_ns"] or 0) / requests / 1e3,
        "by the scheduler": hogs["run_ns"] / requests / 1e3,
        "of it interrupts by the trace": us.get("over-hog", 0),
        "by the product": (hogs["over_ns"] or 0) / requests / 1e3,
    }
    row |= {"irq": us.get("irq", 0), "path": us.get("path", 0), "idle": us.get("idle", 0)}
    row |= {"inferred": total["inferred"], "lost": trace["lost"], "foreign": metrics["foreign_percent"]}
    row["by_cpu"] = {
        cpu: (times["clock"] / requests / 1e3, times.get("idle", 0) / requests / 1e3, "path" in times)
        for cpu, times in trace["cpus"].items()
    }
    return row


def _verdict(row: dict[str, Any], base: dict[str, Any]) -> str:
    """The figures of one case in the table's columns; without the whole where other programs left it unknown."""
    if row["set_cpu"] is None:
        return f"{row['cpu']:.1f} | blank: foreign {row['foreign']:.0f} % | {row['trace']:.1f} | | |"
    known = base["set_cpu"] is not None
    agree = known and (row["set_cpu"] >= base["set_cpu"]) == (row["trace"] >= base["trace"])
    return (
        f"{row['cpu']:.1f} | {row['set_cpu']:.1f} [{row['set_cpu_low']:.1f}..{row['set_cpu_high']:.1f}] "
        f"| {row['trace']:.1f} | {row['irq']:.1f}, {row['path']:.1f} | {row['set_cpu'] / row['trace']:.2f} "
        f"| {'right' if agree else 'WRONG' if known else 'no base'}"
    )


def main() -> None:
    """Print the table: the product's cost against the trace's, and the sign of every pair with base."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--duration", default="500ms")
    parser.add_argument("--rate", type=int, default=0, help="requests/s of an open loop; 0: a closed loop")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--cpus", default="0,1", help="of client and server")
    parser.add_argument("--case", action="append", choices=CASES, help="only these cases")
    parser.add_argument("--hog", choices=("both", "none", "only"), default="both")
    parser.add_argument("--hog-class", choices=HOGS, default="normal")
    parser.add_argument("--in-vm", action="store_true", help="in guests, in model time; use a short --duration")
    options = parser.parse_args()
    print("| hog | case | processes only | whole set [least..most] | trace | irq, idle path | product / trace | sign |")
    print("|---|---|---|---|---|---|---|---|")
    for hog in {"both": (False, True), "none": (False,), "only": (True,)}[options.hog]:
        rows = list(rows_of(options, hog))
        base = next((row for row in rows if row["case"] == "base"), rows[0])
        for row in sorted(rows, key=lambda row: list(CASES).index(row["case"])):
            beside = f"50 %, {options.hog_class}" if hog else "none"
            print(f"| {beside} | {row['case']} | {_verdict(row, base)} |")
            cpus = ", ".join(
                f"CPU {cpu} {clock:.1f} / {idle:.1f}{'' if whole else ' (sleeps not in the trace)'}"
                for cpu, (clock, idle, whole) in row["by_cpu"].items()
            )
            print(
                f"    idle by clock / by trace: {cpus}; foreign {row['foreign']:.0f} %, "
                f"{row['inferred']} switches inferred, {row['lost']} events lost",
                file=sys.stderr,
            )
            if hog:
                print("    hog", ", ".join(f"{how} {us:.1f}" for how, us in row["hog"].items()), file=sys.stderr)


if __name__ == "__main__":
    main()
