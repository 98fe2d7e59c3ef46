"""What a cell needs of its host against what the host has, tried for real; for `plan` and `doctor`."""

from __future__ import annotations

import os
import shutil
from functools import cache

from harness import loadgen
from harness.errors import MissingError
from harness.kernel import nic_lease, overlays, probe, qdiscs
from harness.run.external_process import install_hint
from harness.spec.cells import CellSpec
from harness.spec.links import DevicePair, HostNics, Overlay
from harness.spec.topology import Emulator, Topology
from harness.testbed import routing
from harness.testbed.emulated import programs_of
from harness.topology.qdiscs import kinds_of
from harness.workloads import Scene

GENERATOR = "load-generator"


@cache
def of_this_host() -> dict[str, str]:
    """Each capability with "" where it works, else the reason why not, or "not tried: ..."; tried once per process."""
    return {GENERATOR: _generator(), **probe.probe()}


def _generator() -> str:
    """Why there is no load generator; "" where it was built. Its launcher starts every other program too."""
    try:
        loadgen.path()
    except MissingError as error:
        return f"{error.got}; {error.todo}"
    return ""


def needs(spec: CellSpec) -> list[str]:
    """The capabilities a cell needs, without repetition, in the order in which a run would miss them."""
    keys = [GENERATOR, "netns", "veth", *(f"qdisc:{kind}" for kind in sorted(kinds_of(spec.topology, has_netem())))]
    shapes = (shape for link in spec.topology.links for shape in link.declared_shapes().values())
    if has_netem() and any(shape.seed is not None for shape in shapes):
        keys.append("netem-seed")
    if spec.topology.family == "ipv6":
        keys.append("ipv6")
    if spec.napi:
        keys.append("veth-napi")
    if any(workload.nodes_beside_the_stack() for workload in spec.workloads()):
        keys.append("af-xdp")
    for knobs in (*spec.settings.values(), *spec.confined().values()):
        for knob in knobs.values():
            keys += knob.capabilities()
    return list(dict.fromkeys(keys))


def has_netem() -> bool:
    """Has this kernel netem, or could nobody try?"""
    reason = of_this_host().get("qdisc:netem", "")
    return not reason or probe.is_untried(reason)


def lacks(spec: CellSpec, host: str = "") -> list[str]:
    """Why this host would skip the cell, one reason each; empty when it would not, as far as could be tried.

    host: what this host is called, for a topology on hosts of an inventory: its own node is asked for.
    """
    if spec.topology.on_hosts():
        return _lacks_of_end(spec, host)
    reasons = _missing(needs(spec))
    if spec.topology.needs_guest():
        reasons.insert(0, "emulated NICs are there only in a guest; type: pollbench vm run FILE")
    reasons += _links_missing(spec.topology)
    missing = [(name, package) for name, package in programs(spec) if not shutil.which(name)]
    return reasons + [f"there is no program {name}; {install_hint(package)}" for name, package in missing]


def _links_missing(topology: Topology) -> list[str]:
    """A reason for each kind of link that this kernel has not, and each interface not to be lent; only root can try.

    Those that no cell has are not tried: to load the module of some (bonding) makes a device of the host's.
    """
    kinds = {link.nic: link.kind for link in topology.links}
    virtual = [kind for kind in kinds.values() if isinstance(kind, DevicePair | Overlay) and kind.name != "veth"]
    todo = "take another nic, or a guest's kernel: pollbench vm run FILE --kernel 7.3"
    lent = [
        device or ""
        for link in topology.links
        if isinstance(link.kind, HostNics)
        for device in link.devices or ()
        if os.geteuid() == 0
    ]
    return [f"{device}: {reason}" for device in lent if (reason := nic_lease.why_not(device, lent))] + [
        f"links of nic: {kind.name}: this kernel has no {kind.device} devices; {todo}"
        for kind in virtual
        if os.geteuid() == 0 and not overlays.is_known(kind.device)
    ]


def _lacks_of_end(spec: CellSpec, host: str) -> list[str]:
    """The reasons of one of two hosts: its interface cannot be lent, or it lacks what its node's knobs need."""
    hosts = spec.topology.on_hosts()
    here = next((node for node, name in hosts.items() if name == host), None)
    if here is None:
        return [f"its nodes are on {', '.join(hosts.values())}; type: pollbench fleet run FILE -i INVENTORY"]
    device = spec.topology.nodes[here].interface or ""
    reason = nic_lease.why_not(device)
    keys = [GENERATOR, "netns"]
    for knob in spec.settings.get(here, {}).values():
        keys += knob.capabilities()
    return ([f"{device}: {reason}"] if reason else []) + _missing(keys)


def _missing(keys: list[str]) -> list[str]:
    """A reason for each capability that was tried and does not work, with the remedy where there is one."""
    reasons = []
    for key in dict.fromkeys(keys):
        reason, (group, _, kind) = of_this_host().get(key, ""), key.partition(":")
        if reason and not probe.is_untried(reason):
            reasons.append(f"{reason}; {qdiscs.missing_remedy(kind)}" if group == "qdisc" else f"{key}: {reason}")
    return reasons


def programs(spec: CellSpec) -> list[tuple[str, str]]:
    """The programs of others that a cell needs to be there, once each: (name or path, package that brings it or "")."""
    packages: dict[str, str] = {}
    built: set[str] = set()
    nowhere = Scene(address="")
    for workload in spec.workloads():
        if "server" not in workload.native and workload.has_server():
            packages[workload.server(nowhere)[0]] = workload.packages.get("server", "")
        if "client" not in workload.native:
            packages[workload.client(nowhere)[0]] = workload.packages.get("client", "")
        built |= {name for name in packages if workload.builds(name)}
    if spec.contention is not None and not spec.contention.native() and not spec.contention.idle():
        packages["stress-ng"] = "stress-ng"
    for node in spec.topology.nodes.values():
        packages |= routing.programs_of(node.routing) if node.routing is not None else {}
    if spec.topology.engine == "mininet":
        packages |= programs_of(spec.topology.emulator or Emulator())
    return [(name, package) for name, package in packages.items() if name not in built]
