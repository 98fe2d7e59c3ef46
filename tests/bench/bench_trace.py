"""What `trace: tail` costs: traced and untraced runs in turn, and how long a million events take to explain.

Ratios are of the two runs of one round, so that what the host does over minutes drops out; shown are their median and
quartiles. Both ends run under SCHED_FIFO.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from harness.analysis.tail.causes import account
from harness.analysis.tail.trace import requests_of, trace_of
from harness.kernel import journal
from harness.plan import make_plan
from harness.run.measure import measure
from harness.run.tracing import Tracer
from harness.signals import stop_on_signals
from harness.spec.load import load_experiment
from harness.store.samples import read_columns
from harness.store.trace import EVENT_DTYPE, EVENTS_FILE, META_FILE, read_meta
from tests.experiment import document

FIFO = {"process": {"policy": "fifo", "priority": 10}}
CASES = {"base": {}, "busypoll50": {"settings": {"*": {"busy_poll": {"usecs": 50}}}}}


def taken(run: Any, stopper: Any, traced: bool) -> tuple[Any, dict[str, bytes]]:
    """The samples of one run, and its files."""
    files: dict[str, bytes] = {}
    measured = measure(run.spec(), stopper, files, tracer=Tracer() if traced else None)
    return measured.samples, files


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
    rounds = parser.parse_args().rounds
    made = document(settings={"*": FIFO}, cases=CASES)
    made["workload"] |= {"warmup": "100ms", "duration": "500ms"}
    with tempfile.TemporaryDirectory() as directory, journal.host_lock(), stop_on_signals() as stopper:
        place = Path(directory)
        (place / "cost.yaml").write_text(json.dumps(made))
        runs = make_plan(load_experiment(place / "cost.yaml")).runs
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
