"""Traced runs on real links: what was done to requests is what they are said to have met, and nothing is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.kernel import tracefs
from harness.kernel.journal import clean
from tests import experiment
from tests.command import run

ROOT = Path(__file__).parents[2]
# Whatever else runs here (SCHED_OTHER) cannot take a CPU from either end.
FIFO = {"*": {"process": {"policy": "fifo", "priority": 10}}}
HOGS = {"on": "server.cpus", "load": "10%", "period": "20ms", "policy": "fifo", "priority": 20}
OWNER = """
import sys, time
from pathlib import Path
from harness.kernel.journal import open_journal
from harness.run.tracing import instance
with open_journal(Path(sys.argv[1])) as journal, instance(journal) as trace:
    trace.set_up({"sched/sched_switch": ""}, [0], 64)
    trace.on()
    print(trace.directory.name, flush=True)
    time.sleep(600)
"""


def instances() -> set[str]:
    """The trace instances of ours on this host."""
    with tracefs.opened() as root:
        return {name for name in os.listdir(root / "instances") if name.startswith(tracefs.PREFIX)}


def test_what_was_done_to_requests_is_what_they_met(tmp_path: Path) -> None:
    before = instances()
    workload = {"kind": "load", "from": "client", "to": "server", "warmup": "50ms", "duration": "300ms"}
    stall = {"workload": {"stall": "3ms", "stall_every": "30ms"}}
    cases = {"hog": {"contention": HOGS}, "stall": stall}
    file = experiment.write(tmp_path, workload=workload, settings=FIFO, cases=cases, trace="polls")
    done = run("run", file, "-o", tmp_path / "results")
    assert done.returncode in (0, 1), done.stderr
    assert "it counts in no table" in done.stderr
    (place,) = (tmp_path / "results" / "small").iterdir()
    assert {row.split(",")[0] for row in (place / "runs.csv").read_text().splitlines()[1:]}.isdisjoint(
        path.name for path in place.glob("traced/*/runs/*")
    )
    assert len((place / "tail.csv").read_text().splitlines()) > 2
    answer = json.loads(run("explain", place, "--above", "1500us", "--json").stdout)
    met = {"hog": ("behind", "hog"), "stall": ("work", "server")}
    for cell in answer["cells"]:
        assert (cell["refused"], cell["joined"]) == ([], 1.0)
        # Each request is one packet to the server, in some CPU's backlog.
        into = sum(polls["packets"] for polls in cell["polled"] if polls["receiver"] == "server")
        assert sum(polls["packets"] for polls in cell["polled"]) >= 1.9 * cell["requests"]
        assert into > 0 and {polls["device"] for polls in cell["polled"]} == {"(no_device)"}
        causes = {(cause["kind"], cause["who"]): cause["requests"] for cause in cell["causes"]}
        assert causes[met[cell["case"]]] >= 5
        # The other one was not there; that some other program was, is the host's affair.
        assert not set(causes) & (set(met.values()) - {met[cell["case"]]})
        for slow in cell["slow"]:
            parts = sum(value for name, value in slow.items() if name.endswith("_us") and name not in NO_SEGMENTS)
            assert parts == pytest.approx(slow["latency_us"], abs=0.01)
    assert instances() == before


NO_SEGMENTS = ("latency_us", "excess_us", "wait_us")


def test_a_killed_trace_is_cleaned(tmp_path: Path) -> None:
    command = [sys.executable, "-c", OWNER, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        name = owner.stdout.readline().strip()
        assert clean(state=tmp_path) == []
        owner.send_signal(signal.SIGKILL)
    assert name in instances()
    # One that bears such a name, and is not what was noted, is somebody else's.
    (told,) = clean(dry_run=True, state=tmp_path)
    assert told.line() == f"would remove tracing {name}"
    (done,) = clean(state=tmp_path)
    assert done.line() == f"removed tracing {name}"
    assert name not in instances()
    assert clean(state=tmp_path) == []
