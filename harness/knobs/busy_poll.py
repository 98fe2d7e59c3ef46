"""SO_BUSY_POLL, SO_PREFER_BUSY_POLL and SO_BUSY_POLL_BUDGET on the workload's sockets."""

from __future__ import annotations

from pydantic import Field

from harness.knobs.base import U16, U31, Knob, KnobEffect, Seen, Setting
from harness.knobs.polling import polled_effect
from harness.units import OnOff


class BusyPoll(Knob):
    """Busy polling of the node's own sockets. Source: socket(7), Documentation/networking/napi.rst.

    Per-socket busy polling: the only kind that is per namespace for blocking receives.
    """

    name = "busy_poll"
    scope = "socket"
    phase = "sockets"

    usecs: U31 = Field(50, description="SO_BUSY_POLL: how long a blocking receive polls, in us")
    prefer: OnOff = Field(False, description="SO_PREFER_BUSY_POLL: leave interrupts off while polling goes on")
    budget: U16 | None = Field(None, description="SO_BUSY_POLL_BUDGET: packets per poll, 0-65535")

    def needs_napi(self) -> bool:
        """Polling polls a NAPI; without one the option is silently inert."""
        return bool(self.usecs > 0)

    def capabilities(self) -> tuple[str, ...]:
        """The socket options; prefer and budget came together, in 5.11."""
        return ("busy-poll", "prefer-busy-poll") if self.prefer or self.budget is not None else ("busy-poll",)

    def settings(self) -> list[Setting]:
        """The three socket options; the budget can be written but not read."""
        out = [Setting("socket", "SO_BUSY_POLL", self.usecs)]
        if self.prefer:
            out.append(Setting("socket", "SO_PREFER_BUSY_POLL", 1))
        if self.budget is not None:
            out.append(Setting("socket", "SO_BUSY_POLL_BUDGET", self.budget, readable=False))
        return out

    def effect(self, seen: Seen) -> KnobEffect:
        """Polled packets, or it did nothing."""
        if not self.usecs:
            return KnobEffect(None, "busy polling is off")
        # poll and select ask both: net.core.busy_poll, and each socket.
        sysctl = seen.beside.get("host_busy_poll")
        asked_too = ("poll", "select") if seen.polled or (sysctl is not None and sysctl.needs_napi()) else ()
        return polled_effect(seen, self.name, "SO_BUSY_POLL alone", ("blocking", "spin", "uring", *asked_too))
