"""Isolation by control group: a cpuset partition, a CPU weight, a CPU quota for the node's workload processes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from harness.knobs.base import Knob, KnobEffect, Seen, Setting
from harness.units import Count, CpuSet, DurationNs, format_cpus


class Cgroup(Knob):
    """One group per node, marked with our name, that its programs are moved to as they start.

    Source: Documentation/admin-guide/cgroup-v2.rst, "CPU" and "Cpuset". Needs the controllers in version 2.
    """

    name = "cgroup"
    scope = "process"
    phase = "groups"

    cpus: CpuSet | None = Field(None, description="cpuset.cpus of the group")
    partition: Literal["member", "root", "isolated"] | None = Field(
        None, description="cpuset.cpus.partition: root and isolated take the CPUs from everybody else"
    )
    weight: Count | None = Field(None, ge=1, le=10_000, description="cpu.weight; the others' default is 100")
    quota_ns: DurationNs | None = Field(
        None, ge=1_000_000, alias="quota", description="cpu.max: CPU time of all processes together per period"
    )
    period_ns: DurationNs = Field(
        100_000_000, ge=1_000_000, le=1_000_000_000, alias="period", description="cpu.max: its period"
    )

    @model_validator(mode="after")
    def _partition_has_cpus(self) -> Cgroup:
        if self.partition in ("root", "isolated") and self.cpus is None:
            raise ValueError("a partition needs CPUs of its own; add cpus")
        if self.cpus is None and self.partition is None and self.weight is None and self.quota_ns is None:
            raise ValueError("nothing is set; expected cpus, partition, weight or quota")
        return self

    def controllers(self) -> tuple[str, ...]:
        """The controllers that the settings need, by which the files' names begin."""
        return tuple(dict.fromkeys(setting.name.partition(".")[0] for setting in self.settings()))

    def capabilities(self) -> tuple[str, ...]:
        """The controllers, in version 2."""
        return tuple(f"cgroup-{name}" for name in self.controllers())

    def effect(self, seen: Seen) -> KnobEffect:
        """The kernel's accounts of the group: where its processes may run, when it was throttled, what it used."""
        group = seen.group
        if group is None:
            return KnobEffect(None, "read back as requested; the group was not looked at")
        account = [f"it used {group.usage_us / 1e3:.0f} ms of CPU time"]
        if self.cpus is not None and group.cpus:
            account.append(f"its processes may run on CPU {format_cpus(group.cpus)}")
            if not set(group.cpus) <= set(self.cpus):
                return KnobEffect(False, "; ".join(account))
        if self.quota_ns is not None:
            waited = f", {group.throttled_us / 1e3:.0f} ms in all"
            account.append(
                f"throttled in {group.throttled} of {group.periods} periods{waited if group.throttled else ''}"
            )
            if group.throttled:
                return KnobEffect(True, "; ".join(account))
            account.append("so its quota was never reached")
        return KnobEffect(None, "; ".join(account))

    def settings(self) -> list[Setting]:
        """Files of the group, CPUs before the partition that takes them."""
        quota = f"{self.quota_ns // 1000} {self.period_ns // 1000}" if self.quota_ns is not None else None
        files = {
            "cpuset.cpus": format_cpus(self.cpus) if self.cpus is not None else None,
            "cpuset.cpus.partition": self.partition,
            "cpu.weight": str(self.weight) if self.weight is not None else None,
            "cpu.max": quota,
        }
        return [Setting("cgroup", name, value) for name, value in files.items() if value is not None]
