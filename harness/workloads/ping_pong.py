"""ping-pong: one request outstanding, request and reply of the same size, round-trip time of every request kept."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from harness.units import DurationNs, SizeBytes
from harness.workloads.base import HOUR_NS, TIMED_MIN_BYTES, Fact, Scene, Wait
from harness.workloads.own_sockets import FRAME_MAX_BYTES, OwnSockets


class PingPong(OwnSockets):
    """A closed loop of depth one. Round-trip times, never half of them."""

    kind: Literal["ping-pong"] = Field(description="one request outstanding at a time (closed loop)")
    protocol: Literal["udp", "tcp"] = Field("udp", description="TCP sockets have TCP_NODELAY")
    wait: Wait = Field("blocking", description="how both ends wait for a message")
    client_wait: Wait | None = Field(None, description="the client's way to wait, if not `wait`")
    server_wait: Wait | None = Field(None, description="the server's way to wait, if not `wait`")
    size_bytes: SizeBytes = Field(64, ge=16, le=65000, alias="size", description="payload of request and reply")
    timeout_ns: DurationNs = Field(
        1_000_000_000, ge=1000, le=HOUR_NS, alias="timeout", description="a UDP request is lost after this"
    )

    rank: ClassVar[int] = 10

    @model_validator(mode="after")
    def _fits_a_frame(self) -> PingPong:
        if self.xdp_roles() and self.size_bytes > FRAME_MAX_BYTES:
            raise ValueError(f"size is over the {FRAME_MAX_BYTES} bytes that one frame of an af_xdp socket holds")
        return self

    def server(self, scene: Scene) -> list[str]:
        """Our own generator's server."""
        argv = ["server", "--protocol", self.protocol, "--wait", self.wait_of("server")]
        argv += ["--size", str(self.size_bytes), "--listen", scene.address, "--port", "0"]
        return [*argv, *self._timed(scene), *self.xdp_options("server"), *scene.socket_options]

    def client(self, scene: Scene) -> list[str]:
        """Our own generator's client."""
        argv = ["client", "--protocol", self.protocol, "--wait", self.wait_of("client")]
        argv += ["--size", str(self.size_bytes), "--connect", scene.address, "--port", str(scene.port)]
        argv += ["--warmup-ns", str(self.warmup_ns), "--timeout-ns", str(self.timeout_ns)]
        argv += ["--duration-ns", str(scene.lasting_ns or self.duration_ns), "--samples", scene.log]
        return [*argv, *self._timed(scene), *self.xdp_options("client"), *scene.socket_options]

    def can_be_timed(self) -> bool:
        """Unless the messages are too small for it."""
        return self.size_bytes >= TIMED_MIN_BYTES

    def _timed(self, scene: Scene) -> list[str]:
        return ["--times"] if scene.timed and self.can_be_timed() else []

    def allowance_ns(self) -> int:
        """A request that is lost at the very end holds the client up for its time-out."""
        return super().allowance_ns() + 2 * self.timeout_ns

    def described(self) -> dict[str, Fact]:
        """The facts of every workload, and size and time-out."""
        return super().described() | {
            "size_bytes": self.size_bytes,
            "connections": 1,
            "threads": 1,
            "depth": 1,
            "timeout_s": self.timeout_ns / 1e9,
        }
