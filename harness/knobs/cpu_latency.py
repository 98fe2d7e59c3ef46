"""CPU latency: how long a CPU of the host may take to wake, held for the length of a run."""

from __future__ import annotations

from pydantic import Field

from harness.knobs.base import U31, Knob, KnobEffect, Seen

# A CPU that is idle when the limit comes may be counted once more on its way out.
_STRAY_SHARE = 0.01


class CpuLatency(Knob):
    """/dev/cpu_dma_latency, held open: the kernel forgets the limit when the run ends, however it ends.

    Idle states that take longer to leave are not entered. Source: Documentation/power/pm_qos_interface.rst. 0 leaves
    the polling state alone, where there is one: idle CPUs then burn power, and a sibling's share of their core.
    """

    name = "cpu_latency"
    scope = "host"
    phase = "host"
    target = "cpu_latency"
    needs = ("cpu-latency",)

    max_us: U31 = Field(description="us that leaving an idle state may take; 0: no idle state but polling")

    def effect(self, seen: Seen) -> KnobEffect:
        """How often the CPUs of the run entered each idle state: none that takes longer to leave than is allowed."""
        if not seen.idle_states:
            return KnobEffect(False, "this host has no driver of idle states (cpuidle), which alone looks at it")
        entries = ", ".join(f"{state} {count}" for state, _, count in seen.idle_states)
        text = f"the CPU set's entries into idle states: {entries}"
        barred = [count for _, exit_us, count in seen.idle_states if exit_us > self.max_us]
        total = sum(count for _, _, count in seen.idle_states)
        if not barred:
            return KnobEffect(False, f"{text}; none of them takes longer than {self.max_us} us to leave")
        if not total:
            return KnobEffect(None, f"{text}: no CPU was idle")
        return KnobEffect(sum(barred) <= _STRAY_SHARE * total, text)
