"""Makes one run and judges it: figures, proof, verdict and its reasons."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import numpy.typing as npt

from harness.errors import UNFORESEEN, Interrupted, LostError, MissingError, PollbenchError, unforeseen
from harness.plan import Run
from harness.run import contention, effects, loadgen_report, two_hosts_merge
from harness.run.checks import doubts, noise
from harness.run.measure import Measured, measure
from harness.run.metrics import cpu_figures, idle_shares, measured_protocol, node_figures, run_metrics
from harness.signals import Stopper
from harness.spec.cells import CellSpec
from harness.store import RunRecord
from harness.store.record import DeclaredContention, Metrics, Scalar, Verdict
from harness.topology.path_loss import round_trip_loss

Take = Callable[[CellSpec, Stopper, dict[str, bytes]], Measured]
"""Measures one cell, filling in what its programs said; raises as `measure` does."""
_OF_NODES = ("host", "interface", "kernel", "cpu_model")


def make_run(
    run: Run, environment: Mapping[str, Scalar], stopper: Stopper, take: Take = measure
) -> tuple[RunRecord, npt.NDArray[Any] | None, dict[str, bytes]]:
    """One run: its record, its raw samples, and what its programs said, by file name.

    A run that breaks is a record too, with the cause in words. take: what measures; a guest's answer is taken so too.
    Raises Interrupted on a stop request, LostError when the other host of the run is gone.
    """
    record = _declared(run, environment)
    begun = time.monotonic()
    samples = None
    files: dict[str, bytes] = {}
    try:
        measured = take(run.spec(), stopper, files)
        samples = measured.samples
        record = _judged(record, run, measured)
    except (Interrupted, LostError):
        raise
    except MissingError as error:
        record = replace(record, verdict="skipped", reasons=(error.line(),))
    except (PollbenchError, OSError) as error:
        record = replace(record, verdict="failed", reasons=(str(error),))
    except Exception as error:  # noqa: BLE001  # whatever it is, it ends this run and no other
        record = replace(record, verdict="failed", reasons=(unforeseen(error),))
        files[UNFORESEEN] = traceback.format_exc().encode(errors="backslashreplace")
    return replace(record, wall_s=round(time.monotonic() - begun, 6)), samples, files


def _declared(run: Run, environment: Mapping[str, Scalar]) -> RunRecord:
    """The record of a run before it begins: what is asked for, and where."""
    spec = run.cell.spec
    return RunRecord(
        run_id=run.run_id,
        case=run.cell.case,
        verdict="failed",
        factors=dict(run.cell.factors),
        block=run.block,
        order=run.order,
        started_utc=datetime.now(UTC).isoformat(timespec="milliseconds"),
        environment=dict(environment),
        datapath="napi" if spec.napi else "plain",
        workload=spec.workload.described(),
        background=tuple(workload.described() for workload in spec.background),
        contention=_contention(spec),
    )


def _contention(spec: CellSpec) -> DeclaredContention | None:
    hogs = spec.contention
    if hogs is None:
        return None
    cpus = ",".join(map(str, contention.hog_cpus(spec)))
    return DeclaredContention(hogs.label(), cpus, hogs.threads, hogs.load_percent, "on" if hogs.awake else "")


def _judged(record: RunRecord, run: Run, measured: Measured) -> RunRecord:
    """The record of a run that came to its end: figures, proof of every knob, and the verdict."""
    outcome = measured.outcome
    nodes, environment = node_figures(outcome), record.environment
    if measured.hosts:
        source, target = (measured.hosts[node] for node in run.cell.spec.workload.nodes())
        environment = two_hosts_merge.environment(source, target)
        for node, facts in measured.hosts.items():
            nodes[node] |= {name: facts.get(name) for name in _OF_NODES}
    timed = loadgen_report.of_samples(measured.samples)
    # A program that keeps no samples may still have told its own quantiles.
    metrics = run_metrics(outcome)
    metrics |= {name: value for name, value in timed.items() if value is not None or name not in metrics}
    knobs, inert = effects.judged(run.cell.spec, measured.outcome, measured.knobs)
    inert += loadgen_report.inert(outcome.client, outcome.server, record.workload.get("server_layout") == "napi")
    suspect = _doubts(run, measured, metrics) + measured.breaches
    polling, hints = effects.polling(run.cell.spec, measured.outcome)
    for node, word in polling.items():
        nodes.get(node, {})["polling"] = word
    reasons: dict[Verdict, list[str]] = {"failed": _broken(run, measured), "inert": inert, "suspect": suspect}
    return replace(
        record,
        verdict=next((verdict for verdict, of_it in reasons.items() if of_it), "valid"),
        reasons=tuple(chain.from_iterable(reasons.values())),
        hints=tuple(hints + measured.hints + loadgen_report.hints(outcome.client, outcome.server)),
        noise=tuple(noise(outcome, metrics, run.cell.spec.checks)),
        environment=environment,
        workload=record.workload | measured_protocol(outcome),
        metrics=metrics | {"doubts": len(suspect), "quiet_wait_s": measured.quiet_wait_s},
        nodes=nodes,
        cpus=cpu_figures(outcome),
        knobs=tuple(knobs),
        qdiscs=tuple(measured.qdiscs),
        features=measured.features,
        link_checks=tuple(measured.link_checks),
        phases=tuple(measured.phases),
        queues=tuple(measured.queues),
    )


def polling_nodes(spec: CellSpec) -> set[str]:
    """The nodes whose sockets were told to busy-poll; all of them where the whole host was."""
    nodes = {
        node
        for node, knobs in spec.settings.items()
        for knob in knobs.values()
        if knob.scope in ("socket", "host") and knob.needs_napi()
    }
    return set(spec.topology.nodes) if "*" in nodes else nodes


def _doubts(run: Run, measured: Measured, metrics: Metrics) -> list[str]:
    """Reasons not to believe the figures: an open loop not kept, noise, losses, hogs that were not as declared."""
    spec, outcome = run.cell.spec, measured.outcome
    declared_loss = round_trip_loss(spec.topology, *spec.workload.nodes())
    return [
        *loadgen_report.doubts(outcome.client, spec.checks, spec.workload.described().get("arrivals")),
        *(
            f"{report['name']}: {doubt}"
            for place, report in outcome.measured_beside().items()
            for doubt in loadgen_report.doubts(report, spec.checks, spec.background[place].described().get("arrivals"))
        ),
        *doubts(outcome, metrics, spec.checks, polling_nodes(spec), declared_loss),
        *contention.duty_doubts(
            spec,
            metrics.get("hog_achieved_percent"),
            idle_shares(outcome, spec.contention_node()),
            outcome.delta.elapsed_ns / 1e9,
            contention.takers(spec, outcome) if spec.contention is not None else {},
        ),
        *contention.awake_doubts(spec, metrics.get("set_idle_percent")),
        *loadgen_report.phase_doubts(metrics),
    ]


def _broken(run: Run, measured: Measured) -> list[str]:
    reasons = []
    if run.cell.spec.workload.has_requests and not loadgen_report.answered(measured.samples):
        reasons.append("no request was answered")
    reports = {"": measured.outcome.client}
    for report in measured.outcome.measured_beside().values():
        reports[f"{report['name']}: "] = report
        if not report.get("answered", report.get("requests")):
            reasons.append(f"{report['name']}: no request was answered")
    full = "the sample buffer was full before the measured time was over"
    reasons += [f"{lead}{full}" for lead, report in reports.items() if report.get("overflow")]
    return reasons
