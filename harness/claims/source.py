"""The claims that a result set carries, and what the place of its runs had of what claims need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    places = texts_of(source.runs, "place")
    found: set[Need] = {"vm"} if "vm" in places else set()
    if any(_has_nic(section) for section in _sections(source.plan)):
        found.add("nic")
    if "nic" in found and any(text not in ("none", "") for text in texts_of(source.runs, "iommu")):
        found.add("iommu")
    if any(_count(numa) > 1 for numa in _numa(source.manifest, in_guests="vm" in found)):
        found.add("numa")
    return frozenset(found)


def _sections(plan: Mapping[str, Any]) -> Iterator[Any]:
    """The sections of the plan's file and of each of its cells, as far as they are any."""
    cells = plan.get("cells")
    yield plan.get("document")
    yield from (cell.get("document") for cell in cells or () if isinstance(cell, dict))


def _has_nic(document: Any) -> bool:
    topology = document.get("topology") if isinstance(document, dict) else None
    links = topology.get("links") if isinstance(topology, dict) else None
    return any(isinstance(link, dict) and link.get("nic") not in (None, "veth") for link in links or ())


def _numa(manifest: Mapping[str, Any], in_guests: bool) -> Iterator[object]:
    """The NUMA nodes of the host, or of each guest that runs were made in."""
    if not in_guests:
        yield manifest.get("numa")
        return
    for guest in manifest.get("guests") or ():
        found = guest.get("found") if isinstance(guest, dict) else None
        yield found.get("numa") if isinstance(found, dict) else None


def _count(value: object) -> int:
    return value if isinstance(value, int) else len(value) if isinstance(value, list | dict) else 0


def before_running(
    claims: Mapping[str, Claim],
    plan: Mapping[str, Any],
    environment: Mapping[str, str | None],
    manifest: Mapping[str, Any],
) -> tuple[Finding, ...]:
    """The findings of a plan that has no runs yet, made on a host of this environment: what cannot be tested there."""
    row = {name: [value or ""] for name, value in environment.items()}
    place = Source("", pd.DataFrame({"place": ["host"], **row}), manifest=dict(manifest), plan=dict(plan))
    nothing = Source("", pd.DataFrame({"case": []}), plan=dict(plan))
    return judge(nothing, claims, had(place))
