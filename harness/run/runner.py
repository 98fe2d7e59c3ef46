"""Makes one run and judges it: figures, proof, verdict and its reasons."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy.typing as npt

from harness.errors import Interrupted, LostError, MissingError, PollbenchError
from harness.knobs import KNOBS
from harness.plan import Run
from harness.run import contention as hogs
from harness.run import loadgen_report, two_hosts_merge
from harness.run.checks import doubts
from harness.run.measure import Measured, hog_cpus, measure
from harness.run.metrics import cpu_figures, idle_shares, node_figures, run_metrics, seen_on
from harness.signals import Stopper
from harness.spec.cells import CellSpec
from harness.topology.path_loss import round_trip_loss

Take = Callable[[CellSpec, Stopper, dict[str, bytes]], Measured]
"""Measures one cell, filling in what its programs said; raises as `measure` does."""
_OF_NODES = ("host", "interface", "kernel", "cpu_model")
_RANK = ("failed", "inert", "suspect", "valid")


def make_run(
    run: Run, environment: dict[str, Any], stopper: Stopper, take: Take = measure
) -> tuple[dict[str, Any], npt.NDArray[Any] | None, dict[str, bytes]]:
    """One run: its record, its raw samples, and what its programs said, by file name.

    A run that breaks is a record too, with the cause in words. take: what measures; a guest's answer is taken so too.
    """
    record = _header(run, environment)
    begun = time.monotonic()
    samples = None
    files: dict[str, bytes] = {}
    try:
        measured = take(run.spec(), stopper, files)
        samples = measured.samples
        _fill(record, run, measured)
    except (Interrupted, LostError):
        raise
    except MissingError as error:
        record |= {"verdict": "skipped", "reasons": [error.line()]}
    except (PollbenchError, OSError) as error:
        record |= {"verdict": "failed", "reasons": [str(error)]}
    record["wall_s"] = round(time.monotonic() - begun, 6)
    return record, samples, files


def _header(run: Run, environment: dict[str, Any]) -> dict[str, Any]:
    spec, workload = run.cell.spec, run.cell.spec.workload
    contention = None
    if spec.contention is not None:
        contention = {
            "kind": spec.contention.label(),
            "cpus": ",".join(map(str, hog_cpus(spec))),
            "threads": spec.contention.threads,
            "load_percent": spec.contention.load_percent,
        }
    return {
        "run_id": run.run_id,
        "case": run.cell.case,
        "factors": dict(run.cell.factors),
        "block": run.block,
        "order": run.order,
        "started_utc": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "verdict": "failed",
        "reasons": [],
        "environment": environment,
        "datapath": "napi" if spec.napi else "plain",
        "workload": workload.described(),
        "background": [each.described() for each in spec.background],
        "contention": contention,
        "metrics": {},
        "nodes": {},
        "cpus": {},
        "knobs": [],
        "qdiscs": [],
        "features": {},
        "fidelity": [],
    }


def _fill(record: dict[str, Any], run: Run, measured: Measured) -> None:
    """Figures, proof and verdict of a run that came to its end."""
    checks = run.cell.spec.checks
    outcome = measured.outcome
    timed = loadgen_report.of_samples(measured.samples)
    # A program that keeps no samples may still have told its own quantiles.
    metrics = run_metrics(outcome)
    metrics |= {name: value for name, value in timed.items() if value is not None or name not in metrics}
    record["metrics"] = metrics
    record["nodes"] = node_figures(outcome)
    if measured.hosts:
        source, target = (measured.hosts[node] for node in run.cell.spec.workload.nodes())
        record["environment"] = two_hosts_merge.environment(source, target)
        for node, found in measured.hosts.items():
            record["nodes"][node] |= {name: found.get(name) for name in _OF_NODES}
    record["cpus"] = cpu_figures(outcome)
    record["qdiscs"] = measured.qdiscs
    record["features"] = measured.features
    record["fidelity"] = measured.link_checks
    record["knobs"] = measured.knobs
    found = {
        "failed": _broken(run, measured),
        "inert": _judge_knobs(run, measured, checks.min_polled_share),
        "suspect": _doubts(run, measured, metrics) + measured.breaches,
        "valid": [],
    }
    record["metrics"]["doubts"] = len(found["suspect"])
    record["verdict"] = next((verdict for verdict in _RANK if found[verdict]), "valid")
    record["reasons"] = [reason for verdict in _RANK for reason in found[verdict]]


def _polling(run: Run) -> set[str]:
    """The nodes whose sockets were told to busy-poll; all of them where the whole host was."""
    nodes = {
        node
        for node, knobs in run.cell.spec.settings.items()
        for name, model in knobs.items()
        if KNOBS[name].scope in ("socket", "host") and KNOBS[name].needs_napi(model)
    }
    return set(run.cell.spec.topology.nodes) if "*" in nodes else nodes


def _doubts(run: Run, measured: Measured, metrics: dict[str, Any]) -> list[str]:
    spec = run.cell.spec
    checks, arrivals = spec.checks, spec.workload.described().get("arrivals")
    found = loadgen_report.doubts(measured.outcome.client, checks, arrivals)
    declared_loss = round_trip_loss(spec.topology, *spec.workload.nodes())
    found += doubts(measured.outcome, metrics, checks, _polling(run), declared_loss)
    idle = idle_shares(measured.outcome, spec.contention_node())
    elapsed_s = measured.outcome.difference.elapsed_ns / 1e9
    found += hogs.duty_doubts(spec, metrics.get("hog_achieved_percent"), idle, elapsed_s)
    return found + loadgen_report.phase_doubts(metrics)


def _broken(run: Run, measured: Measured) -> list[str]:
    client = measured.outcome.client
    reasons = []
    if run.cell.spec.workload.has_requests and not loadgen_report.answered(measured.samples):
        reasons.append("no request was answered")
    if client.get("overflow"):
        reasons.append("the sample buffer was full before the measured time was over")
    return reasons


def _judge_knobs(run: Run, measured: Measured, min_polled_share: float) -> list[str]:
    """Fill in took_effect and evidence of every knob row; return a reason per knob that did nothing."""
    reasons = []
    for node, knobs in (run.cell.spec.confined() | run.cell.spec.settings).items():
        seen = seen_on(measured.outcome, node, min_polled_share)
        for name, model in knobs.items():
            effect = KNOBS[name].effect(model, seen)
            for row in measured.knobs:
                if row["node"] == node and row["knob"] == name:
                    row["took_effect"], row["evidence"] = effect.took, effect.evidence
            if effect.took is False:
                reasons.append(f"{name} on {node} took no effect: {effect.evidence}")
    return reasons
