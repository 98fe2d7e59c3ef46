"""Contention: hog threads that compete for a declared CPU set while the workload is measured."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from harness.units import Count, DurationNs, Percent, SizeBytes


class Contention(BaseModel):
    """Hog threads, busy for `load` percent of each `period` of wall time, idle for the rest of it."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    on: str = Field(description="a node's CPUs as NODE.cpus, or a CPU list such as 0-3,8")
    kind: Literal["spin", "syscall", "cache"] = Field(
        "spin",
        description="spin: user code; syscall: cheap system calls; cache: random walk over working_set",
    )
    threads: Count = Field(
        1, ge=0, le=4096, description="hog threads, spread over the CPU set by the scheduler"
    )
    load_percent: Percent = Field(100.0, ge=0, le=100, alias="load", description="duty cycle of each thread")
    period_ns: DurationNs = Field(10_000_000, gt=0, alias="period", description="period of the duty cycle")
    working_set_bytes: SizeBytes = Field(
        8 << 20, ge=4096, alias="working_set", description="memory walked by `cache`"
    )
    policy: Literal["other", "batch", "idle", "fifo", "rr"] = Field("other", description="scheduling policy")
    priority: Count = Field(0, ge=0, le=99, description="real-time priority, 1-99, with fifo and rr")
    nice: Count = Field(0, ge=-20, le=19, description="nice value")

    @field_validator("on", mode="before")
    @classmethod
    def _one_cpu_is_a_list(cls, value: object) -> object:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @model_validator(mode="after")
    def _priority_fits_policy(self) -> Contention:
        if (self.policy in ("fifo", "rr")) != (self.priority > 0):
            raise ValueError("priority 1-99 goes with policy fifo or rr, and they with it")
        return self

    def idle(self) -> bool:
        """Is there nothing to start?"""
        return self.load_percent == 0 or self.threads == 0
