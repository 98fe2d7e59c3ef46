"""sockperf: ping-pong, under-load and playback by the stock program, every request's time from its full log."""

from __future__ import annotations

import math
import os
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from harness.formats import read_output
from harness.formats.sockperf import SockperfClient
from harness.units import Count, SizeBytes
from harness.workloads.base import Fact, ProgramOutput, Reading, Role, Scene, Workload

# The program discards this much at the beginning and at the end of its own time.
_WARMUP_S, _COOLDOWN_S = 0.4, 0.05
# It prepares itself for so long before it sends anything.
_STARTUP_S = 2.0
_MODES = {"ping-pong": "pp", "under-load": "ul", "playback": "pb"}
_FROM_SEND = "; counted from the actual send, not from when the request was due"


class Sockperf(Workload):
    """Round trips are receive less send time of each packet in its full log, whatever it prints.

    Its open loops count from when a request was really sent, not from when it was due, as ours do: what a late sender
    adds is not in them.
    """

    kind: Literal["sockperf"] = Field(description="sockperf's client and server")
    mode: Literal["ping-pong", "under-load", "playback"] = Field(
        "ping-pong", description="under-load and playback send at their time without waiting for replies"
    )
    protocol: Literal["udp", "tcp"] = Field("udp", description="--tcp")
    size_bytes: SizeBytes = Field(64, ge=14, le=65000, alias="size", description="--msg-size")
    rate_rps: Count | None = Field(
        None, ge=1, alias="rate", description="--mps, under-load only; its own 10000 if absent"
    )
    reply_every: Count = Field(
        1, ge=1, description="--reply-every, under-load and playback: one reply, and one sample, to so many requests"
    )
    data_file: str = Field(
        "", description="--data-file, playback only: CSV of times and sizes; a path leads from the experiment file"
    )
    # Filled in by the loader; best.yaml of a tuning has it, for it stands elsewhere.
    home: str = Field("", description="directory that its paths lead from; this file's if absent")
    port: Count = Field(11111, ge=1, le=65535, description="port of the server")

    native: ClassVar[frozenset[str]] = frozenset()
    rank: ClassVar[int] = 30
    packages: ClassVar[dict[str, str]] = {"client": "sockperf", "server": "sockperf"}
    stop_signal: ClassVar[str] = "SIGINT"
    conversion: ClassVar[str] = "rtt_* are whole round trips, receive less send time of its full log (--full-rtt)"

    @model_validator(mode="after")
    def _fields_fit_the_mode(self) -> Sockperf:
        if (self.mode == "playback") != bool(self.data_file):
            raise ValueError("data_file goes with mode playback, and it with data_file")
        if "rate_rps" in self.model_fields_set and self.mode != "under-load":
            raise ValueError(f"rate means nothing in mode {self.mode}; add mode: under-load")
        if "reply_every" in self.model_fields_set and self.mode == "ping-pong":
            raise ValueError("reply_every means nothing in mode ping-pong; add mode: under-load")
        return self

    def loop(self) -> str:
        """Only ping-pong waits for the reply before the next request."""
        return "closed" if self.mode == "ping-pong" else "open"

    def shows_in_packets(self) -> bool:
        """Where each request has a reply, and both pass a link."""
        return self.reply_every == 1 and self.source != self.target

    def wait_of(self, role: Role) -> str:
        """On one socket it blocks in recvfrom."""
        return "blocking"

    def server(self, scene: Scene) -> list[str]:
        """sockperf in server mode, on one address and port."""
        return ["sockperf", "server", *self._common(scene)]

    def client(self, scene: Scene) -> list[str]:
        """Whole seconds, because the program takes no others; its warm-up and cool-down come on top."""
        duration_s = (scene.lasting_ns or self.duration_ns) / 1e9
        argv = ["sockperf", _MODES[self.mode], *self._common(scene), "--full-log", scene.log, "--full-rtt"]
        argv += (
            ["--msg-size", str(self.size_bytes)]
            if self.mode != "playback"
            else ["--data-file", os.path.join(self.home, self.data_file)]
        )
        if self.mode == "under-load":
            argv += ["--mps", str(self.rate_rps or 10_000)]
        if self.mode != "ping-pong":
            argv += ["--reply-every", str(self.reply_every)]
        if self.mode != "playback":
            argv += ["-t", str(math.ceil(duration_s + _WARMUP_S + _COOLDOWN_S))]
        return argv

    def begun_text(self) -> str:
        """What it prints when its traffic begins, long after its start."""
        return r"Starting test"

    def ramp_ns(self, measured: bool) -> int:
        """What it sends in its own warm-up it leaves out of its figures."""
        own_ns = round(_WARMUP_S * 1e9)
        return min(self.warmup_ns, own_ns // 2) if measured else max(self.warmup_ns, own_ns)

    def takes_ns(self) -> int:
        """Its time is in whole seconds, and holds its own warm-up and cool-down; before it comes its preparation."""
        own_s = math.ceil(self.duration_ns / 1e9 + _WARMUP_S + _COOLDOWN_S)
        return round((_STARTUP_S + own_s) * 1e9)

    def _common(self, scene: Scene) -> list[str]:
        return ["-i", scene.address, "-p", str(self.port), *(["--tcp"] if self.protocol == "tcp" else [])]

    def read(self, output: ProgramOutput) -> Reading:
        """Counts from its summary, times from its full log."""
        summary, _ = read_output(SockperfClient(), output.client)
        sent, elapsed_s = summary.metrics.get("sent"), summary.metrics.get("elapsed_s")
        if sent is None or elapsed_s is None:
            raise ValueError("no summary line [Valid Duration] in its output")
        log, findings = read_output(SockperfClient(), output.log)
        if log.samples is None or findings:
            raise ValueError("; ".join(findings) or "no table of packets in its full log")
        result = {
            "requests": int(sent),
            "answered": len(log.samples),
            "lost": int(summary.metrics.get("lost") or 0),
            "duplicates": int(summary.metrics.get("duplicates") or 0),
            "settle_requests": summary.settle_requests,
            "elapsed_ns": round(elapsed_s * 1e9),
            "offered_rps": float(self.rate_rps or 10_000) if self.mode == "under-load" else None,
            "achieved_rps": summary.metrics.get("achieved_rps"),
        }
        return Reading(result, {}, log.samples)

    def described(self) -> dict[str, Fact]:
        """The facts of every workload, and mode, size and rate."""
        return super().described() | {
            "mode": self.mode,
            "conversion": self.conversion + ("" if self.loop() == "closed" else _FROM_SEND),
            "size_bytes": self.size_bytes,
            "reply_every": self.reply_every if self.mode != "ping-pong" else None,
            "rate_rps": (self.rate_rps or 10_000) if self.mode == "under-load" else None,
            "connections": 1,
            "threads": 1,
        }
