"""SIGKILL at any moment of saving: the set stays readable and no run is half there."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.store import ResultSet
from harness.tables import load_source, write_tables
from tests.unit.synthetic import FakePlan

STAMP = "20261122T101500Z"
ROOT = Path(__file__).parents[2]
# Saves without end, from the numbers that it is told on, in a process of its own each time: this one has loaded what
# saves, and has saved once.
WRITER = """
import os, sys
from dataclasses import replace
import numpy as np
from harness.store import SAMPLE_DTYPE, ResultSet
from tests.unit.synthetic import record
results = ResultSet.open(sys.argv[1])
raw = np.zeros(20_000, SAMPLE_DTYPE)
made = record()
def save(number):
    results.save_run(replace(made, run_id=f"{number:012x}", block=number, order=number), raw, {"log": b"x" * 100_000})
save(0)
for line in sys.stdin:
    if (pid := os.fork()) == 0:
        for number in range(int(line), int(line) + 4096):
            save(number)
        os._exit(0)
    print(pid, flush=True)
    os.waitpid(pid, 0)
    print("gone", flush=True)
"""
KILLS = 10


@pytest.mark.slow
def test_killed_while_saving(tmp_path: Path) -> None:
    results = ResultSet.create(tmp_path, "quickstart", STAMP, b"", FakePlan(), {})
    draw = random.Random(1)
    saved: set[str] = set()
    halves = 0
    kill = 0
    command = [sys.executable, "-c", WRITER, str(results.path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, text=True, **pipes) as writer:
        assert writer.stdin is not None and writer.stdout is not None
        # As many kills as it takes until some hit in the middle of a save: else this would show nothing.
        while kill < KILLS or halves <= KILLS // 3:
            kill += 1
            assert kill < 10 * KILLS, "hardly a kill hits in the middle of a save"
            print(kill << 12, file=writer.stdin, flush=True)
            pid = int(writer.stdout.readline())
            time.sleep(draw.uniform(0.02, 0.08))
            os.kill(pid, signal.SIGKILL)
            assert writer.stdout.readline() == "gone\n"
            again = ResultSet.open(results.path)
            found = again.finished()
            assert again.warnings == []
            assert saved <= found
            saved = found
            run = max(found, default="")
            if run:
                assert again.sample_columns(run, ["latency_ns"]) is not None
                assert (results.path / "runs" / run / "log").stat().st_size == 100_000
            halves += len(again.remove_leftovers())
            assert not [entry for entry in (results.path / "runs").iterdir() if entry.name.startswith(".")]
    assert saved
    write_tables(results)
    assert len(load_source(results.path / "runs.csv").runs) == len(saved)
