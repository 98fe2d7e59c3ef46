"""EPIOCSPARAMS: busy polling of an epoll instance (Linux 6.9)."""

from __future__ import annotations

from pydantic import Field

from harness.knobs.base import U16, U31, Knob, KnobEffect, Seen, Setting
from harness.knobs.polling import polled_effect
from harness.units import OnOff


class EpollBusyPoll(Knob):
    """The three parameters of an epoll instance. Source: Documentation/networking/napi.rst, ioctl_eventpoll(2).

    Busy polling for workloads that wait by epoll; SO_BUSY_POLL does not reach those.
    """

    name = "epoll_busy_poll"
    scope = "socket"
    phase = "sockets"
    needs = ("epoll-busy-poll",)

    usecs: U31 = Field(50, description="busy_poll_usecs: how long epoll_wait polls, in us")
    budget: U16 = Field(0, description="busy_poll_budget: packets per poll; 0 = the kernel's default, 8")
    prefer: OnOff = Field(False, description="prefer_busy_poll: leave interrupts off while polling goes on")

    def needs_napi(self) -> bool:
        """Polling polls a NAPI; prefer with usecs 0 counts too, since IRQ suspension uses it."""
        return bool(self.usecs > 0 or self.prefer)

    def settings(self) -> list[Setting]:
        """One ioctl that sets all three at once: [usecs, budget, prefer]."""
        return [Setting("socket", "EPIOCSPARAMS", [self.usecs, self.budget, int(self.prefer)])]

    def effect(self, seen: Seen) -> KnobEffect:
        """Polled packets, or it did nothing; a workload that does not use epoll never has the ioctl applied."""
        if not self.usecs and not self.prefer:
            return KnobEffect(None, "busy polling is off")
        if seen.wait != "epoll":
            return KnobEffect(False, f"the workload waits by `{seen.wait}`, it has no epoll instance to set this on")
        return polled_effect(seen, self.name, "EPIOCSPARAMS", ("epoll",))
