"""iperf3: bulk transfer by the stock program; its figures come from its JSON output."""

from __future__ import annotations

import json
import math
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from harness.units import Count, OnOff, RateBps, SizeBytes
from harness.workloads.base import Reading, Said, Scene, Workload


class Iperf3(Workload):
    """Throughput, not latency: no rtt_* columns. TCP's own smoothed round-trip time is no request's, and left out."""

    kind: Literal["iperf3"] = Field(description="iperf3's client and server")
    protocol: Literal["udp", "tcp"] = Field("tcp", description="--udp")
    rate_bps: RateBps | None = Field(
        None,
        alias="rate",
        description="--bitrate, all streams together; unlimited for TCP, 1mbit for UDP if absent",
    )
    streams: Count = Field(1, ge=1, le=128, description="--parallel")
    length_bytes: SizeBytes | None = Field(
        None, ge=16, le=1 << 20, alias="length", description="--length of a write"
    )
    reverse: OnOff = Field(False, description="--reverse: the server sends")
    port: Count = Field(5201, ge=1, le=65535, description="port of the server")

    native: ClassVar[frozenset[str]] = frozenset()
    packages: ClassVar[dict[str, str]] = {"client": "iperf3", "server": "iperf3"}
    stop_signal: ClassVar[str] = "SIGINT"
    has_requests: ClassVar[bool] = False

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
        argv += (
            ["--omit", str(math.ceil(self.warmup_ns / 1e9))]
            if self.warmup_ns and not scene.lasting_ns
            else []
        )
        argv += ["--udp"] if self.protocol == "udp" else []
        if self.rate_bps is not None:
            argv += ["--bitrate", str(max(1, self.rate_bps // self.streams))]
        argv += ["--length", str(self.length_bytes)] if self.length_bytes else []
        return argv + (["--reverse"] if self.reverse else [])

    def takes_ns(self) -> int:
        """Its times are in whole seconds."""
        return (math.ceil(self.duration_ns / 1e9) + math.ceil(self.warmup_ns / 1e9)) * 10**9

    def readiness_protocol(self) -> str:
        """The control connection is TCP, whatever the data go by."""
        return "tcp"

    def read(self, said: Said) -> Reading:
        """What the receiver got where it says so; for a client stopped half-way, the mean over its intervals."""
        try:
            document = json.loads(said.client)
        except ValueError:
            raise ValueError("its output is not JSON") from None
        end = document.get("end") or {}
        intervals = [
            each.get("sum", {})
            for each in document.get("intervals", [])
            if not each.get("sum", {}).get("omitted")
        ]
        got = end.get("sum_received") or end.get("sum") or {}
        bits = float(got.get("bits_per_second") or 0)
        seconds = float(got.get("seconds") or 0)
        if not bits and intervals:
            seconds = sum(float(each.get("seconds", 0)) for each in intervals)
            bits = 8 * sum(float(each.get("bytes", 0)) for each in intervals) / seconds if seconds else 0.0
        if not bits:
            raise ValueError(str(document.get("error") or "it moved no data"))
        metrics = {"throughput_bps": bits, "lost_percent": (end.get("sum") or {}).get("lost_percent")}
        return Reading({"elapsed_ns": round(seconds * 1e9)}, metrics)

    def described(self) -> dict[str, Any]:
        """With the streams."""
        loop = "open" if self.rate_bps else "closed"
        return super().described() | {"loop": loop, "connections": self.streams, "threads": 1}

    def loop(self) -> str:
        """A declared bit rate is kept whatever the receiver does; without one, TCP's window closes the loop."""
        return "open" if self.rate_bps is not None else "closed"
