"""net.core.busy_read and net.core.busy_poll: host-wide, whatever namespace the socket is in."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from harness.knobs.base import Effect, Knob, KnobModel, Seen, Setting, polled_effect
from harness.units import Count


class HostBusyPollSettings(KnobModel):
    """The two sysctls. Source: Documentation/admin-guide/sysctl/net.rst; in net_core_table, so not per namespace."""

    busy_read: Count | None = Field(
        None,
        ge=0,
        le=2**31 - 1,
        description="net.core.busy_read, us: default SO_BUSY_POLL of sockets created from now on",
    )
    busy_poll: Count | None = Field(
        None,
        ge=0,
        le=2**31 - 1,
        description="net.core.busy_poll, us: how long poll, select and epoll_wait poll",
    )


class HostBusyPoll(Knob):
    """Taken under the host lock, journalled, restored; every other socket of the host sees it meanwhile."""

    name = "host_busy_poll"
    scope = "host"
    Model = HostBusyPollSettings

    @classmethod
    def needs_napi(cls, model: Any) -> bool:
        """Polling polls a NAPI."""
        return bool(model.busy_read or model.busy_poll)

    @classmethod
    def capabilities(cls, model: Any) -> tuple[str, ...]:
        """The sysctls came with the socket option."""
        return ("busy-poll",)

    @classmethod
    def settings(cls, model: Any) -> list[Setting]:
        """One sysctl each."""
        pairs = (("net.core.busy_read", model.busy_read), ("net.core.busy_poll", model.busy_poll))
        return [Setting("sysctl", name, value) for name, value in pairs if value is not None]

    @classmethod
    def effect(cls, model: Any, seen: Seen) -> Effect:
        """Polled packets summed over all nodes."""
        if not cls.needs_napi(model):
            return Effect(None, "busy polling is off")
        return polled_effect(seen, "this sysctl", ("blocking", "spin", "poll", "select", "epoll", "uring"))
