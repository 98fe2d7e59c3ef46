"""Threaded NAPI: packet processing in a kernel thread with a CPU and a priority of its own."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from harness.knobs.base import Knob, KnobEffect, Seen, Setting
from harness.knobs.polling import masked
from harness.units import Count, CpuSet

_MODES = {"off": 0, "on": 1, "busy-poll": 2}


class ThreadedNapi(Knob):
    """The thread competes with whatever else runs on its CPU: give it one, or a real-time policy.

    Source: Documentation/networking/napi.rst, "Threaded NAPI" (5.12; busy-poll mode since 6.19).
    """

    name = "threaded_napi"
    scope = "device"
    phase = "napi"

    mode: Literal["off", "on", "busy-poll"] = Field("on", description="off, on, or busy-poll where the kernel has it")
    cpus: CpuSet | None = Field(None, description="CPUs of the NAPI threads; default: wherever the scheduler likes")
    policy: Literal["other", "fifo", "rr"] = Field("other", description="scheduling policy of the NAPI threads")
    priority: Count = Field(0, ge=0, le=99, description="real-time priority, 1-99, with fifo and rr")

    def needs_napi(self) -> bool:
        """A device without a NAPI refuses threaded mode."""
        return bool(self.mode != "off")

    def capabilities(self) -> tuple[str, ...]:
        """Threads that busy-poll are a capability of their own: kernels had plain threads long before."""
        return ("threaded-busy-poll",) if self.mode == "busy-poll" else ("threaded-napi",)

    def settings(self) -> list[Setting]:
        """The mode first: the threads whose CPUs and policy are set exist only then."""
        out = [Setting("sysfs", "threaded", _MODES[self.mode])]
        if self.mode != "off" and self.cpus is not None:
            out.append(Setting("kthread", "cpus", list(self.cpus)))
        if self.mode != "off" and self.policy != "other":
            out.append(Setting("kthread", "policy", [self.policy, self.priority]))
        return out

    def effect(self, seen: Seen) -> KnobEffect:
        """The threads ran, and busy polling did not take the packets before they could."""
        if self.mode == "off":
            return KnobEffect(None, "threaded NAPI is off")
        pids = [napi["pid"] for napi in seen.napis if napi.get("pid")]
        if not pids:
            return KnobEffect(False, "no NAPI of the node has a thread")
        text = f"NAPI threads {pids} used {seen.kthread_cpu_ns / 1e6:.1f} ms of CPU"
        if mask := masked(seen):
            return KnobEffect(False, f"{mask}; {text}")
        return KnobEffect(seen.kthread_cpu_ns > 0, text)
