"""ping-pong: one request outstanding, request and reply of the same size, round-trip time of every request kept."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from harness.units import DurationNs, SizeBytes

Wait = Literal["blocking", "spin", "epoll", "poll"]


class PingPong(BaseModel):
    """A closed loop of depth one. Round-trip times, never half of them."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    kind: Literal["ping-pong"] = Field(
        "ping-pong", description="one request outstanding at a time (closed loop)"
    )
    source: str = Field(alias="from", description="node of the client")
    target: str = Field(alias="to", description="node of the server")
    protocol: Literal["udp", "tcp"] = Field("udp", description="TCP sockets have TCP_NODELAY")
    wait: Wait = Field("blocking", description="how both ends wait for a message")
    client_wait: Wait | None = Field(None, description="the client's way to wait, if not `wait`")
    server_wait: Wait | None = Field(None, description="the server's way to wait, if not `wait`")
    size_bytes: SizeBytes = Field(
        64, ge=16, le=65000, alias="size", description="payload of request and reply"
    )
    warmup_ns: DurationNs = Field(
        200_000_000, ge=0, alias="warmup", description="traffic before measuring, discarded"
    )
    duration_ns: DurationNs = Field(1_000_000_000, gt=0, alias="duration", description="measured time")
    timeout_ns: DurationNs = Field(
        1_000_000_000, gt=0, alias="timeout", description="a UDP request is lost after this"
    )

    def wait_of(self, role: str) -> str:
        """How the `client` or the `server` waits."""
        own = self.client_wait if role == "client" else self.server_wait
        return own or self.wait

    def nodes(self) -> tuple[str, ...]:
        """The nodes on which this workload has a process: the client's, then the server's."""
        return (self.source, self.target)
