"""The claims that a result set carries, and what the place of its runs had of what claims need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from harness.claims.model import Finding
from harness.claims.verdict import judge
from harness.compare.environment import texts_of
from harness.spec.claims import Claim, Need
from harness.tables.source import Source


def claims_of(document: Mapping[str, Any]) -> dict[str, Claim]:
    """The claims of an experiment's document as a plan keeps it; none where there are none, or they are damaged."""
    found = document.get("claims")
    if not isinstance(found, dict):
        return {}
    try:
        return {str(name): Claim.model_validate(each) for name, each in found.items()}
    except ValueError:  # made by another version
        return {}


def findings(source: Source, claims: Mapping[str, Claim] | None = None) -> tuple[Finding, ...]:
    """The verdicts on a set's own claims, or on others that its experiment makes now."""
    if claims is None:
        document = source.plan.get("document")
        claims = claims_of(document if isinstance(document, dict) else {})
    return judge(source, claims, had(source)) if claims else ()


def had(source: Source) -> frozenset[Need]:
    """What of the things that claims need the place of these runs had, by what is on record."""
    in_guest = "vm" in texts_of(source.runs, "place")
    if not in_guest:
        nodes = source.manifest.get("numa")
        return frozenset({"numa"} if isinstance(nodes, dict) and len(nodes) > 1 else ())
    found: set[Need] = {"vm"}
    if any(_has_nic(cell) for cell in _cells(source.plan)):
        found.add("nic")
        if any(text != "none" for text in texts_of(source.runs, "iommu")):
            found.add("iommu")
    # The machine is as declared, or QEMU would not have started.
    if any(_machine(cell).get("numa_nodes", 1) != 1 for cell in _cells(source.plan)):
        found.add("numa")
    return frozenset(found)


def _cells(plan: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The plain data of every cell of a plan that has been read or is about to be run."""
    cells = plan.get("cells")
    found = (
        [each.get("document") for each in cells if isinstance(each, dict)] if isinstance(cells, list) else []
    )
    return [each for each in found if isinstance(each, dict)]


def _has_nic(cell: Mapping[str, Any]) -> bool:
    topology = cell.get("topology")
    links = topology.get("links") if isinstance(topology, dict) else None
    return any(isinstance(link, dict) and link.get("nic", "veth") != "veth" for link in links or ())


def _machine(cell: Mapping[str, Any]) -> Mapping[str, Any]:
    machine = cell.get("vm")
    return machine if isinstance(machine, dict) else {}


def in_guests(plan: Mapping[str, Any]) -> dict[str, str]:
    """The environment that guests of this plan will have, as far as it is declared."""
    modes = [str(_machine(cell).get("iommu", "off")) for cell in _cells(plan)]
    return {"place": "vm", "iommu": next((mode for mode in modes if mode != "off"), "none")}


def before_running(
    claims: Mapping[str, Claim],
    plan: Mapping[str, Any],
    environment: Mapping[str, str | None],
    manifest: Mapping[str, Any],
) -> tuple[Finding, ...]:
    """The findings of a plan that has no runs yet, made in a place of this environment: what cannot be tested there."""
    row = {name: [value or ""] for name, value in environment.items()}
    place = Source("", pd.DataFrame({"place": ["host"]} | row), manifest=dict(manifest), plan=dict(plan))
    nothing = Source("", pd.DataFrame({"case": []}), plan=dict(plan))
    return judge(nothing, claims, had(place))
