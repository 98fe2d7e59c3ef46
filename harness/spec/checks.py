"""Thresholds beyond which a run is not taken at its word, and below which a change does not matter."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from harness.spec.topology import StableSection
from harness.units import Share


class Checks(StableSection):
    """When a run is `suspect` (noise) or `inert` (a knob without effect)."""

    added_later: ClassVar[frozenset[str]] = frozenset(("verify_links", "max_starved_share", "doubt_polled_share"))

    max_foreign_share: Share = Field(
        0.05, description="suspect above this: time of other programs on any one CPU of the set"
    )
    max_lost_share: Share = Field(
        0.01,
        description="suspect above this: requests that were never answered, which no quantile shows; the loss that "
        "links on the way declare is allowed for",
    )
    max_steal_share: Share = Field(
        0.02, description="suspect above this: CPU time that the hypervisor took from the CPU set"
    )
    min_polled_share: Share = Field(
        0.01, description="inert below this: packets picked up by busy polling, where a knob asked for it"
    )
    doubt_polled_share: Share = Field(
        0.1,
        description="suspect below this, where a knob asked for busy polling: the busy-polled share of a node's "
        "packets; not judged of programs that wait by spin, poll or select, whose polling the kernel counts in part",
    )
    max_late_share: Share = Field(
        0.01, description="suspect above this: requests of an open loop sent later than the workload's `late`"
    )
    max_missed_share: Share = Field(
        0.0, description="suspect above this: requests of an open loop that were due and never sent"
    )
    max_rate_error: Share = Field(
        0.005,
        description="suspect above this: difference of the rate sent from the one offered (from what was due, "
        "where arrivals are not constant)",
    )
    max_hog_error: Share = Field(
        0.1,
        description="suspect above this share of the declared `load`: a hog's CPU time beyond it, or short of it; of "
        "`load: 100%`, which takes what there is, only while its CPUs were idle",
    )
    verify_links: Literal["first", "every", "off"] = Field(
        "first",
        description="suspect if a shaped link does not do what it declares, tried before measuring: on the first run "
        "with a topology, or on every run",
    )
    max_starved_share: Share = Field(
        0.8, description="suspect above this, without contention: time that a program waited for a CPU"
    )
    smallest_effect: Share | None = Field(
        None, description="changes within this, either way, do not matter: it is what no difference is larger than"
    )
