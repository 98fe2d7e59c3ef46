"""SO_BUSY_POLL, SO_PREFER_BUSY_POLL and SO_BUSY_POLL_BUDGET on the workload's sockets."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from harness.knobs.base import Effect, Knob, KnobModel, Seen, Setting, polled_effect
from harness.units import Count, OnOff


class BusyPollSettings(KnobModel):
    """Busy polling of the node's own sockets. Source: socket(7), Documentation/networking/napi.rst."""

    usecs: Count = Field(
        50, ge=0, le=2**31 - 1, description="SO_BUSY_POLL: how long a blocking receive polls, in us"
    )
    prefer: OnOff = Field(
        False, description="SO_PREFER_BUSY_POLL: leave interrupts off while polling goes on"
    )
    budget: Count | None = Field(
        None, ge=0, le=65535, description="SO_BUSY_POLL_BUDGET: packets per poll, 0-65535"
    )


class BusyPoll(Knob):
    """Per-socket busy polling: the only kind that is per namespace for blocking receives."""

    name = "busy_poll"
    scope = "socket"
    Model = BusyPollSettings

    @classmethod
    def needs_napi(cls, model: Any) -> bool:
        """Polling polls a NAPI; without one the option is silently inert."""
        return bool(model.usecs > 0)

    @classmethod
    def capabilities(cls, model: Any) -> tuple[str, ...]:
        """The socket options; prefer and budget came together, in 5.11."""
        return (
            ("busy-poll", "prefer-busy-poll") if model.prefer or model.budget is not None else ("busy-poll",)
        )

    @classmethod
    def settings(cls, model: Any) -> list[Setting]:
        """The three socket options; the budget can be written but not read."""
        out = [Setting("socket", "SO_BUSY_POLL", model.usecs)]
        if model.prefer:
            out.append(Setting("socket", "SO_PREFER_BUSY_POLL", 1))
        if model.budget is not None:
            out.append(Setting("socket", "SO_BUSY_POLL_BUDGET", model.budget, readable=False))
        return out

    @classmethod
    def effect(cls, model: Any, seen: Seen) -> Effect:
        """Polled packets, or it did nothing."""
        if not model.usecs:
            return Effect(None, "busy polling is off")
        return polled_effect(seen, "SO_BUSY_POLL alone", ("blocking", "spin", "uring"))
