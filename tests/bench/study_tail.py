"""Injected truth for `pollbench explain`: what was done to requests, against what each slow one is said to have met.

Needs root, and a host as quiet as can be had: `python -m tests.bench.study_tail [NAME...]` prints a table in markdown.
Both ends run under SCHED_FIFO, so that what else the host has to do (SCHED_OTHER) cannot take their CPUs. With --in-vm
the runs are made in guests, in model time, where nobody else is: those injections that a file can say.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.analysis.tail.causes import Account, Slow, account
from harness.analysis.tail.cell import parse_above, tails
from harness.analysis.tail.trace import requests_of, trace_of
from harness.kernel import journal
from harness.plan import make_plan
from harness.run.measure import measure
from harness.run.tracing import Tracer
from harness.signals import stop_on_signals
from harness.spec.load import load_experiment
from harness.store import ResultSet
from harness.store.samples import read_columns
from harness.store.trace import EVENT_DTYPE, EVENTS_FILE, META_FILE, read_meta
from tests.bench import tail_injectors
from tests.experiment import NO_NOISE_LIMITS

_POLLBENCH = (sys.executable, "-m", "harness")
_FIFO = {"process": {"policy": "fifo", "priority": 10}}
_PAIR = {"nodes": {"client": {"cpus": "0"}, "server": {"cpus": "1"}}, "links": [{"between": ["client", "server"]}]}
_PING = {"kind": "ping-pong", "from": "client", "to": "server", "warmup": "100ms", "duration": "2s"}
_OPEN = {"kind": "load", "from": "client", "to": "server", "warmup": "100ms", "duration": "2s", "rate": 1000}
GROUPS = {
    "hog": lambda slow: slow.cause.kind in ("behind", "flow", "joined") and slow.cause.who == "hog",
    "server": lambda slow: slow.cause.kind in ("work", "queued"),
    "shaper": lambda slow: slow.cause.kind == "shaper",
    "deferral": lambda slow: slow.cause.kind == "deferred",
    "flow": lambda slow: slow.cause.kind in ("behind", "flow", "joined") and slow.cause.who.startswith("background1-"),
    "stopped": lambda slow: slow.cause.kind == "stopped",
    "interrupt": lambda slow: slow.cause.kind in ("irq", "interrupted"),
    "fault": lambda slow: slow.cause.kind == "fault",
    "another program": lambda slow: slow.cause.kind == "behind",
    "idle, silent, stolen": lambda slow: slow.cause.kind in ("idle", "silent", "stolen"),
    "not explained": lambda slow: slow.cause.kind == "own",
}
"""What a slow request may be said to have met; the first that fits."""


@dataclass(frozen=True)
class Injection:
    """One experiment and what it does to some requests. above_us: what only they take; expects: a key of GROUPS.

    disturb: while requests are measured, with the task ids by program; around: the whole run, with a directory.
    """

    expects: str
    above_us: float
    document: Mapping[str, Any]
    disturb: Any = None
    around: Any = None

    @property
    def plain(self) -> bool:
        """Does the experiment file say all of it?"""
        return self.disturb is None and self.around is None


def _hog(kind: str, **more: Any) -> Injection:
    # 2 ms of every 20 ms, above both ends.
    hogs = {"on": "server.cpus", "kind": kind, "threads": 1, "load": "10%", "period": "20ms"}
    document = {"workload": _PING, "contention": {**hogs, "policy": "fifo", "priority": 20, **more}}
    return Injection("hog", 1000, document)


# What one CPU sends another takes in (RPS), and carries through all namespaces of a line in the same softirq.
_LINE = ("flood", *(f"router{number}" for number in range(8)), "sink")
_LINE_NODES = {name: {} for name in _LINE} | {"flood": {"cpus": "0"}, "sink": {"cpus": "1"}}
_LINE_LINKS = [{"between": list(pair)} for pair in itertools.pairwise(_LINE)]
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
        3500,
        {
            "workload": _OPEN,
            "settings": {"*": {**_FIFO, "coalesce": {"napi_defer_hard_irqs": 100, "gro_flush_timeout": "2ms"}}},
        },
    ),
    "hog that sends packets": _hog("network"),
    "flood of softirqs": Injection(
        "flow",
        300,
        {
            "topology": {"nodes": {**_PAIR["nodes"], **_LINE_NODES}, "links": [*_PAIR["links"], *_LINE_LINKS]},
            "workload": None,
            "workloads": [
                {**_PING, "measured": True},
                {**_OPEN, "from": "flood", "to": "sink", "rate": 10000, "arrivals": "burst", "burst": 500},
            ],
            "settings": {"client": _FIFO, "server": _FIFO, "router0": {"rps": {"cpus": "1"}}},
        },
    ),
    "SIGSTOP": Injection("stopped", 1500, {"workload": _PING}, tail_injectors.stopping),
    "interrupts from a CPU": Injection(
        "interrupt",
        500,
        {"workload": {**_PING, "kind": "load", "service": {"distribution": "fixed", "time": "300us"}}},
        tail_injectors.interrupting,
    ),
    "page faults": Injection(
        "fault",
        700,
        {"workload": {**_PING, "kind": "load", "stall": "2ms", "stall_every": "50ms"}},
        around=tail_injectors.faulting,
    ),
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
    with stop_on_signals() as stopper, injection.around(place) if injection.around else nullcontext():
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


def in_guests(names: Sequence[str], place: Path) -> Iterator[tuple[str, Account, float]]:
    """One traced run of each in guests: as `traced`."""
    short = {name: _shortened(INJECTIONS[name].document) for name in names}
    keys = {name: name.replace(" ", "-").replace("'", "") for name in names}
    # Settings of a file and of its case are put together: these are each case's own.
    short = {name: {"settings": {"*": _FIFO}, **document} for name, document in short.items()}
    whole = {"name": "truth", "topology": _PAIR, "repeat": 1, "checks": NO_NOISE_LIMITS}
    file = place / "truth.yaml"
    file.write_text(json.dumps(whole | {"cases": {keys[name]: document for name, document in short.items()}}))
    subprocess.run([*_POLLBENCH, "vm", "run", file, "-o", place, "--explain"], stdout=subprocess.DEVNULL)
    made = ResultSet.latest(place, "truth")
    assert made is not None
    for name in names:
        (tail,) = tails(made, parse_above(f"{INJECTIONS[name].above_us:g}us"), [keys[name]])
        assert tail.account is not None, tail.refused
        yield name, tail.account, tail.joined


def _shortened(document: Mapping[str, Any]) -> dict[str, Any]:
    """A second of traffic takes ten in model time."""
    brief = {"warmup": "20ms", "duration": "500ms"}
    parts = {key: {**document[key], **brief} for key in ("workload",) if document.get(key)}
    parts |= {key: [{**one, **brief} for one in document[key]] for key in ("workloads",) if document.get(key)}
    return {key: value for key, value in {**document, **parts}.items() if value is not None}


def group(slow: Slow) -> str:
    """What a slow request is said to have met, by GROUPS; else its cause."""
    return next((name for name, fits in GROUPS.items() if fits(slow)), f"{slow.cause.kind} {slow.cause.who}".strip())


def main(words: Sequence[str]) -> None:
    """Make every injection, or those named, and print what was said of its slow requests."""
    names = [word for word in words if word != "--in-vm"]
    print("| injected | slow | joined | right | wrong | said |\n|---|---|---|---|---|---|")
    with journal.host_lock(), tempfile.TemporaryDirectory() as place:
        if "--in-vm" in words:
            told = [name for name, one in INJECTIONS.items() if one.plain]
            results = in_guests(names or told, Path(place))
        else:
            results = ((name, *traced(INJECTIONS[name], Path(place))) for name in names or INJECTIONS)
        for name, made, joined in results:
            print(_row(name, made, joined), flush=True)


def _row(name: str, made: Account, joined: float) -> str:
    expects, said = INJECTIONS[name].expects, Counter(map(group, made.slow))
    count = max(1, len(made.slow))
    # Another program that had the CPU is no mistake: the host has such, and the events name it.
    honest = ("another program", "idle, silent, stolen", "not explained", expects)
    wrong = 100 * sum(number for word, number in said.items() if word not in honest) / count
    words = ", ".join(f"{word} {number}" for word, number in said.most_common())
    right = 100 * said[expects] / count
    return f"| {name} | {len(made.slow)} | {joined:.2%} | {right:.1f} % | {wrong:.1f} % | {words} |"


if __name__ == "__main__":
    main(sys.argv[1:])
