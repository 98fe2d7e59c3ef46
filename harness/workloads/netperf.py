"""netperf: request-response and streams by the stock program, read by its omni output selectors."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from pydantic import Field

from harness.formats import read_output
from harness.formats.netperf import LATENCIES, NetperfOmni
from harness.units import Count, SizeBytes
from harness.workloads.base import Fact, ProgramOutput, Reading, Scene, Workload

_SELECTORS = ("THROUGHPUT", "THROUGHPUT_UNITS", "ELAPSED_TIME", "TRANSACTION_RATE", *LATENCIES.values())


class Netperf(Workload):
    """Its request-response latencies are whole round trips, in us; their quantiles are its own, from a histogram."""

    kind: Literal["netperf"] = Field(description="netperf and netserver")
    test: Literal["udp_rr", "tcp_rr", "tcp_crr", "tcp_stream", "udp_stream"] = Field(
        "udp_rr", description="-t: request-response (rr, crr), or bulk (stream)"
    )
    size_bytes: SizeBytes = Field(64, ge=1, le=65000, alias="size", description="-r (or -m): payload of a message")
    burst: Count = Field(0, ge=0, le=1024, description="-b: further requests outstanding")
    port: Count = Field(12865, ge=1, le=65535, description="control port of netserver")

    native: ClassVar[frozenset[str]] = frozenset()
    rank: ClassVar[int] = 50
    packages: ClassVar[dict[str, str]] = {"client": "netperf", "server": "netperf"}
    has_requests: ClassVar[bool] = False
    control: ClassVar[Literal["tcp", ""]] = "tcp"

    def transport(self) -> str:
        """udp or tcp, which the test's name begins with."""
        return self.test[:3]

    def server(self, scene: Scene) -> list[str]:
        """netserver, kept in the foreground, on the one address and port."""
        return ["netserver", "-D", "-L", scene.address, "-p", str(self.port)]

    def client(self, scene: Scene) -> list[str]:
        """Omni output as KEY=VALUE lines, with the selectors that we read."""
        lasting = scene.lasting_ns or self.duration_ns
        argv = ["netperf", "-H", scene.address, "-p", str(self.port), "-t", self.test.upper()]
        argv += ["-l", str(math.ceil(lasting / 1e9)), "-j", "--"]
        size = str(self.size_bytes)
        argv += ["-m", size] if self.test.endswith("stream") else ["-r", f"{size},{size}"]
        argv += ["-b", str(self.burst)] if self.burst else []
        return [*argv, "-k", ",".join(_SELECTORS)]

    def takes_ns(self) -> int:
        """Its times are in whole seconds."""
        return (math.ceil(self.duration_ns / 1e9)) * 10**9

    def read(self, output: ProgramOutput) -> Reading:
        """Its rate; of a request-response test also its latencies, as it summarises them."""
        result, findings = read_output(NetperfOmni(), output.client)
        if not (result.metrics.get("rate_rps") or result.metrics.get("throughput_bps")):
            raise ValueError("; ".join(findings) or "it measured nothing")
        return Reading.of_result(result)

    def described(self) -> dict[str, Fact]:
        """The facts of every workload, and the test and its size."""
        return super().described() | {"mode": self.test, "size_bytes": self.size_bytes, "connections": 1, "threads": 1}
