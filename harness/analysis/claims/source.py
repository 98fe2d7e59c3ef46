"""The verdicts on the claims that sets carry: with what the place of the runs had, and over several reruns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from harness.analysis.claims.model import ClaimVerdict
from harness.analysis.claims.verdict import judge
from harness.analysis.compare.environment import texts_of
from harness.spec.claims import Claim, Need
from harness.tables.source import Source


def claims_of(document: Mapping[str, Any]) -> dict[str, Claim]:
    """The claims of an experiment's document as a plan keeps it; none where there are none, or they are damaged."""
    section = document.get("claims")
    if not isinstance(section, dict):
        return {}
    try:
        return {str(name): Claim.model_validate(claim) for name, claim in section.items()}
    except ValueError:  # made by another version
        return {}


def findings(source: Source, claims: Mapping[str, Claim] | None = None) -> tuple[ClaimVerdict, ...]:
    """The verdicts on a set's own claims, or on others that its experiment makes now."""
    if claims is None:
        document = source.plan.get("document")
        claims = claims_of(document if isinstance(document, dict) else {})
    return judge(source, claims, available(source)) if claims else ()


def available(source: Source) -> frozenset[Need]:
    """Which of the needs of claims (a VM, a NIC, NUMA nodes, an IOMMU) the place of these runs is known to have met."""
    places = texts_of(source.table, "place")
    needs: set[Need] = {"vm"} if "vm" in places else set()
    if any(_has_nic(section) for section in _sections(source.plan)):
        needs.add("nic")
    if "nic" in needs and any(text not in ("none", "") for text in texts_of(source.table, "iommu")):
        needs.add("iommu")
    if any(_count(numa) > 1 for numa in (_guests_numa(source) if "vm" in needs else [source.manifest.get("numa")])):
        needs.add("numa")
    return frozenset(needs)


def _sections(plan: Mapping[str, Any]) -> Iterator[Any]:
    """The sections of the plan's file and of each of its cells, as far as they are any."""
    cells = plan.get("cells")
    yield plan.get("document")
    yield from (cell.get("document") for cell in cells or () if isinstance(cell, dict))


def _has_nic(document: Any) -> bool:
    topology = document.get("topology") if isinstance(document, dict) else None
    links = topology.get("links") if isinstance(topology, dict) else None
    return any(isinstance(link, dict) and link.get("nic") not in (None, "veth") for link in links or ())


def _guests_numa(source: Source) -> Iterator[object]:
    """The NUMA nodes that each guest had; of guests that are not booted yet, those that are declared."""
    for guest in source.manifest.get("guests") or ():
        machine = guest.get("found") if isinstance(guest, dict) else None
        yield machine.get("numa") if isinstance(machine, dict) else None
    if "guests" not in source.manifest:
        yield from (_machine(section).get("numa_nodes") for section in _sections(source.plan))


def _count(value: object) -> int:
    return value if isinstance(value, int) else len(value) if isinstance(value, (list, dict)) else 0


def in_guests(plan: Mapping[str, Any]) -> dict[str, str]:
    """The environment that guests of this plan will have, as far as it is declared."""
    modes = [str(_machine(section).get("iommu", "off")) for section in _sections(plan)]
    return {"place": "vm", "iommu": next((mode for mode in modes if mode != "off"), "none")}


def _machine(document: Any) -> Mapping[str, Any]:
    machine = document.get("vm") if isinstance(document, dict) else None
    return machine if isinstance(machine, dict) else {}


def before_running(
    claims: Mapping[str, Claim],
    plan: Mapping[str, Any],
    environment: Mapping[str, str | None],
    manifest: Mapping[str, Any],
) -> tuple[ClaimVerdict, ...]:
    """The findings of a plan that has no runs yet, made in a place of this environment: what cannot be tested there."""
    row = {name: [value or ""] for name, value in environment.items()}
    place = Source("", pd.DataFrame({"place": ["host"]} | row), manifest=dict(manifest), plan=dict(plan))
    nothing = Source("", pd.DataFrame({"case": []}), plan=dict(plan))
    return judge(nothing, claims, available(place))


def agreed(reruns: Sequence[tuple[str, Sequence[ClaimVerdict]]]) -> tuple[ClaimVerdict, ...]:
    """The findings of the newest set (the last), each as `not shown` where an earlier one came to another verdict.

    reruns: what to call each set, and its findings, oldest first.
    """
    if not reruns:
        return ()
    _, newest = reruns[-1]
    return tuple(_agreed(verdict, reruns) for verdict in newest)


def _agreed(verdict: ClaimVerdict, reruns: Sequence[tuple[str, Sequence[ClaimVerdict]]]) -> ClaimVerdict:
    outcomes = [(label, old.outcome) for label, olds in reruns for old in olds if old.name == verdict.name]
    if verdict.outcome == "cannot be tested here" or len({outcome for _, outcome in outcomes}) < 2:
        return verdict
    reason = f"the verdict differs between reruns: {', '.join(f'{outcome} ({label})' for label, outcome in outcomes)}"
    return replace(verdict, outcome="not shown", reason=reason, deciding=None)
