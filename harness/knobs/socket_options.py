"""SO_INCOMING_CPU, SO_RCVLOWAT, SO_MAX_PACING_RATE, TCP_NODELAY and TCP_QUICKACK on the workload's sockets."""

from __future__ import annotations

from pydantic import Field, field_validator

from harness.knobs.base import Knob, KnobEffect, Seen, Setting
from harness.units import CPU_MAX, Count, OnOff, RateBps

_BITS, _MOST_BPS = 8, 8 * (2**31 - 1)


class SocketTuning(Knob):
    """Options of the node's sockets other than those of busy polling. Source: socket(7), tcp(7).

    Written to every socket of the node's programs, those of TCP to TCP sockets alone, and read back as they are
    written. The kernel changes two of them later: SO_INCOMING_CPU is where the last packet came in, and TCP_QUICKACK
    lasts until the connection is taken for one that answers.
    """

    name = "socket_options"
    scope = "socket"
    phase = "sockets"

    incoming_cpu: Count | None = Field(
        None,
        ge=0,
        le=CPU_MAX,
        description="SO_INCOMING_CPU: of sockets that share a port (SO_REUSEPORT), this one gets what comes in on "
        "that CPU",
    )
    rcvlowat: Count | None = Field(
        None, ge=1, le=2**31 - 1, description="SO_RCVLOWAT, bytes: TCP: nobody is woken for less"
    )
    max_pacing_bps: RateBps | None = Field(
        None,
        alias="max_pacing",
        description="SO_MAX_PACING_RATE: TCP sends no faster than this; UDP only under the queueing discipline fq",
    )
    nodelay: OnOff | None = Field(
        None, description="TCP_NODELAY: send small segments at once; our own generator's sockets have it on if absent"
    )
    quickack: OnOff | None = Field(None, description="TCP_QUICKACK: acknowledge at once, for a while")

    @field_validator("max_pacing_bps")
    @classmethod
    def _is_a_number_of_bytes(cls, rate_bps: int | None) -> int | None:
        if rate_bps is not None and not _BITS <= rate_bps <= _MOST_BPS:
            raise ValueError("the kernel takes 1 to 2147483647 bytes a second; expected 8bit to 17179869176bit")
        return rate_bps

    def settings(self) -> list[Setting]:
        """One option for each field that is given."""
        options = (
            ("SO_INCOMING_CPU", self.incoming_cpu, False),
            ("SO_RCVLOWAT", self.rcvlowat, True),
            ("SO_MAX_PACING_RATE", self.max_pacing_bps and self.max_pacing_bps // _BITS, True),
            ("TCP_NODELAY", None if self.nodelay is None else int(self.nodelay), True),
            ("TCP_QUICKACK", None if self.quickack is None else int(self.quickack), False),
        )
        return [Setting("socket", name, value, lasts) for name, value, lasts in options if value is not None]

    def named_cpus(self) -> dict[str, tuple[int, ...]]:
        """The one that the sockets are to get: the kernel takes any number, and then no packet."""
        return {} if self.incoming_cpu is None else {"incoming_cpu": (self.incoming_cpu,)}

    def effect(self, seen: Seen) -> KnobEffect:
        """Nothing where all that is set is of TCP and there is none; else no counter tells."""
        others = [setting for setting in self.settings() if not setting.name.startswith(("TCP_", "SO_RCVLOWAT"))]
        without_tcp = bool(seen.protocol) and "tcp" not in seen.protocol
        if without_tcp and not others:
            return KnobEffect(False, f"all of it is of TCP sockets, and the workload is {seen.protocol}")
        some = without_tcp and len(others) < len(self.settings())
        but = f" but for what is of TCP sockets, as the workload is {seen.protocol}" if some else ""
        return KnobEffect(None, f"read back as it was set{but}; no counter shows what it changed")
