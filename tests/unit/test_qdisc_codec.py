"""Qdisc options survive the way to the wire and back, and pyroute2 reads on the wire what we meant."""

from __future__ import annotations

import struct
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroute2.netlink.rtnl.tcmsg import tcmsg

from harness.kernel import qdiscs
from harness.kernel.netlink import attrs, u32
from harness.kernel.qdiscs import Options

IFINDEX, HANDLE = 4, 0x10000

rates = st.integers(64, 400 * 10**9)
sizes = st.integers(64, 2**31)
shares = st.floats(0, 1)


def on_the_wire(kind: str, options: Options, number: int = 0) -> bytes:
    """A request as the kernel would get it."""
    request = qdiscs.new_qdisc(IFINDEX, kind, HANDLE, qdiscs.ROOT, options)[number]
    return struct.pack("=IHHII", 16 + len(request.body), request.kind, request.flags, 1, 0) + request.body


def tca_options(kind: str, options: Options) -> dict[int, bytes]:
    """The attributes inside TCA_OPTIONS of a request."""
    return attrs(attrs(on_the_wire(kind, options), 16 + 20)[2])


def as_pyroute2_reads(kind: str, options: Options, number: int = 0) -> Any:
    """A request decoded by somebody else's code."""
    message = tcmsg(on_the_wire(kind, options, number))
    message.decode()
    return message


def back(kind: str, options: Options) -> dict[str, int | float]:
    """Options encoded and decoded by ours, as if the kernel had echoed them."""
    return dict(qdiscs._state(on_the_wire(kind, options)[16:]).options)


@given(rates, sizes, sizes)
def test_tbf_round_trip(rate: int, burst: int, limit: int) -> None:
    wanted = {"rate_bps": rate, "burst_bytes": burst, "limit_bytes": limit}
    ticks = burst * 10**9 / (rate // 8) / qdiscs.TICK_NS
    if ticks < 2**32 - 1:
        assert qdiscs.differences(wanted, back("tbf", wanted)) == []


def test_tbf_as_pyroute2_reads_it() -> None:
    options = {"rate_bps": 100_000_000, "burst_bytes": 50_000, "limit_bytes": 675_000}
    message = as_pyroute2_reads("tbf", options)
    assert (message["index"], message["handle"], message["parent"]) == (IFINDEX, HANDLE, qdiscs.ROOT)
    assert message.get_attr("TCA_KIND") == "tbf"
    found = message.get_attr("TCA_OPTIONS").get_attr("TCA_TBF_PARMS")
    assert (found["rate"], found["limit"]) == (12_500_000, 675_000)
    assert found["buffer"] * qdiscs.TICK_NS == pytest.approx(4_000_000, rel=1e-4)


def test_tbf_says_its_burst_in_bytes() -> None:
    """The older field rounds to 64 ns of the rate; pyroute2 does not know this one."""
    options = {"rate_bps": 100_000_000, "burst_bytes": 50_001, "limit_bytes": 675_000}
    assert u32(tca_options("tbf", options)[6]) == 50_001


def test_a_rate_over_4_gigabyte_per_second_takes_the_wide_attribute() -> None:
    wanted = {"rate_bps": 100 * 10**9, "burst_bytes": 10**6, "limit_bytes": 10**6}
    found = tca_options("tbf", wanted)
    assert u32(found[1], 8) == 2**32 - 1
    assert int.from_bytes(found[4], sys.byteorder) == 12_500_000_000
    assert qdiscs.differences(wanted, back("tbf", wanted)) == []


def test_htb_sends_all_to_a_class_that_exists() -> None:
    options = {"rate_bps": 50_000_000, "burst_bytes": 25_000}
    qdisc, of_class = (as_pyroute2_reads("htb", options, number) for number in (0, 1))
    root = qdisc.get_attr("TCA_OPTIONS").get_attr("TCA_HTB_INIT")
    assert of_class["handle"] == HANDLE | root["defcls"]
    assert of_class["parent"] == HANDLE
    found = of_class.get_attr("TCA_OPTIONS").get_attr("TCA_HTB_PARMS")
    assert found["rate"] == found["ceil"] == 6_250_000
    assert found["buffer"] * qdiscs.TICK_NS == pytest.approx(4_000_000, rel=1e-4)


@given(st.integers(0, 10**13), st.integers(0, 10**12), shares, shares, shares, st.integers(1, 10**6))
def test_netem_round_trip(
    delay: int, jitter: int, loss: float, duplicate: float, reorder: float, limit: int
) -> None:
    wanted = {
        "delay_ns": delay,
        "jitter_ns": jitter,
        "loss": loss,
        "duplicate": duplicate,
        "reorder": reorder,
        "limit": limit,
    }
    assert qdiscs.differences(wanted, back("netem", wanted)) == []


def test_netem_as_pyroute2_reads_it() -> None:
    wanted = {"delay_ns": 10_000_000, "jitter_ns": 64_000, "loss": 0.5, "duplicate": 1.0, "reorder": 0.25}
    found = as_pyroute2_reads("netem", {**wanted, "limit": 1234}).get_attr("TCA_OPTIONS")
    assert found["delay"] * qdiscs.TICK_NS == 10_000_000
    assert found["jitter"] * qdiscs.TICK_NS == 64_000
    assert (found["limit"], found["duplicate"], found["gap"]) == (1234, 2**32 - 1, 1)
    assert found["loss"] == pytest.approx(2**31, abs=1)
    assert found.get_attr("TCA_NETEM_REORDER")["prob_reorder"] == pytest.approx(2**30, abs=1)


@pytest.mark.parametrize("kind", ["pfifo", "bfifo", "sfq", "fq", "codel", "fq_codel"])
def test_limits(kind: str) -> None:
    assert back(kind, {"limit": 77}) == {"limit": 77}


@pytest.mark.parametrize("kind", sorted(set(qdiscs.KINDS) - {"tbf", "htb", "netem"}))
def test_no_limit_means_no_options_at_all(kind: str) -> None:
    """An empty pfifo structure would be a limit of 0: everything dropped."""
    assert as_pyroute2_reads(kind, {}).get_attr("TCA_OPTIONS") is None


def test_differences_are_told_in_words() -> None:
    assert qdiscs.differences({"limit": 5}, {"limit": 5}) == []
    assert qdiscs.differences({"limit": 5}, {"limit": 6}) == ["limit 6 instead of 5"]
    assert qdiscs.differences({"limit": 5}, {}) == ["limit missing instead of 5"]
