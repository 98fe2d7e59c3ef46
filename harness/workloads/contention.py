"""Contention: hog threads that compete for a declared CPU set while the workload is measured."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from harness.units import Count, DurationNs, Percent, SizeBytes


class HogGroup(BaseModel):
    """The hogs' control group; the others' weight is 100."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, defer_build=True)

    weight: Count | None = Field(None, ge=1, le=10_000, description="cpu.weight of all hogs together")
    quota_ns: DurationNs | None = Field(
        None, ge=1_000_000, alias="quota", description="cpu.max: CPU time of all hogs together per period"
    )
    period_ns: DurationNs = Field(
        100_000_000, ge=1_000_000, le=1_000_000_000, alias="period", description="cpu.max: its period"
    )

    @model_validator(mode="after")
    def _says_something(self) -> HogGroup:
        if self.weight is None and self.quota_ns is None:
            raise ValueError("nothing is set; expected weight or quota")
        return self


class Contention(BaseModel):
    """Hog threads, busy for `load` percent of each `period` of wall time, idle for the rest of it."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, defer_build=True)

    on: str = Field(description="a node's CPUs as NODE.cpus, or a CPU list such as 0-3,8")
    overlap: Count | None = Field(
        None, ge=0, le=8192, description="with NODE.cpus: hogs share so many of the node's CPUs, the rest are others"
    )
    kind: Literal["spin", "syscall", "cache", "memory", "network", "poller", "stress-ng"] = Field(
        "spin",
        description="spin: user code; syscall: cheap system calls; cache: random walk over working_set; memory: "
        "copying of working_set; network: softirqs of another flow; poller: busy polling of other "
        "sockets, without a pause",
    )
    stressor: str = Field(
        "", alias="stress-ng", pattern=r"^[a-z0-9-]*$", description="stress-ng's stressor of this name, kind stress-ng"
    )
    threads: Count = Field(1, ge=0, le=4096, description="hog threads, spread over the CPU set by the scheduler")
    load_percent: Percent = Field(100.0, ge=0, le=100, alias="load", description="duty cycle of each thread")
    period_ns: DurationNs = Field(
        10_000_000, ge=10_000, le=60 * 10**9, alias="period", description="period of the duty cycle"
    )
    working_set_bytes: SizeBytes = Field(
        8 << 20,
        ge=4096,
        le=16 << 30,
        alias="working_set",
        description="memory of each thread: walked by `cache`, copied by `memory`",
    )
    policy: Literal["other", "batch", "idle", "fifo", "rr"] = Field("other", description="scheduling policy")
    priority: Count = Field(0, ge=0, le=99, description="real-time priority, 1-99, with fifo and rr")
    nice: Count = Field(0, ge=-20, le=19, description="nice value")
    cgroup: HogGroup | None = Field(None, description="a control group for the hogs")
    awake: bool = Field(
        False,
        description="keep every CPU of the run from going idle, by a spinner of policy idle that gives way at once; "
        "also with load 0 %",
    )

    @model_serializer(mode="wrap")
    def _without_what_came_later(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A file without a group, or without `awake`, means what it meant: its cells keep their names."""
        plain: dict[str, Any] = handler(self)
        return {key: value for key, value in plain.items() if value or key not in ("cgroup", "awake")}

    @field_validator("on", mode="before")
    @classmethod
    def _one_cpu_is_a_list(cls, value: object) -> object:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @model_validator(mode="before")
    @classmethod
    def _a_stressor_is_a_kind(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("stress-ng") and "kind" not in value:
            return value | {"kind": "stress-ng"}
        return value

    @model_validator(mode="after")
    def _fields_fit(self) -> Contention:
        if (self.kind == "stress-ng") != bool(self.stressor):
            raise ValueError("stress-ng: NAME goes with kind stress-ng, and it with a name")
        if (self.policy in ("fifo", "rr")) != (self.priority > 0):
            raise ValueError("priority 1-99 goes with policy fifo or rr, and they with it")
        return self

    def idle(self) -> bool:
        """Are there no hogs to start? CPUs may be kept awake all the same."""
        return self.load_percent == 0 or self.threads == 0

    def label(self) -> str:
        """The kind, with the stressor's name where it is stress-ng's."""
        return f"stress-ng:{self.stressor}" if self.stressor else self.kind

    def native(self) -> bool:
        """Is the hog our own program?"""
        return self.kind != "stress-ng"

    def needs_flow(self) -> bool:
        """Does it need a link of its own to send over?"""
        return self.kind in ("network", "poller")

    def command(self) -> list[str]:
        """The command line after the launch options; what a flow needs comes on top."""
        threads, load = str(self.threads), f"{self.load_percent:g}"
        if not self.native():
            # stress-ng knows a duty cycle for its cpu stressor only; the others take what they get.
            argv = ["stress-ng", f"--{self.stressor}", threads]
            return [*argv, "--cpu-load", load] if self.stressor == "cpu" else argv
        argv = ["hog", "--kind", self.kind, "--threads", threads, "--load", load]
        argv += ["--period-ns", str(self.period_ns), "--working-set", str(self.working_set_bytes)]
        return argv


def overlapping(cpus: Collection[int], overlap: int, online: Collection[int]) -> list[int]:
    """A CPU set as large as `cpus` that shares `overlap` of them (the last ones); the rest from the other CPUs.

    It is smaller where there are not enough others.
    """
    own = sorted(cpus)
    shared = own[len(own) - min(overlap, len(own)) :]
    others = sorted(set(online) - set(own))
    return sorted([*shared, *others[: max(0, len(own) - len(shared))]])
