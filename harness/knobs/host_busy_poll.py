"""net.core.busy_read and net.core.busy_poll: host-wide, whatever namespace the socket is in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pydantic import Field

from harness.knobs.base import U31, Knob, KnobEffect, Seen, Setting
from harness.knobs.polling import polled_effect

_WAITS = ("blocking", "spin", "poll", "select", "epoll", "uring")


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
        """Polled packets summed over all nodes, if there is one that polls because of it."""
        if not self.needs_napi():
            return KnobEffect(None, "busy polling is off")
        if seen.on_nodes and seen.polled and not any(self._reaches(wait, knobs) for wait, knobs in seen.on_nodes):
            text = f"{seen.polled} of {seen.received} packets busy-polled, none by this: every node waits in a way that"
            return KnobEffect(False, f"{text} the sysctl does not reach, or polls by a setting of its own")
        return polled_effect(seen, self.name, "this sysctl", _WAITS)

    def _reaches(self, wait: str, knobs: Mapping[str, Knob]) -> bool:
        """Whether a node that waits so, under these knobs of its own, polls because of one of the two.

        A socket's own SO_BUSY_POLL takes the place of busy_read, an epoll instance's own parameters that of busy_poll;
        poll and select ask both, busy_poll and the socket.
        """
        read, poll = bool(self.busy_read), bool(self.busy_poll)
        reached = {
            "epoll": poll and "epoll_busy_poll" not in knobs,
            "poll": poll and (read or "busy_poll" in knobs),
            "blocking": read and "busy_poll" not in knobs,
        }
        kind = {"select": "poll", "spin": "blocking", "uring": "blocking"}.get(wait, wait)
        return reached.get(kind, True)
