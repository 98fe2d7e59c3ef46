"""How often cells are repeated: a fixed number, or until the intervals are narrow enough."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Discriminator, Field, Tag

from harness import columns
from harness.spec.messages import did_you_mean
from harness.spec.topology import Section
from harness.units import Count, DurationNs, Share

MAX_REPEAT = 10_000


def metric_name(name: str) -> str:
    """A column that runs have a number in."""
    if name not in (column.name for column in columns.METRICS):
        todo = did_you_mean(name, (column.name for column in columns.METRICS if column.main))
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
    return "adaptive" if isinstance(value, dict | Repeat) else "fixed"


RepeatSection = Annotated[
    Annotated[Count, Field(ge=1, le=MAX_REPEAT), Tag("fixed")] | Annotated[Repeat, Tag("adaptive")],
    Discriminator(_form),
]
