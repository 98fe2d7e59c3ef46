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
from dataclasses import dataclass, field
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
from tests.bench import tail_injectors, tail_truth
from tests.experiment import NO_NOISE_LIMITS

_POLLBENCH = (sys.executable, "-m", "harness")
_FIFO = {"process": {"policy": "fifo", "priority": 10}}
_BELOW = {"process": {"policy": "fifo", "priority": 5}}
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

    did: to which. disturb: while requests are measured, with the task ids by program; around: the whole run. Both get a
    directory.
    """

    expects: str
    above_us: float
    document: Mapping[str, Any]
    did: tail_truth.Did
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
    return Injection("hog", 1000, document, tail_truth.every(20, 2))


# What one CPU sends another takes in (RPS), and carries through all namespaces of a line in the same softirq.
_LINE = ("flood", *(f"router{number}" for number in range(8)), "sink")
_LINE_NODES = {name: {} for name in _LINE} | {"flood": {"cpus": "0"}, "sink": {"cpus": "1"}}
_LINE_LINKS = [{"between": list(pair)} for pair in itertools.pairwise(_LINE)]
INJECTIONS: dict[str, Injection] = {
    "hog that spins": _hog("spin"),
    "hog of system calls": _hog("syscall"),
    "hog of memory": _hog("memory", working_set="64MiB"),
    "server stalls": Injection(
        "server",
        700,
        {"workload": {**_PING, "kind": "load", "stall": "2ms", "stall_every": "50ms"}},
        tail_truth.every(50, 2, 0),
    ),
    "shaper's queue": Injection(
        "shaper",
        10_000,
        {
            "topology": {**_PAIR, "links": [{"between": ["client", "server"], "shape": {"rate": "20mbit"}}]},
            "workload": {**_OPEN, "arrivals": "burst", "burst": 40, "size": "1000B", "response_size": "64B"},
        },
        tail_truth.ranked(40, 400_000),  # 1,000 bytes at 20 Mbit/s, and some for headers
    ),
    "deferral": Injection(
        "deferral",
        3500,
        {
            "workload": _OPEN,
            "settings": {"*": {**_FIFO, "coalesce": {"napi_defer_hard_irqs": 100, "gro_flush_timeout": "2ms"}}},
        },
        tail_truth.at_most(4.3),  # once on each way, and what a request takes without it
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
            "settings": {"client": _FIFO, "server": _FIFO, "flood": _BELOW, "router0": {"rps": {"cpus": "1"}}},
        },
        tail_truth.flooded(7),
    ),
    "SIGSTOP": Injection("stopped", 1500, {"workload": _PING}, tail_truth.logged, tail_injectors.stopping),
    "interrupts from a CPU": Injection(
        "interrupt",
        500,
        {"workload": {**_PING, "kind": "load", "service": {"distribution": "fixed", "time": "300us"}}},
        tail_truth.counted(8_000),
        tail_injectors.interrupting,
    ),
    "page faults": Injection(
        "fault",
        700,
        {"workload": {**_PING, "kind": "load", "stall": "2ms", "stall_every": "50ms"}},
        tail_truth.every(50, 2, 0),
        around=tail_injectors.faulting,
    ),
}


@dataclass
class _Disturbing(Tracer):
    """A tracer in whose window something is done to the programs."""

    disturb: Any = None
    place: Path = Path()

    @contextmanager
    def window(self, spec: Any, testbed: Any, journal: Any, cpus: Any, pids: Any) -> Iterator[None]:
        with super().window(spec, testbed, journal, cpus, pids):
            if self.disturb is None:
                yield
            else:
                with self.disturb(pids, self.place):
                    yield


def traced(injection: Injection, place: Path) -> tuple[Account, float]:
    """One traced run of it: the account of its slow requests, and the share of requests that were joined."""
    document = {"name": "truth", "topology": _PAIR, "settings": {"*": _FIFO}, "repeat": 1, **injection.document}
    file = place / "truth.yaml"
    file.write_text(json.dumps({key: value for key, value in document.items() if value is not None}))
    (run,) = make_plan(load_experiment(file)).runs
    files: dict[str, bytes] = {}
    with stop_on_signals() as stopper, injection.around(place) if injection.around else nullcontext():
        measured = measure(run.spec(), stopper, files, tracer=_Disturbing(disturb=injection.disturb, place=place))
    for name, content in files.items():
        (place / name).write_bytes(content)
    meta = read_meta(files[META_FILE])
    columns = read_columns(place / EVENTS_FILE, EVENT_DTYPE.names or ())
    events: Any = np.zeros(len(columns["ns"]), EVENT_DTYPE)
    for name, values in columns.items():
        events[name] = values
    samples = {name: measured.samples[name].astype(np.int64) for name in measured.samples.dtype.names}
    requests = requests_of(samples, meta)
    answered = int((samples["latency_ns"] >= 0).sum())
    return account(trace_of(events, meta, requests), requests, 1000 * injection.above_us), len(requests) / answered


Made = Iterator[tuple[str, Account, float, Path]]
"""Of each injection as of `traced`, and where its files lie."""


def on_the_host(names: Sequence[str], place: Path) -> Made:
    """One traced run of each."""
    for number, name in enumerate(names):
        (where := place / str(number)).mkdir()
        yield name, *traced(INJECTIONS[name], where), where


def in_guests(names: Sequence[str], place: Path) -> Made:
    """One traced run of each in guests."""
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
        yield name, tail.account, tail.joined, place


def _shortened(document: Mapping[str, Any]) -> dict[str, Any]:
    """A second of traffic takes ten in model time."""
    brief = {"warmup": "20ms", "duration": "500ms"}
    parts = {key: {**document[key], **brief} for key in ("workload",) if document.get(key)}
    parts |= {key: [{**one, **brief} for one in document[key]] for key in ("workloads",) if document.get(key)}
    return {key: value for key, value in {**document, **parts}.items() if value is not None}


def group(slow: Slow) -> str:
    """What a slow request is said to have met, by GROUPS; else its cause."""
    return next((name for name, fits in GROUPS.items() if fits(slow)), f"{slow.cause.kind} {slow.cause.who}".strip())


@dataclass
class _Row:
    """What was said of the slow requests of one injection: of those that met it, and of the others."""

    expects: str
    met: Counter[str] = field(default_factory=Counter)
    others: Counter[str] = field(default_factory=Counter)
    joined: list[float] = field(default_factory=list)

    def add(self, made: Account, joined: float, numbers: set[int]) -> None:
        """One run more. numbers: of the requests that met the injection, by its own record."""
        self.joined.append(joined)
        for slow in made.slow:
            (self.met if slow.request.number in numbers else self.others)[group(slow)] += 1

    def __str__(self) -> str:
        count, right = max(1, self.met.total()), self.met[self.expects]
        # Not to say is no mistake; to say anything else is.
        wrong = self.met.total() - right - self.met["not explained"]
        shares = f"{100 * right / count:.1f} % | {100 * wrong / count:.1f} %"
        return f"{min(self.joined):.2%} | {self.met.total()} | {shares} | {_words(self.met)} | {_words(self.others)}"


def _words(counts: Counter[str]) -> str:
    return ", ".join(f"{word} {number}" for word, number in counts.most_common()) or "none"


def main(words: Sequence[str]) -> None:
    """Make every injection, or those named, and print what was said of its slow requests.

    A number before the names: so many runs of each, in turn.
    """
    rounds = int(words[0]) if words and words[0].isdigit() else 1
    in_vm = "--in-vm" in words
    told = [word for word in words if word != "--in-vm" and not word.isdigit()]
    names = told or [name for name, one in INJECTIONS.items() if one.plain or not in_vm]
    rows = {name: _Row(INJECTIONS[name].expects) for name in names}
    with nullcontext() if in_vm else journal.host_lock():
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as place:
                made = in_guests(names, Path(place)) if in_vm else on_the_host(names, Path(place))
                for name, explained, joined, where in made:
                    rows[name].add(explained, joined, tail_truth.met(INJECTIONS[name].did, explained, where))
    print("| injected | joined | met it | right | wrong | said of these | said of other slow ones |")
    print("|---" * 7 + "|")
    for name, row in rows.items():
        print(f"| {name} | {row} |")


if __name__ == "__main__":
    main(sys.argv[1:])
