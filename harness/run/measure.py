"""One run from testbed to outcome: the only place that orders the steps of a measurement."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import asdict, dataclass, field, replace
from itertools import chain
from typing import Any

from harness.kernel import ethtool, facts
from harness.kernel.hog_time import HogClock
from harness.kernel.journal import open_journal
from harness.kernel.netns import in_netns
from harness.run import counters, link_checks, loadgen_report, standing, tcp_settings, two_hosts_merge
from harness.run import knobs as apply
from harness.run.cgroups import open_cgroups, used_between
from harness.run.contention import Hogs, hog_cpus, keep_awake, start_hogs
from harness.run.context import RunContext, nothing
from harness.run.cpu_cost import cost_hints
from harness.run.cpu_set import QUIET_S, quiet_moment
from harness.run.external_process import ExternalProcess
from harness.run.link_changes import LinkChanger
from harness.run.link_watch import LinkWatch, OnWire
from harness.run.outcome import Napis, Outcome, ProgramOutcome, Report
from harness.run.session import WorkloadSession
from harness.run.socket_options import sockets_file
from harness.run.tracing import Tracer
from harness.run.two_hosts import DONE, FOUND, GO, STEP_S, Ends
from harness.signals import Stopper
from harness.spec.cells import HOGS, CellSpec
from harness.spec.rules_cell import Settings
from harness.store.record import Columns, KnobRow, LinkCheck, LinkPhase, QdiscRow, QueueSeries
from harness.testbed import NodeHandle, Testbed
from harness.workloads import Reading, Workload


@dataclass
class Measured:
    """What one run yields: counters, reports, proof of every setting.

    samples: a structured array, or None. breaches: doubts about its links. hosts: as in Testbed. quiet_wait_s: how long
    it waited for a quiet moment; hints: as in RunRecord.
    """

    outcome: Outcome
    samples: Any
    knobs: list[KnobRow] = field(default_factory=list)
    qdiscs: list[QdiscRow] = field(default_factory=list)
    features: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    link_checks: list[LinkCheck] = field(default_factory=list)
    phases: list[LinkPhase] = field(default_factory=list)
    queues: list[QueueSeries] = field(default_factory=list)
    breaches: list[str] = field(default_factory=list)
    hosts: dict[str, Columns] = field(default_factory=dict)
    quiet_wait_s: float = 0.0
    hints: list[str] = field(default_factory=list)


def measure(
    spec: CellSpec,
    stopper: Stopper,
    files: dict[str, bytes],
    ends: Ends | None = None,
    tracer: Tracer | None = None,
    alone: Callable[[], None] = nothing,
) -> Measured:
    """Build the testbed, apply the knobs, run the workloads under contention, take everything down again.

    files: gets the programs' output, by file name, also when the run breaks. ends: where the nodes are, all here by
    default; of two hosts each does this for its own nodes, and they wait for each other at every `meet`. tracer: traces
    the window, if given; its files are among `files`. alone: called, once or more, before whatever must have the
    host to itself: what the caller has going on beside must end by then.
    Raises MissingError when a host lacks something, PollbenchError when anything goes wrong, LostError when the other
    host is gone, Interrupted.
    """
    ends = ends or Ends()
    with ExitStack() as stack:
        journal = stack.enter_context(open_journal())
        testbed = stack.enter_context(ends.open(spec, journal))
        # Before any knob is set: the link is checked, not what the case makes of it.
        topology = spec.identity()["topology"]
        checked = link_checks.verify(testbed, spec.checks.verify_links, f"{spec.napi} {topology}", alone)
        link_checks.begin_chance(testbed)
        rows: list[KnobRow] = []
        for name, node in testbed.nodes.items():
            rows += apply.NodeApplier(node).apply(spec.settings.get(name, {}))
        rows += stack.enter_context(apply.host_settings(spec.settings.get("*", {}), journal))
        namespaces = [node.netns for node in testbed.nodes.values()]
        cgroups = stack.enter_context(open_cgroups(_confined(spec, ends), journal, namespaces))
        stopper.check()
        context = RunContext(spec, testbed, stopper, stack, cgroups, journal, ends, tracer, alone)
        measured = _Play(context).through(rows + cgroups.rows, files)
        measured.hosts = testbed.hosts
        measured.link_checks = checked
        measured.breaches += link_checks.doubts(checked)
        measured.breaches += link_checks.breaches(testbed.layout, measured.outcome.delta)
        measured.breaches += link_checks.starved(measured.outcome, spec.checks.max_starved_share)
        return measured


def measure_traced(
    spec: CellSpec, stopper: Stopper, files: dict[str, bytes], alone: Callable[[], None] = nothing, polls: bool = False
) -> Measured:
    """The same, with the window traced, polls of NAPIs too if so: its events are among the files.

    Raises also MissingError: no tracefs here.
    """
    return measure(spec, stopper, files, tracer=Tracer(polls), alone=alone)


class _Play:
    """The programs of a run: a session for each workload, the measured one's first, and the hogs."""

    def __init__(self, context: RunContext) -> None:
        self._context, self._hogs = context, Hogs()
        background = enumerate(context.spec.background, 1)
        self._sessions = [WorkloadSession(context, context.spec.workload)]
        self._sessions += [WorkloadSession(context, workload, f"background{n}-") for n, workload in background]

    def through(self, rows: list[KnobRow], files: dict[str, bytes]) -> Measured:
        """Start all, measure, end all. rows: what was set so far; files: gets the programs' output."""
        context, sessions, spec, ends = self._context, self._sessions, self._context.spec, self._context.ends
        measured, background = sessions[0], sessions[1:]
        stood = standing.read(context.testbed)
        context.alone()
        takes_s = spec.workload.takes_ns() / 1e9
        cpus, patience_s = cpu_set(spec, ends), spec.checks.redo * takes_s
        quiet = quiet_moment(cpus, context.stopper, spec.checks, takes_s, patience_s)
        started = context.testbed, context.stopper, context.stack, cpu_set(spec, ends)
        changer, watch = self._changer, self._watch = LinkChanger(*started), LinkWatch(*started, _on_wire(context))
        try:
            for session in sessions:
                session.serve()
            if ends.holds(spec.contention_node()):
                self._hogs = start_hogs(spec, context.stopper, context.stack, context.cgroups.entrance(HOGS))
            if spec.contention is not None and spec.contention.awake:
                self._hogs.spinners = keep_awake(
                    cpu_set(spec, ends), context.stopper, context.stack, context.cgroups.entrance("")
                )
            context.children += self._hogs.children()
            self._exchange("serving")
            for session in (*background, measured):
                session.prepare(spec.workload.life_ns())
            ends.meet("warm", {}, STEP_S + spec.workload.warmup_ns / 1e9, context.children)
            # Again: the start of one session may have made another session's server open sockets.
            for session in sessions:
                session.sweep()
                session.look()
            used = context.cgroups.use()
            delta, napis = self._window(quiet.share)
            changer.end()
            watch.end()
            used = used_between(used, context.cgroups.use())
            for session in sessions:
                session.look()
            feeding = context.watch.seen(context.testbed.nodes.values())
            measured.passed = watch.passed
            readings = [session.finish() for session in sessions]
            ends.meet("read", {}, STEP_S + measured.window_s(), context.children)
            for session in sessions:
                session.finish_server()
            self._hogs.stop()
        finally:
            for session in sessions:
                files |= session.files()
            files |= self._hogs.files() | changer.files() | watch.files()
            files |= sockets_file(list(context.socket_options.values()))
        if context.tracer is not None:
            files |= context.tracer.finish(measured.reports.get("client", {}), spec.workload, measured.passed)
        for session in sessions:
            rows += session.rows()
        outcome = self._outcome(readings, delta, napis)
        # An XDP program restarts the rings of some NICs, and their link, when it is put on and when it goes.
        with_xdp = {
            (program.node, program.report["xdp"]["interface"])
            for program in outcome.programs
            if program.report.get("xdp")
        }
        changed = standing.differences(stood, standing.read(context.testbed), with_xdp)
        outcome = replace(outcome, groups=used, numa=_numa(spec, ends), changed=changed)
        outcome = replace(outcome, feeding=feeding, idle_threads=self._idle_threads())
        outcome = replace(outcome, tcp=_of_nodes(context.testbed), metrics=outcome.metrics | changer.metrics())
        features = _features(context.testbed)
        if far := ends.far:
            half = two_hosts_merge.Half(outcome, rows, features, files)
            other = two_hosts_merge.unpack(ends.meet(FOUND, two_hosts_merge.pack(half)), far.host)
            outcome = two_hosts_merge.together(outcome, other.outcome, far.node)
            rows += other.knobs
            features |= other.features
            files |= other.files
        made = Measured(outcome, readings[0].samples, rows, context.testbed.qdiscs, features)
        made.quiet_wait_s = round(quiet.waited_s, 3)
        made.phases = changer.phases(outcome.client, made.samples, delta.elapsed_ns)
        made.queues = watch.series
        made.breaches = changer.doubts + watch.doubts + measured.doubts
        made.hints = (
            changer.hints
            + cost_hints(delta.hosts[""].set_time)
            + watch.hints
            + [f"no quiet moment in {quiet.waited_s:.1f} s before it: {quiet.noise}"][: quiet.in_vain]
        )
        return made

    def _idle_threads(self) -> dict[str, float]:
        """What NAPI threads burn by node, of the time, while nothing comes: one that busy-polls begins at a packet."""
        if not (threads := _napi_threads(self._context.testbed, self._context.spec)):
            return {}
        before, since_ns = counters.thread_cpu_ns(threads), time.monotonic_ns()
        self._context.stopper.pause(QUIET_S)
        after, elapsed_ns = counters.thread_cpu_ns(threads), time.monotonic_ns() - since_ns
        return {node: (after[node] - before[node]) / elapsed_ns for node in threads}

    def _exchange(self, step: str, limit_s: float = STEP_S, quiet_s: float = 0.0) -> None:
        """Meet the other end, and give each workload's session what its counterpart on the other host handed over."""
        own = {session.label: session.hand_over() for session in self._sessions}
        other = self._context.ends.meet(step, own, limit_s, self._context.children, quiet_s)
        for session in self._sessions:
            session.take_over(other.get(session.label, {}))

    def _window(self, quiet: float) -> tuple[counters.CounterDelta, Napis]:
        """Go through the measured window: counters, go, silence until the measured client is done, counters again."""
        spec, testbed, (measured, *background) = self._context.spec, self._context.testbed, self._sessions
        threads = _napi_threads(testbed, spec)
        shaped = bool(testbed.qdiscs)
        cpus = cpu_set(spec, self._context.ends)
        hogs = [pid for label in counters.HOGS for pid in self._pids().get(label, ())]
        contention = spec.contention
        softirqs = contention is not None and (contention.needs_flow() or not contention.native())
        clock = self._context.stack.enter_context(HogClock(hogs, softirqs))
        before = counters.take(testbed.nodes, self._pids(), threads, shaped, cpus, clock)
        with self._traced(cpus):
            self._context.ends.meet(GO, {})
            self._changer.begin()
            self._watch.begin()
            for session in reversed(self._sessions):
                session.begin()
            measured.wait_done()
            # The end that has no client waits here, in its kernel, for all of the window.
            self._exchange(DONE, STEP_S + measured.window_s(), spec.workload.life_ns() / 1e9)
        pids = self._pids()
        after = counters.take(testbed.nodes, pids, threads, shaped, cpus, clock)
        clock.close()
        ours = {os.getpid(), *chain.from_iterable(pids.values())}
        delta = counters.subtract(after, before, cpus, ours, quiet)
        for session in background:
            session.wait_done()
        client = measured.programs.get("client")
        if isinstance(client, ExternalProcess):
            # It was not there before, and is gone after: what it used, it used in its whole life.
            delta = replace(delta, programs=delta.programs | {"client": client.usage})
        return delta, _napis(testbed) if spec.napi else {}

    def _traced(self, cpus: set[int]) -> AbstractContextManager[None]:
        context = self._context
        if context.tracer is None:
            return nullcontext()
        beside = _steered_to(context.spec, context.ends)
        return context.tracer.window(context.spec, context.testbed, context.journal, cpus | beside, self._pids())

    def _pids(self) -> dict[str, list[int]]:
        """The processes of every program by its label."""
        by_label = {label: pids for session in self._sessions for label, pids in session.pids().items()}
        return by_label | self._hogs.families() | self._changer.families() | self._watch.families()

    def _outcome(self, readings: list[Reading], delta: counters.CounterDelta, napis: Napis) -> Outcome:
        spec, hogs, measured = self._context.spec, self._hogs, self._sessions[0]
        programs = []
        for session in self._sessions:
            for role in ("client", "server"):
                if role in session.programs:
                    node, report = session.workload.node_of(role), session.reports.get(role, {})
                    programs.append(ProgramOutcome(session.name(role), node, session.waits(role), report))
        client = measured.programs.get("client")
        result = measured.reports.get("client", {})
        if isinstance(client, ExternalProcess):
            result = result | {"usage": asdict(client.usage), "whole_life": True}
            programs[0] = replace(programs[0], report=result)
        return Outcome(
            delta=delta,
            client=result,
            server=measured.reports.get("server", {}),
            hog=hogs.result if hogs.result is not None else ({} if hogs.child else None),
            hog_threads=hogs.threads,
            protocol="+".join(dict.fromkeys(workload.transport() for workload in spec.workloads())),
            programs=tuple(programs),
            napis=napis,
            metrics=dict(readings[0].metrics),
            background=tuple(map(_report, spec.background, readings[1:])),
        )


def _report(workload: Workload, reading: Reading) -> Report:
    """What is known of a workload beside the first; of one that is measured too, with name and figures ("timed")."""
    report = reading.result | reading.metrics
    if not workload.measured or reading.samples is None:
        return report
    return report | {"name": workload.name, "timed": loadgen_report.of_samples(reading.samples)}


def _on_wire(context: RunContext) -> OnWire | None:
    """What is timed by the packets at its client's devices, if that is here."""
    workload = context.spec.workload
    needed = workload.shows_in_packets() if context.tracer else workload.is_timed_on_wire()
    if not needed or not context.ends.holds(workload.source):
        return None
    return OnWire(workload.source, workload.transport(), workload.fixed_port())


def _confined(spec: CellSpec, ends: Ends) -> Settings:
    """The control groups of what runs on this host."""
    hogs_here = ends.holds(spec.contention_node())
    return {name: knobs for name, knobs in spec.confined().items() if (hogs_here if name == HOGS else ends.holds(name))}


def _numa(spec: CellSpec, ends: Ends) -> dict[str, list[int]]:
    """The NUMA nodes that each of this host's actors may run on."""
    actors = filter(ends.holds, spec.actors())
    return {node: facts.numa_nodes_of(spec.process_cpus(node) or facts.online_cpus()) for node in actors}


def cpu_set(spec: CellSpec, ends: Ends) -> set[int]:
    """The run's CPU set on this host: every CPU that the workloads' processes or the hogs may use."""
    cpus: set[int] = set()
    for name in filter(ends.holds, spec.actors()):
        cpus |= set(spec.process_cpus(name) or facts.online_cpus())
    for workload in spec.workloads():
        cpus |= set(workload.cpus()) if ends.holds(workload.source) else set()
    if spec.contention is not None and not spec.contention.idle() and ends.holds(spec.contention_node()):
        cpus |= set(hog_cpus(spec))
    return cpus


def _steered_to(spec: CellSpec, ends: Ends) -> set[int]:
    """CPUs of this host where knobs have packets taken in (RPS, interrupts, NAPI threads): of the CPU set or not."""
    knobs = chain.from_iterable(spec.settings[node].values() for node in filter(ends.holds, spec.settings))
    return set(chain.from_iterable(knob.named_cpus().get("cpus", ()) for knob in knobs))


def _napis(testbed: Testbed) -> Napis:
    nodes = testbed.nodes.items()
    return {name: [napi._asdict() for napi in _of_ports(node, apply.device_napis)] for name, node in nodes}


def _of_nodes(testbed: Testbed) -> dict[str, Columns]:
    """Columns by node: what it was made of, and what its TCP was set to."""
    made, tcp = testbed.columns, tcp_settings.read(testbed)
    return {node: made.get(node, {}) | tcp.get(node, {}) for node in {**made, **tcp}}


def _features(testbed: Testbed) -> dict[str, dict[str, list[str]]]:
    """The features (offloads) that are on, by node and device, as the run ended with them."""
    out: dict[str, dict[str, list[str]]] = {}
    for name, node in testbed.nodes.items():
        with in_netns(node.fd):
            out[name] = {port.device: ethtool.active_features(port.device) for port in node.ports}
    return out


def _napi_threads(testbed: Testbed, spec: CellSpec) -> dict[str, list[int]]:
    """NAPI threads by node; asked for only where a case has them, since it is a netlink dump per device."""
    return {
        name: _of_ports(node, apply.napi_threads)
        for name, node in testbed.nodes.items()
        if "threaded_napi" in spec.settings.get(name, {})
    }


def _of_ports(node: NodeHandle, ask: Callable[[str], list[Any]]) -> list[Any]:
    with in_netns(node.fd):
        return [item for port in node.ports for item in ask(port.device)]
