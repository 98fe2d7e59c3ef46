"""Two CSV files of 100,000 rows compared, against a hand-written pandas script computing the same medians.

Each side is a whole process, from start to printed table, interleaved. Prints seconds and their ratio.
"""

from __future__ import annotations

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
ROUNDS = 5
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


def make(path: Path, seed: int) -> None:
    """A runs table of ROWS rows in CELLS cells, with the columns of a real one that matter here."""
    draw = np.random.default_rng(seed)
    cell = np.arange(ROWS) % CELLS
    data: dict[str, object] = {
        "run_id": [f"{seed}{row:011x}" for row in range(ROWS)],
        "case": [f"case{number % 10}" for number in cell],
        "contention.load": [f"{number // 10 * 10}%" for number in cell],
        "block": np.arange(ROWS) // CELLS,
        "verdict": np.where(draw.random(ROWS) < 0.02, "suspect", "valid"),
        "kernel": "6.18.0",
        "cpu_model": "Made-up CPU 3000",
    }
    for name in METRICS:
        data[name] = np.round(draw.lognormal(4, 0.3, ROWS), 3)
    pd.DataFrame(data).to_csv(path, index=False)


def timed(command: list[str], files: list[str]) -> float:
    """Seconds of one whole process."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, *command, *files], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def main() -> None:
    """Make the files, run both sides in turn, print the figures."""
    with tempfile.TemporaryDirectory() as directory:
        files = [str(Path(directory) / f"{name}.csv") for name in ("a", "b")]
        for seed, path in enumerate(files):
            make(Path(path), seed)
        times: dict[str, list[float]] = {"ours": [], "by hand": []}
        timed(OURS, files)  # once to warm the page cache and the byte code
        for _ in range(ROUNDS):
            times["ours"].append(timed(OURS, files))
            times["by hand"].append(timed(["-c", BY_HAND], files))
    ours, by_hand = (statistics.median(times[name]) for name in ("ours", "by hand"))
    print(f"compare {ROWS} rows x 2: {ours:.2f} s, pandas script: {by_hand:.2f} s, ratio {ours / by_hand:.2f}")


if __name__ == "__main__":
    main()
