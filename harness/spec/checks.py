"""When a run is taken at its word and a change matters, and how often cells are repeated until enough is known."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag

from harness import columns
from harness.spec.messages import did_you_mean
from harness.spec.topology import Section, StableSection
from harness.units import Count, DurationNs, Share

MAX_REPEAT = 10_000


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


def metric_name(name: str) -> str:
    """A column that runs have a number in."""
    if name not in (column.name for column in columns.METRICS):
        todo = did_you_mean(name, (column.name for column in columns.MAIN_METRICS))
        raise ValueError(f'no run has a metric "{name[:40]}"; {todo}')
    return name


MetricName = Annotated[str, AfterValidator(metric_name)]


class Until(Section):
    """When there are repetitions enough."""

    metric: MetricName = Field(
        "rtt_p50_us", description="the column of runs.csv whose medians are to be known well enough"
    )
    ci: Share = Field(
        gt=0, description="enough when half of the 95 % interval of every cell's median is within this share of it"
    )


class Repeat(Section):
    """Repetitions added in whole blocks until the intervals are narrow enough."""

    min: Count = Field(5, ge=1, le=MAX_REPEAT, description="repetitions made in any case")
    max: Count = Field(ge=1, le=MAX_REPEAT, description="no more repetitions than this, wide as they may be")
    until: Until = Field(description="what is enough")
    budget_ns: DurationNs | None = Field(
        None, gt=0, alias="budget", description="no further repetition when it would end after this much time"
    )


def _form(value: Any) -> str:
    return "adaptive" if isinstance(value, (dict, Repeat)) else "fixed"


RepeatSection = Annotated[
    Annotated[Count, Field(ge=1, le=MAX_REPEAT), Tag("fixed")] | Annotated[Repeat, Tag("adaptive")],
    Discriminator(_form),
]
