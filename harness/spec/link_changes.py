"""How a link changes over time, as the experiment file declares it, and as a course of states."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Annotated, NamedTuple

from pydantic import AfterValidator, Field

from harness.spec.section import Section
from harness.spec.trace_file import LinkTrace, TracePoint, parse_trace, unpacked
from harness.units import Count, DurationNs, RateBps, Share, format_duration, format_percent, format_rate

# A ramp goes up in steps of this length, or in so many.
_RAMP_STEP_NS, _RAMP_STEPS = 10_000_000, 1000
MOST_CHANGES = 200_000
# A trace with more states than these is told in bands of its rate.
_STATES_TOLD = 12
_BAND_NS = 100_000_000


def _trace_data(data: str) -> str:
    parse_trace(unpacked(data))
    return data


class Step(Section):
    """From `at` on, the link is as this says; what it does not name stays."""

    at_ns: DurationNs = Field(alias="at", description="since the measured window began")
    rate_bps: RateBps | None = Field(None, alias="rate", description="bandwidth limit from then on")
    delay_ns: DurationNs | None = Field(None, alias="delay", description="added one-way delay from then on (netem)")
    loss: Share | None = Field(None, description="share of packets lost from then on (netem)")
    over_ns: DurationNs | None = Field(
        None, alias="over", description="a ramp: goes evenly to the new values, and has them after so long"
    )
    down_ns: DurationNs | None = Field(
        None, alias="down", description="a flap: for so long, whatever is sent or waits is lost"
    )

    @property
    def end_ns(self) -> int:
        """When its ramp or flap is over."""
        return self.at_ns + (self.over_ns or 0) + (self.down_ns or 0)


class OnOff(Section):
    """A link that is whole and broken by turns, for times drawn by chance."""

    on_ns: DurationNs = Field(alias="on", gt=0, description="mean time for which it is as declared")
    off_ns: DurationNs = Field(alias="off", gt=0, description="mean time for which it is broken")
    loss: Share | None = Field(
        None, description="share of packets lost meanwhile (netem); if absent, the link is down, and all are"
    )
    seed: Count = Field(1, ge=0, le=2**53, description="of the times, which are exponentially distributed")


class Changes(Section):
    """When a direction of a link changes, and to what: by steps, by chance, or as a trace file has it."""

    steps: tuple[Step, ...] | None = Field(None, min_length=1, description="changes in the order of time")
    on_off: OnOff | None = Field(None, description="instead of steps: broken by chance, by a seed")
    trace: str | None = Field(None, description="instead of steps: a file, mahimahi's or CSV")
    trace_data: Annotated[str, AfterValidator(_trace_data)] | None = Field(
        None, description="what the trace file holds; filled in"
    )
    every_ns: DurationNs | None = Field(
        None,
        alias="every",
        gt=0,
        description="begins anew after so long; if absent, once, but a mahimahi trace after its last line",
    )


class LinkState(NamedTuple):
    """What a direction of a link is at one time."""

    rate_bps: int | None
    delay_ns: int = 0
    loss: float = 0.0
    down: bool = False

    def then(self, change: Step | TracePoint) -> LinkState:
        """The state after a change; what that does not name stays."""
        return LinkState(
            self.rate_bps if change.rate_bps is None else change.rate_bps,
            self.delay_ns if change.delay_ns is None else change.delay_ns,
            self.loss if change.loss is None else change.loss,
        )

    def text(self) -> str:
        """The state for a reader: "10mbit, 20ms, 1% lost"."""
        if self.down:
            return "down"
        parts = [format_rate(self.rate_bps)] if self.rate_bps is not None else []
        parts += [format_duration(self.delay_ns)] if self.delay_ns else []
        parts += [f"{format_percent(round(100 * self.loss, 6))} lost"] if self.loss else []
        return ", ".join(parts) or "unshaped"


class Moment(NamedTuple):
    """From at_ns on the link is in this state; phase: the number of the phase that this belongs to."""

    at_ns: int
    state: LinkState
    phase: int


class Course(NamedTuple):
    """All changes of one turn, the first at 0. phases: what they are called. period_ns: of a turn; 0: there is one.

    states: all that the moments have.
    """

    moments: tuple[Moment, ...]
    phases: tuple[str, ...]
    period_ns: int
    states: frozenset[LinkState]

    def spans(self, end_ns: int) -> Iterator[tuple[int, int, Moment]]:
        """(from, to, what holds) until end_ns, turn after turn."""
        base = 0
        while base < end_ns:
            turn_ns = min(base + self.period_ns, end_ns) if self.period_ns else end_ns
            ends = [base + later.at_ns for later in self.moments[1:]]
            for moment, until in zip(self.moments, [*ends, turn_ns], strict=True):
                if base + moment.at_ns < min(until, turn_ns):
                    yield base + moment.at_ns, min(until, turn_ns), moment
            base = turn_ns

    def mean_loss(self) -> float:
        """Share of the time of a turn (up to its last change, if there is one) in which packets are lost, weighed."""
        end_ns = self.period_ns or self.moments[-1].at_ns + 1
        lost = (
            (until - since) * (1.0 if moment.state.down else moment.state.loss)
            for since, until, moment in self.spans(end_ns)
        )
        return sum(lost) / end_ns


@lru_cache(maxsize=256)
def course_of(changes: Changes, start: LinkState) -> Course:
    """The course of a direction that is in state `start` before its first change."""
    if changes.trace_data is not None:
        trace = parse_trace(unpacked(changes.trace_data))
        return _of_trace(trace, start, changes.every_ns or trace.period_ns)
    steps, period_ns = changes.steps or (), changes.every_ns or 0
    if changes.on_off is not None:
        steps = tuple(_drawn(changes.on_off, period_ns, start))
    moments: list[Moment] = []
    phases: dict[str, int] = {}

    def add(at_ns: int, state: LinkState, text: str) -> None:
        # What chance breaks again and again is two phases, however often.
        name = text if changes.on_off is not None else f"from {format_duration(at_ns)}: {text}"
        moments.append(Moment(at_ns, state, phases.setdefault(name, len(phases))))

    state = start
    if not steps or steps[0].at_ns:
        add(0, start, start.text())
    for step in steps:
        after = state.then(step)
        if step.down_ns:
            add(step.at_ns, state._replace(down=True), "down")
            add(step.end_ns, after, after.text())
        elif step.over_ns:
            add(step.at_ns, state, f"{state.text()} to {after.text()}")
            moments[-1:] = [moment._replace(phase=moments[-1].phase) for moment in _ramp(step, state, after)]
            add(step.end_ns, after, after.text())
        else:
            add(step.at_ns, after, after.text())
        state = after
    return _course(moments, phases, period_ns)


def _course(moments: Iterable[Moment], phases: Iterable[str], period_ns: int) -> Course:
    moments = tuple(moments)
    return Course(moments, tuple(phases), period_ns, frozenset(moment.state for moment in moments))


def _ramp(step: Step, old: LinkState, new: LinkState) -> Iterator[Moment]:
    """Small steps, each at the value that an even ramp has in its middle. The phase is filled in by the caller."""
    length_ns = step.over_ns or 0
    count = max(1, min(_RAMP_STEPS, length_ns // _RAMP_STEP_NS))
    for number in range(count):
        part = (number + 0.5) / count
        rate = old.rate_bps
        if old.rate_bps is not None and new.rate_bps is not None:
            rate = round(old.rate_bps + part * (new.rate_bps - old.rate_bps))
        delay_ns = round(old.delay_ns + part * (new.delay_ns - old.delay_ns))
        loss = old.loss + part * (new.loss - old.loss)
        yield Moment(step.at_ns + number * length_ns // count, LinkState(rate, delay_ns, loss), 0)


def _drawn(on_off: OnOff, until_ns: int, start: LinkState) -> Iterator[Step]:
    """Breaks by chance until then, each over before the end. Whole microseconds, so that times can be read."""
    chance, at_ns = random.Random(on_off.seed), 0
    # A break is two changes. More are refused, however many they would have been.
    for _ in range(MOST_CHANGES // 2 + 1):
        at_ns += _drawn_ns(chance, on_off.on_ns)
        off_ns = _drawn_ns(chance, on_off.off_ns)
        if at_ns + off_ns >= until_ns:
            return
        if on_off.loss is None:
            yield Step.model_construct(at_ns=at_ns, down_ns=off_ns)
        else:
            yield Step.model_construct(at_ns=at_ns, loss=on_off.loss)
            yield Step.model_construct(at_ns=at_ns + off_ns, loss=start.loss)
        at_ns += off_ns


def _drawn_ns(chance: random.Random, mean_ns: int) -> int:
    return max(1, round(chance.expovariate(1 / mean_ns) / 1000)) * 1000


def _of_trace(trace: LinkTrace, start: LinkState, period_ns: int) -> Course:
    """The course of a trace. Few different states are phases; of more, the rate's bands are, over 100 ms each."""
    moments: list[tuple[int, LinkState]] = [] if trace.points[0].at_ns == 0 else [(0, start)]
    state = start
    for point in trace.points:
        state = state.then(point)
        if period_ns and point.at_ns >= period_ns:
            break
        moments.append((point.at_ns, state))
    names = [state.text() for _, state in moments]
    if len(set(names)) > _STATES_TOLD:
        names = _bands(moments, period_ns)
    phases = list(dict.fromkeys(names))
    numbers = {name: number for number, name in enumerate(phases)}
    found = (Moment(at_ns, state, numbers[name]) for (at_ns, state), name in zip(moments, names, strict=True))
    return _course(found, phases, period_ns)


def _bands(moments: list[tuple[int, LinkState]], period_ns: int) -> list[str]:
    """The band of each moment's 100 ms: by its mean rate, in steps of 1, 2 and 5."""
    ends = [at_ns for at_ns, _ in moments[1:]] + [period_ns or moments[-1][0] + 1]
    bits: dict[int, float] = {}
    lasting: dict[int, int] = {}
    for (at_ns, state), until in zip(moments, ends, strict=True):
        slot = at_ns // _BAND_NS
        bits[slot] = bits.get(slot, 0.0) + (state.rate_bps or 0) * (until - at_ns)
        lasting[slot] = lasting.get(slot, 0) + until - at_ns
    return [_band(bits[at_ns // _BAND_NS] / lasting[at_ns // _BAND_NS]) for at_ns, _ in moments]


def _band(rate_bps: float) -> str:
    low = 1000
    for factor in (2, 2.5, 2) * 10:
        if rate_bps < low * factor:
            return f"{format_rate(low)} to {format_rate(round(low * factor))}"
        low = round(low * factor)
    return f"over {format_rate(low)}"
