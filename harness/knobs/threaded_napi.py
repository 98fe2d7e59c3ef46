"""Threaded NAPI: packet processing in a kernel thread with a CPU and a priority of its own."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from harness.knobs.base import Effect, Knob, KnobModel, Seen, Setting
from harness.units import Count, CpuSet

_MODES = {"off": 0, "on": 1, "busy-poll": 2}


class ThreadedNapiSettings(KnobModel):
    """Source: Documentation/networking/napi.rst, "Threaded NAPI" (5.12; busy-poll mode since 6.19)."""

    mode: Literal["off", "on", "busy-poll"] = Field(
        "on", description="off, on, or busy-poll where the kernel has it"
    )
    cpus: CpuSet | None = Field(
        None, description="CPUs of the NAPI threads; default: wherever the scheduler likes"
    )
    policy: Literal["other", "fifo", "rr"] = Field(
        "other", description="scheduling policy of the NAPI threads"
    )
    priority: Count = Field(0, ge=0, le=99, description="real-time priority, 1-99, with fifo and rr")


class ThreadedNapi(Knob):
    """The thread competes with whatever else runs on its CPU: give it one, or a real-time policy."""

    name = "threaded_napi"
    scope = "device"
    Model = ThreadedNapiSettings

    @classmethod
    def needs_napi(cls, model: Any) -> bool:
        """A device without a NAPI refuses threaded mode."""
        return bool(model.mode != "off")

    @classmethod
    def capabilities(cls, model: Any) -> tuple[str, ...]:
        """The mode asked for."""
        return ("threaded-busy-poll",) if model.mode == "busy-poll" else ("threaded-napi",)

    @classmethod
    def settings(cls, model: Any) -> list[Setting]:
        """The mode first: the threads whose CPUs and policy are set exist only then."""
        out = [Setting("sysfs", "threaded", _MODES[model.mode])]
        if model.mode != "off" and model.cpus is not None:
            out.append(Setting("kthread", "cpus", list(model.cpus)))
        if model.mode != "off" and model.policy != "other":
            out.append(Setting("kthread", "policy", [model.policy, model.priority]))
        return out

    @classmethod
    def effect(cls, model: Any, seen: Seen) -> Effect:
        """The threads ran."""
        if model.mode == "off":
            return Effect(None, "threaded NAPI is off")
        pids = [napi["pid"] for napi in seen.napis if napi.get("pid")]
        if not pids:
            return Effect(False, "no NAPI of the node has a thread")
        text = f"NAPI threads {pids} used {seen.kthread_cpu_ns / 1e6:.1f} ms of CPU"
        if seen.polled_share() > 0.9:
            return Effect(True, text + " (busy polling took the packets before they could)")
        return Effect(seen.kthread_cpu_ns > 0, text)
