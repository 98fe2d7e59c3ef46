"""Injected truth for `pollbench explain`: what was done to requests, against what each slow one is said to have met.

Needs root, and a host as quiet as can be had: `python -m tests.bench.study_tail [NAME...]` prints a table in markdown.
Both ends run under SCHED_FIFO, so that what else the host has to do (SCHED_OTHER) cannot take their CPUs.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.analysis.tail.causes import Account, Slow, account
from harness.analysis.tail.trace import requests_of, trace_of
from harness.kernel import journal
from harness.plan import make_plan
from harness.run.measure import measure
from harness.run.tracing import Tracer
from harness.signals import stop_on_signals
from harness.spec.load import load_experiment
from harness.store.samples import read_columns
from harness.store.trace import EVENT_DTYPE, EVENTS_FILE, META_FILE, read_meta

_FIFO = {"process": {"policy": "fifo", "priority": 10}}
_PAIR = {"nodes": {"client": {"cpus": "0"}, "server": {"cpus": "1"}}, "links": [{"between": ["client", "server"]}]}
_PING = {"kind": "ping-pong", "from": "client", "to": "server", "warmup": "100ms", "duration": "2s"}
_OPEN = {"kind": "load", "from": "client", "to": "server", "warmup": "100ms", "duration": "2s", "rate": 1000}
GROUPS = {
    "hog": lambda slow: slow.cause.kind == "behind" and slow.cause.who == "hog",
    "server": lambda slow: slow.cause.kind in ("work", "queued"),
    "shaper": lambda slow: slow.cause.kind == "shaper",
    "deferral": lambda slow: slow.cause.kind == "deferred",
    "softirq": lambda slow: (
        slow.cause.kind == "softirq" or (slow.cause.kind == "behind" and slow.cause.who.startswith("ksoftirqd"))
    ),
    "stopped": lambda slow: slow.cause.kind == "stopped",
    "another program": lambda slow: slow.cause.kind == "behind",
    "idle, silent, stolen": lambda slow: slow.cause.kind in ("idle", "silent", "stolen"),
    "not explained": lambda slow: slow.cause.kind == "own",
}
"""What a slow request may be said to have met; the first that fits."""


@dataclass(frozen=True)
class Injection:
    """One experiment and what it does to some requests. above_us: what only they take; expects: a key of GROUPS."""

    expects: str
    above_us: float
    document: Mapping[str, Any]
    disturb: Any = None


def _hog(kind: str, **more: Any) -> Injection:
    # 2 ms of every 20 ms, above both ends.
    hogs = {"on": "server.cpus", "kind": kind, "threads": 1, "load": "10%", "period": "20ms"}
    document = {"workload": _PING, "contention": {**hogs, "policy": "fifo", "priority": 20, **more}}
    return Injection("hog", 1000, document)


@contextmanager
def _stopping(pids: Mapping[str, Sequence[int]]) -> Iterator[None]:
    """SIGSTOP for 3 ms, again and again."""
    (pid,), over = pids["server"], threading.Event()

    def stop() -> None:
        while not over.wait(0.05):
            os.kill(pid, signal.SIGSTOP)
            over.wait(0.003)
            os.kill(pid, signal.SIGCONT)

    with _beside(stop, over):
        yield


@contextmanager
def _beside(work: Any, over: threading.Event) -> Iterator[None]:
    """The work in a thread of higher priority than both ends, until the block ends."""

    def run() -> None:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(30))
        work()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


_FLOOD_NODES = {**_PAIR["nodes"], "flood": {"cpus": "0"}, "sink": {"cpus": "1"}}  # type: ignore[dict-item]
INJECTIONS: dict[str, Injection] = {
    "hog that spins": _hog("spin"),
    "hog of system calls": _hog("syscall"),
    "hog of memory": _hog("memory", working_set="64MiB"),
    "server stalls": Injection(
        "server", 700, {"workload": {**_PING, "kind": "load", "stall": "2ms", "stall_every": "50ms"}}
    ),
    "shaper's queue": Injection(
        "shaper",
        10_000,
        {
            "topology": {**_PAIR, "links": [{"between": ["client", "server"], "shape": {"rate": "20mbit"}}]},
            "workload": {**_OPEN, "arrivals": "burst", "burst": 40, "size": "1000B", "response_size": "64B"},
        },
    ),
    "deferral": Injection(
        "deferral",
        2500,
        {
            "workload": _OPEN,
            "settings": {"*": {**_FIFO, "coalesce": {"napi_defer_hard_irqs": 100, "gro_flush_timeout": "2ms"}}},
        },
    ),
    "flood of softirqs": Injection(
        "softirq",
        400,
        {
            "topology": {"nodes": _FLOOD_NODES, "links": [*_PAIR["links"], {"between": ["flood", "sink"]}]},
            "workload": None,
            "workloads": [
                {**_PING, "measured": True},
                {**_OPEN, "from": "flood", "to": "sink", "rate": 40000, "arrivals": "burst", "burst": 2000},
            ],
            "settings": {"client": _FIFO, "server": _FIFO, "sink": {"rps": {"cpus": "1"}}},
        },
    ),
    "SIGSTOP": Injection("stopped", 1500, {"workload": _PING}, _stopping),
}


@dataclass
class _Disturbing(Tracer):
    """A tracer in whose window something is done to the programs."""

    disturb: Any = None

    @contextmanager
    def window(self, spec: Any, testbed: Any, journal: Any, cpus: Any, pids: Any) -> Iterator[None]:
        with super().window(spec, testbed, journal, cpus, pids):
            if self.disturb is None:
                yield
            else:
                with self.disturb(pids):
                    yield


def traced(injection: Injection, place: Path) -> tuple[Account, float]:
    """One traced run of it: the account of its slow requests, and the share of requests that were joined."""
    document = {"name": "truth", "topology": _PAIR, "settings": {"*": _FIFO}, "repeat": 1, **injection.document}
    file = place / "truth.yaml"
    file.write_text(json.dumps({key: value for key, value in document.items() if value is not None}))
    (run,) = make_plan(load_experiment(file)).runs
    files: dict[str, bytes] = {}
    with stop_on_signals() as stopper:
        measured = measure(run.spec(), stopper, files, tracer=_Disturbing(disturb=injection.disturb))
    (place / EVENTS_FILE).write_bytes(files[EVENTS_FILE])
    meta = read_meta(files[META_FILE])
    columns = read_columns(place / EVENTS_FILE, EVENT_DTYPE.names or ())
    events: Any = np.zeros(len(columns["ns"]), EVENT_DTYPE)
    for name, values in columns.items():
        events[name] = values
    samples = {name: measured.samples[name].astype(np.int64) for name in measured.samples.dtype.names}
    requests = requests_of(samples, meta)
    answered = int((samples["latency_ns"] >= 0).sum())
    return account(trace_of(events, meta, requests), requests, 1000 * injection.above_us), len(requests) / answered


def group(slow: Slow) -> str:
    """What a slow request is said to have met, by GROUPS."""
    return next((name for name, fits in GROUPS.items() if fits(slow)), "other")


def main(names: Sequence[str]) -> None:
    """Make every injection, or those named, and print what was said of its slow requests."""
    print("| injected | slow | joined | right | wrong | said |\n|---|---|---|---|---|---|")
    with journal.host_lock(), tempfile.TemporaryDirectory() as place:
        for name in names or INJECTIONS:
            injection = INJECTIONS[name]
            made, joined = traced(injection, Path(place))
            said = Counter(map(group, made.slow))
            count = max(1, len(made.slow))
            # Another program that had the CPU is no mistake: the host has such, and the events name it.
            honest = ("another program", "idle, silent, stolen", "not explained", injection.expects)
            wrong = sum(number for word, number in said.items() if word not in honest)
            words = ", ".join(f"{word} {number}" for word, number in said.most_common())
            right = 100 * said[injection.expects] / count
            print(
                f"| {name} | {len(made.slow)} | {joined:.2%} | {right:.1f} % | {100 * wrong / count:.1f} % | {words} |"
            )


if __name__ == "__main__":
    main(sys.argv[1:])
