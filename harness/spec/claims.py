"""Claims: what an experiment says that it will show, as data that a verdict can be computed from."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from harness.columns import of_workload
from harness.errors import InputError
from harness.spec.checks import MetricName
from harness.spec.messages import Path, did_you_mean, problem
from harness.spec.section import Section
from harness.spec.yaml_tree import Tree
from harness.stats import Condition
from harness.units import Share

Direction = Literal["lower", "higher", "same", "not-lower", "not-higher"]
Need = Literal["vm", "nic", "numa", "iommu"]
Value = Annotated[str, WithJsonSchema({"type": ["string", "number", "boolean"]})]


def written(value: Any) -> str:
    """A factor's value as result tables have it: text as it is, joint choices as YAML, anything else as JSON has it."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {written(part) or 'null'}" for key, part in value.items()) + "}"
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)


def _as_written(levels: object) -> object:
    """A factor's value is matched as it is written: 50 and "50" are one."""
    return {key: written(level) for key, level in levels.items()} if isinstance(levels, Mapping) else levels


Levels = Annotated[dict[str, Value], BeforeValidator(_as_written)]

NEEDS: dict[Need, tuple[str, str]] = {
    "vm": ("it is about a virtual machine", "try --in-vm"),
    "nic": ("it needs a NIC with interrupts of its own, which a veth pair has not", "try --in-vm"),
    "numa": ("this machine has one NUMA node", "try --in-vm, where it declares two"),
    "iommu": ("packets of a veth pair never pass an IOMMU", "try --in-vm"),
}
"""What a claim may need: why a plain host with veth pairs does not have it, and how to test it."""


class Expect(Section):
    """One condition of a claim: of two cells how a metric changes, or of one where its median lies or how runs went."""

    case: str = Field(description="the case that is looked at")
    against: str | None = Field(None, description="the case it is compared with; `base`, or the first case, if absent")
    at: Levels = Field(
        {}, description="swept key to value: only there; if absent under every combination, each of which must hold"
    )
    against_at: Levels = Field(
        {}, description="swept key to value of the other side, where it differs: the same case at another value"
    )
    metric: MetricName = Field("rtt_p50_us", description="column of runs.csv that is compared")
    direction: Direction | None = Field(
        None,
        description="what is expected of the metric against the other case; same: the change is too small to matter",
    )
    by: Share = Field(
        0.05, description="smallest effect that matters: the whole interval of the change must lie beyond it, or within"
    )
    below: float | None = Field(None, description="instead of a direction: the median lies below this")
    above: float | None = Field(None, description="instead of a direction: the median lies above this")
    verdict: Literal["inert", "valid"] | None = Field(
        None, description="instead of a direction: every run of the cell has this verdict"
    )

    @model_validator(mode="after")
    def _one_kind(self) -> Expect:
        kinds = [self.direction, self.below, self.above, self.verdict]
        if sum(kind is not None for kind in kinds) != 1:
            raise ValueError("a condition says one of direction, below, above, verdict")
        if self.direction is None and (self.against is not None or self.against_at):
            raise ValueError("there is nothing to compare; against goes with a direction")
        return self

    @property
    def condition(self) -> Condition:
        """The condition on the metric; of one about verdicts a condition that any level meets."""
        if self.direction is None:
            return Condition(self.metric, "level", low=self.above, high=self.below)
        return self._towards(self.direction)

    @property
    def opposite(self) -> Condition | None:
        """The condition that, if met, shows the change to go the other way; None for one without a way."""
        if self.direction in (None, "same"):
            return None
        return self._towards("lower" if self.direction in ("higher", "not-lower") else "higher")

    def _towards(self, direction: Direction) -> Condition:
        less, more = 1 / (1 + self.by), 1 + self.by
        bounds: dict[Direction, tuple[float | None, float | None]] = {
            "lower": (None, less),
            "higher": (more, None),
            "same": (less, more),
            "not-lower": (less, None),
            "not-higher": (None, more),
        }
        low, high = bounds[direction]
        return Condition(self.metric, "ratio", low, high, closed=direction not in ("lower", "higher"))


class Picture(Section):
    """What the gallery's page draws for a claim."""

    kind: Literal["distribution", "medians", "curve", "grid"] = Field(
        "medians",
        description="distribution: share of requests answered within a time; medians: of every case with its "
        "interval; curve: against x, a line per case; grid: a coloured table of y by x",
    )
    metric: MetricName = Field("rtt_p50_us", description="column of runs.csv that is drawn")
    beside: MetricName | None = Field(None, description="grid: a second column, such as the price, below each value")
    x: str | None = Field(None, description="swept key, or `case`, along the picture; the first swept key if absent")
    y: str | None = Field(None, description="swept key, or `case`, down a grid; `case` if absent")
    cases: list[str] | None = Field(None, description="only these cases")
    at: Levels = Field({}, description="swept key to value: only there")
    diagonal: bool = Field(False, description="grid: mark the fields where x and y are equal, both in one unit")

    def shows(self, case: str, factors: Iterable[tuple[str, str]]) -> bool:
        """Is this cell part of the picture?"""
        values = dict(factors)
        return (self.cases is None or case in self.cases) and all(
            values.get(name) == value for name, value in self.at.items()
        )


class Claim(Section):
    """A sentence that a run of the experiment can bear out or refute."""

    sentence: str = Field(min_length=1, description="the claim, as people say it")
    expect: list[Expect] = Field(
        min_length=1,
        max_length=64,
        description="its conditions; all must hold. The first is the claim itself, the others its evidence and price",
    )
    given: list[Expect] = Field(
        [],
        max_length=16,
        description="conditions without which it cannot be tested: that the hog hogs, that the NIC coalesces",
    )
    show: list[MetricName] = Field(
        [], max_length=12, description="columns of runs.csv that are printed beside what decided, as the reason why"
    )
    advice: str = Field("", description="what to do with it, if it holds and if it does not")
    needs: list[Need] = Field(
        [], description="what it cannot be tested without: a virtual machine, a NIC, NUMA nodes, an IOMMU"
    )
    include: list[Literal["inert", "suspect"]] = Field(
        [], description="runs with these verdicts count too: where being inert is what the claim is about"
    )
    picture: Picture | None = Field(None, description="what the gallery's page draws; medians if absent")


def claim_mistakes(
    claims: Mapping[str, Claim],
    tree: Tree,
    cases: Mapping[str, Any],
    factors: Mapping[str, list[str]],
    beside: Collection[str] | None,
) -> Iterator[InputError]:
    """Every case, swept key, value or workload that a claim names and the experiment has not.

    factors: swept key to its values as text; beside: names of the workloads that are measured beside the first, None
    where they are not known.
    """
    for name, claim in claims.items():
        if beside is not None:
            yield from _workloads(claim, beside, tree, ("claims", name))
        for section, conditions in (("expect", claim.expect), ("given", claim.given)):
            for index, expect in enumerate(conditions):
                path: Path = ("claims", name, section, index)
                yield from _case(expect.case, cases, tree, (*path, "case"))
                yield from _case(expect.against, cases, tree, (*path, "against"))
                yield from _at(expect.at, factors, tree, (*path, "at"))
                yield from _at(expect.against_at, factors, tree, (*path, "against_at"))
        if claim.picture is not None:
            yield from _picture(claim.picture, tree, ("claims", name, "picture"), cases, factors)


def _workloads(claim: Claim, beside: Collection[str], tree: Tree, path: Path) -> Iterator[InputError]:
    named: dict[Path, str | None] = {
        (section, index, "metric"): expect.metric
        for section, conditions in (("expect", claim.expect), ("given", claim.given))
        for index, expect in enumerate(conditions)
    }
    named |= {("show", index): metric for index, metric in enumerate(claim.show)}
    if claim.picture is not None:
        named |= {("picture", "metric"): claim.picture.metric, ("picture", "beside"): claim.picture.beside}
    for place, metric in named.items():
        workload = of_workload(metric or "")[0]
        if workload and workload not in beside:
            got = f'no workload "{workload}" is measured beside the first'
            yield problem(tree, (*path, *place), got, did_you_mean(workload, beside, "workloads"))


def _case(case: str | None, cases: Mapping[str, Any], tree: Tree, path: Path) -> Iterator[InputError]:
    if case is not None and case not in cases:
        yield problem(tree, path, f'there is no case "{case}"', did_you_mean(case, cases, "cases"))


def _at(at: Mapping[str, str], factors: Mapping[str, list[str]], tree: Tree, path: Path) -> Iterator[InputError]:
    for key, value in at.items():
        if key not in factors:
            yield problem(tree, (*path, key), f'"{key}" is not swept', did_you_mean(key, factors, "swept"), key=True)
        elif value not in factors[key]:
            todo = did_you_mean(value, factors[key], "values")
            yield problem(tree, (*path, key), f'"{value}" is no value of {key}', todo)


def _picture(
    picture: Picture, tree: Tree, path: Path, cases: Mapping[str, Any], factors: Mapping[str, list[str]]
) -> Iterator[InputError]:
    for index, case in enumerate(picture.cases or ()):
        yield from _case(case, cases, tree, (*path, "cases", index))
    yield from _at(picture.at, factors, tree, (*path, "at"))
    for key, axis in (("x", picture.x), ("y", picture.y)):
        if axis is not None and axis != "case" and axis not in factors:
            todo = did_you_mean(axis, [*factors, "case"], "swept")
            yield problem(tree, (*path, key), f'"{axis}" is not swept', todo)
