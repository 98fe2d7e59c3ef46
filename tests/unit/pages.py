"""Result sets on disk for tests of reports and plots: a load sweep with hiccups, damaged ones, hostile names."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness import stats
from harness.store import SAMPLE_DTYPE, ResultSet
from harness.store.record import KnobRow, RunRecord, Verdict
from tests.unit import synthetic

STAMP = "20261122T101500Z"
HOSTILE = '<img src=x onerror="document.title=1">&\'"</script><b>\u202e\x1b[31m'
# case: (round trip in us without load, requests per s at which it breaks down, CPU us per request)
CASES = {"base": (48.0, 60_000.0, 11.0), "busypoll": (9.0, 90_000.0, 17.0), "defer20": (62.0, 110_000.0, 6.5)}
CASES |= {"suspend20": (14.0, 105_000.0, 8.0)}


class Plan:
    """A plan as the store sees it."""

    plan_hash = "0" * 64

    def __init__(self, records: list[RunRecord], name: str = "load-curve", description: str = "") -> None:
        self.name, self.description = name, description
        cells = {(record.case, str(record.factors)): record for record in records}
        self.cells = [
            {"cell_id": f"{case}{text}", "case": case, "factors": record.factors}
            for (case, text), record in cells.items()
        ]
        self.runs = [{"run_id": record.run_id, "cell_id": f"{record.case}{record.factors}"} for record in records]

    def to_json(self) -> dict[str, Any]:
        """The plan's document."""
        return {"name": self.name, "description": self.description, "cells": self.cells, "runs": self.runs}


def samples(level_us: float, count: int, seed: int, rate: float = 20_000.0) -> npt.NDArray[Any]:
    """Round trips around a level with a long tail, a stall every tenth of a second, and now and then a loss."""
    draw = np.random.default_rng(seed)
    found = np.empty(count, dtype=SAMPLE_DTYPE)
    found["intended_ns"] = np.cumsum(draw.exponential(1e9 / rate, count)).astype("i8")
    rtt_us = (
        level_us * draw.lognormal(0, 0.12, count) * np.where(draw.random(count) < 0.01, draw.pareto(2.5, count) + 2, 1)
    )
    into = found["intended_ns"] % 100_000_000
    rtt_us += np.where(into < 400_000, (400_000 - into) / 1e3, 0)
    found["latency_ns"] = (rtt_us * 1e3).astype("i8")
    found["latency_ns"][draw.random(count) < 2e-5] = -1
    return found


def run(
    case: str, factors: dict[str, Any], block: int, order: int, count: int, level_us: float, cpu_us: float
) -> tuple[RunRecord, npt.NDArray[Any]]:
    """A record and its samples."""
    record = synthetic.record(case, "0%", block, order)
    run_id = hashlib.sha256(f"{case} {factors} {block}".encode()).hexdigest()[:12]
    raw = samples(level_us * (1 + 0.02 * (block % 5)), count, int(run_id[:8], 16))
    metrics = record.metrics | stats.summarise(raw["latency_ns"])
    metrics |= {"cpu_us_per_request": cpu_us * (1 + 0.01 * (block % 3)), "rate_rps": 20_000.0}
    metrics |= {"lost": int((raw["latency_ns"] < 0).sum())}
    for name, share in (("send", 0.1), ("wire", 0.2), ("receive", 0.15), ("wakeup", 0.45), ("service", 0.1)):
        metrics[f"phase_{name}_us"] = (metrics["rtt_p50_us"] or 0.0) * share
    return replace(record, run_id=run_id, factors=factors, knobs=_knobs(case), metrics=metrics), raw


def _knobs(case: str) -> tuple[KnobRow, ...]:
    if case == "base":
        return ()
    took_effect, evidence = case != "defer20" or None, "19,980 of 20,000 packets busy-polled (99.9%)"
    return tuple(
        KnobRow(node, "busy_poll", "SO_BUSY_POLL", "socket", "50", "0", applied, took_effect, evidence)
        for node, applied in (("client", "50"), ("server", ""))
    )


def load_sweep(
    base: Path, blocks: int = 4, count: int = 20_000, rates: tuple[int, ...] = (10, 40, 70, 100)
) -> ResultSet:
    """A set with a hockey stick per case: 4 cases x rates (in thousands per second) x blocks runs."""
    made: list[tuple[RunRecord, npt.NDArray[Any]]] = []
    for block in range(1, blocks + 1):
        for rate in rates:
            for case, (level, limit, cpu) in CASES.items():
                busy = min(rate * 1000 / limit, 1.15)
                slower = 1 / (1 - busy) if busy < 0.95 else 20 + 60 * (busy - 0.95) / 0.2
                factors = {"workload.rate": f"{rate}k"}
                made.append(
                    run(case, factors, block, len(made), count, level * slower, cpu * (1 + 1 / (1 + rate / 10)))
                )
    return saved(base, made)


def saved(
    base: Path,
    made: Sequence[tuple[RunRecord, npt.NDArray[Any] | None]],
    name: str = "load-curve",
    description: str = "",
) -> ResultSet:
    """These runs as a result set on disk."""
    plan = Plan([record for record, _ in made], name, description)
    manifest = {"seed": 1, "command": ["pollbench", "run", f"{name}.yaml"]}
    found = ResultSet.create(base, "load-curve", STAMP, b"name: load-curve\n", plan, manifest)
    for record, raw in made:
        found.save_run(record, raw)
    return found


def hostile(base: Path) -> ResultSet:
    """A set whose every name, value and reason tries to be markup."""
    made: list[tuple[RunRecord, npt.NDArray[Any] | None]] = []
    for case in ("base", HOSTILE):
        for block in range(1, 6):
            record, raw = run(case, {f"x.{HOSTILE}": HOSTILE}, block, len(made), 3000, 20.0, 5.0)
            record = replace(
                record,
                verdict="suspect" if block == 1 else "valid",
                reasons=(HOSTILE,) if block == 1 else (),
                environment=record.environment | {"kernel": HOSTILE},
                knobs=tuple(replace(row, evidence=HOSTILE, node=HOSTILE) for row in _knobs("busypoll")),
            )
            made.append((record, raw))
    return saved(base, made, name=HOSTILE, description=HOSTILE)


def bare(base: Path, verdict: Verdict = "valid", runs: int = 1) -> ResultSet:
    """A set of `runs` runs of one case with this verdict; those that are not valid measured nothing."""
    made: list[tuple[RunRecord, npt.NDArray[Any] | None]] = []
    for block in range(1, runs + 1):
        record, raw = run("base", {}, block, block - 1, 5000, 30.0, 9.0)
        if verdict != "valid":
            record = replace(record, verdict=verdict, reasons=("this kernel has no netem",), metrics={}, knobs=())
        made.append((record, raw if verdict == "valid" else None))
    return saved(base, made)


def wide(path: Path, cases: int = 20, rates: int = 10, blocks: int = 50) -> Path:
    """A CSV file of runs, 200 cells of 50 by default, without samples: every tenth case is no faster than the first."""
    draw = np.random.default_rng(1)
    lines = ["run_id,case,workload.rate,block,verdict,rtt_p50_us,rtt_p99_us,set_cpu_us_per_request"]
    for block in range(1, blocks + 1):
        for rate in range(1, rates + 1):
            for case in range(cases):
                p50 = (50 - 2 * (case % 10)) * rate * draw.lognormal(0, 0.05)
                name = "base" if case == 0 else f"poll-{case:02d}"
                cost = (8 + case % 7) * draw.lognormal(0, 0.02)
                lines.append(
                    f"{block}-{rate}-{case},{name},{rate * 10}k,{block},valid,{p50:.3f},{p50 * 3:.3f},{cost:.3f}"
                )
    path.write_text("\n".join(lines) + "\n")
    return path
