"""Are repetitions in guests resumed from one snapshot as far apart as in guests that were booted?

Five experiments, each made both ways in model time (`python -m tests.bench.study_snapshots [DIR [NAME...]]`; sets that
are in DIR already are not made again; NAME: some of the experiments). Runs are short, for it is their number that tells
how far they spread; POLLBENCH_BENCH_ROUNDS is the number of repetitions.
Of each cell the spread is the standard deviation of the logarithm of its runs' p50. Whether resumed guests spread less
is a permutation test over all cells of a file: which way a run was made is shuffled within its cell, after each way's
mean was taken off. A small p says that the snapshot took chance away, and boots have to stay the default.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.store import ResultSet

ROUNDS = os.environ.get("POLLBENCH_BENCH_ROUNDS", "5")
EXPERIMENTS = Path(__file__).parents[2] / "experiments"
# On veth and on NICs, closed and open loop, with netem, with hogs.
FILES: dict[str, tuple[str, ...]] = {
    "quickstart": (),
    "netem": (),
    "shared-cpu": (),
    "nic-models": ("--case", "base", "--case", "busypoll"),
    "load-curve": ("--case", "base", "--case", "fullbusy"),
}
WINDOW = ("--set", "workload.warmup=50ms", "--set", "workload.duration=150ms")
WAYS = {"booted": "no", "resumed": "yes"}
SHUFFLES = 10_000
Floats = npt.NDArray[np.float64]
Cells = dict[str, dict[str, Floats]]


def made(directory: Path, name: str, way: str) -> ResultSet:
    """The set of an experiment made one way, gone on with where it is there in part."""
    out = directory / way
    options = ["--accel", "tcg-virtual", "--snapshots", WAYS[way], "--repeat", ROUNDS, "-o", str(out)]
    options += [*WINDOW, *FILES[name]]
    options += ["--resume"] if ResultSet.latest(out, name) else []
    subprocess.run([sys.executable, "-m", "harness", "vm", "run", str(EXPERIMENTS / f"{name}.yaml"), *options])
    results = ResultSet.latest(out, name)
    if results is None:
        sys.exit(f"{name} made no set")
    return results


def deviations(directory: Path, name: str) -> Cells:
    """By cell and way, how far each run's log p50 is from the mean of its cell and way."""
    runs: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for way in WAYS:
        for record in made(directory, name, way).records():
            p50 = record.metrics.get("rtt_p50_us")
            if record.verdict == "valid" and p50:
                factors = " ".join(f"{key}={value}" for key, value in sorted(record.factors.items()))
                runs[f"{record.case} {factors}".strip()][way].append(float(np.log(p50)))
    both = {cell: ways for cell, ways in runs.items() if all(len(ways[way]) > 1 for way in WAYS)}
    return {cell: {way: centred(ways[way]) for way in WAYS} for cell, ways in both.items()}


def centred(values: list[float]) -> Floats:
    """The values, less their mean."""
    array: Floats = np.array(values, dtype=np.float64)
    array -= array.mean()
    return array


def less_spread(cells: Cells, draw: np.random.Generator) -> float:
    """p of the hypothesis that resumed runs do not spread less: by the mean over cells of the log of the ratio."""

    def statistic(pairs: list[tuple[Floats, Floats]]) -> float:
        # A spread below 0.01 % is none: cells that are always the same say nothing.
        return float(np.mean([np.log(max(one.std(), 1e-4) / max(other.std(), 1e-4)) for one, other in pairs]))

    pairs = [(ways["resumed"], ways["booted"]) for ways in cells.values()]
    seen, below = statistic(pairs), 1
    for _ in range(SHUFFLES):
        mixed = [draw.permutation(np.concatenate(pair)) for pair in pairs]
        below += statistic([(m[: len(p[0])], m[len(p[0]) :]) for m, p in zip(mixed, pairs, strict=True)]) <= seen
    return below / (SHUFFLES + 1)


def main() -> None:
    """Print the spread of each cell both ways, and each file's p."""
    with tempfile.TemporaryDirectory(prefix="study-snapshots-") as scratch:
        directory = Path(sys.argv[1] if len(sys.argv) > 1 else scratch)
        for name in sys.argv[2:] or FILES:
            cells = deviations(directory, name)
            for cell, ways in cells.items():
                booted, resumed = (100 * float(np.std(ways[way], ddof=1)) for way in WAYS)
                print(f"  {name:<12} {cell:<44} booted {booted:7.3f} %  resumed {resumed:7.3f} %")
            p = f"p {less_spread(cells, np.random.default_rng(1)):.4f}" if cells else "no cell has two runs both ways"
            print(f"{name}: {len(cells)} cells, resumed guests spread less: {p}", flush=True)


if __name__ == "__main__":
    main()
