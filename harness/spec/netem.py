"""What netem can do to packets by chance: its models of loss, and what they come to."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from pydantic import Field

from harness.spec.section import Section
from harness.units import Count, DurationNs, Share

# Steps after which what is left of a chain's memory is forgotten, and how little of it is nothing.
_REMEMBERED, _NOTHING = 20_000, 1e-6


class Correlation(Section):
    """How much netem mixes into each draw of chance of the one before it, by what is drawn."""

    delay: Share = Field(0.0, description="of the jitter")
    loss: Share = Field(0.0, description="of losses")
    duplicate: Share = Field(0.0, description="of what is sent twice")
    reorder: Share = Field(0.0, description="of what is sent without the delay")
    corrupt: Share = Field(0.0, description="of what is changed by a bit")


class LossChain(NamedTuple):
    """A Markov chain with a step for each packet. moves[i][j]: chance from state i to j; lost[i]: chance that a packet
    is lost in it."""

    moves: tuple[tuple[float, ...], ...]
    lost: tuple[float, ...]

    def stationary(self) -> list[float]:
        """The share of packets that meet each state, in the long run."""
        shares = [1 / len(self.lost)] * len(self.lost)
        for _ in range(_REMEMBERED):
            # Half a step: a chain that swings between two states comes to rest too.
            later = [(old + new) / 2 for old, new in zip(shares, self._step(shares), strict=True)]
            if max(abs(old - new) for old, new in zip(shares, later, strict=True)) < 1e-12:
                break
            shares = later
        return shares

    def share(self) -> float:
        """The share of packets lost."""
        return _product(self.stationary(), self.lost)

    def burst(self) -> float:
        """The mean number of packets lost one after the other."""
        lost = [share * chance for share, chance in zip(self.stationary(), self.lost, strict=True)]
        ends = _product(self._step(lost), [1 - chance for chance in self.lost])
        return sum(lost) / ends if ends else float("inf")

    def inflation(self) -> float:
        """How much larger the variance of a count of losses is than if each packet were for itself."""
        shares, mean = self.stationary(), self.share()
        if not 0 < mean < 1:
            return 1.0
        total, ahead = 0.0, [share * chance for share, chance in zip(shares, self.lost, strict=True)]
        for _ in range(_REMEMBERED):
            ahead = self._step(ahead)
            covariance = _product(ahead, self.lost) - mean * mean
            total += covariance
            if abs(covariance) < _NOTHING * mean:
                break
        return max(1.0, 1 + 2 * total / (mean * (1 - mean)))

    def _step(self, weights: Sequence[float]) -> list[float]:
        return [_product(weights, column) for column in zip(*self.moves, strict=True)]


class GilbertElliott(Section):
    """A link with good and bad times, between which every packet may change it."""

    to_bad: Share = Field(gt=0, description="chance with each packet that a good time ends (tc: p)")
    to_good: Share = Field(gt=0, description="chance with each packet that a bad time ends (tc: r)")
    bad_loss: Share = Field(1.0, gt=0, description="share lost in bad times (tc: 1-h)")
    good_loss: Share = Field(0.0, description="share lost in good times (tc: 1-k)")

    def chain(self) -> LossChain:
        """Its two states: netem decides a packet's fate by the state before it."""
        moves = ((1 - self.to_bad, self.to_bad), (self.to_good, 1 - self.to_good))
        return LossChain(moves, (self.good_loss, self.bad_loss))


class FourStates(Section):
    """netem's `loss state`: 1 passes, 3 loses a burst, 2 passes within one, 4 loses a single packet."""

    p13: Share = Field(gt=0, description="chance of a burst")
    p31: Share = Field(gt=0, description="chance with each packet of a burst that the burst ends")
    p32: Share = Field(0.0, description="chance that a packet within a burst passes")
    p23: Share = Field(1.0, gt=0, description="chance that the burst then goes on")
    p14: Share = Field(0.0, description="chance that a single packet is lost outside of bursts")

    def chain(self) -> LossChain:
        """Its states in their order; a packet's fate is the state that it brings."""
        moves = (
            (1 - self.p13 - self.p14, 0.0, self.p13, self.p14),
            (0.0, 1 - self.p23, self.p23, 0.0),
            (self.p31, self.p32, 1 - self.p31 - self.p32, 0.0),
            (1.0, 0.0, 0.0, 0.0),
        )
        return LossChain(moves, (0.0, 0.0, 1.0, 1.0))


class Slots(Section):
    """Times at which a link opens, as a shared medium does; what came before leaves then, all at once."""

    least_ns: DurationNs = Field(alias="least", gt=0, description="from one opening to the next, at least")
    most_ns: DurationNs | None = Field(None, alias="most", description="and at most; always the least if absent")
    packets: Count | None = Field(None, ge=1, le=2**31 - 1, description="that leave by one opening; all if absent")
    bytes: Count | None = Field(None, ge=1, le=2**31 - 1, description="that leave by one opening; all if absent")


def correlated_share(share: float, correlation: float) -> float:
    """The share of packets that netem really meets where it is asked for `share` with this correlation.

    It mixes each even draw with the one before it, which leaves few of them near 0: of 10 % with a correlation of 25 %
    it meets 1.8 %, of 1 % next to none.
    From the even spread on, the spread of such draws is worked out anew until it stays.
    """
    if not correlation or not 0 < share < 1:
        return share
    if correlation >= 1:
        # Whatever was drawn first stays: all packets or none.
        return share
    cells, fresh = 2000, 1 - correlation
    below = [number / cells for number in range(cells + 1)]  # P(draw < number / cells)
    for _ in range(60):
        density = [
            (_at(below, number / cells / correlation) - _at(below, (number / cells - fresh) / correlation)) / fresh
            for number in range(cells + 1)
        ]
        sums = [0.0]
        for left, right in pairwise(density):
            sums.append(sums[-1] + (left + right) / 2)
        below = [value / sums[-1] for value in sums]
    return _at(below, share)


def _at(below: Sequence[float], place: float) -> float:
    if place <= 0 or place >= 1:
        return float(place >= 1)
    cell = place * (len(below) - 1)
    low = int(cell)
    return below[low] + (cell - low) * (below[low + 1] - below[low])


def _product(weights: Sequence[float], values: Sequence[float]) -> float:
    return sum(weight * value for weight, value in zip(weights, values, strict=True))
