"""Software interrupt coalescing: napi_defer_hard_irqs, gro_flush_timeout, irq-suspend-timeout."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from harness.knobs.base import U31, Knob, KnobEffect, Seen, Setting, napi_effect, napi_words
from harness.knobs.polling import masked
from harness.units import CpuSet, DurationNs


class Coalesce(Knob):
    """Deferral of the NAPI's interrupts. Source: Documentation/networking/napi.rst, netlink/specs/netdev.yaml.

    On veth this is the real receive coalescing; it works only when both the count and the timeout are set.
    """

    name = "coalesce"
    scope = "device"
    phase = "timers"

    napi_defer_hard_irqs: U31 | None = Field(None, description="empty polls before interrupts come back on")
    gro_flush_timeout_ns: DurationNs | None = Field(
        None, alias="gro_flush_timeout", description="timer of deferred polls and of GRO's flush"
    )
    irq_suspend_timeout_ns: DurationNs | None = Field(
        None, alias="irq_suspend_timeout", description="longest time interrupts stay suspended by epoll busy polling"
    )
    per: Literal["device", "napi"] = Field("device", description="write by sysfs per device, or by netlink per NAPI")
    queues: CpuSet | None = Field(None, description="with per: napi, receive queues whose NAPIs get it; default: all")

    @model_validator(mode="after")
    def _queues_are_of_napis(self) -> Coalesce:
        if self.queues is not None and self.per != "napi":
            raise ValueError("queues are told apart by netlink alone; add per: napi")
        return self

    def needs_napi(self) -> bool:
        """Without a NAPI sysfs stores the values and nothing reads them."""
        return bool(self.napi_defer_hard_irqs or self.gro_flush_timeout_ns or self.irq_suspend_timeout_ns)

    def capabilities(self) -> tuple[str, ...]:
        """By device, by NAPI, and irq-suspend-timeout, which came last."""
        keys = ("napi-settings",) if self.per == "napi" else ("device-coalesce",)
        return (*keys, "irq-suspend") if self.irq_suspend_timeout_ns is not None else keys

    def _declared(self) -> dict[str, int]:
        """What was declared, by netlink's names."""
        values = {
            "defer_hard_irqs": self.napi_defer_hard_irqs,
            "gro_flush_timeout": self.gro_flush_timeout_ns,
            "irq_suspend_timeout": self.irq_suspend_timeout_ns,
        }
        return {name: value for name, value in values.items() if value is not None}

    def settings(self) -> list[Setting]:
        """Two by sysfs or netlink as asked; irq-suspend-timeout exists in netlink only."""
        by_sysfs = {"defer_hard_irqs": "napi_defer_hard_irqs", "gro_flush_timeout": "gro_flush_timeout"}
        return [
            Setting("sysfs", by_sysfs[name], value)
            if self.per == "device" and name in by_sysfs
            else Setting("napi", name, value, queues=self.queues)
            for name, value in self._declared().items()
        ]

    def effect(self, seen: Seen) -> KnobEffect:
        """Both halves set, on the NAPI by which packets came that nobody busy-polled.

        There the kernel arms the deferral's timer after every poll that handled packets.
        """
        if not self.needs_napi():
            return KnobEffect(None, "deferral is off")
        if half := self._half(seen):
            return KnobEffect(False, half)
        expected = self._declared()
        effect = napi_effect(seen, expected, f"the NAPI that carried the traffic has {napi_words(expected)}")
        if not effect.took:
            return effect
        if not (self.napi_defer_hard_irqs or self.gro_flush_timeout_ns):
            if reason := _unsuspended(seen):
                return KnobEffect(False, reason)
            return KnobEffect(None, f"{effect.evidence}; no counter shows a suspension")
        mask = masked(seen)
        if mask and _prefers(seen, "busy_poll", "epoll_busy_poll"):
            return KnobEffect(None, f"{effect.evidence}; between busy polls that prefer, no counter shows a deferral")
        return KnobEffect(False, mask) if mask else effect

    def without_work(self, seen: Seen) -> dict[str, str]:
        """A suspension that no epoll asks for, beside a deferral that does act."""
        reason = _unsuspended(seen) if self.irq_suspend_timeout_ns else ""
        return {"irq_suspend_timeout": reason} if reason else {}

    def _half(self, seen: Seen) -> str:
        """Why half a deferral defers nothing, where the device does not have the other half already."""
        defer, timeout = self.napi_defer_hard_irqs, self.gro_flush_timeout_ns
        if bool(defer) == bool(timeout):
            return ""
        attribute, declared = ("gro_flush_timeout", timeout) if defer else ("defer_hard_irqs", defer)
        if declared is None and any(napi.get(attribute) for napi in seen.napis):
            return ""
        missing = "gro_flush_timeout" if defer else "napi_defer_hard_irqs"
        known = declared is not None or any(napi.get(attribute) is not None for napi in seen.napis)
        state = "is 0" if known else "was not set, and by itself is 0"
        return f"{missing} {state}: the kernel defers only when both are set"


def _prefers(seen: Seen, *knobs: str) -> bool:
    """Does any of these knobs have the node's sockets or epoll instances prefer busy polling?"""
    return any(getattr(seen.beside.get(name), "prefer", False) for name in knobs)


def _unsuspended(seen: Seen) -> str:
    """Why nothing suspends interrupts: only an epoll instance that busy-polls and prefers it does; "" if one may."""
    if seen.wait and seen.wait != "epoll":
        return f"interrupts are suspended only by an epoll instance, and the workload waits by `{seen.wait}`"
    if _prefers(seen, "epoll_busy_poll"):
        return ""
    epolls = seen.feeding.epolls
    known = bool(epolls) and all(epoll.prefer is not None for epoll in epolls)
    if any(epoll.prefer for epoll in epolls) or not (seen.ours or known):
        return ""
    return "interrupts are suspended only by an epoll instance with epoll_busy_poll prefer: on, and there is none"
