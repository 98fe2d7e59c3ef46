"""Made-up run records for tests of the analysis half: plausible numbers, the same every time."""

from __future__ import annotations

import copy
import functools
import hashlib
from typing import Any

import numpy as np

from harness import stats
from harness.store.record import Columns, DeclaredContention, KnobRow, Metrics, RunRecord, Verdict
from harness.tables import Source, frames
from harness.tables.frames import Tables, cell_key

ENVIRONMENT = {
    "place": "host",
    "kernel": "6.18.0",
    "cpu_model": "Made-up CPU 3000",
    "virtualisation": "kvm",
    "accelerator": "",
    "emulator": "",
    "governor": "performance",
    "smt": "off",
    "mitigations": "on",
    "iommu": "none",
    "clocksource": "tsc",
}
# case: (median us, CPU us per request, busy-polled percent)
CASES = {"base": (61.0, 12.4, 0.0), "busypoll50": (7.5, 15.1, 99.8), "defer20": (128.0, 12.2, 0.0)}
UNNAMED = (50.0, 10.0, 0.0)
LOADS = ("0%", "100%")


def run_id(case: str, load: str, block: int) -> str:
    """A run id of the real form."""
    return hashlib.sha256(f"{case} {load} {block}".encode()).hexdigest()[:12]


def record(
    case: str = "base",
    load: str = "0%",
    block: int = 0,
    order: int = 0,
    verdict: Verdict = "valid",
    reasons: tuple[str, ...] = (),
    scale: float = 1.0,
) -> RunRecord:
    """One run record as the runner writes it."""
    polled = CASES.get(case, UNNAMED)[2]
    found: Metrics = dict(_metrics(case, load, block, scale)) if verdict in ("valid", "inert", "suspect") else {}
    workload: Columns = {"kind": "ping-pong", "loop": "closed", "protocol": "udp", "client_wait": "blocking"}
    workload |= {"server_wait": "blocking", "size_bytes": 64, "from": "client", "to": "server"}
    return RunRecord(
        run_id=run_id(case, load, block),
        case=case,
        factors={"contention.load": load},
        block=block,
        order=order,
        started_utc=f"2026-11-22T10:{15 + order // 60:02d}:{order % 60:02d}Z",
        wall_s=1.25,
        verdict=verdict,
        reasons=reasons,
        environment=dict(ENVIRONMENT),
        datapath="napi",
        workload=workload | {"warmup_s": 0.2, "duration_s": 1.0},
        contention=DeclaredContention("spin", "1", 1, float(load[:-1])),
        metrics=found,
        nodes={"client": {"rx_packets": 20_000, "napi_id": 513}, "server": {"rx_packets": 20_000}},
        cpus={"0": {"user_share": 0.25, "idle_share": 0.5}, "1": {"user_share": 0.3, "idle_share": 0.4}},
        knobs=_knobs(case, polled, verdict),
    )


@functools.cache
def _metrics(case: str, load: str, block: int, scale: float) -> Metrics:
    """What a run measured. Not to be changed: thousands of tests share it."""
    level, cpu, polled = CASES.get(case, UNNAMED)
    # str seeds would go through the salted hash(): these numbers are the same in every process.
    draw = np.random.default_rng([int(run_id(case, load, block), 16) % 2**32])
    slower = 6.0 if load == "100%" and not polled else 1.0
    samples = (level * slower * scale * 1000 * draw.lognormal(0.0, 0.08, 20_000) * draw.normal(1, 0.02)).astype("i8")
    found: Metrics = dict(stats.summarise(samples))
    found |= {"requests": 20_000, "lost": 0, "rate_rps": 1e6 / (level * slower * scale), "elapsed_s": 1.0}
    found |= {"cpu_us_per_request": cpu * scale * draw.normal(1, 0.01)}
    found |= {"client_polled_percent": polled, "server_polled_percent": polled and polled + 0.1}
    return found


def _knobs(case: str, polled: float, verdict: str) -> tuple[KnobRow, ...]:
    names = {"busypoll50": ("busy_poll", "SO_BUSY_POLL", "50"), "defer20": ("coalesce", "gro_flush_timeout", "20000")}
    if case not in names:
        return ()
    knob, setting, value = names[case]
    took_effect = verdict != "inert" if polled else None
    evidence = f"{polled} % of packets busy-polled" if polled else "not observed on this datapath"
    return tuple(
        KnobRow(node, knob, setting, "socket", value, "0", value, took_effect, evidence)
        for node in ("client", "server")
    )


def result_set(blocks: int = 5, *, troubled: bool = False, scale: float = 1.0) -> list[RunRecord]:
    """A whole experiment: three cases, two loads; `troubled` adds every verdict that is not valid."""
    made = []
    trouble: dict[tuple[str, str, int], tuple[Verdict, str]] = {
        ("busypoll50", "100%", 1): ("inert", "busy poll on server polled 0 of 20000 packets"),
        ("busypoll50", "100%", 2): ("inert", "busy poll on server polled 3 of 19998 packets"),
        ("defer20", "0%", 0): ("suspect", "other programs used 8.1 % of the CPU set, 5 % is allowed"),
        ("base", "100%", 4): ("failed", "client: connect: connection refused"),
    }
    cells = [(case, load) for case in CASES for load in LOADS]
    for block in range(blocks):
        # The order of a block is shuffled, as the plan does it.
        shuffled = np.random.default_rng(block).permutation(len(cells))
        for place, at in enumerate(shuffled):
            case, load = cells[at]
            verdict: Verdict = "valid"
            reason = ""
            if troubled:
                verdict, reason = trouble.get((case, load, block), ("valid", ""))
                if (case, load) == ("defer20", "100%"):
                    verdict, reason = ("skipped", "this kernel has no netem; run in the VM image, or drop `delay`")
            why = (reason,) if reason else ()
            made.append(record(case, load, block, block * len(cells) + place, verdict, why, scale))
    return made


def plan_json(blocks: int = 5) -> dict[str, Any]:
    """The plan those records were made by, as the plan writes itself."""
    cells: list[dict[str, Any]] = [
        {
            "cell_id": f"{case}-{load}",
            "case": case,
            "factors": {"contention.load": load},
            "document": _document(case, load),
        }
        for load in LOADS
        for case in CASES
    ]
    runs = [
        {"run_id": run_id(cell["case"], cell["factors"]["contention.load"], block), "cell_id": cell["cell_id"]}
        for block in range(blocks)
        for cell in cells
    ]
    head = {"name": "quickstart", "description": "Does it help?", "order": "blocks"}
    return {**head, "cells": cells, "runs": runs}


def _document(case: str, load: str) -> dict[str, Any]:
    """What a cell was, as an experiment file says it."""
    settings = {"busypoll50": {"busy_poll": {"usecs": 50}}, "defer20": {"coalesce": {"gro_flush_timeout": "20us"}}}
    return {
        "topology": {
            "datapath": "napi",
            "nodes": {"client": {}, "server": {}},
            "links": [{"between": ["client", "server"]}],
        },
        "workload": {"kind": "ping-pong", "from": "client", "to": "server", "size": "64B"},
        "contention": {"kind": "spin", "cpus": "1", "load": load},
        **({"settings": {"*": settings[case]}} if case in settings else {}),
    }


class FakePlan:
    """A plan as the store sees it."""

    def __init__(self, plan_hash: str = "0" * 64, blocks: int = 5) -> None:
        self.plan_hash = plan_hash
        self.blocks = blocks

    def to_json(self) -> dict[str, Any]:
        """The plan's document."""
        return plan_json(self.blocks)


def source(label: str = "quickstart/20261122T101500Z", blocks: int = 5, **how: Any) -> Source:
    """That experiment as a source of runs, with its plan."""
    plan = plan_json(blocks)
    planned = {cell_key(cell["case"], cell["factors"]): blocks for cell in plan["cells"]}
    tables = copy.deepcopy(_tables(blocks, tuple(sorted(how.items()))))
    return Source(label, tables.runs, tables.knobs, planned, {}, plan)


@functools.cache
def _tables(blocks: int, how: tuple[tuple[str, Any], ...]) -> Tables:
    """Of its records. To be copied: tests change theirs."""
    keys = [cell_key(cell["case"], cell["factors"]) for cell in plan_json(blocks)["cells"]]
    return frames(result_set(blocks, **dict(how)), keys)
