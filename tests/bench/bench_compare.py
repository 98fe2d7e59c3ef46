"""Two CSV files of 100,000 rows compared, against a hand-written pandas script computing the same medians.

Each side is a whole process, from start to printed table, interleaved. Prints CPU seconds (user and system, of all
threads) and their ratio, and the same of the time that passed, which a busy machine makes longer for either side.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

ROWS = 100_000
CELLS = 100
SMALL_ROWS = 500
ROUNDS = 7
METRICS = ("rtt_p50_us", "rtt_p99_us", "rtt_p99_9_us", "rtt_jitter_us", "rate_rps", "cpu_us_per_request")

OURS = ["-m", "harness", "compare", "--format", "csv"]
BY_HAND = f"""
import sys
import pandas as pd
metrics = {METRICS!r}
keys = ["case", "contention.load"]
one, other = (pd.read_csv(path) for path in sys.argv[1:3])
medians = [
    table[table["verdict"] == "valid"].groupby(keys)[list(metrics)].median() for table in (one, other)
]
print(pd.concat([*medians, medians[1] / medians[0]], axis=1).to_csv())
"""


def make(path: Path, seed: int, rows: int = ROWS) -> None:
    """A runs table of so many rows in CELLS cells, with the columns of a real one that matter here."""
    draw = np.random.default_rng(seed)
    cell = np.arange(rows) % CELLS
    data: dict[str, object] = {
        "run_id": [f"{seed}{row:011x}" for row in range(rows)],
        "case": [f"case{number % 10}" for number in cell],
        "contention.load": [f"{number // 10 * 10}%" for number in cell],
        "block": np.arange(rows) // CELLS,
        "verdict": np.where(draw.random(rows) < 0.02, "suspect", "valid"),
        "kernel": "6.18.0",
        "cpu_model": "Made-up CPU 3000",
    }
    for name in METRICS:
        data[name] = np.round(draw.lognormal(4, 0.3, rows), 3)
    pd.DataFrame(data).to_csv(path, index=False)


def timed(command: list[str], files: list[str]) -> tuple[float, float]:
    """CPU seconds and seconds of one whole process, whose byte code is kept, as that of an installed program is."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run([sys.executable, *command, *files], check=True, stdout=subprocess.DEVNULL, env=kept)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return cpu_s, time.perf_counter() - begun


def measure(directory: Path, rows: int) -> None:
    """Make files of so many rows, run both sides in turn, print the figures."""
    files = [str(directory / f"{name}-{rows}.csv") for name in ("a", "b")]
    for seed, path in enumerate(files):
        make(Path(path), seed, rows)
    sides = {"ours": OURS, "by hand": ["-c", BY_HAND]}
    for command in sides.values():  # once to warm the page cache and the byte code
        timed(command, files)
    times: dict[str, list[tuple[float, float]]] = {side: [] for side in sides}
    for _ in range(ROUNDS):
        for side, command in sides.items():
            times[side].append(timed(command, files))
    for part, label in enumerate(("CPU", "wall")):
        ours, by_hand = (statistics.median(one[part] for one in times[side]) for side in sides)
        times_text = f"{ours:.2f} s, pandas script: {by_hand:.2f} s, ratio {ours / by_hand:.2f}"
        print(f"compare {rows} rows x 2, {label}: {times_text}")


def main() -> None:
    """Large files, and small ones, of which most of the time is that of starting."""
    with tempfile.TemporaryDirectory() as directory:
        for rows in (ROWS, SMALL_ROWS):
            measure(Path(directory), rows)


if __name__ == "__main__":
    main()
