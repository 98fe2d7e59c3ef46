"""CPU affinity, scheduling policy, priority and nice value of the node's workload processes."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from harness.knobs.base import Knob, KnobModel, Setting
from harness.units import Count, CpuSet


class ProcessSettings(KnobModel):
    """Source: sched(7), sched_setaffinity(2)."""

    cpus: CpuSet | None = Field(None, description="CPUs of the processes; default: the node's cpus")
    policy: Literal["other", "batch", "idle", "fifo", "rr"] = Field("other", description="scheduling policy")
    priority: Count = Field(0, ge=0, le=99, description="real-time priority, 1-99, with fifo and rr")
    nice: Count = Field(0, ge=-20, le=19, description="nice value, -20 to 19, with other and batch")

    @model_validator(mode="after")
    def _priority_fits_policy(self) -> ProcessSettings:
        if (self.policy in ("fifo", "rr")) != (self.priority > 0):
            raise ValueError("priority 1-99 goes with policy fifo or rr, and they with it")
        return self


class Process(Knob):
    """Applied by the launcher before the workload's first instruction; read back from the process itself."""

    name = "process"
    scope = "process"
    Model = ProcessSettings

    @classmethod
    def settings(cls, model: Any) -> list[Setting]:
        """Only what was declared."""
        out = []
        if model.cpus is not None:
            out.append(Setting("process", "cpus", list(model.cpus)))
        if "policy" in model.model_fields_set or model.policy != "other":
            out.append(Setting("process", "policy", model.policy))
        if model.priority:
            out.append(Setting("process", "priority", model.priority))
        if "nice" in model.model_fields_set:
            out.append(Setting("process", "nice", model.nice))
        return out
