"""netperf: request-response and streams by the stock program, read by its omni output selectors."""

from __future__ import annotations

import csv
import io
import math
from typing import Any, ClassVar, Literal

from pydantic import Field

from harness.units import Count, SizeBytes
from harness.workloads.base import Reading, Said, Scene, Workload

_SELECTORS = (
    "THROUGHPUT",
    "THROUGHPUT_UNITS",
    "ELAPSED_TIME",
    "TRANSACTION_RATE",
    "MIN_LATENCY",
    "MEAN_LATENCY",
    "STDDEV_LATENCY",
    "P50_LATENCY",
    "P90_LATENCY",
    "P99_LATENCY",
    "MAX_LATENCY",
)
_COLUMNS = {
    "MIN_LATENCY": "rtt_min_us",
    "MEAN_LATENCY": "rtt_mean_us",
    "STDDEV_LATENCY": "rtt_sd_us",
    "P50_LATENCY": "rtt_p50_us",
    "P90_LATENCY": "rtt_p90_us",
    "P99_LATENCY": "rtt_p99_us",
    "MAX_LATENCY": "rtt_max_us",
}
_UNITS_BPS = {"10^3bits/s": 1e3, "10^6bits/s": 1e6, "10^9bits/s": 1e9}


class Netperf(Workload):
    """Its request-response latencies are whole round trips, in us; their quantiles are its own, from a histogram."""

    kind: Literal["netperf"] = Field(description="netperf and netserver")
    test: Literal["udp_rr", "tcp_rr", "tcp_crr", "tcp_stream", "udp_stream"] = Field(
        "udp_rr", description="-t: request-response (rr, crr), or bulk (stream)"
    )
    size_bytes: SizeBytes = Field(
        64, ge=1, le=65000, alias="size", description="-r (or -m): payload of a message"
    )
    burst: Count = Field(0, ge=0, le=1024, description="-b: further requests outstanding")
    port: Count = Field(12865, ge=1, le=65535, description="control port of netserver")

    native: ClassVar[frozenset[str]] = frozenset()
    packages: ClassVar[dict[str, str]] = {"client": "netperf", "server": "netperf"}
    has_requests: ClassVar[bool] = False

    def transport(self) -> str:
        """By the test's name."""
        return self.test[:3]

    def server(self, scene: Scene) -> list[str]:
        """In the foreground."""
        return ["netserver", "-D", "-L", scene.address, "-p", str(self.port)]

    def client(self, scene: Scene) -> list[str]:
        """Omni output as CSV, with the selectors that we read."""
        lasting = scene.lasting_ns or self.duration_ns
        argv = ["netperf", "-H", scene.address, "-p", str(self.port), "-t", self.test.upper(), "-P", "0"]
        argv += ["-l", str(math.ceil(lasting / 1e9)), "-j", "--"]
        size = str(self.size_bytes)
        argv += ["-m", size] if self.test.endswith("stream") else ["-r", f"{size},{size}"]
        argv += ["-b", str(self.burst)] if self.burst else []
        return [*argv, "-o", ",".join(_SELECTORS)]

    def takes_ns(self) -> int:
        """Its times are in whole seconds."""
        return (math.ceil(self.duration_ns / 1e9)) * 10**9

    def readiness_protocol(self) -> str:
        """The control connection is TCP, whatever the data go by."""
        return "tcp"

    def read(self, said: Said) -> Reading:
        """The one line of values, in the order of the selectors."""
        rows = [row for row in csv.reader(io.StringIO(said.client)) if len(row) == len(_SELECTORS)]
        if not rows:
            raise ValueError(f"no line of {len(_SELECTORS)} values in its output")
        found = dict(zip(_SELECTORS, rows[-1], strict=True))
        number = {key: _number(text) for key, text in found.items()}
        metrics: dict[str, float | int | None] = {"throughput_bps": None}
        if self.test.endswith("stream"):
            rate = number["THROUGHPUT"]
            metrics["throughput_bps"] = (
                rate * _UNITS_BPS.get(found["THROUGHPUT_UNITS"], 1e6) if rate else None
            )
        else:
            metrics |= {column: number[key] for key, column in _COLUMNS.items()}
            metrics["rate_rps"] = number["TRANSACTION_RATE"] or number["THROUGHPUT"]
        if not any(metrics.values()):
            raise ValueError("it measured nothing")
        return Reading({"elapsed_ns": round((number["ELAPSED_TIME"] or 0) * 1e9)}, metrics)

    def described(self) -> dict[str, Any]:
        """With the test."""
        return super().described() | {
            "mode": self.test,
            "size_bytes": self.size_bytes,
            "connections": 1,
            "threads": 1,
        }


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if value >= 0 else None
