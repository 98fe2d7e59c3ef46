"""What a run in a guest costs beside what it measures, and what guests side by side gain.

One guest makes runs of two lengths in turn, so that QEMU's CPU time splits into what a second of traffic costs and
what a run costs that measures nothing. Then `pollbench vm run` makes one plan with --jobs 1 and --jobs 2 in turn; the
samples of all must be the same in model time.

POLLBENCH_BENCH_ROUNDS chooses more than the default, POLLBENCH_BENCH_ACCEL tcg-smoke, POLLBENCH_BENCH_NIC a NIC in
place of a shaped veth pair.
"""

from __future__ import annotations

import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from harness.places.vm.boot import Boot, Event
from harness.places.vm.boots import pairs_of
from harness.places.vm.emulator import find_emulator
from harness.places.vm.home import Home
from harness.places.vm.image import open_image
from harness.places.vm.resume import Resumer
from harness.plan import load_experiment, make_plan
from harness.signals import Stopper
from harness.store import ResultSet
from tests import experiment

ROUNDS = int(os.environ.get("POLLBENCH_BENCH_ROUNDS", "3"))
ACCELERATOR = os.environ.get("POLLBENCH_BENCH_ACCEL", "tcg-virtual")
NIC = os.environ.get("POLLBENCH_BENCH_NIC", "")
WARMUP_S, SHORT_S, LONG_S = 0.05, 0.05, 0.55


def document(**changes: Any) -> dict[str, Any]:
    """A ping-pong, warmed up for 50 ms."""
    made = experiment.document(**changes)
    link = {"between": ["client", "server"]} | ({"nic": NIC} if NIC else {"shape": {"rate": "1gbit"}})
    made["topology"]["links"] = [link]
    made["workload"] |= {"warmup": f"{WARMUP_S}s", "duration": f"{SHORT_S}s"}
    return made


def cpu_s() -> float:
    """CPU seconds of the one child of this process, the QEMU."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == os.getpid():
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


def runs(directory: Path) -> None:
    """Print what runs of two lengths cost in one guest, resumed where that can be."""
    lengths = {"short": SHORT_S, "long": LONG_S}
    cases = {name: {"workload": {"duration": f"{length}s"}} for name, length in lengths.items()}
    path = directory / "runs.json"
    path.write_text(json.dumps(document(repeat=ROUNDS + 1, cases=cases)))
    plan, home, stopper = make_plan(load_experiment(path)), Home(), Stopper()
    emulator, image, machine = find_emulator(home), open_image(home, ""), plan.cells[0].spec.machine
    seen: dict[tuple[Any, Any], float] = {}
    costs: dict[str, list[float]] = {name: [] for name in lengths}

    def tell(event: Event) -> None:
        seen[event.get("ev"), event.get("run_id")] = cpu_s()

    pairs = pairs_of([run.cell.spec.topology for run in plan.runs])
    given = (home, emulator, image, machine, ACCELERATOR, plan, plan.runs, pairs, stopper)
    boot = Boot(*given, Resumer(home, stopper))
    cases_of = {run.run_id: run.cell.case for run in plan.runs}
    for number, answer in enumerate(boot.answers(tell)):
        took_s = seen["run", answer.run_id] - seen["begin", answer.run_id]
        case = cases_of[answer.run_id]
        beside_s = answer.wall_s - WARMUP_S - lengths[case]
        print(f"  {case:<6} QEMU {took_s:6.2f} s of CPU time; beside its traffic {beside_s:.3f} s of the guest's")
        # The first translates the guest's code.
        costs[case] += [took_s] if number > 1 else []
    short, long = (statistics.median(costs[name]) for name in lengths)
    second = (long - short) / (LONG_S - SHORT_S)
    print(f"{emulator.label()}, {ACCELERATOR}, {NIC or 'veth'}, {boot.started}, load {os.getloadavg()[0]:.1f}")
    print(f"a second of traffic          {second:6.2f} s of CPU time")
    print(f"a run that measures nothing  {short - second * (WARMUP_S + SHORT_S):6.2f} s of CPU time")


def side_by_side(directory: Path) -> None:
    """Print the wall time of one plan by --jobs, and whether it measured the same."""
    path = directory / "jobs.json"
    path.write_text(json.dumps(document(repeat=4)))
    took: dict[str, list[float]] = {"1": [], "2": []}
    sums = set()
    for number in range(ROUNDS):
        for jobs, times in took.items():
            out = directory / f"{number}-{jobs}"
            command = [sys.executable, "-m", "harness", "vm", "run", str(path), "-o", str(out), "--jobs", jobs]
            begun = time.monotonic()
            options = ["--accel", ACCELERATOR, "--snapshots", "yes"]
            done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
            times.append(time.monotonic() - begun)
            results = ResultSet.latest(out, "small")
            if done.returncode not in (0, 1) or results is None:
                sys.exit(done.stderr)
            sums.add(sum_of(results))
    ratios = [two / one for one, two in zip(took["1"], took["2"], strict=True)]
    print(f"--jobs 2 / --jobs 1          {statistics.median(ratios):6.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    print(f"samples of {2 * ROUNDS} sets            {'the same' if len(sums) == 1 else f'{len(sums)} different'}")


def sum_of(results: ResultSet) -> str:
    """The SHA-256 of all latencies of a set, by run."""
    total = hashlib.sha256()
    for record in sorted(results.records(), key=lambda record: record.run_id):
        columns = results.sample_columns(record.run_id, ["latency_ns"])
        total.update(record.run_id.encode() + (columns["latency_ns"].tobytes() if columns else b""))
    return total.hexdigest()


def main() -> None:
    """Print both."""
    with tempfile.TemporaryDirectory(prefix="bench-guests-") as directory:
        runs(Path(directory))
        side_by_side(Path(directory))


if __name__ == "__main__":
    main()
