"""iperf3: bulk transfer by the stock program; its figures come from its JSON output."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from harness.formats import read_output
from harness.formats.iperf3 import Iperf3Json
from harness.units import Count, OnOff, RateBps, SizeBytes
from harness.workloads.base import Fact, ProgramOutput, Reading, Scene, Workload


class Iperf3(Workload):
    """Throughput, not latency: no rtt_* columns. TCP's own smoothed round-trip time is no request's: tcp_rtt_*."""

    kind: Literal["iperf3"] = Field(description="iperf3's client and server")
    protocol: Literal["udp", "tcp"] = Field("tcp", description="--udp")
    rate_bps: RateBps | None = Field(
        None, alias="rate", description="--bitrate, all streams together; unlimited for TCP, 1mbit for UDP if absent"
    )
    streams: Count = Field(1, ge=1, le=128, description="--parallel")
    length_bytes: SizeBytes | None = Field(None, ge=16, le=1 << 20, alias="length", description="--length of a write")
    reverse: OnOff = Field(False, description="--reverse: the server sends")
    port: Count = Field(5201, ge=1, le=65535, description="port of the server")

    native: ClassVar[frozenset[str]] = frozenset()
    rank: ClassVar[int] = 40
    packages: ClassVar[dict[str, str]] = {"client": "iperf3", "server": "iperf3"}
    stop_signal: ClassVar[str] = "SIGINT"
    has_requests: ClassVar[bool] = False
    control: ClassVar[Literal["tcp", ""]] = "tcp"

    @model_validator(mode="after")
    def _udp_fits(self) -> Iperf3:
        if self.protocol == "udp" and (self.length_bytes or 0) > 65507:
            raise ValueError("length is over the 65507 bytes of a datagram; at most 65507")
        return self

    def server(self, scene: Scene) -> list[str]:
        """One test, then it would serve the next; it is stopped when the run ends."""
        return ["iperf3", "--server", "--bind", scene.address, "--port", str(self.port), "--forceflush"]

    def client(self, scene: Scene) -> list[str]:
        """JSON; its --omit is our warm-up, in whole seconds as it takes them."""
        lasting = scene.lasting_ns or self.duration_ns
        argv = ["iperf3", "--client", scene.address, "--port", str(self.port), "--json"]
        argv += ["--time", str(math.ceil(lasting / 1e9)), "--parallel", str(self.streams)]
        argv += ["--omit", str(math.ceil(self.warmup_ns / 1e9))] if self.warmup_ns and not scene.lasting_ns else []
        argv += ["--udp"] if self.protocol == "udp" else []
        if self.rate_bps is not None:
            argv += ["--bitrate", str(max(1, self.rate_bps // self.streams))]
        argv += ["--length", str(self.length_bytes)] if self.length_bytes else []
        return argv + (["--reverse"] if self.reverse else [])

    def takes_ns(self) -> int:
        """Its times are in whole seconds."""
        return (math.ceil(self.duration_ns / 1e9) + math.ceil(self.warmup_ns / 1e9)) * 10**9

    def read(self, output: ProgramOutput) -> Reading:
        """What the receiver got where it says so; for a client stopped half-way, the mean over its intervals."""
        result, findings = read_output(Iperf3Json(), output.client)
        if not result.metrics.get("throughput_bps"):
            raise ValueError("; ".join([*result.reasons, *findings]) or "it moved no data")
        return Reading.of_result(result)

    def described(self) -> dict[str, Fact]:
        """The facts of every workload, and how many streams there are."""
        loop = "open" if self.rate_bps else "closed"
        return super().described() | {"loop": loop, "connections": self.streams, "threads": 1}

    def loop(self) -> str:
        """A declared bit rate is kept whatever the receiver does; without one, TCP's window closes the loop."""
        return "open" if self.rate_bps is not None else "closed"
