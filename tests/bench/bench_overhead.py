"""What the harness itself costs: wall time of a 50-run experiment over the sum of its warm-ups and measured times.

From the command's start to its table, of runs of 0.6 s and of runs as long as the quickstart's.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

from tests.experiment import document

RUNS = 50
SHORT, QUICKSTART = (100, 500), (200, 1500)
"""Warm-up and window of a run, in ms."""


def write_experiment(directory: Path, length_ms: tuple[int, int] = SHORT, runs: int = RUNS) -> Path:
    """Runs of so many ms of warm-up and window, in two cases, so that knobs are applied too."""
    warmup_ms, duration_ms = length_ms
    made = document(
        workload=document()["workload"] | {"warmup": f"{warmup_ms}ms", "duration": f"{duration_ms}ms"},
        cases={"base": {}, "busypoll50": {"settings": {"*": {"busy_poll": {"usecs": 50}}}}},
        repeat=runs // 2,
    )
    path = directory / "overhead.yaml"
    path.write_text(yaml.safe_dump(made))
    return path


def measure(directory: Path, length_ms: tuple[int, int]) -> None:
    """Run the command as a user does, from its start to its table, and print the ratio."""
    path = write_experiment(directory, length_ms)
    begun = time.monotonic()
    command = [sys.executable, "-m", "harness", "run", str(path), "-o", str(directory), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wall_s = time.monotonic() - begun
    if done.returncode not in (0, 1):
        sys.exit(done.stderr)
    records = [json.loads(p.read_text()) for p in directory.glob("small/*/runs/*/run.json")]
    each_s = sum(length_ms) / 1e3
    # An attempt that noise spoilt is no overhead, but time that the noise took.
    again = sum(record["attempt"] - 1 for record in records)
    within_ms = sorted(1e3 * (record["wall_s"] - each_s) for record in records)
    print(f"{len(records)} runs of {each_s:g} s: {wall_s:7.2f} s, {again} made again for noise")
    print(f"  ratio {wall_s / (len(records) * each_s):.3f} (aim: at most 1.05)")
    print(f"  a run's own overhead {within_ms[len(within_ms) // 2]:.1f} ms median, {within_ms[-1]:.1f} ms most")


def main() -> None:
    """Both lengths."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    for length_ms in (SHORT, QUICKSTART):
        with tempfile.TemporaryDirectory() as directory:
            measure(Path(directory), length_ms)


if __name__ == "__main__":
    main()
