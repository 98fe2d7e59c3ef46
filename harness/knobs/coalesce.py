"""Software interrupt coalescing: napi_defer_hard_irqs, gro_flush_timeout, irq-suspend-timeout."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from harness.knobs.base import Knob, KnobEffect, Seen, Setting, napi_effect
from harness.units import Count, DurationNs


class Coalesce(Knob):
    """Deferral of the NAPI's interrupts. Source: Documentation/networking/napi.rst, netlink/specs/netdev.yaml.

    On veth this is the real receive coalescing; it works only when both the count and the timeout are set.
    """

    name = "coalesce"
    scope = "device"
    phase = "timers"

    napi_defer_hard_irqs: Count | None = Field(
        None, ge=0, le=2**31 - 1, description="empty polls before interrupts come back on"
    )
    gro_flush_timeout_ns: DurationNs | None = Field(
        None, alias="gro_flush_timeout", description="timer of deferred polls and of GRO's flush"
    )
    irq_suspend_timeout_ns: DurationNs | None = Field(
        None,
        alias="irq_suspend_timeout",
        description="longest time interrupts stay suspended by epoll busy polling",
    )
    per: Literal["device", "napi"] = Field(
        "device", description="write by sysfs per device, or by netlink per NAPI"
    )

    def needs_napi(self) -> bool:
        """Without a NAPI sysfs stores the values and nothing reads them."""
        return bool(self.napi_defer_hard_irqs or self.gro_flush_timeout_ns or self.irq_suspend_timeout_ns)

    def capabilities(self) -> tuple[str, ...]:
        """By device, by NAPI, and irq-suspend-timeout, which came last."""
        keys = ("napi-settings",) if self.per == "napi" else ("device-coalesce",)
        return (*keys, "irq-suspend") if self.irq_suspend_timeout_ns is not None else keys

    def settings(self) -> list[Setting]:
        """Two by sysfs or netlink as asked; irq-suspend-timeout exists in netlink only."""
        by_napi = self.per == "napi"
        pairs = (
            ("napi_defer_hard_irqs", "defer_hard_irqs", self.napi_defer_hard_irqs),
            ("gro_flush_timeout", "gro_flush_timeout", self.gro_flush_timeout_ns),
        )
        out = [
            Setting("napi" if by_napi else "sysfs", attribute if by_napi else path, value)
            for path, attribute, value in pairs
            if value is not None
        ]
        if self.irq_suspend_timeout_ns is not None:
            out.append(Setting("napi", "irq_suspend_timeout", self.irq_suspend_timeout_ns))
        return out

    def effect(self, seen: Seen) -> KnobEffect:
        """Both halves set, on the NAPI that carried the traffic."""
        defer, timeout = self.napi_defer_hard_irqs or 0, self.gro_flush_timeout_ns or 0
        suspend = self.irq_suspend_timeout_ns or 0
        if not (defer or timeout or suspend):
            return KnobEffect(None, "deferral is off")
        if bool(defer) != bool(timeout) and not suspend:
            missing = "gro_flush_timeout" if defer else "napi_defer_hard_irqs"
            return KnobEffect(False, f"{missing} is 0: the kernel defers only when both are set")
        effective = {"defer_hard_irqs": defer, "gro_flush_timeout": timeout, "irq_suspend_timeout": suspend}
        declared = {
            "defer_hard_irqs": self.napi_defer_hard_irqs,
            "gro_flush_timeout": self.gro_flush_timeout_ns,
            "irq_suspend_timeout": self.irq_suspend_timeout_ns,
        }
        expected = {key: effective[key] for key, value in declared.items() if value is not None}
        return napi_effect(seen, expected, f"the NAPI that carried the traffic has {expected}")
