"""One cell: an experiment's sections for one case and one combination of sweep values, checked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from typing import Any

from pydantic import BaseModel, TypeAdapter

from harness.errors import InputError
from harness.knobs.cgroup import Cgroup
from harness.spec.checks import Checks
from harness.spec.experiment import REQUIRED_SECTIONS, SECTION_TYPES
from harness.spec.machine import Machine
from harness.spec.messages import Mistakes, Path, problem, validate
from harness.spec.rules_cell import (
    Settings,
    contention_mistakes,
    expand_settings,
    measured_mistakes,
    measured_of,
    settings_mistakes,
    with_cpu_shares,
    workload_mistakes,
)
from harness.spec.rules_topology import topology_mistakes
from harness.spec.topology import Topology
from harness.spec.yaml_tree import Document, Scalar, Tree
from harness.units import parse_cpus
from harness.workloads import Contention, Workload

HOGS = "hogs+"
"""Key of the hogs' control group among those of the nodes; no node can have this name."""


@dataclass(frozen=True)
class CellSpec:
    """All that decides what a run does.

    workload: the measured one, of several the first; background: what runs beside it. settings: node to knob to
    model; knobs of the whole host stand under "*". machine: what `pollbench vm run` boots. napi: whether the links are
    made NAPI-capable; the same for every cell of an experiment that does not force its own datapath.
    """

    topology: Topology
    workload: Workload
    contention: Contention | None
    settings: Settings
    checks: Checks
    napi: bool = False
    background: tuple[Workload, ...] = ()
    machine: Machine = field(default_factory=Machine)

    def workloads(self) -> tuple[Workload, ...]:
        """The measured workload, then those in the background."""
        return (self.workload, *self.background)

    def measured_beside(self) -> dict[int, Workload]:
        """The workloads that are measured beside the first, by their place in `background`."""
        return {place: workload for place, workload in enumerate(self.background) if workload.measured}

    def actors(self) -> tuple[str, ...]:
        """Every node on which a workload has a process, once."""
        return tuple(dict.fromkeys(node for workload in self.workloads() for node in workload.nodes()))

    def needs_napi(self) -> bool:
        """Does any knob of this cell mean something only on a NAPI?"""
        return any(knob.needs_napi() for knobs in self.settings.values() for knob in knobs.values())

    def contention_cpus(self) -> tuple[int, ...]:
        """The CPUs that the hogs compete for; empty without contention."""
        if node := self.contention_node():
            return self.topology.nodes[node].cpus or ()
        return parse_cpus(self.contention.on) if self.contention else ()

    def contention_node(self) -> str:
        """The node whose CPUs the hogs compete for; "" where CPUs are named, or there is no contention."""
        node, _, key = (self.contention.on if self.contention else "").rpartition(".")
        return node if key == "cpus" else ""

    def process_cpus(self, node: str) -> tuple[int, ...] | None:
        """The CPUs of the node's workload processes: the `process` knob's, else the node's; None for any."""
        process = self.settings.get(node, {}).get("process")
        own: tuple[int, ...] | None = getattr(process, "cpus", None)
        return own if own is not None else self.topology.nodes[node].cpus

    def confined(self) -> Settings:
        """The control groups: of each node that has one, and of the hogs under HOGS."""
        groups: Settings = {
            node: {"cgroup": knobs["cgroup"]} for node, knobs in self.settings.items() if "cgroup" in knobs
        }
        group = self.contention.cgroup if self.contention and not self.contention.idle() else None
        if group is not None:
            # Checked already; its values are in the units of the model, not as a file writes them.
            groups[HOGS] = {"cgroup": Cgroup.model_construct(**group.model_dump())}
        return groups

    def cpu_lists(self) -> Iterator[tuple[Path, tuple[int, ...]]]:
        """Every CPU list that the cell names, with the path of the key that names it."""
        for name, node in self.topology.nodes.items():
            if node.cpus is not None:
                yield ("topology", "nodes", name, "cpus"), node.cpus
        for workload in self.workloads():
            if workload.cpus():
                yield ("workloads" if self.background else "workload",), workload.cpus()
        if self.contention is not None:
            yield ("contention", "on"), self.contention_cpus()
        for name, knobs in self.settings.items():
            for knob, model in knobs.items():
                for key, cpus in model.named_cpus().items():
                    yield ("settings", name, knob, key), cpus

    def launch_cpus(self, node: str) -> tuple[int, ...] | None:
        """The CPUs that a program of the node is bound to as it starts; None for any.

        Where its control group has the CPUs, that binds it: nobody outside the group can take a CPU that it reserves.
        """
        group = getattr(self.settings.get(node, {}).get("cgroup"), "cpus", None)
        own = self.process_cpus(node)
        return None if group is not None and set(group) <= set(own or group) else own

    def identity(self) -> Document:
        """The spec in one canonical form: equal for two files that mean the same, whatever they look like."""
        return self._identity

    @cached_property
    def _identity(self) -> Document:
        background = {"background": [_workload(workload) for workload in self.background]} if self.background else {}
        # Added later: omitted at their defaults, so that the ids of older results stay the same.
        usual = {"profile"} if self.machine.profile == "latency" else None
        machine = {"vm": _dump(self.machine, exclude=usual)} if self.machine != Machine() else {}
        settings = {
            node: {name: _knob(model) for name, model in knobs.items()} for node, knobs in self.settings.items()
        }
        return {
            **background,
            **machine,
            "topology": _dump(self.topology, exclude={"description", "mininet_from", "script"}),
            "workload": _workload(self.workload),
            "contention": _dump(self.contention) if self.contention else None,
            "settings": settings,
            # Neither changes what a run is.
            "checks": _dump(self.checks, exclude={"smallest_effect", "redo"}),
            "napi": self.napi,
        }


@dataclass(frozen=True)
class Cell:
    """A cell of the matrix. factors: swept key to value as written. document: its sections as plain data."""

    cell_id: str
    case: str
    factors: dict[str, Scalar]
    spec: CellSpec
    document: Document

    def label(self) -> str:
        """The cell in words: "busypoll50 contention.load=100%"."""
        return " ".join([self.case, *(f"{key}={value}" for key, value in self.factors.items())])


def cell_id(case: str, factors: Mapping[str, Scalar], spec: CellSpec) -> str:
    """The cell's name: 12 hexadecimal digits of a hash of all that decides what it does."""
    return digest({"case": case, "factors": dict(factors), "spec": spec.identity()})


def digest(document: Any, length: int = 12) -> str:
    """The first `length` hexadecimal digits of the SHA-256 of a canonical JSON form."""
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


@dataclass
class SpecBuilder:
    """Makes CellSpecs from trees, validating a section that several cells share only once."""

    _known: dict[int, tuple[Tree, Any]] = field(default_factory=dict)
    _topologies: dict[int, list[InputError]] = field(default_factory=dict)

    def build(self, tree: Tree) -> CellSpec:
        """The checked spec of one cell, `napi` still undecided. InputError: the first mistake, the others with it."""
        mistakes = Mistakes()
        sections: dict[str, Any] = {}
        workloads: dict[Path, Workload] = {}
        unbuildable: list[InputError] = []
        with mistakes.noting():
            sections["topology"] = self._section("topology", tree)
            unbuildable = self._unbuildable(sections["topology"], tree)
            mistakes.add(*unbuildable)
        with mistakes.noting():
            workloads = self._workloads(tree)
        for name in ("contention", "settings", "checks"):
            with mistakes.noting():
                sections[name] = self._section(name, tree)
        topology: Topology | None = sections.get("topology")
        contention: Contention | None = sections.get("contention")
        if topology is not None:
            for path, workload in workloads.items():
                mistakes.add(*workload_mistakes(workload, topology, tree, path, linked=not unbuildable))
            if contention is not None:
                mistakes.add(*contention_mistakes(contention, topology, tree))
        measured: Path = ()
        with mistakes.noting():
            measured = measured_of(workloads, tree) if workloads else ()
            mistakes.add(*measured_mistakes(workloads, tree))
        with mistakes.noting():
            sections["vm"] = self._section("vm", tree)
        raw: dict[str, BaseModel | None] | None = sections.get("settings")
        actors = tuple(dict.fromkeys(node for workload in workloads.values() for node in workload.nodes()))
        if topology is not None and workloads and raw is not None:
            mistakes.add(*settings_mistakes(raw, topology, actors, tree))
        mistakes.raise_any()
        assert topology is not None and raw is not None
        checks, machine = sections["checks"], sections["vm"]
        background = tuple(workload for path, workload in workloads.items() if path != measured)
        spec = CellSpec(topology, workloads[measured], contention, {}, checks, background=background, machine=machine)
        settings = expand_settings(raw, topology, spec.actors())
        return replace(spec, settings=with_cpu_shares(settings, topology, spec.actors()))

    def _unbuildable(self, topology: Topology, tree: Tree) -> list[InputError]:
        """What is wrong with a topology that is well-formed; looked for once, as it is shared by many cells."""
        if id(topology) not in self._topologies:
            self._topologies[id(topology)] = list(topology_mistakes(topology, tree))
        return self._topologies[id(topology)]

    def _workloads(self, tree: Tree) -> dict[Path, Workload]:
        """Every workload by the path where it stands."""
        single: Workload | None = self._section("workload", tree)
        several: tuple[Workload, ...] | None = self._section("workloads", tree)
        if single is not None and several is not None:
            got, todo = 'there is "workload" besides', "name the workloads in one of the two"
            raise problem(tree, ("workloads",), got, todo, key=True)
        if single is not None:
            return {("workload",): single}
        if several is None:
            raise InputError("the file", got='the key "workload" is missing', where=tree.key_at)
        return {("workloads", index): workload for index, workload in enumerate(several)}

    def _section(self, name: str, tree: Tree) -> Any:
        section = tree.child(name)
        if section is None or section.value is None:
            if name in REQUIRED_SECTIONS:
                raise InputError("the file", got=f'the key "{name}" is missing', where=tree.key_at)
            # An absent section, and `section:` with nothing after it, mean the section's defaults.
            optional = name in ("workload", "workloads", "contention")
            return None if optional else validate(_adapter(name), Tree({}, tree.at, tree.at))
        known = self._known.get(id(section))
        if known is None:
            try:
                value = validate(_adapter(name), section, (name,))
            except InputError as error:
                value = error
            self._known[id(section)] = known = (section, value)
        if isinstance(known[1], InputError):
            raise known[1]
        return known[1]


def build_models() -> None:
    """Build now what is else built when it is first needed: all models of an experiment, and their validators."""
    for name in SECTION_TYPES:
        _adapter(name)
    models = BaseModel.__subclasses__()
    for model in models:
        models += model.__subclasses__()
        model.model_rebuild()


@cache
def _adapter(name: str) -> TypeAdapter[Any]:
    return TypeAdapter(SECTION_TYPES[name])


def _workload(workload: Workload) -> Document:
    """Without where its file is; what came later is left out where it is not used, so that older ids stay."""
    names = (
        "name",
        "latencies",
        "build",
        "files",
        "client_socket",
        "server_socket",
        "xdp",
        "udp_batch",
        "zerocopy",
        "uring_multishot",
        "txtime_ns",
    )
    later = {name for name in names if not getattr(workload, name, None)}
    usual = {"socket": "kernel", "uring_napi": "dynamic", "server_layout": "hash"}
    later |= {name for name, value in usual.items() if getattr(workload, name, "") == value}
    document = _dump(workload, exclude={"home", *later})
    for figure in document.get("figures") or {} if isinstance(document.get("figures"), dict) else ():
        for name, usual in (("counter", None), ("of", "client")):
            if document["figures"][figure].get(name) == usual:
                document["figures"][figure].pop(name, None)
    return document


def _knob(model: BaseModel) -> Document:
    """A knob's fields, but for those that came later where they are not used."""
    later = ("gso_ipv4_max_size", "gro_ipv4_max_size")
    return _dump(model, {name for name in later if getattr(model, name, None) is None})


def _dump(model: BaseModel, exclude: set[str] | None = None) -> Document:
    return model.model_dump(mode="json", by_alias=True, exclude=exclude)
