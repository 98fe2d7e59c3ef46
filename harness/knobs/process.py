"""CPU affinity, scheduling policy, priority and nice value of the node's workload processes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from harness.knobs.base import Knob, Setting
from harness.units import Count, CpuSet


class Process(Knob):
    """Applied by the launcher before the workload's first instruction; read back from the process itself.

    Source: sched(7), sched_setaffinity(2).
    """

    name = "process"
    scope = "process"
    phase = "processes"
    target = "process"

    cpus: CpuSet | None = Field(None, description="CPUs of the processes; default: the node's cpus")
    policy: Literal["other", "batch", "idle", "fifo", "rr"] = Field("other", description="scheduling policy")
    priority: Count = Field(0, ge=0, le=99, description="real-time priority, 1-99, with fifo and rr")
    nice: Count = Field(0, ge=-20, le=19, description="nice value, -20 to 19, with other and batch")

    @model_validator(mode="after")
    def _priority_fits_policy(self) -> Process:
        if (self.policy in ("fifo", "rr")) != (self.priority > 0):
            raise ValueError("priority 1-99 goes with policy fifo or rr, and they with it")
        return self

    def settings(self) -> list[Setting]:
        """The affinity and the policy, each only if it was declared; a priority only where the policy has one."""
        declared = self.model_fields_set if self.priority else self.model_fields_set - {"priority"}
        return [setting for setting in super().settings() if setting.name in declared]
