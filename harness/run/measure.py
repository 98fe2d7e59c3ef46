"""One run from testbed to outcome: the only place that orders the steps of a measurement."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import numpy.typing as npt

from harness.kernel import facts
from harness.kernel.journal import open_journal
from harness.kernel.netns import in_netns
from harness.kernel.proc import ProcessUsage
from harness.run import counters, link_checks, two_hosts_merge
from harness.run import knobs as apply
from harness.run.cgroups import open_cells, used_between
from harness.run.contention import Hogs, hog_cpus, start_hogs
from harness.run.context import Stage
from harness.run.external_process import Foreign
from harness.run.outcome import Outcome, Part
from harness.run.session import Player, own_pids, usage_of
from harness.run.socket_options import sockets_file
from harness.run.two_hosts import DONE, FOUND, GO, STEP_S, Alone, Ends
from harness.signals import Stopper
from harness.spec.cells import HOGS, CellSpec
from harness.spec.rules_cell import Settings
from harness.testbed import NodeHandle, Testbed
from harness.workloads import Reading

__all__ = ["Measured", "hog_cpus", "measure"]

Napis = dict[str, list[dict[str, int | None]]]


@dataclass
class Measured:
    """What one run yields: figures, proof and everything its programs said. hosts: as in Testbed."""

    outcome: Outcome
    samples: npt.NDArray[Any] | None
    knobs: list[dict[str, Any]] = field(default_factory=list)
    qdiscs: list[dict[str, Any]] = field(default_factory=list)
    features: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    link_checks: list[dict[str, Any]] = field(default_factory=list)
    breaches: list[str] = field(default_factory=list)
    hosts: dict[str, dict[str, Any]] = field(default_factory=dict)


ALONE = Alone()


def measure(spec: CellSpec, stopper: Stopper, files: dict[str, bytes], ends: Ends = ALONE) -> Measured:
    """Build the testbed, apply the knobs, run the workloads under contention, take everything down again.

    files: gets what the programs said, by file name, also when the run breaks. ends: where the nodes are; of two hosts
    each does this for its own nodes, and they wait for each other at every `meet`. Raises MissingError when a host
    lacks something, PollbenchError when anything goes wrong, LostError when the other host is gone, Interrupted.
    """
    with ExitStack() as stack:
        journal = stack.enter_context(open_journal())
        testbed = stack.enter_context(ends.open(spec, journal))
        # Before any knob is set: it is the link that is asked, not what the case does to it.
        topology = spec.identity()["topology"]
        checked = link_checks.verify(testbed, spec.checks.verify_links, f"{spec.napi} {topology}")
        rows = []
        for name, node in testbed.nodes.items():
            rows += apply.NodeApplier(node).apply(spec.settings.get(name, {}))
        rows += stack.enter_context(apply.host_settings(spec.settings.get("*", {}), journal))
        cells = stack.enter_context(open_cells(_confined(spec, ends), journal))
        stopper.check()
        stage = Stage(spec, testbed, stopper, stack, cells, journal, ends.holds)
        measured = _with_programs(stage, rows + cells.rows, files, ends)
        measured.hosts = testbed.hosts
        measured.link_checks = checked
        measured.breaches = link_checks.doubts(checked)
        measured.breaches += link_checks.breaches(testbed.layout, measured.outcome.difference)
        measured.breaches += link_checks.starved(measured.outcome, spec.checks.max_starved_share)
        return measured


def _with_programs(stage: Stage, rows: list[dict[str, Any]], files: dict[str, bytes], ends: Ends) -> Measured:
    spec = stage.spec
    players = [Player(stage, spec.workload)]
    players += [Player(stage, each, f"background{n}-") for n, each in enumerate(spec.background, 1)]
    measured, background = players[0], players[1:]
    hogs = Hogs()
    try:
        for player in players:
            player.serve()
        if ends.holds(spec.contention_node()):
            hogs = start_hogs(spec, stage.stopper, stage.stack)
        stage.children += hogs.children
        for pid in hogs.pids():
            stage.cells.join(HOGS, pid)
        _exchange(ends, "serving", players)
        for player in (*background, measured):
            player.prepare(spec.workload.life_ns())
        ends.meet("warm", {}, STEP_S + spec.workload.warmup_ns / 1e9, stage.children)
        # Whatever one player's start made another's server open has to be found as well.
        for player in players:
            player.sweep()
        used = stage.cells.use()
        difference, napis = _window(stage, players, hogs, ends)
        used = used_between(used, stage.cells.use())
        readings = [player.finish() for player in players]
        ends.meet("read", {}, STEP_S + measured.window_s(), stage.children)
        for player in players:
            player.finish_server()
        hogs.stop()
    finally:
        for player in players:
            files |= player.files()
        files |= hogs.files() | sockets_file(list(stage.injectors.values()))
    for player in players:
        rows += player.rows()
    outcome = _outcome(stage, players, readings, hogs, difference, napis, ends)
    outcome = replace(outcome, groups=used, numa=_numa(spec, ends))
    features = _features(stage.testbed)
    if far := ends.far():
        told = ends.meet(FOUND, two_hosts_merge.pack(outcome, rows, features, files))
        outcome = two_hosts_merge.together(outcome, two_hosts_merge.outcome_of(told, far.host), far.node)
        rows += two_hosts_merge.rows_of(told, far.host)
        features |= told["features"]
        files |= two_hosts_merge.files_of(told)
    return Measured(outcome, readings[0].samples, rows, stage.testbed.qdiscs, features)


def _exchange(
    ends: Ends, step: str, players: list[Player], limit_s: float = STEP_S, quiet_s: float = 0.0
) -> None:
    """Meet, and let every workload's player have what the one on the other host knows."""
    watched = players[0].stage.children
    own = {player.name(""): player.hand_over() for player in players}
    told = ends.meet(step, own, limit_s, watched, quiet_s)
    for player in players:
        player.take_over(told.get(player.name(""), {}))


def _window(stage: Stage, players: list[Player], hogs: Hogs, ends: Ends) -> tuple[counters.Difference, Napis]:
    """The measured window: counters, go, silence until the measured client is done, counters."""
    spec, testbed = stage.spec, stage.testbed
    threads = _napi_threads(testbed, spec)
    shaped = bool(testbed.qdiscs)
    before = counters.take(testbed.nodes, _pids(players, hogs), threads, shaped)
    ends.meet(GO, {})
    for player in reversed(players):
        player.begin()
    players[0].wait_done()
    # The end that has no client waits here, in its kernel, for all of the window.
    _exchange(ends, DONE, players, STEP_S + players[0].window_s(), spec.workload.life_ns() / 1e9)
    ours = own_pids(players, hogs.pids())
    after = counters.take(testbed.nodes, _pids(players, hogs), threads, shaped)
    difference = counters.subtract(after, before, cpu_set(spec, ends), ours)
    for player in players[1:]:
        player.wait_done()
    client = players[0].programs.get("client")
    if isinstance(client, Foreign):
        # It was not there before, and is gone after: what it used, it used in its whole life.
        usage = usage_of(client)
        programs = difference.programs | {"client": ProcessUsage(**usage)}
        difference = replace(difference, programs=programs)
    return difference, _napis(testbed) if spec.napi else {}


def _pids(players: list[Player], hogs: Hogs) -> dict[str, list[int]]:
    found = {label: pids for player in players for label, pids in player.pids().items()}
    return found | ({"hog": hogs.pids()} if hogs.children else {})


def _outcome(
    stage: Stage,
    players: list[Player],
    readings: list[Reading],
    hogs: Hogs,
    difference: counters.Difference,
    napis: Napis,
    ends: Ends,
) -> Outcome:
    spec, measured = stage.spec, players[0]
    parts = []
    for player in players:
        for role in ("client", "server"):
            if role in player.programs:
                node, report = player.workload.node_of(role), player.reports.get(role, {})
                parts.append(Part(player.name(role), node, player.waits(role), report))
    client = measured.programs.get("client")
    result = measured.reports.get("client", {})
    if isinstance(client, Foreign):
        result = result | {"usage": usage_of(client), "whole_life": True}
        parts[0] = replace(parts[0], report=result)
    return Outcome(
        difference=difference,
        client=result,
        server=measured.reports.get("server", {}),
        hog=hogs.result if hogs.result is not None else ({} if hogs.children else None),
        hog_threads=hogs.threads,
        protocol="+".join(dict.fromkeys(each.transport() for each in spec.workloads())),
        parts=tuple(parts),
        cpus=cpu_set(spec, ends),
        napis=napis,
        metrics=dict(readings[0].metrics),
        background=tuple(_background(reading) for reading in readings[1:]),
    )


def _background(reading: Reading) -> dict[str, Any]:
    """A background workload's own figures."""
    return dict(reading.result) | dict(reading.metrics)


def _confined(spec: CellSpec, ends: Ends) -> Settings:
    """The control groups of what runs on this host."""
    hogs_here = ends.holds(spec.contention_node())
    return {
        name: knobs
        for name, knobs in spec.confined().items()
        if (hogs_here if name == HOGS else ends.holds(name))
    }


def _numa(spec: CellSpec, ends: Ends) -> dict[str, list[int]]:
    """The NUMA nodes that each of this host's actors may run on."""
    actors = filter(ends.holds, spec.actors())
    return {node: facts.numa_nodes_of(spec.process_cpus(node) or facts.online_cpus()) for node in actors}


def cpu_set(spec: CellSpec, ends: Ends = ALONE) -> set[int]:
    """The run's CPU set on this host: every CPU that the workloads' processes or the hogs may use."""
    cpus: set[int] = set()
    for name in filter(ends.holds, spec.actors()):
        cpus |= set(spec.process_cpus(name) or facts.online_cpus())
    cpus.update(cpu for each in spec.workloads() if ends.holds(each.source) for cpu in each.cpus())
    if spec.contention is not None and not spec.contention.idle() and ends.holds(spec.contention_node()):
        cpus |= set(hog_cpus(spec))
    return cpus


def _napis(testbed: Testbed) -> Napis:
    return {
        name: [napi._asdict() for napi in _of_ports(node, apply.device_napis)]
        for name, node in testbed.nodes.items()
    }


def _features(testbed: Testbed) -> dict[str, dict[str, list[str]]]:
    """The features (offloads) that are on, by node and device, as the run ended with them."""
    out: dict[str, dict[str, list[str]]] = {}
    for name, node in testbed.nodes.items():
        with in_netns(node.fd):
            out[name] = {port.device: apply.active_features(port.device) for port in node.ports}
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
