"""net.core.busy_read and net.core.busy_poll: host-wide, whatever namespace the socket is in."""

from __future__ import annotations

from dataclasses import replace

from pydantic import Field

from harness.knobs.base import U31, Knob, KnobEffect, Seen, Setting, polled_effect


class HostBusyPoll(Knob):
    """The two sysctls. Source: Documentation/admin-guide/sysctl/net.rst; in net_core_table, so not per namespace.

    Taken under the host lock, journalled, restored; every other socket of the host sees it meanwhile.
    """

    name = "host_busy_poll"
    scope = "host"
    phase = "host"
    target = "sysctl"
    needs = ("busy-poll",)

    busy_read: U31 | None = Field(
        None, description="net.core.busy_read, us: default SO_BUSY_POLL of sockets created from now on"
    )
    busy_poll: U31 | None = Field(None, description="net.core.busy_poll, us: how long poll, select and epoll_wait poll")

    def needs_napi(self) -> bool:
        """Yes, unless both are 0: what is polled is a NAPI."""
        return bool(self.busy_read or self.busy_poll)

    def settings(self) -> list[Setting]:
        """A sysctl for each field that was declared."""
        return [replace(setting, name=f"net.core.{setting.name}") for setting in super().settings()]

    def effect(self, seen: Seen) -> KnobEffect:
        """Polled packets summed over all nodes."""
        if not self.needs_napi():
            return KnobEffect(None, "busy polling is off")
        return polled_effect(seen, "this sysctl", ("blocking", "spin", "poll", "select", "epoll", "uring"))
