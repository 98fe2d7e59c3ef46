"""The sections of an experiment file as models: the header once per file, the others once per cell."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Union

from pydantic import AfterValidator, BaseModel, Field, create_model

from harness.knobs import KNOBS
from harness.spec.checks import Checks, RepeatSection
from harness.spec.claims import Claim
from harness.spec.machine import Machine
from harness.spec.section import Section
from harness.spec.topology import Topology
from harness.spec.tune import Tune
from harness.units import INT64_MAX, Count
from harness.workloads import WORKLOADS, Contention

REQUIRED_SECTIONS = ("topology",)
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}$"


def _name(text: str) -> str:
    """A name that a directory, a shell argument and a table column can carry."""
    if not re.fullmatch(NAME_PATTERN[1:-1], text):
        raise ValueError(
            f'"{text[:40]}" cannot be a name; expected 1 to 64 of A-Z a-z 0-9 - _ . + starting with a letter or digit'
        )
    return text


Name = Annotated[str, AfterValidator(_name), Field(json_schema_extra={"pattern": NAME_PATTERN})]

# Which knobs and workloads exist only their registries know, so these two models are made, not written.
NodeSettings: type[BaseModel] = create_model(  # type: ignore  # field definitions made at run time
    "NodeSettings",
    __base__=Section,
    __doc__="The knobs of one node; null takes a knob back that an earlier layer set.",
    **{name: (knob | None, Field(None, description=(knob.__doc__ or "").strip())) for name, knob in KNOBS.items()},
)
_KINDS = tuple(WORKLOADS.values())
WorkloadSection: Any = Annotated[Union[_KINDS], Field(discriminator="kind")]  # type: ignore  # noqa: UP007
WorkloadList: Any = Annotated[tuple[WorkloadSection, ...], Field(min_length=1, max_length=64)]


class Header(Section):
    """What a file says once, beside the sections that cases and sweep may change."""

    name: Name = Field(description="names the result directory")
    description: str = Field("", description="what the experiment asks, in words")
    cases: dict[Name, Any] | None = Field(
        None, description="case name to what it changes; one case `base` that changes nothing if absent"
    )
    sweep: dict[str, list[Any]] | None = Field(
        None,
        description="dotted key to the values it takes, or to joint choices that set several keys at once; every "
        "combination is run for every case",
    )
    tune: Tune | None = Field(
        None, description="what `pollbench tune` looks for: the best of many settings; instead of cases and sweep"
    )
    claims: dict[Name, Claim] | None = Field(
        None, description="name to a claim: what the experiment is expected to show; gets a verdict"
    )
    repeat: RepeatSection = Field(
        5, description="repetitions of every cell; or a mapping: until intervals are narrow enough"
    )
    seed: Count = Field(1, ge=0, le=INT64_MAX, description="seed of the random order")
    order: Literal["blocks", "sequential"] = Field(
        "blocks", description="blocks: every cell once per repetition, shuffled; sequential: cell after cell"
    )
    trace: Literal["tail", "polls"] | None = Field(
        None,
        description="tail: after the runs, one more repetition of every cell is traced, and counts in no table; "
        "`pollbench explain` then says why its slow requests were slow (as `run --explain`); "
        "polls: the same, and who polled each NAPI",
    )
    quick: dict[str, Any] | None = Field(
        None, description="dotted key to the value it has with --quick, as with --set: a shorter run"
    )
    guest: dict[str, Any] | None = Field(
        None,
        description="dotted key to the value it has in guests (`vm run`, `gallery --in-vm`), as if written there: "
        "quick.repeat too",
    )


SECTION_TYPES: dict[str, Any] = {
    "topology": Topology,
    "workload": WorkloadSection | None,
    "workloads": WorkloadList | None,
    "contention": Contention | None,
    "settings": dict[str, NodeSettings | None],
    "checks": Checks,
    "vm": Machine,
}
CELL_SECTIONS = tuple(SECTION_TYPES)
HEADER_KEYS = tuple(Header.model_fields)
FILE_KEYS = (*HEADER_KEYS[:2], *CELL_SECTIONS, *HEADER_KEYS[2:])
"""Every key of a file, as the reference has them."""
