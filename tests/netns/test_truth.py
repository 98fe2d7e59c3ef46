"""The whole product against what is known: a set that grows until it is enough, A/A, and an effect put in by hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from harness import load
from harness.analysis.compare import Options, compare_cases
from harness.stats import Interval
from harness.tables import load_source
from tests import command, experiment

ROOT = Path(__file__).parents[2]
SPIN = {"kind": "ping-pong", "from": "client", "to": "server", "wait": "spin", "warmup": "20ms"}


def test_repetitions_are_added_until_it_is_enough(tmp_path: Path) -> None:
    repeat = {"min": 5, "max": 30, "until": {"metric": "rtt_p50_us", "ci": "99%"}}
    path = experiment.write(tmp_path, repeat=repeat, workload=SPIN | {"duration": "50ms"})
    done = command.run("run", path, "-o", tmp_path, "--wait")
    assert done.returncode == 0, done.stderr
    made = len(load_source(tmp_path / "small").runs)
    assert len(load(tmp_path / "small").samples(["latency_ns"])) > made
    example = [sys.executable, str(ROOT / "docs" / "analysis_example.py"), str(tmp_path / "small")]
    subprocess.run(example, cwd=ROOT, check=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert 5 <= made < 30
    assert f"{made} of 5 to 30 repetitions: every interval of rtt_p50_us is within" in done.stderr
    assert "not made yet" not in done.stdout
    more = command.run("run", path, "-o", tmp_path, "--wait", "--resume", "--repeat", str(made + 2))
    assert more.returncode == 0, more.stderr
    assert len(load_source(tmp_path / "small").runs) == made + 2
    assert len(list((tmp_path / "small").iterdir())) == 1


def test_a_calibration_through_the_whole_product(tmp_path: Path) -> None:
    path = experiment.write(tmp_path, workload=SPIN | {"duration": "50ms"})
    state = tmp_path / "state"
    options = ("-o", tmp_path, "--repeat", "15", "--store", "--json", "--wait")
    done = command.run("calibrate", path, *options, env={"XDG_STATE_HOME": str(state)})
    assert done.returncode == 0, done.stderr
    noise = {each["metric"]: each for each in json.loads(done.stdout)["noise"]}
    assert noise["rtt_p50_us"]["comparisons"] == 3
    assert noise["rtt_p50_us"]["least_effect"] > 0
    shown = command.run("show", tmp_path / "small-calibration", env={"XDG_STATE_HOME": str(state)})
    assert "Calibrated on such a host" in shown.stdout


def spinning(time: str) -> dict[str, Any]:
    """An open loop whose server spins for `time`, by the clock, on every request.

    Open at a constant rate, so that what passes between two requests does not depend on the spin: in a closed loop the
    receive path of the longer spin is colder, which costs up to 1 us more (docs/statistics.md). A late send is no fault
    here: it is late in either case.
    """
    load = {"kind": "load", "from": "client", "to": "server", "protocol": "udp", "wait": "spin", "late": "5ms"}
    service = {"distribution": "clock", "time": time}
    return load | {"rate": 4000, "service": service, "warmup": "20ms", "duration": "100ms"}


@pytest.mark.slow
def test_a_known_effect_is_recovered(tmp_path: Path) -> None:
    """20 us more on the server is 20 us more round trip: within the intervals of 3 of 4 experiments at least.

    By the clock, because the effect has to be known: how long counted work takes depends on the CPU's speed, which
    varies by more than an interval is wide.
    """
    cases = {"forty": {}, "sixty": {"workload": {"service": {"time": "60us"}}}}
    found: list[Interval] = []
    for attempt in range(8):
        path = experiment.write(tmp_path, workload=spinning("40us"), cases=cases, repeat=8, seed=attempt)
        done = command.run("run", path, "-o", tmp_path / str(attempt), "--wait")
        assert done.returncode in (0, 1), done.stderr
        source = load_source(tmp_path / str(attempt) / "small")
        (row,) = compare_cases(source, "forty", Options(metrics=("rtt_p50_us",))).rows
        difference = row.change.difference
        # Without one the host's other work left too few valid runs to answer by.
        found += [difference.interval] if difference and difference.interval else []
        if len(found) == 4:
            break
    assert len(found) == 4, "too few experiments were left alone"
    assert sum(each.low <= 20.0 <= each.high for each in found) >= 3, found
    # How wide they are is the noise. Narrower than the effect, one that holds it excludes none and twice it.
    assert median(each.high - each.low for each in found) < 20.0, "intervals that hold anything prove nothing"
