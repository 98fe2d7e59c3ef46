"""sockperf: ping-pong, under-load and playback by the stock program, every request's time from its full log."""

from __future__ import annotations

import math
import re
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from harness.units import Count, SizeBytes
from harness.workloads.base import Reading, Role, Said, Scene, Workload

# The program discards this much at the beginning and at the end of its own time.
_WARMUP_S, _COOLDOWN_S = 0.4, 0.05
# It prepares itself for so long before it sends anything.
_STARTUP_S = 2.0
_MODES = {"ping-pong": "pp", "under-load": "ul", "playback": "pb"}
_VALID = re.compile(r"\[Valid Duration\] RunTime=([\d.]+) sec; SentMessages=(\d+); ReceivedMessages=(\d+)")
_TOTAL = re.compile(r"\[Total Run\] RunTime=[\d.]+ sec;.* SentMessages=(\d+); ReceivedMessages=(\d+)")
_TROUBLE = re.compile(r"# dropped messages = (\d+); # duplicated messages = (\d+)")
_FROM_SEND = "; counted from the actual send, not from when the request was due"
_HEAD = re.compile(r"^packet, txTime\(sec\), rxTime\(sec\).*$", re.MULTILINE)


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
        1,
        ge=1,
        description="--reply-every, under-load and playback: one reply, and one sample, to so many requests",
    )
    data_file: str = Field("", description="--data-file, playback only: CSV of times and sizes")
    port: Count = Field(11111, ge=1, le=65535, description="port of the server")

    native: ClassVar[frozenset[str]] = frozenset()
    packages: ClassVar[dict[str, str]] = {"client": "sockperf", "server": "sockperf"}
    stop_signal: ClassVar[str] = "SIGINT"
    conversion: ClassVar[str] = (
        "rtt_* are whole round trips, receive less send time of its full log (--full-rtt)"
    )

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

    def wait_of(self, role: Role) -> str:
        """On one socket it blocks in recvfrom."""
        return "blocking"

    def server(self, scene: Scene) -> list[str]:
        """On one address and port."""
        return ["sockperf", "server", *self._common(scene)]

    def client(self, scene: Scene) -> list[str]:
        """Whole seconds, because the program takes no others; its warm-up and cool-down come on top."""
        wanted_s = (scene.lasting_ns or self.duration_ns) / 1e9
        argv = ["sockperf", _MODES[self.mode], *self._common(scene), "--full-log", scene.log, "--full-rtt"]
        argv += (
            ["--msg-size", str(self.size_bytes)]
            if self.mode != "playback"
            else ["--data-file", self.data_file]
        )
        if self.mode == "under-load":
            argv += ["--mps", str(self.rate_rps or 10_000)]
        if self.mode != "ping-pong":
            argv += ["--reply-every", str(self.reply_every)]
        if self.mode != "playback":
            argv += ["-t", str(math.ceil(wanted_s + _WARMUP_S + _COOLDOWN_S))]
        return argv

    def begun_text(self) -> str:
        """Long after its start."""
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

    def read(self, said: Said) -> Reading:
        """Counts from its summary, times from its full log."""
        valid, total = _VALID.search(said.client), _TOTAL.search(said.client)
        if valid is None or total is None:
            raise ValueError("no summary line [Valid Duration] in its output")
        samples = _samples(said.log)
        trouble = _TROUBLE.search(said.client)
        sent = int(valid[2])
        result = {
            "requests": sent,
            "answered": len(samples),
            "lost": int(trouble[1]) if trouble else 0,
            "duplicates": int(trouble[2]) if trouble else 0,
            "settle_requests": int(total[1]) - sent,
            "elapsed_ns": round(float(valid[1]) * 1e9),
            "offered_rps": float(self.rate_rps or 10_000) if self.mode == "under-load" else None,
            "achieved_rps": sent / float(valid[1]) if float(valid[1]) else None,
        }
        return Reading(result, {}, samples)

    def described(self) -> dict[str, Any]:
        """With mode, size and rate."""
        return super().described() | {
            "mode": self.mode,
            "conversion": self.conversion + ("" if self.loop() == "closed" else _FROM_SEND),
            "size_bytes": self.size_bytes,
            "reply_every": self.reply_every if self.mode != "ping-pong" else None,
            "rate_rps": (self.rate_rps or 10_000) if self.mode == "under-load" else None,
            "connections": 1,
            "threads": 1,
        }


def _samples(log: str) -> Any:
    """The full log as intended_ns (since the first) and latency_ns; its times are seconds with nine decimals."""
    import numpy as np

    head = _HEAD.search(log)
    if head is None:
        raise ValueError("no table of packets in its full log")
    pairs = [_nanoseconds(line) for line in log[head.end() :].splitlines() if line[:1].isdigit()]
    samples = np.zeros(len(pairs), dtype=[("intended_ns", "<i8"), ("latency_ns", "<i8")])
    if pairs:
        times = np.array(pairs, dtype=np.int64)
        samples["intended_ns"], samples["latency_ns"] = times[:, 0] - times[0, 0], times[:, 1] - times[:, 0]
    return samples


def _nanoseconds(line: str) -> tuple[int, int]:
    """(sent, received) of one line; read as text, since a double is too coarse for seconds with nine decimals."""
    fields = line.split(", ")
    try:
        sent, received = (
            int(second) * 10**9 + int(rest) for second, rest in (f.split(".") for f in fields[1:3])
        )
    except ValueError:
        raise ValueError(f'a line of its full log is not understood: "{line[:60]}"') from None
    return sent, received
