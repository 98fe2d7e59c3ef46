"""What a run needs of memory is said by plan, and refused by run before anything is made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.plan import make_plan
from harness.run import limits
from harness.spec.load import load_experiment
from tests import command, experiment

GIB = 1 << 30
HOGS = {"on": "server.cpus", "kind": "cache", "threads": 4, "working_set": "1GiB"}
OPEN = {"kind": "load", "from": "client", "to": "server", "rate": 1_000_000, "duration": "60s", "warmup": "1s"}


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two CPUs, and 3 GiB that are free."""
    monkeypatch.setattr("harness.kernel.facts.online_cpus", lambda: {0, 1})
    monkeypatch.setattr("harness.run.capabilities.of_this_host", dict)
    monkeypatch.setattr(limits, "available_bytes", lambda: 3 * GIB)


def needs_of(tmp_path: Path, **changes: Any) -> dict[str, int]:
    (cell,) = experiment.plan(tmp_path, **changes).cells
    return {".".join(map(str, need.path)): need.size_bytes for need in limits.needs(cell.spec)}


def test_hogs_that_walk_memory_need_it(tmp_path: Path) -> None:
    assert needs_of(tmp_path, contention=HOGS)["contention.threads"] == 4 * GIB
    for change in ({"kind": "spin"}, {"threads": 0}, {"load": "0%"}):
        assert "contention.threads" not in needs_of(tmp_path, contention=HOGS | change)


def test_samples_of_an_open_loop_are_kept(tmp_path: Path) -> None:
    whole = needs_of(tmp_path, workload=OPEN)["workload.rate"]
    assert 60_000_000 * 100 < whole < 60_000_000 * 150
    assert needs_of(tmp_path, workload=OPEN | {"count": 6000})["workload.rate"] * 10_000 == whole
    phased = OPEN | {"phases": True, "wait": "epoll"}
    assert needs_of(tmp_path, workload=phased)["workload.rate"] > 2 * whole
    closed = {key: value for key, value in OPEN.items() if key != "rate"}
    assert "workload.rate" not in needs_of(tmp_path, workload=closed)


def test_a_background_loop_counts_too(tmp_path: Path) -> None:
    ping = experiment.document()["workload"]
    assert "workloads.1.rate" in needs_of(tmp_path, workload=None, workloads=[ping, OPEN])


def test_nodes_and_stores_count(tmp_path: Path) -> None:
    assert needs_of(tmp_path)["topology.nodes"] == 2 * limits.NODE_BYTES
    cached = {"kind": "memcached", "from": "client", "to": "server", "rate": 10, "memory": "2GiB"}
    assert needs_of(tmp_path, workload=cached)["workload.memory"] == 2 * GIB


def test_plan_says_what_a_run_needs(tmp_path: Path) -> None:
    quiet = command.call("plan", experiment.write(tmp_path))
    assert "memory" not in quiet.stdout
    path = experiment.write(tmp_path, contention=HOGS | {"threads": 2})
    done = command.call("plan", path)
    assert done.returncode == 0
    assert "memory of base: about 2.2 GB: 2 hog threads of 1.1 GB 2.1 GB, 2 nodes 6.3 MB\n" in done.stdout
    assert "refused" not in done.stdout
    made = json.loads(command.call("plan", path, "--json").stdout)["memory"]
    assert made == {"cell": "base", "needs_bytes": 2 * GIB + 2 * limits.NODE_BYTES, "has_bytes": 3 * GIB}


def test_plan_says_what_would_be_refused(tmp_path: Path) -> None:
    done = command.call("plan", experiment.write(tmp_path, contention=HOGS))
    assert done.returncode == 0
    assert "there is less, 3.2 GB free here: it would be refused\n" in done.stdout


@pytest.mark.parametrize("words", [("run",), ("calibrate",)])
def test_a_run_beyond_what_is_free_is_refused_before_anything_is_made(tmp_path: Path, words: tuple[str, ...]) -> None:
    path = experiment.write(tmp_path, contention=HOGS, cases={"small": {"contention": {"threads": 1}}, "large": {}})
    done = command.call(*words, path, "-o", tmp_path / "out", *(("--case", "large") if words[0] == "calibrate" else ()))
    assert done.returncode == 2 and not (tmp_path / "out").exists()
    lines = path.read_text().splitlines()
    number = next(at for at, line in enumerate(lines, 1) if "threads: 4" in line)
    assert (
        f"small.yaml:{number}:12: contention.threads: a run needs more memory than is free here, 3.2 GB: "
        in done.stderr
    )


def test_a_case_that_fits_may_be_run_beside_one_that_does_not(tmp_path: Path) -> None:
    changes = {"small": {"contention": {"threads": 1}}, "large": {}}
    loaded = load_experiment(experiment.write(tmp_path, contention=HOGS, cases=changes))
    limits.refuse_beyond(loaded, make_plan(loaded, ["small"]))


def test_a_guest_has_the_memory_that_it_declares(tmp_path: Path) -> None:
    path = experiment.write(tmp_path, contention=HOGS | {"threads": 1}, vm={"memory": "1GiB"})
    done = command.call("vm", "run", path, "--dry-run")
    assert "in the guest: it would be refused" in done.stdout
    path = experiment.write(tmp_path, contention=HOGS | {"threads": 1}, vm={"memory": "2GiB"})
    assert "refused" not in command.call("vm", "run", path, "--dry-run").stdout


def test_where_the_kernel_does_not_say_what_is_free_nothing_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "available_bytes", lambda: None)
    loaded = load_experiment(experiment.write(tmp_path, contention=HOGS))
    limits.refuse_beyond(loaded, make_plan(loaded))
    assert limits.account(loaded.cells, guest=False).fits


def test_this_machine_has_memory() -> None:
    free = limits.available_bytes()
    assert free is not None and free > 1 << 20


@pytest.mark.parametrize(
    ("size", "words"), [(900, "1 kB"), (2_500_000, "2.5 MB"), (3 * GIB, "3.2 GB"), (4e12, "4.0 TB")]
)
def test_sizes_in_words(size: float, words: str) -> None:
    assert limits.in_units(size) == words
