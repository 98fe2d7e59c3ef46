"""Causes in words, and which knob acts on each."""

from __future__ import annotations

from harness.analysis.tail.causes import BY_EVENTS, BY_STEAL, INFERRED, UNEXPLAINED, Account, Row
from harness.analysis.tail.trace import Cause

_WORDS = {
    "behind": "waited for CPU {cpu} behind {who}",
    "irq": "interrupt {who} on CPU {cpu}",
    "interrupted": "interrupted by {who} on CPU {cpu}, by far longer than its handler ran",
    "softirq": "softirq {who} on CPU {cpu}",
    "flow": "CPU {cpu} took in packets of {who}",
    "joined": "CPU {cpu} took in packets of {who} as well",
    "shaper": "waited in the queue of {who}",
    "deferred": "waited for the deferral's timer",
    "work": "work of the {who}",
    "fault": "page faults of the {who}",
    "queued": "waited while the server served another request",
    "stopped": "stopped by a signal of {who}",
    "blocked": "the {who} was blocked in the kernel",
    "asleep": "the {who} slept",
    "busy": "the {who} was busy with other requests",
    "stolen": "CPU {cpu} was taken by the hypervisor",
    "turn": "CPU {cpu} had its turn, with {who}",
    "idle": "CPU {cpu} was idle and late to come back",
    "silent": "CPU {cpu} stood still",
    "wire": "on the wire",
    "own": "its own way through the kernel took longer",
}
_OF_PACKETS = "have another CPU take in those packets (rps, rss, irq_affinity, threaded_napi), or move who sends them"
_ADVICE = {
    "behind": "give the {end} a CPU of its own (process: {{cpus}}, cgroup, host prepare), or let it come first "
    "(process: {{policy: fifo}}, nice)",
    "irq": "move the interrupt to another CPU (irq_affinity)",
    "interrupted": "a hypervisor makes interrupts dear: move who sends them, or the program, to another CPU",
    "softirq": "move receiving to another CPU (rps, rss, irq_affinity, threaded_napi), or poll (busy_poll)",
    "flow": _OF_PACKETS,
    "joined": _OF_PACKETS,
    "shaper": "less load on the link, a shorter queue, or one that lets small flows pass (fq_codel, fq)",
    "deferred": "a shorter gro_flush_timeout, or busy polling with prefer_busy_poll, which takes packets before it",
    "work": "it is the program's own time: make it do less, or give it more threads; where each "
    "request is the same work, the core was slower (its other thread, its clock)",
    "fault": "lock the program's memory (mlockall), and touch it before it is needed",
    "queued": "more server threads, or a lower rate: requests wait for one another",
    "stopped": "do not stop the program",
    "blocked": "see what it waits for in the kernel: memory, a lock, a disk",
    "asleep": "the program itself waits: look at its timers and locks",
    "busy": "more client threads: one cannot keep this rate",
    "stolen": "a host, or a virtual machine with CPUs of its own",
    "turn": "CPUs of a guest take turns in model time: no knob, and nothing that a real machine does",
    "idle": "have an idle CPU poll (cpu_latency: {{max_us: 0}}, host prepare), or busy-poll",
    "silent": "most likely the hypervisor: a host, or a virtual machine with CPUs of its own",
    "wire": "the link's delay",
    "own": "nothing in the trace says why",
}
_SURE = {BY_EVENTS: "", BY_STEAL: " (by the steal clock)", INFERRED: " (inferred)", UNEXPLAINED: " (not explained)"}


def what(cause: Cause) -> str:
    """A cause in words: "waited for CPU 1 behind hog (pid 812)"."""
    text = _WORDS[cause.kind].format(who=cause.who or "nobody we saw", cpu=cause.cpu)
    if cause.kind == "silent" and cause.cpu < 0:
        return "one of the two CPUs stood still"
    return f"{text} (pid {cause.pid})" if cause.kind in ("behind", "flow", "joined", "stopped") and cause.pid else text


def advice(cause: Cause) -> str:
    """The knob that acts on a cause."""
    if cause[:2] == ("irq", "local_timer"):
        return "the CPU's own timer, which nothing moves; it ticks less where the kernel was booted with nohz_full"
    return _ADVICE[cause.kind].format(end="waiting end")


def sentence(account: Account) -> str:
    """What held the slow requests up, the commonest causes first."""
    if not account.rows:
        return "no request was slower"
    return "; ".join(_part(row, len(account.slow)) for row in account.rows[:3])


def no_tail(account: Account, above: str, near_ns: float) -> str:
    """That a quantile is too near to the median for a tail."""
    beyond_us, share = (near_ns - account.p50_ns) / 1e3, near_ns / account.p50_ns - 1
    return f"there is no tail at {above}: {near_ns / 1e3:,.4g} us is {beyond_us:,.3g} us ({share:.1%}) above the median"


def _part(row: Row, slow: int) -> str:
    share = 100 * row.count / slow
    return f"{share:.0f} % {what(row.cause)}{_SURE[row.grade]}, {row.median_ns / 1e3:,.0f} us each"
