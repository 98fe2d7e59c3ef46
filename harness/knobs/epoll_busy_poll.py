"""EPIOCSPARAMS: busy polling of an epoll instance (Linux 6.9)."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from harness.knobs.base import Effect, Knob, KnobModel, Seen, Setting, polled_effect
from harness.units import Count, OnOff


class EpollBusyPollSettings(KnobModel):
    """The three parameters of an epoll instance. Source: Documentation/networking/napi.rst, ioctl_eventpoll(2)."""

    usecs: Count = Field(
        50, ge=0, le=2**31 - 1, description="busy_poll_usecs: how long epoll_wait polls, in us"
    )
    budget: Count = Field(
        0, ge=0, le=65535, description="busy_poll_budget: packets per poll; 0 = the kernel's default, 8"
    )
    prefer: OnOff = Field(False, description="prefer_busy_poll: leave interrupts off while polling goes on")


class EpollBusyPoll(Knob):
    """Busy polling for workloads that wait by epoll; SO_BUSY_POLL does not reach those."""

    name = "epoll_busy_poll"
    scope = "socket"
    Model = EpollBusyPollSettings

    @classmethod
    def needs_napi(cls, model: Any) -> bool:
        """Polling polls a NAPI; prefer with usecs 0 counts too, since IRQ suspension uses it."""
        return bool(model.usecs > 0 or model.prefer)

    @classmethod
    def capabilities(cls, model: Any) -> tuple[str, ...]:
        """The ioctl of epoll instances."""
        return ("epoll-busy-poll",)

    @classmethod
    def settings(cls, model: Any) -> list[Setting]:
        """One ioctl with three values."""
        return [Setting("socket", "EPIOCSPARAMS", [model.usecs, model.budget, int(model.prefer)])]

    @classmethod
    def effect(cls, model: Any, seen: Seen) -> Effect:
        """Polled packets, or it did nothing; a workload that does not use epoll never has the ioctl applied."""
        if not model.usecs and not model.prefer:
            return Effect(None, "busy polling is off")
        if seen.wait != "epoll":
            return Effect(
                False, f"the workload waits by `{seen.wait}`, it has no epoll instance to set this on"
            )
        return polled_effect(seen, "EPIOCSPARAMS", ("epoll",))
