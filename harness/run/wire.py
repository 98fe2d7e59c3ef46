"""From the packets that passed a client's devices to its requests, for programs that tell nothing. Pure."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

# As wire.c has it.
RECORD = np.dtype(
    [
        ("at_ns", "<u8"),
        ("flow", "<u8"),
        ("seq", "<u4"),
        ("ack", "<u4"),
        ("payload", "<u4"),
        ("outbound", "u1"),
        ("opens", "u1"),
        ("unused", "<u2"),
    ]
)
# A connection's bytes, and all connections, fit one number of 64 bits.
_ROOM = 40
# Answers that came before their request was there, of all: one a connection may be the server's own greeting.
_MOST_EARLY = 0.01

Records = npt.NDArray[np.void]


class Exchanges(NamedTuple):
    """samples: as of Reading, one a request, by time; doubts: what of the packets could not be told.

    start_ns: by CLOCK_REALTIME, from where the samples count.
    """

    samples: npt.NDArray[np.void]
    doubts: list[str]
    start_ns: int = 0


def exchanges(records: Records, protocol: str) -> Exchanges:
    """Pair requests and answers, flow by flow.

    A request begins with the first packet of data after an answer, and ends with the first one of data that comes
    back. Of UDP, requests that overlap on a flow are answered in their order where each was answered, and were given
    up where the next came later than any answer took; what is neither is left out, and said. Of TCP, several packets
    sent before the answer begins are one request; data that was sent before the request had arrived is no answer to it.
    A request that waited at the end, but no longer than others, was cut off, and is none.

    Raises ValueError: where no request passed, or answers so often precede their requests that these are pipelined.
    """
    ordered = records[np.lexsort((records["at_ns"], records["flow"]))]
    opened = np.r_[True, ordered["flow"][1:] != ordered["flow"][:-1]][: ordered.size] | (ordered["opens"] != 0)
    flows = np.cumsum(opened)
    doubts: list[str] = []
    if protocol == "tcp":
        ordered, flows = _answers_of_tcp(*_new_data(ordered, flows))
        pairs = _alternating(ordered, flows)
    else:
        overlapping = np.unique(flows[1:][_follows(ordered, flows)])
        alone = ~np.isin(flows, overlapping)
        told = [_overlapping(ordered[flows == flow]) for flow in overlapping]
        pairs = np.concatenate([_alternating(ordered[alone], flows[alone]), *(one for one in told if one is not None)])
        if unclear := sum(one is None for one in told):
            doubts.append(f"on the wire, requests overlap and lack answers on {unclear} of {flows[-1]} flows: left out")
    sent, took = _over(pairs, int(records["at_ns"].max(initial=0)))
    if not (took >= 0).any():
        raise ValueError("on the wire: no request of which it can be told which answer is its own")
    order = np.argsort(sent, kind="stable")
    samples = np.empty(sent.size, dtype=[("intended_ns", "<i8"), ("latency_ns", "<i8")])
    samples["intended_ns"] = sent[order] - sent.min()
    samples["latency_ns"] = took[order]
    return Exchanges(samples, doubts, int(sent.min()))


def _follows(records: Records, flows: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Which of all but the first are requests right behind a request of the same flow."""
    return (flows[1:] == flows[:-1]) & (records["outbound"][1:] != 0) & (records["outbound"][:-1] != 0)


def _alternating(records: Records, flows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Pairs (sent, came) in ns of the first packets of each turn of a flow; came -1: there was no answer."""
    first = np.r_[True, (flows[1:] != flows[:-1]) | (records["outbound"][1:] != records["outbound"][:-1])]
    turns = np.flatnonzero(first[: records.size])
    at_ns, outbound, flow = records["at_ns"][turns].astype(np.int64), records["outbound"][turns], flows[turns]
    answered = np.r_[flow[1:] == flow[:-1], False][: turns.size]
    came = np.where(answered, np.r_[at_ns[1:], 0][: turns.size], -1)
    return np.column_stack((at_ns, came))[outbound != 0]


def _overlapping(records: Records) -> npt.NDArray[np.int64] | None:
    """The pairs of a flow of UDP with requests that follow requests; None where nothing tells which is whose."""
    at_ns, outbound = records["at_ns"].astype(np.int64), records["outbound"] != 0
    sent, came = at_ns[outbound], at_ns[~outbound]
    if sent.size == came.size and (came >= sent).all():
        return np.column_stack((sent, came))
    after = np.r_[at_ns[1:], 0]
    given_up = np.r_[outbound[1:], False] & outbound
    answered = outbound & ~given_up & (np.arange(at_ns.size) < at_ns.size - 1)
    waited, took = (after - at_ns)[given_up], (after - at_ns)[answered]
    if not took.size or waited.min() <= took.max():
        return None
    return np.column_stack((at_ns, np.where(answered, after, -1)))[outbound]


def _over(pairs: npt.NDArray[np.int64], end_ns: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """When each request was sent, and how long it took, -1: lost; without those that the end cut off."""
    sent, came = pairs[:, 0], pairs[:, 1]
    took = np.where(came >= 0, came - sent, -1)
    over = (came >= 0) | (end_ns - sent > took.max(initial=0))
    return sent[over], took[over]


def _new_data(records: Records, flows: npt.NDArray[np.int64]) -> tuple[Records, npt.NDArray[np.int64]]:
    """Without what opens connections, and without segments that bring nothing new: those were sent again."""
    new = np.zeros(records.size, dtype=bool)
    for outbound in (0, 1):
        places = np.flatnonzero((records["outbound"] == outbound) & (records["payload"] > 0))
        if not places.size:
            continue
        seq, flow = records["seq"][places].astype(np.int64), flows[places]
        step = np.r_[0, (np.diff(seq) + 2**31) % 2**32 - 2**31]
        begins = np.r_[True, flow[1:] != flow[:-1]]
        place = np.cumsum(np.where(begins, 0, step))
        place -= place[np.flatnonzero(begins)][np.cumsum(begins) - 1]
        ends = place + records["payload"][places] + (flow << _ROOM)
        known = np.r_[-1, np.maximum.accumulate(ends)[:-1]]
        new[places] = ends > known
    return records[new], flows[new]


def _answers_of_tcp(records: Records, flows: npt.NDArray[np.int64]) -> tuple[Records, npt.NDArray[np.int64]]:
    """Without data that came before the request in front of it had arrived. ValueError: much of it did."""
    outbound = records["outbound"] != 0
    first = np.r_[True, (flows[1:] != flows[:-1]) | (outbound[1:] != outbound[:-1])][: records.size]
    begins = np.flatnonzero(first & outbound)
    asked = np.searchsorted(begins, np.arange(records.size), side="right") - 1
    known = asked >= 0
    request = begins[np.maximum(asked, 0)] if begins.size else np.zeros(records.size, dtype=np.int64)
    known &= flows[request] == flows
    ahead = (records["ack"].astype(np.int64) - records["seq"][request]) % 2**32
    early = ~outbound & known & ((ahead == 0) | (ahead >= 2**31))
    if early.sum() > max(np.unique(flows).size, _MOST_EARLY * begins.size):
        got = f"{early.sum():,} times data came back before the request had arrived ({begins.size:,} requests)"
        raise ValueError(f"on the wire: {got}: it pipelines, or its server speaks by itself; of such nobody can tell")
    return records[~early], flows[~early]
