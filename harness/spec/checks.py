"""When a run is taken at its word and a change matters, and how often cells are repeated until enough is known."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag

from harness import columns
from harness.spec.messages import did_you_mean
from harness.spec.section import Section, StableSection
from harness.units import Count, DurationNs, Share

MAX_REPEAT = 10_000


class Checks(StableSection):
    """When a run is `suspect` (noise) or `inert` (a knob without effect)."""

    added_later: ClassVar[frozenset[str]] = frozenset(
        ("verify_links", "max_starved_share", "doubt_polled_share", "redo")
    )

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
    redo: Share = Field(
        0.5,
        description="runs that noise spoilt (other programs, stolen time, a changed clock; never by their figures) are "
        "made again at once, and a run waits for a quiet moment: for this share of the plan's time in all; 0: never",
    )
    smallest_effect: Share | None = Field(
        None, description="changes within this, either way, do not matter: it is what no difference is larger than"
    )


def metric_name(name: str) -> str:
    """A column that runs have a number in; one of a workload beside the first by its form, whatever the file has."""
    if not columns.of_workload(name)[0] and name not in (column.name for column in columns.METRICS):
        todo = did_you_mean(name, (column.name for column in columns.MAIN_METRICS))
        raise ValueError(f'no run has a metric "{name[:40]}"; {todo}')
    return name


MetricName = Annotated[str, AfterValidator(metric_name)]


class UntilVerdict(Section):
    """Enough when each comparison of a case with the baseline is decided: a difference shown, or that none matters."""

    verdict: tuple[MetricName, ...] = Field(
        min_length=1, max_length=8, description="the columns by which cases are compared; only these are waited for"
    )


class Until(Section):
    """When there are repetitions enough."""

    metric: MetricName = Field(
        "rtt_p50_us", description="the column of runs.csv whose medians are to be known well enough"
    )
    ci: Share = Field(
        gt=0, description="enough when half of the 95 % interval of every cell's median is within this share of it"
    )


def _form_of_until(value: Any) -> str:
    if isinstance(value, str):
        return "word"
    named = "verdict" in value if isinstance(value, dict) else isinstance(value, UntilVerdict)
    return "comparisons" if named else "widths"


UntilSection = Annotated[
    Annotated[Literal["verdict"], Tag("word")]
    | Annotated[UntilVerdict, Tag("comparisons")]
    | Annotated[Until, Tag("widths")],
    Discriminator(_form_of_until),
]
_DECIDED_BY = ("rtt_p50_us", "rtt_p99_us", "set_cpu_us_per_request")


class Repeat(Section):
    """Repetitions added in whole blocks until the intervals are narrow enough, or the comparisons decided."""

    min: Count = Field(
        5, ge=1, le=MAX_REPEAT, description="repetitions made in any case; 3 to 5 are early looks, until: verdict"
    )
    max: Count = Field(ge=1, le=MAX_REPEAT, description="no more repetitions than this, wide as they may be")
    until: UntilSection = Field(
        description="what is enough; `verdict`: each comparison with the baseline is decided, by p50, p99 and CPU per "
        "request"
    )
    budget_ns: DurationNs | None = Field(
        None, gt=0, alias="budget", description="no further repetition when it would end after this much time"
    )

    def decides(self) -> tuple[str, ...]:
        """The columns by which comparisons have to be decided; none where widths are waited for."""
        if isinstance(self.until, str):
            return _DECIDED_BY
        return self.until.verdict if isinstance(self.until, UntilVerdict) else ()


def _form(value: Any) -> str:
    return "adaptive" if isinstance(value, (dict, Repeat)) else "fixed"


RepeatSection = Annotated[
    Annotated[Count, Field(ge=1, le=MAX_REPEAT), Tag("fixed")] | Annotated[Repeat, Tag("adaptive")],
    Discriminator(_form),
]
