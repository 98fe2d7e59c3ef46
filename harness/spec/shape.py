"""What happens to packets in one direction of a link, as the experiment file declares it."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from harness.spec.delay_table import UNIT, delay_table, table_data
from harness.spec.link_changes import Changes, Course, LinkState, course_of
from harness.spec.netem import Correlation, FourStates, GilbertElliott, LossChain, Slots
from harness.spec.section import StableSection
from harness.spec.trace_file import LEAST_BPS
from harness.units import Count, DurationNs, OnOff, RateBps, Share, SizeBytes

_ETHERNET_MTU = 1500


def _not_too_slow(rate_bps: int) -> int:
    """A rate that kernels can keep. Raises ValueError; a rule would tell of it only once all else can be read."""
    if rate_bps < LEAST_BPS:
        got = f"a full frame would take over {8 * _ETHERNET_MTU // LEAST_BPS} s, and kernels count whole bytes a second"
        raise ValueError(f'{got}; take 1kbit at least, e.g. "rate: 1mbit"')
    return rate_bps


class Qdisc(StableSection):
    """The queueing discipline at the leaf of a shaped direction."""

    added_later: ClassVar[frozenset[str]] = frozenset(("ce_threshold_ns", "ecn"))

    kind: Literal["fq", "fq_codel", "cake", "codel", "dualpi2", "sfq", "pfifo", "bfifo"]
    limit: Count | None = Field(
        None, ge=1, le=2**32 - 1, description="packets (bytes for bfifo); the kernel's default if absent"
    )
    ce_threshold_ns: DurationNs | None = Field(
        None,
        alias="ce_threshold",
        ge=1000,
        le=10**9,
        description="packets with ECN that waited for longer are marked (fq, codel, fq_codel; dualpi2: those of L4S)",
    )
    ecn: OnOff | None = Field(None, description="of codel and fq_codel: marks packets with ECN in place of dropping")


class Shape(StableSection):
    """What happens to packets in one direction of a link. An empty shape is an unshaped direction."""

    added_later: ClassVar[frozenset[str]] = frozenset(
        (
            "red",
            "limit",
            "queue_bytes",
            "queue_packets",
            "keep_order",
            "changes",
            "distribution",
            "distribution_data",
            "gilbert_elliott",
            "four_states",
            "ecn",
            "gap",
            "corrupt",
            "correlation",
            "slots",
            "seed",
        )
    )

    rate_bps: Annotated[RateBps, AfterValidator(_not_too_slow)] | None = Field(
        None, alias="rate", description="bandwidth limit"
    )
    burst_bytes: SizeBytes | None = Field(
        None,
        alias="burst",
        description="bytes that may pass at once after a pause, by tbf or htb; if absent, each packet is held back for "
        "its time (netem), or 50 us of the rate may pass",
    )
    queue_ns: DurationNs = Field(
        50_000_000, alias="queue", description="longest wait for the rate; if absent, 50ms or 16 full frames"
    )
    queue_bytes: SizeBytes | None = Field(
        None, ge=1, le=2**31, description="bytes that wait for the rate, instead of queue"
    )
    queue_packets: Count | None = Field(
        None, ge=1, le=2**31, description="packets that wait for the rate, instead of queue"
    )
    method: Literal["netem", "tbf", "htb", "hfsc"] | None = Field(
        None, description="qdisc that enforces the rate; if absent, netem up to 1gbit where the kernel has it, else htb"
    )
    red: Literal["drop", "ecn"] | None = Field(
        None, description="random early detection below htb or hfsc, as Mininet sets it up: drops, or marks (ECN)"
    )
    delay_ns: DurationNs = Field(0, alias="delay", description="added one-way delay (netem)")
    jitter_ns: DurationNs = Field(0, alias="jitter", description="variation of the delay (netem); packets overtake")
    keep_order: OnOff = Field(False, description="with a jitter: a packet never arrives before an earlier one")
    distribution: str | None = Field(
        None,
        description="how the delay varies: normal, pareto, paretonormal (jitter is its unit), or a file as tc has "
        "them; evenly by up to the jitter, if absent",
    )
    distribution_data: Annotated[str, AfterValidator(table_data)] | None = Field(
        None, description="what that file holds; filled in"
    )
    loss: Share = Field(0.0, description="share of packets lost (netem)")
    gilbert_elliott: GilbertElliott | None = Field(None, description="instead of loss: packets lost in bursts (netem)")
    four_states: FourStates | None = Field(None, description="instead of loss: netem's chain of four states")
    ecn: OnOff = Field(False, description="marks packets with ECN in place of losing them (netem)")
    duplicate: Share = Field(0.0, description="share of packets sent twice (netem)")
    reorder: Share = Field(0.0, description="share of packets sent without the delay (netem)")
    gap: Count = Field(
        1, ge=1, le=2**31, description="with reorder: of so many packets only the last has that chance (netem)"
    )
    corrupt: Share = Field(0.0, description="share of packets in which one bit is changed (netem)")
    correlation: Correlation | None = Field(None, description="how much each draw of chance is like the one before")
    slots: Slots | None = Field(None, description="packets leave in bursts, at the openings of slots (netem)")
    seed: Count | None = Field(
        None, ge=1, le=2**53, description="of netem's chance: the same packets meet the same fate again (Linux 6.6)"
    )
    limit: Count | None = Field(
        None, description="packets under way, or with a rate: that wait for it; chosen if absent", ge=1, le=2**31
    )
    leaf: Qdisc | None = Field(None, alias="qdisc", description="leaf queueing discipline")
    changes: Changes | None = Field(
        None, description="how the direction changes while it is measured; before that, and after, it is as above"
    )

    @property
    def needs_netem(self) -> bool:
        """True if any part of the shape can only be done by netem, now or after a change."""
        own = self.delay_ns or self.by_chance or self.slots is not None
        return bool(own) or any(state.delay_ns or state.loss for state in self.states())

    @property
    def by_chance(self) -> bool:
        """Is there anything that meets some packets and not others, before any change?"""
        return bool(self.jitter_ns or self.mean_loss or self.duplicate or self.reorder or self.corrupt)

    @property
    def chain(self) -> LossChain | None:
        """The states of which its losses come in bursts; None where each is for itself."""
        model = self.gilbert_elliott or self.four_states
        return model.chain() if model is not None else None

    @property
    def mean_loss(self) -> float:
        """The share of packets lost, before any change."""
        return self.chain.share() if self.chain is not None else self.loss

    @property
    def table(self) -> tuple[int, ...]:
        """How the delay varies, as netem takes it; empty where it does so evenly."""
        return () if self.distribution is None else delay_table(self.distribution, self.distribution_data)

    @property
    def held_ns(self) -> int:
        """How long netem may hold a packet: the delay, the most that it varies by, and until a slot opens."""
        jitters = max(self.table) / UNIT if self.table else 1.0
        slot_ns = (self.slots.most_ns or self.slots.least_ns) if self.slots is not None else 0
        return self.delay_ns + round(self.jitter_ns * max(jitters, 0.0)) + slot_ns

    @property
    def course(self) -> Course | None:
        """How it changes; None if it does not."""
        start = LinkState(self.rate_bps, self.delay_ns, self.loss)
        return None if self.changes is None else course_of(self.changes, start)

    def states(self) -> frozenset[LinkState]:
        """Every state it is changed to."""
        return self.course.states if self.course is not None else frozenset()

    def at(self, state: LinkState) -> Shape:
        """The shape in one of its states, for itself; but for the queue, which stays what it is."""
        same = {"rate_bps": state.rate_bps, "delay_ns": state.delay_ns, "loss": state.loss}
        return self.model_copy(update=same | {"changes": None, "method": self.method or "htb"})
