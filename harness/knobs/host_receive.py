"""How much the receive path does at a time, and the table of RFS: host-wide, whatever namespace the socket is in."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from pydantic import Field

from harness.knobs.base import U31, Knob, KnobEffect, Seen, Setting
from harness.knobs.rfs import Entries
from harness.units import Count

_AT_LEAST_1 = Annotated[Count, Field(ge=1, le=2**31 - 1)]


class HostReceive(Knob):
    """Four sysctls of net.core. Source: Documentation/admin-guide/sysctl/net.rst, networking/scaling.rst.

    Taken under the host lock, journalled, restored; every other program of the host sees them meanwhile.
    """

    name = "host_receive"
    scope = "host"
    phase = "host"
    target = "sysctl"

    netdev_budget: _AT_LEAST_1 | None = Field(
        None, description="packets that one round of receive softirqs takes from all NAPIs together"
    )
    netdev_budget_usecs: U31 | None = Field(None, description="us that such a round lasts at most")
    dev_weight: _AT_LEAST_1 | None = Field(
        None,
        description="packets that a CPU takes at a time from its backlog, where those of a device without a NAPI are, "
        "and that a queueing discipline sends at a time",
    )
    rps_sock_flow_entries: Entries | None = Field(
        None, description="flows that RFS knows the CPU of: 0, or a power of two"
    )

    def settings(self) -> list[Setting]:
        """A sysctl for each field that was declared."""
        return [replace(setting, name=f"net.core.{setting.name}") for setting in super().settings()]

    def effect(self, seen: Seen) -> KnobEffect:
        """Unknown: that a budget was used up, other settings and other programs' packets have in it, too."""
        text = f"{seen.squeezes} rounds of receive softirqs used up their budget (softnet_stat time_squeeze)"
        return KnobEffect(None, f"{text}, on the whole host, whoever's packets they were")
