"""What a knob is: a model of its fields, the settings it stands for, and how one tells that it took effect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from harness.knobs.feeding import Feeding
from harness.units import Count, format_duration

Scope = Literal["socket", "process", "device", "host"]
# In this order knobs are written: a change of queues makes all that hangs on them anew, features decide whether a NAPI
# exists, the NAPI's mode comes before its timers, and programs start last.
Phase = Literal["queues", "features", "napi", "timers", "steering", "host", "sockets", "processes", "groups"]
DeviceTarget = Literal[
    "channels",
    "rings",
    "rss",
    "feature",
    "sysfs",
    "rx_queue",
    "tx_queue",
    "napi",
    "ethtool_coalesce",
    "kthread",
    "irq",
    "link_size",
]
Target = Literal[DeviceTarget, "sysctl", "cpu_latency", "socket", "process", "cgroup"]
# The ranges of the kernel's own fields: an int that is not negative, and 16 bits.
U31 = Annotated[Count, Field(ge=0, le=2**31 - 1)]
U16 = Annotated[Count, Field(ge=0, le=2**16 - 1)]

# Retransmissions, ARP and other sockets of the namespace are polled too, and are in no count of received packets.
_OVERCOUNT, _FEW_PACKETS = 2, 100


@dataclass(frozen=True)
class Setting:
    """One value to write and read back.

    target: which kernel interface takes it; name: the kernel's name for it; value: exactly as the kernel takes it.
    readable: False for the few that the kernel accepts but never shows (SO_BUSY_POLL_BUDGET). queues: of a NAPI's
    setting, the receive queues whose NAPIs get it, of a transmit queue's that queue; None for all.
    """

    target: Target
    name: str
    value: Any
    readable: bool = True
    queues: tuple[int, ...] | None = None


@dataclass(frozen=True)
class GroupUse:
    """What a control group did while the workload ran.

    usage_us: CPU time; periods, throttled: of its quota, and in how many of them it was used up; throttled_us: for how
    long its threads then had to wait, together; cpus: those that its processes may run on, at the end.
    """

    usage_us: int = 0
    periods: int = 0
    throttled: int = 0
    throttled_us: int = 0
    cpus: tuple[int, ...] = ()


@dataclass(frozen=True)
class Seen:
    """What was observed on one node during one run; the evidence a knob judges itself by.

    received, polled: packets delivered to the node's sockets, and those of them picked up by busy polling. napi_ids:
    SO_INCOMING_NAPI_ID of the workload's sockets (0 = no NAPI). unreached: external programs of which no socket was
    there in time to be set. napis: napi-get of the node's devices, after the run. wait: how the workload waits for
    packets, waits: in all its ways, where that is known; ours: whether every program of the node is our own generator,
    which does only what it is told. protocol: of all workloads, joined by "+". arrived: packets that came in by the
    node's devices, None where nobody counted. rps_packets: packets steered by RPS or RFS, host-wide; rps_elsewhere: how
    many of them other nodes with either can have steered at most; backlog_ns: CPU time of the kernel's threads that
    take in what is steered, uncounted (`thread_backlog_napi`). kthread_cpu_ns: CPU time of the node's NAPI threads.
    irqs: interrupts of each line of the node's NICs by CPU, in elapsed_us; rx_irqs: of the busiest line, those of
    transmit queues alone left out. squeezes: rounds of receive softirqs that used up their budget, host-wide.
    idle_states: of the CPU set: name, us to leave it, entries. group: what its control group did, None without one.
    min_polled_share: the experiment's threshold. node: its name; beside: every knob that is set on it, by name. Knobs
    of the whole host see the sums over all nodes, and in `on_nodes` of each node how it waits and what is set on it.
    feeding: the kinds of the sockets, and the NAPIs that fed them.
    """

    received: int = 0
    polled: int = 0
    napi_ids: tuple[int, ...] = ()
    unreached: tuple[str, ...] = ()
    napis: tuple[dict[str, int | None], ...] = ()
    wait: str = ""
    waits: frozenset[str] = frozenset()
    ours: bool = False
    protocol: str = ""
    arrived: int | None = None
    rps_packets: int = 0
    rps_elsewhere: int = 0
    backlog_ns: int = 0
    kthread_cpu_ns: int = 0
    irqs: dict[int, dict[int, int]] = field(default_factory=dict)
    rx_irqs: int = 0
    elapsed_us: float = 0.0
    squeezes: int = 0
    idle_states: tuple[tuple[str, int, int], ...] = ()
    group: GroupUse | None = None
    min_polled_share: float = 0.01
    node: str = ""
    beside: Mapping[str, Knob] = field(default_factory=dict)
    on_nodes: tuple[tuple[str, Mapping[str, Knob]], ...] = ()
    feeding: Feeding = field(default_factory=Feeding)

    def polled_share(self) -> float:
        """Busy-polled share of the packets received, 0..1 (retransmitted polls can exceed the count: capped)."""
        return min(1.0, self.polled / self.received) if self.received else 0.0

    def overcounted(self) -> bool:
        """Does the counter of polled packets exceed the packets so far that it can be no share of them?"""
        return self.polled > _OVERCOUNT * self.received + _FEW_PACKETS


@dataclass(frozen=True)
class KnobEffect:
    """Whether a setting took effect: True, seen acting; False, with the reason; None, nothing tells.

    True only for what a counter showed that nothing but this knob moves, on the traffic of this run. spun: it acted,
    in vain: CPU time was spent and sleeps were gone, and nothing was polled.
    """

    took: bool | None
    evidence: str
    spun: bool = False


class Knob(BaseModel):
    """A knob describes: its fields, the settings they stand for, what proves that they took effect; a run applies it.

    name: its key in a file's `settings`. scope: what it belongs to; one of scope `host` is not per namespace, so a file
    sets it for node "*" only, and it stays under "*". phase: when it is written. target: of `settings`, where these
    are the declared fields themselves. needs: of `capabilities`, where these are always the same. Documentation and
    schema take the class's docstring and the fields' descriptions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, defer_build=True)

    name: ClassVar[str]
    scope: ClassVar[Scope]
    phase: ClassVar[Phase]
    target: ClassVar[Target]
    needs: ClassVar[tuple[str, ...]] = ()

    def needs_napi(self) -> bool:
        """Does this setting mean anything only on a datapath with a NAPI?"""
        return False

    def capabilities(self) -> tuple[str, ...]:
        """What the host must be able to do, by the keys of harness.kernel.probe."""
        return self.needs

    def settings(self) -> list[Setting]:
        """The values to write, in the order in which they must be written: each declared field, under its key."""
        keys = [(field.alias or key, getattr(self, key)) for key, field in type(self).model_fields.items()]
        values = [(name, list(value) if isinstance(value, tuple) else value) for name, value in keys]
        return [Setting(self.target, name, value) for name, value in values if value is not None]

    def named_cpus(self) -> dict[str, tuple[int, ...]]:
        """By field, the CPUs that it names, which the machine then has to have."""
        cpus = getattr(self, "cpus", None)
        return {} if cpus is None else {"cpus": cpus}

    def effect(self, seen: Seen) -> KnobEffect:
        """Judge from what was seen during the run; reading back was already checked when it was applied."""
        return KnobEffect(None, "read back as requested; no counter shows whether it acted")

    def without_work(self, seen: Seen) -> dict[str, str]:
        """Of several settings those that had nothing to act on, by the kernel's name for them, and why."""
        return {}


def napi_words(values: Mapping[str, int | None]) -> str:
    """Settings of a NAPI in words: defer_hard_irqs 100, gro_flush_timeout 20us; those of time are in ns."""
    texts = {name: "unset" if value is None else str(value) for name, value in values.items()}
    texts |= {name: format_duration(value) for name, value in values.items() if value and name.endswith("_timeout")}
    return ", ".join(f"{name} {text}" for name, text in texts.items())


def napi_effect(seen: Seen, expected: dict[str, int], text: str) -> KnobEffect:
    """The proof of a NAPI setting: the node's NAPIs have it after the run, and the sockets' traffic came by one."""
    if not seen.napis and any(seen.napi_ids):
        return KnobEffect(True, "read back from the device whose NAPI carried the traffic (this kernel lists no NAPIs)")
    if not seen.napis:
        return KnobEffect(False, "the node's devices have no NAPI: the kernel stored the value and never looks at it")
    for napi in [napi for napi in seen.napis if napi.get("napi_id") in seen.napi_ids] or seen.napis:
        if all(napi.get(key) is None for key in expected):
            # Linux 6.8 to 6.12 list NAPIs without their settings; the device's own value was read back when it was set.
            text = f"{text}; this kernel does not tell a NAPI's own settings"
            continue
        wrong = {k: napi.get(k) for k, v in expected.items() if (napi.get(k) or 0) != v}
        if wrong:
            ended = f"NAPI {napi.get('napi_id')} ended the run with {napi_words(wrong)}"
            return KnobEffect(False, f"{ended}, not {napi_words(expected)}")
    if not seen.napi_ids:
        own = f"the node's NAPIs have {napi_words(expected)}"
        return KnobEffect(None, f"{own}; no socket was there at a look to tell by which of them its packets came")
    if not any(seen.napi_ids):
        return KnobEffect(False, "the traffic did not pass through a NAPI (SO_INCOMING_NAPI_ID 0)")
    return KnobEffect(True, text)
