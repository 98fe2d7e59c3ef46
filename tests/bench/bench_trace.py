"""What `trace: tail` costs: traced and untraced runs in turn, and how long a million events take to explain.

Ratios are of the two runs of one round, so that what the host does over minutes drops out; shown are their median and
quartiles. Both ends run under SCHED_FIFO. With --groups the events are taken group by group within one run of so many
seconds, in turns of 0.15 s: what each costs alone, with 90 % of resamplings of the median.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from harness.analysis.tail.causes import account
from harness.analysis.tail.trace import requests_of, trace_of
from harness.kernel import journal
from harness.plan import make_plan
from harness.run.measure import measure
from harness.run.tracing import Tracer, instance
from harness.run.tracing import events as tracing_events
from harness.signals import stop_on_signals
from harness.spec.load import load_experiment
from harness.store.samples import read_columns
from harness.store.trace import EVENT_DTYPE, EVENTS_FILE, META_FILE, read_meta
from tests.experiment import document

FIFO = {"process": {"policy": "fifo", "priority": 10}}
GROUPS = {
    "switch": ("sched/sched_switch",),
    "waking": ("sched/sched_waking",),
    "runtime": ("sched/sched_stat_runtime",),
    "softirq": ("irq/softirq_",),
    "interrupts": ("irq/irq_", "irq_vectors/"),
    "rest": ("exceptions/", "signal/", "timer/"),
    "all": ("",),
}
"""By what the names of their events begin with."""
RING_KB = 8192
SLOT_S = 0.15
CASES = {"base": {}, "busypoll50": {"settings": {"*": {"busy_poll": {"usecs": 50}}}}}


def taken(run: Any, stopper: Any, traced: bool) -> tuple[Any, dict[str, bytes]]:
    """The samples of one run, and its files."""
    files: dict[str, bytes] = {}
    measured = measure(run.spec(), stopper, files, tracer=Tracer() if traced else None)
    return measured.samples, files


class _InTurn(Tracer):
    """Within one run traces nothing, all events, or those of one group, in turn, and keeps none of them."""

    def __init__(self) -> None:
        super().__init__()
        self.slots: list[tuple[str, int, int]] = []
        self.start_ns = 0

    @contextmanager
    def window(self, spec: Any, testbed: Any, journal: Any, cpus: Any, pids: Any) -> Iterator[None]:
        filters, _ = tracing_events.chosen(sorted({pid for of_it in pids.values() for pid in of_it}), ())
        with instance(journal) as trace:
            lacking = trace.set_up(filters, sorted(cpus), RING_KB)
            over = threading.Event()
            thread = threading.Thread(target=self._change, args=(trace, sorted(set(filters) - set(lacking)), over))
            thread.start()
            try:
                yield
            finally:
                over.set()
                thread.join()
                trace.off()

    def _change(self, trace: Any, events: list[str], over: threading.Event) -> None:
        order = np.random.default_rng(1)
        while not over.is_set():
            for group in order.permutation(["", *GROUPS]).tolist():
                trace.off()
                (trace.directory / "trace").write_text("")  # empties the rings: a full one takes no more, for less
                if group:
                    for event in events:
                        if event.startswith(GROUPS[group]):
                            (trace.directory / "events" / event / "enable").write_text("1")
                    trace.on()
                time.sleep(SLOT_S / 5)  # what the change itself does to them is over
                begin = time.monotonic_ns()
                time.sleep(SLOT_S)
                if not over.is_set():
                    self.slots.append((group, begin, time.monotonic_ns()))

    def finish(self, client: Any, workload: Any, passed: Any) -> dict[str, bytes]:
        self.start_ns = int(client["start_ns"])
        return {}


def by_group(run: Any, stopper: Any) -> Iterator[str]:
    """What each group costs alone: ratios of the medians of a slot with it and the one without of the same turn."""
    tracer = _InTurn()
    samples = measure(run.spec(), stopper, {}, tracer=tracer).samples
    sent = samples["intended_ns"] + tracer.start_ns
    p50: dict[str, list[float]] = {group: [] for group in ("", *GROUPS)}
    for group, begin, end in tracer.slots:
        times = samples["latency_ns"][(sent >= begin) & (sent < end)]
        p50[group].append(float(np.median(times[times >= 0])))
    turns = min(map(len, p50.values()))
    for name in GROUPS:
        ratios = np.array(p50[name][:turns]) / np.array(p50[""][:turns])
        draws = np.median(np.random.default_rng(2).choice(ratios, (2000, turns)), axis=1)
        low, high = np.quantile(draws, (0.05, 0.95))
        yield f"{run.cell.case:12}{name:12}{np.median(ratios):8.3f} [{low:.3f}..{high:.3f}] of {turns}"


def seconds_per_million(samples: Any, files: dict[str, bytes], place: Path) -> tuple[int, float]:
    """How many events a run has, and how long explaining a million of them takes, s."""
    (place / EVENTS_FILE).write_bytes(files[EVENTS_FILE])
    begun = time.process_time()
    meta, columns = read_meta(files[META_FILE]), read_columns(place / EVENTS_FILE, EVENT_DTYPE.names or ())
    events: Any = np.zeros(len(columns["ns"]), EVENT_DTYPE)
    for name, values in columns.items():
        events[name] = values
    requests = requests_of({name: samples[name].astype(np.int64) for name in samples.dtype.names}, meta)
    latency = np.array([request.received - request.due for request in requests])
    account(trace_of(events, meta, requests), requests, float(np.quantile(latency, 0.99)))
    return len(events), (time.process_time() - begun) / len(events) * 1e6


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--groups", metavar="SECONDS", type=int)
    asked = parser.parse_args()
    rounds = asked.rounds
    made = document(settings={"*": FIFO}, cases=CASES)
    made["workload"] |= {"warmup": "100ms", "duration": f"{asked.groups}s" if asked.groups else "500ms"}
    with tempfile.TemporaryDirectory() as directory, journal.host_lock(), stop_on_signals() as stopper:
        place = Path(directory)
        (place / "cost.yaml").write_text(json.dumps(made))
        runs = make_plan(load_experiment(place / "cost.yaml")).runs
        if asked.groups:
            for line in by_group(runs[0], stopper):
                print(line, flush=True)
            return
        print(f"{'case':12}{'p50 us':>9}{'traced / untraced: p50':>26}{'rate':>24}{'events':>9}{'s per million':>15}")
        for run in runs:
            ratios: list[tuple[float, float, float]] = []
            samples, files = taken(run, stopper, traced=True)
            for number in range(rounds):
                arms = {traced: taken(run, stopper, traced) for traced in ((False, True), (True, False))[number % 2]}
                p50 = {traced: float(np.median(times["latency_ns"])) for traced, (times, _) in arms.items()}
                rate = {traced: len(times) for traced, (times, _) in arms.items()}
                ratios.append((p50[False] / 1e3, p50[True] / p50[False], rate[True] / rate[False]))
            us, ratio, rates = np.array(ratios).T
            words = [
                f"{np.median(x):.3f} [{np.quantile(x, 0.25):.3f}..{np.quantile(x, 0.75):.3f}]" for x in (ratio, rates)
            ]
            # Once before: loading the reader of Parquet takes as long as explaining half a run.
            seconds_per_million(samples, files, place)
            count, seconds = seconds_per_million(samples, files, place)
            print(
                f"{run.cell.case:12}{np.median(us):9.2f}{words[0]:>26}{words[1]:>24}{count:9,}{seconds:15.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
