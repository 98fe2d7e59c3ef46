"""Thresholds beyond which a run is not taken at its word, and below which a change does not matter."""

from __future__ import annotations

from pydantic import Field

from harness.spec.topology import Section
from harness.units import Share


class Checks(Section):
    """When a run is `suspect` (noise) or `inert` (a knob without effect)."""

    max_foreign_share: Share = Field(
        0.05, description="suspect above this: CPU time of other programs on the CPU set"
    )
    max_steal_share: Share = Field(
        0.02, description="suspect above this: CPU time that the hypervisor took from the CPU set"
    )
    min_polled_share: Share = Field(
        0.01, description="inert below this: packets picked up by busy polling, where a knob asked for it"
    )
    smallest_effect: Share | None = Field(
        None, description="changes within this, either way, do not matter: `compare` shows them as ~"
    )
