"""This checkout against an older one, beside it: whole commands of either in turn.

POLLBENCH_BENCH_BEFORE is the older checkout, made by tools/before.sh; POLLBENCH_BENCH_ROUNDS chooses more than the
default, POLLBENCH_BENCH_BLOCKS sets of more runs than 63 times 16 (625: 10,000). Prints for every row the medians, and
the ratio now / before of each round: its median, lowest and highest. The CPU time is that of the command and its
children, which a busy machine changes less than the time that passes.
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

import yaml

from tests.bench import bench_compare, bench_overhead
from tests.unit import pages

ROUNDS = int(os.environ.get("POLLBENCH_BENCH_ROUNDS", "5"))
NOW = Path(__file__).parents[2]
# Only what keeps both alike: neither makes a run again, which the older one cannot.
RUNS = 20
TESTBED = "from tests.bench.bench_testbed import ours; ours(); print(sum(ours()))"


def rows(scratch: Path) -> dict[str, list[list[str]]]:
    """By row the words after `python`, of now and of before."""
    commands: dict[str, list[list[str]]] = {"--help": [["-m", "harness", "--help"]] * 2}
    for count in (bench_compare.ROWS, bench_compare.SMALL_ROWS):
        files = [str(scratch / f"{name}-{count}.csv") for name in ("a", "b")]
        for seed, path in enumerate(files):
            bench_compare.make(Path(path), seed, count)
        commands[f"compare of {count:,} rows x 2"] = [[*bench_compare.OURS, *files]] * 2
    runs = pages.load_sweep(scratch / "sets", int(os.environ.get("POLLBENCH_BENCH_BLOCKS", "63")), 1000)
    count = f"{len(runs.run_ids()):,} runs of 1,000 samples"
    commands[f"report of {count}"] = [["-m", "harness", "report", str(runs.path), "-o", str(scratch / "page.html")]] * 2
    commands[f"show of {count}"] = [["-m", "harness", "show", str(runs.path)]] * 2
    if os.geteuid() == 0:
        made = yaml.safe_load(bench_overhead.write_experiment(scratch).read_text()) | {"repeat": RUNS // 2}
        paths = [scratch / "now.yaml", scratch / "before.yaml"]
        for path, extra in zip(paths, ({"checks": {"redo": 0}}, {}), strict=True):
            path.write_text(yaml.safe_dump(made | extra))
        commands[f"run of {RUNS} runs of 0.6 s"] = [
            ["-m", "harness", "run", str(path), "-o", str(scratch / path.stem), "--json"] for path in paths
        ]
        commands[f"testbed of {os.environ.get('POLLBENCH_BENCH_PAIRS', '100')} pairs, twice"] = [["-c", TESTBED]] * 2
    return commands


def timed(checkout: Path, words: list[str]) -> tuple[float, float]:
    """CPU seconds and seconds of a whole command of a checkout."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    python = str(checkout / ".venv/bin/python")
    done = subprocess.run([python, *words], cwd=checkout, capture_output=True, text=True, env=kept)
    if done.returncode not in (0, 1):
        sys.exit(f"{checkout}: {' '.join(words)} ended with {done.returncode}: {done.stderr[-400:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return cpu_s, time.perf_counter() - begun


def main() -> None:
    """Print a line for each row."""
    if not (named := os.environ.get("POLLBENCH_BENCH_BEFORE")):
        print("POLLBENCH_BENCH_BEFORE names no older checkout (tools/before.sh makes one): nothing to compare with")
        return
    checkouts = (NOW, Path(named).resolve())
    with tempfile.TemporaryDirectory(prefix="bench-before-") as scratch:
        for name, pair in rows(Path(scratch)).items():
            times: list[list[tuple[float, float]]] = [[], []]
            for number in range(ROUNDS + 1):
                for side in (0, 1) if number % 2 else (1, 0):
                    took = timed(checkouts[side], pair[side])
                    times[side] += [took] if number else []  # the first warms the caches
            for part, label in enumerate(("CPU", "wall")):
                now, before = ([one[part] for one in side] for side in times)
                ratios = [one / other for one, other in zip(now, before, strict=True)]
                spread = f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
                medians = f"now {statistics.median(now):7.3f} s  before {statistics.median(before):7.3f} s"
                print(f"{name:<38} {label:<4} {medians}  ratio {spread}", flush=True)


if __name__ == "__main__":
    main()
