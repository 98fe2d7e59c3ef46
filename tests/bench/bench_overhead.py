"""What the harness itself costs: wall time of a 50-run experiment over the sum of its warm-ups and measured times."""

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
WARMUP_S, DURATION_S = 0.1, 0.5


def write_experiment(directory: Path) -> Path:
    """50 runs of 0.5 s: two cases, so that knobs are applied too, 25 repetitions."""
    made = document(
        workload=document()["workload"] | {"warmup": "100ms", "duration": "500ms"},
        cases={"base": {}, "busypoll50": {"settings": {"*": {"busy_poll": {"usecs": 50}}}}},
        repeat=RUNS // 2,
    )
    path = directory / "overhead.yaml"
    path.write_text(yaml.safe_dump(made))
    return path


def main() -> None:
    """Run the command as a user does, from its start to its table, and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        path = write_experiment(Path(directory))
        begun = time.monotonic()
        command = [sys.executable, "-m", "harness", "run", str(path), "-o", directory, "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        wall_s = time.monotonic() - begun
        if done.returncode not in (0, 1):
            sys.exit(done.stderr)
        cells = json.loads(done.stdout)["cells"]
        records = [json.loads(p.read_text()) for p in Path(directory).glob("small/*/runs/*/run.json")]
    floor_s = len(records) * (WARMUP_S + DURATION_S)
    per_run_ms = sorted(1e3 * (r["wall_s"] - WARMUP_S - DURATION_S) for r in records)
    print(f"runs {len(records)}, cells {len(cells)}")
    print(f"wall                    {wall_s:8.2f} s")
    print(f"warm-up + measured time {floor_s:8.2f} s")
    print(f"ratio                   {wall_s / floor_s:8.3f}   (aim: at most 1.25)")
    print(f"overhead within a run   {per_run_ms[len(per_run_ms) // 2]:8.1f} ms median, {per_run_ms[-1]:.1f} ms most")


if __name__ == "__main__":
    main()
