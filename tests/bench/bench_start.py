"""How long the command takes to answer: `--help`, and the report of 200 runs of 50,000 samples.

Prints seconds. The promises, on a quiet machine: help within 0.15 s, the report within 10 s.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.unit import pages

ROUNDS = 9


def timed(*words: str) -> float:
    """Seconds of one whole process."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-m", "harness", *words], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def main() -> int:
    """Measure and print; 1 when a promise is broken."""
    with tempfile.TemporaryDirectory() as scratch:
        results = pages.load_sweep(Path(scratch), blocks=10, count=50_000, rates=(10, 30, 50, 70, 100))
        report_s = timed("report", str(results.path))
    help_s = statistics.median(timed("compare", "--help") for _ in range(ROUNDS))
    print(f"compare --help: {help_s:.3f} s (promised: 0.15 s)")
    print(f"report of 200 runs: {report_s:.1f} s (promised: 10 s)")
    return 0 if help_s <= 0.15 and report_s <= 10 else 1


if __name__ == "__main__":
    sys.exit(main())
