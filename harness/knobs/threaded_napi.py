"""Threaded NAPI: packet processing in a kernel thread with a CPU and a priority of its own."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from harness.knobs.base import Knob, KnobEffect, Seen, Setting, Target
from harness.knobs.polling import masked
from harness.units import Count, CpuSet

_MODES = {"off": 0, "on": 1, "busy-poll": 2}


class ThreadedNapi(Knob):
    """The thread competes with whatever else runs on its CPU: give it one, or a real-time policy.

    One that busy-polls uses up its CPU also while nothing comes. Source: Documentation/networking/napi.rst, "Threaded
    NAPI" (5.12; of single NAPIs since 6.17, busy-poll since 6.19).
    """

    name = "threaded_napi"
    scope = "device"
    phase = "napi"

    mode: Literal["off", "on", "busy-poll"] = Field("on", description="off, on, or busy-poll where the kernel has it")
    cpus: CpuSet | None = Field(None, description="CPUs of the NAPI threads; default: wherever the scheduler likes")
    policy: Literal["other", "fifo", "rr"] = Field("other", description="scheduling policy of the NAPI threads")
    priority: Count = Field(0, ge=0, le=99, description="real-time priority, 1-99, with fifo and rr")
    queues: CpuSet | None = Field(None, description="receive queues whose NAPIs get a thread; default: all")

    def needs_napi(self) -> bool:
        """A device without a NAPI refuses threaded mode."""
        return bool(self.mode != "off")

    def capabilities(self) -> tuple[str, ...]:
        """Threads that busy-poll are a capability of their own: kernels had plain threads long before."""
        if self.mode == "busy-poll":
            return ("threaded-busy-poll",)
        return ("threaded-napi",) if self.queues is None else ("threaded-per-napi",)

    def settings(self) -> list[Setting]:
        """The mode first: the threads whose CPUs and policy are set exist only then.

        By netlink where it is of some queues, or busy-poll: that sysfs refuses, and shows as 0 while it is on.
        """
        by_netlink = self.mode == "busy-poll" or self.queues is not None
        target: Target = "napi" if by_netlink else "sysfs"
        out = [Setting(target, "threaded", _MODES[self.mode], queues=self.queues)]
        if self.mode != "off" and self.cpus is not None:
            out.append(Setting("kthread", "cpus", list(self.cpus)))
        if self.mode != "off" and self.policy != "other":
            out.append(Setting("kthread", "policy", [self.policy, self.priority]))
        return out

    def effect(self, seen: Seen) -> KnobEffect:
        """The threads ran, and busy polling did not take the packets before they could."""
        if self.mode == "off":
            return KnobEffect(None, "threaded NAPI is off")
        threaded = [napi for napi in seen.napis if napi.get("pid")]
        if not threaded:
            return KnobEffect(False, "no NAPI of the node has a thread")
        pids = [napi["pid"] for napi in threaded]
        text = f"NAPI threads {pids} used {seen.kthread_cpu_ns / 1e6:.1f} ms of CPU"
        if mask := masked(seen):
            return KnobEffect(False, f"{mask}; {text}")
        if any(seen.napi_ids) and not {napi["napi_id"] for napi in threaded} & set(seen.napi_ids):
            return KnobEffect(
                False, f"{text}, and the traffic came by other NAPIs: {seen.feeding.named(seen.napi_ids)}"
            )
        wrong = [napi for napi in threaded if napi.get("threaded") not in (None, _MODES[self.mode])]
        if wrong:
            return KnobEffect(False, f"NAPI {wrong[0]['napi_id']} ended the run with threaded {wrong[0]['threaded']}")
        return KnobEffect(seen.kthread_cpu_ns > 0, text)
