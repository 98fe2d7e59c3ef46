"""What the models cannot say about a cell: who exists, who runs a process, which CPUs are meant."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from pydantic import BaseModel

from harness.columns import BY_NAME, names_of_workload
from harness.errors import InputError
from harness.knobs import KNOBS, Knob
from harness.knobs.cgroup import Cgroup
from harness.spec.messages import Path, did_you_mean, dotted, problem
from harness.spec.rules_topology import path_between
from harness.spec.topology import Topology
from harness.spec.yaml_tree import Tree
from harness.units import parse_cpus
from harness.workloads import WORKLOADS, Contention, Workload

ALL_NODES = "*"
_PERIOD_NS = 100_000_000  # the cgroup knob's
Settings = dict[str, dict[str, Knob]]


def workload_mistakes(
    workload: Workload, topology: Topology, tree: Tree, path: Path = ("workload",), *, linked: bool = True
) -> Iterator[InputError]:
    """Mistakes unless the workload's nodes exist, can run programs and reach each other. `tree` is the cell's.

    One node may be both: its packets then go over its loopback device. linked: are the links as they should be, so that
    it is worth looking for a path?
    """
    source, target = workload.nodes()
    for key, name in (("from", source), ("to", target)):
        if name not in topology.nodes:
            known = did_you_mean(name, topology.nodes, "nodes")
            yield problem(tree, (*path, key), f'there is no node "{name}"', known)
        elif topology.is_switch(name):
            got = f'"{name}" is a switch, where no program runs'
            yield problem(tree, (*path, key), got, f"hosts: {', '.join(topology.hosts())}")
    if linked and {source, target} <= topology.nodes.keys() and not path_between(topology, source, target):
        todo = "check topology.links, and forwarding of the nodes between"
        yield problem(tree, (*path, "to"), f'no path from "{source}" to "{target}"', todo)
    for node in dict.fromkeys(workload.nodes_beside_the_stack()):
        yield from _beside_the_stack(node, topology, tree)


def _beside_the_stack(node: str, topology: Topology, tree: Tree) -> Iterator[InputError]:
    """What of a topology an AF_XDP socket on the node would pass by, or could not use."""
    if topology.family != "ipv4":
        yield problem(tree, ("topology", "family"), f'"{node}" has an af_xdp socket, for IPv4 alone', "family: ipv4")
    for number, link in enumerate(topology.links):
        for end, direction in enumerate(("forward", "reverse")):
            if link.between[end] != node or getattr(link, direction) is None:
                continue
            key = direction if direction in link.declared_shapes() else "shape"
            got = f'frames of the af_xdp socket on "{node}" pass no queueing discipline, so it would not be kept'
            others = "reverse" if direction == "forward" else "forward"
            yield problem(tree, ("topology", "links", number, key), got, f"leave it out, or shape {others} alone")


def measured_of(workloads: Mapping[Path, Workload], tree: Tree) -> Path:
    """The path of the measured workload: the first that says so, else the first that may be. InputError: none may."""
    claims = [path for path, workload in workloads.items() if workload.measured]
    free = [path for path, workload in workloads.items() if workload.measured is not False]
    if not free:
        first = next(iter(workloads))
        raise problem(tree, (*first, "measured"), "nothing is measured", "leave it out, or set it on one workload")
    return claims[0] if claims else free[0]


def measured_mistakes(workloads: Mapping[Path, Workload], tree: Tree) -> Iterator[InputError]:
    """Mistakes unless names differ, and what is measured beside the first can be, and has a name for its columns."""
    known: dict[str, Path] = {}
    for path, workload in workloads.items():
        if workload.name and workload.name in known:
            got = f'{dotted(known[workload.name])} is called "{workload.name}" too'
            yield problem(tree, (*path, "name"), got, "give each workload a name of its own")
        known[workload.name] = path
        if workload.is_timed_on_wire() and not workload.measured and path != measured_of(workloads, tree):
            got = "packets are timed for the measured workload alone, and this one is in the background"
            yield problem(tree, (*path, "latencies"), got, "leave them out here, or let it be the measured one")
    first, *others = [path for path, workload in workloads.items() if workload.measured] or [()]
    for path in others:
        workload = workloads[path]
        clash = next((name for name in names_of_workload(workload.name) if name in BY_NAME), "")
        if "client" not in workload.native:
            got = f"{workload.kind} measures by a clock of its own, and {dotted(first)} is measured already"
            own = ", ".join(kind for kind, model in WORKLOADS.items() if "client" in model.native)
            todo = f"put {workload.kind} first, or leave it in the background; kinds that can be beside it: {own}"
            yield problem(tree, (*path, "measured"), got, todo)
        elif not workload.name:
            got = f"{dotted(first)} is measured already, and has the usual columns"
            yield problem(tree, (*path, "measured"), got, f"add a name to {dotted(path)}, for columns of its own")
        elif clash or workload.name.split("_")[0] == "phase":
            got = f"a column of every run is called {clash or 'phase_... too, where links change'}"
            yield problem(tree, (*path, "name"), got, "take another name")


def contention_mistakes(contention: Contention, topology: Topology, tree: Tree) -> Iterator[InputError]:
    """Mistakes unless `on` is a CPU list or the cpus of a node that declares some."""
    node, dot, key = contention.on.rpartition(".")
    form = 'expected NODE.cpus, or a CPU list such as "0-3,8"'
    if dot and key == "cpus":
        if node not in topology.nodes:
            known = did_you_mean(node, topology.nodes, "nodes")
            yield problem(tree, ("contention", "on"), f'there is no node "{node}"', known)
            return
        cpus = topology.nodes[node].cpus
        if cpus is None:
            yield problem(tree, ("contention", "on"), f'node "{node}" declares no cpus', "add them, or name CPUs here")
            return
        if contention.overlap is not None and contention.overlap > len(cpus):
            got = f'node "{node}" has no more than {len(cpus)}'
            yield problem(tree, ("contention", "overlap"), got, f"expected 0 to {len(cpus)}")
        if contention.overlap is not None and topology.on_hosts():
            got = "which CPUs are beside a node's own is known on its host only"
            yield problem(tree, ("contention", "overlap"), got, "leave it out", key=True)
        return
    if topology.on_hosts():
        got = "on which of the two hosts these CPUs are, nobody says"
        yield problem(tree, ("contention", "on"), got, "write it as NODE.cpus")
    if contention.overlap is not None:
        got = "there is no node to overlap with"
        yield problem(tree, ("contention", "overlap"), got, "write contention.on as NODE.cpus")
    try:
        parse_cpus(contention.on)
    except ValueError:
        yield problem(tree, ("contention", "on"), f'"{contention.on[:40]}" is not understood', form)


def settings_mistakes(
    raw: Mapping[str, BaseModel | None], topology: Topology, actors: tuple[str, ...], tree: Tree
) -> Iterator[InputError]:
    """An unknown node, a knob where it means nothing, a knob that sets nothing. actors: nodes with a process."""
    for node, own in raw.items():
        if node != ALL_NODES and node not in topology.nodes:
            known = did_you_mean(node, [*topology.nodes, ALL_NODES], "nodes")
            yield problem(tree, ("settings", node), f'there is no node "{node}"', known, key=True)
            continue
        for name in KNOBS if own is not None else ():
            knob: Knob | None = getattr(own, name)
            if knob is None:
                continue
            if node != ALL_NODES:
                yield from _scope_mistakes(name, node, actors, tree)
            if not knob.settings():
                keys = ", ".join(field.alias or key for key, field in KNOBS[name].model_fields.items())
                todo = f"give it a value ({keys}), or take it out"
                yield problem(tree, ("settings", node, name), "it sets nothing", todo, key=True)


def expand_settings(raw: Mapping[str, BaseModel | None], topology: Topology, actors: tuple[str, ...]) -> Settings:
    """Node to knobs, in the registry's order: "*" reaches every node where the knob makes sense.

    actors: the nodes with a process of a workload. What a node says itself wins; knobs of the whole host stay
    under "*". There is no mistake in `raw`.
    """
    settings: Settings = {}
    for node in (*topology.nodes, ALL_NODES):
        knobs: dict[str, Knob] = {}
        for name, knob in KNOBS.items():
            model = _setting(raw, node, name, actors)
            if model is not None and (knob.scope == "host") == (node == ALL_NODES):
                knobs[name] = model
        if knobs:
            settings[node] = knobs
    return settings


def with_cpu_shares(settings: Settings, topology: Topology, actors: tuple[str, ...]) -> Settings:
    """The settings with a quota for every node that declares a share of the machine, and no control group itself."""
    out = dict(settings)
    for node in actors:
        share = topology.nodes[node].cpu_share
        if share is not None and "cgroup" not in out.get(node, {}):
            quota_ns = max(1_000_000, round(share * (os.cpu_count() or 1) * _PERIOD_NS))
            quota = Cgroup.model_validate({"quota": f"{quota_ns}ns"})
            out[node] = out.get(node, {}) | {"cgroup": quota}
    return out


def _setting(raw: Mapping[str, BaseModel | None], node: str, name: str, actors: tuple[str, ...]) -> Knob | None:
    """What holds on `node` for one knob. A node's own `null` takes back what "*" says."""
    own, shared = raw.get(node), raw.get(ALL_NODES)
    if own is not None and name in own.model_fields_set:
        return getattr(own, name)  # type: ignore[no-any-return]  # the model is made at run time
    sensible = KNOBS[name].scope in ("device", "host") or node in actors
    return getattr(shared, name) if shared is not None and sensible else None


def _scope_mistakes(name: str, node: str, actors: tuple[str, ...], tree: Tree) -> Iterator[InputError]:
    path: Path = ("settings", node, name)
    scope = KNOBS[name].scope
    if scope == "host":
        got = f"{name} is a setting of the whole host, not of a node"
        yield problem(tree, path, got, f"write it as {dotted(('settings', ALL_NODES, name))}", key=True)
    if scope in ("socket", "process") and node not in actors:
        got = f'no process of the workload runs on "{node}"'
        todo = f"{name} is a {scope} setting; nodes with a process: {', '.join(actors)}"
        yield problem(tree, path, got, todo, key=True)
