"""Qdisc options survive the way to the wire and back, which is pyroute2's: it reads on the wire what we meant."""

from __future__ import annotations

import struct
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroute2.netlink.rtnl.tcmsg import common, tcmsg

from harness.kernel import qdiscs, readback
from harness.kernel.netlink import attr, attr_text, attr_u32, attrs, nest, u32
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
    """Options encoded by us and read back, as if the kernel had echoed them."""
    return readback._state(on_the_wire(kind, options)).options


def dumped(kind: str, options: bytes) -> dict[str, int | float]:
    """Options read back from TCA_OPTIONS in the kernel's own words."""
    body = qdiscs.TCMSG.pack(0, 0, 0, IFINDEX, HANDLE, qdiscs.ROOT, 2)
    body += attr_text(1, kind) + attr(qdiscs.TCA_OPTIONS, options)
    return readback._state(struct.pack("=IHHII", 16 + len(body), 36, 2, 1, 0) + body).options


@pytest.mark.skipif(not common.clock_res, reason="no /proc/net/psched here")
def test_the_kernel_counts_in_the_ticks_that_we_think() -> None:
    """pyroute2 asks /proc/net/psched."""
    assert qdiscs.TICK_NS * common.tick_in_usec == 1000


@given(rates, sizes, sizes)
def test_tbf_round_trip(rate: int, burst: int, limit: int) -> None:
    wanted = {"rate_bps": rate, "burst_bytes": burst, "limit_bytes": limit}
    ticks = burst * 10**9 / (rate // 8) / qdiscs.TICK_NS
    if ticks < 2**32 - 1:
        assert readback.differences(wanted, back("tbf", wanted)) == []


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
    assert readback.differences(wanted, back("tbf", wanted)) == []


def test_htb_sends_all_to_a_class_that_exists() -> None:
    options = {"rate_bps": 50_000_000, "burst_bytes": 25_000}
    qdisc, of_class = (as_pyroute2_reads("htb", options, number) for number in (0, 1))
    root = qdisc.get_attr("TCA_OPTIONS").get_attr("TCA_HTB_INIT")
    assert of_class["handle"] == HANDLE | root["defcls"]
    assert of_class["parent"] == HANDLE
    found = of_class.get_attr("TCA_OPTIONS").get_attr("TCA_HTB_PARMS")
    assert found["rate"] == found["ceil"] == 6_250_000
    assert found["buffer"] * qdiscs.TICK_NS == pytest.approx(4_000_000, rel=1e-4)


@given(rates, sizes)
def test_htb_round_trip(rate: int, burst: int) -> None:
    wanted = {"rate_bps": rate, "burst_bytes": burst}
    of_class = as_pyroute2_reads("htb", wanted, 1).get_attr("TCA_OPTIONS")
    if burst * 10**9 / (rate // 8) / qdiscs.TICK_NS < 2**32 - 1:
        assert readback.differences(wanted, readback._htb_class(of_class, b"")) == []


@given(st.integers(0, 10**13), st.integers(0, 10**12), shares, shares, shares, st.integers(1, 10**6))
def test_netem_round_trip(delay: int, jitter: int, loss: float, duplicate: float, reorder: float, limit: int) -> None:
    wanted = {
        "delay_ns": delay,
        "jitter_ns": jitter,
        "loss": loss,
        "duplicate": duplicate,
        "reorder": reorder,
        "limit": limit,
    }
    assert readback.differences(wanted, back("netem", wanted)) == []


def test_netem_as_pyroute2_reads_it() -> None:
    wanted = {"delay_ns": 10_000_000, "jitter_ns": 64_000, "loss": 0.5, "duplicate": 1.0, "reorder": 0.25}
    found = as_pyroute2_reads("netem", {**wanted, "limit": 1234}).get_attr("TCA_OPTIONS")
    assert found["delay"] * qdiscs.TICK_NS == 10_000_000
    assert found["jitter"] * qdiscs.TICK_NS == 64_000
    assert (found["limit"], found["duplicate"], found["gap"]) == (1234, 2**32 - 1, 1)
    assert found["loss"] == pytest.approx(2**31, abs=1)
    assert found.get_attr("TCA_NETEM_REORDER")["prob_reorder"] == pytest.approx(2**30, abs=1)


@given(st.integers(1000, 2 * 10**12).map(lambda rate: rate // 8 * 8))
def test_netem_of_a_rate(rate: int) -> None:
    """Up to 4 GB/s in the older field, above in the 64-bit one, which the kernel takes if it is the larger."""
    wanted: Options = {"rate_bps": rate, "limit": 42}
    found = as_pyroute2_reads("netem", wanted).get_attr("TCA_OPTIONS").get_attr("TCA_NETEM_RATE")
    assert found["rate"] == min(rate // 8, 2**32 - 1)
    assert (found["packet_overhead"], found["cell_size"], found["cell_overhead"]) == (0, 0, 0)
    assert readback.differences(wanted, back("netem", wanted)) == []
    body = attrs(on_the_wire("netem", wanted), 16 + 20)[2]
    wide = attrs(body, 24).get(8)
    assert (int.from_bytes(wide, sys.byteorder) if wide else 0) == (rate // 8 if rate // 8 > 2**32 - 1 else 0)


def test_netem_as_the_kernel_dumps_it() -> None:
    """The fixed part, then attributes, some of which neither pyroute2 nor we know."""
    fixed = struct.pack("=6I", 156_250, 1234, 0, 0, 2**31, 1)
    exact = attr(10, struct.pack("=q", 10_000_063)) + attr(11, struct.pack("=q", 100))
    rest = attr(1, bytes(12)) + attr(3, struct.pack("=II", 2**30, 0)) + attr(4, bytes(8)) + attr(15, bytes(8))
    assert dumped("netem", fixed + exact + rest) == {
        "delay_ns": 10_000_063,
        "jitter_ns": 100,
        "loss": 0,
        "duplicate": pytest.approx(0.5),
        "reorder": 0,  # there is no gap
        "limit": 1234,
    }


def test_a_finer_attribute_counts_only_where_pyroute2_agrees() -> None:
    """They are our own to decode: read wrongly, they may not hide what pyroute2 reads."""
    fixed = struct.pack("=6I", 156_250, 1234, 0, 0, 0, 0)
    assert dumped("netem", fixed)["delay_ns"] == 10_000_000
    assert dumped("netem", fixed + attr(10, struct.pack("=q", 20_000_000)))["delay_ns"] == 10_000_000
    parameters = qdiscs._tbf({"rate_bps": 80_000, "burst_bytes": 1600, "limit_bytes": 1600})
    assert dumped("tbf", parameters + attr(4, struct.pack("=Q", 20_000)))["rate_bps"] == 80_000


def test_limits_as_the_kernel_dumps_them() -> None:
    """With more around them than we send."""
    assert dumped("sfq", struct.pack("=IiIII", 1514, 0, 127, 1024, 128) + bytes(52)) == {"limit": 127}
    assert dumped("pfifo", struct.pack("=I", 2**32 - 1)) == {"limit": 2**32 - 1}
    around = attr_u32(1, 4999), attr_u32(2, 1024), attr_u32(3, 99_999), attr_u32(4, 1)
    assert dumped("fq", b"".join(around)) == {"limit": 4999}
    assert dumped("codel", b"".join(around)) == dumped("fq_codel", b"".join(around)) == {"limit": 1024, "ecn": 1}
    assert dumped("cake", b"".join(around)) == dumped("noqueue", b"") == {}


@pytest.mark.parametrize("kind", ["pfifo", "bfifo", "sfq", "fq", "codel", "fq_codel"])
def test_limits(kind: str) -> None:
    assert back(kind, {"limit": 77}) == {"limit": 77}


@pytest.mark.parametrize("kind", sorted(set(qdiscs.KINDS) - {"tbf", "htb", "hfsc", "netem"}))
def test_no_limit_means_no_options_at_all(kind: str) -> None:
    """An empty pfifo structure would be a limit of 0: everything dropped."""
    assert as_pyroute2_reads(kind, {}).get_attr("TCA_OPTIONS") is None


def test_differences_are_told_in_words() -> None:
    assert readback.differences({"limit": 5}, {"limit": 5}) == []
    assert readback.differences({"limit": 5}, {"limit": 6}) == ["limit 6 instead of 5"]
    assert readback.differences({"limit": 5}, {}) == ["limit missing instead of 5"]


RED: Options = {
    "limit": 1_000_000,
    "min": 30_000,
    "max": 35_000,
    "avpkt": 1500,
    "burst": 20,
    "red_rate_bps": 10_000_000,
    "probability": 1,
    "ecn": 1,
}


def test_red_is_what_tc_sends_for_mininets_parameters() -> None:
    """Wlog 1 and Plog 13 are what `tc` computes from min 30000 max 35000 avpkt 1500 burst 20 probability 1."""
    parameters = tca_options("red", RED)[1]
    assert struct.unpack("=IIIBB", parameters[:14]) == (1_000_000, 30_000, 35_000, 1, 13)
    assert parameters[15] == 1
    table = tca_options("red", RED)[2]
    assert len(table) == 256 and list(table) == sorted(table) and (table[0], table[255]) == (0, 31)
    assert readback.differences(RED, back("red", RED)) == []


def test_hfsc_sends_all_to_a_class_of_the_rate() -> None:
    assert int.from_bytes(attrs(on_the_wire("hfsc", {"rate_bps": 8}), 36)[2], sys.byteorder) == 1
    of_class = attrs(on_the_wire("hfsc", {"rate_bps": 80_000_000}, 1), 36)[2]
    assert readback.hfsc_class(of_class) == {"rate_bps": 80_000_000}


@given(st.tuples(st.integers(0, 2**64 - 1), *[st.integers(0, 2**32 - 1)] * 6))
def test_counters_are_those_that_pyroute2_reads(numbers: tuple[int, ...]) -> None:
    basic, queue = struct.pack("=QI4x", *numbers[:2]), struct.pack("=5I", *numbers[2:])
    body = qdiscs.TCMSG.pack(0, 0, 0, IFINDEX, HANDLE, qdiscs.ROOT, 2) + attr_text(1, "pfifo")
    body += nest(7, attr(1, basic), attr(3, queue))
    raw = struct.pack("=IHHII", 16 + len(body), 36, 2, 1, 0) + body
    message: Any = tcmsg(raw)
    message.decode()
    counted = message.get_attr("TCA_STATS2")
    theirs = {**counted.get_attr("TCA_STATS_BASIC"), **counted.get_attr("TCA_STATS_QUEUE")}
    ours = readback._state(raw).statistics
    named = {"queued_packets": "qlen", "queued_bytes": "backlog"}
    assert ours == {name: theirs[named.get(name, name)] for name in ours}
    assert list(ours.values()) == list(numbers)
    assert readback._state(on_the_wire("sfq", {"limit": 5})).statistics == {}


def test_nobody_is_sent_to_a_kernel_without_the_qdisc() -> None:
    """Debian's generic kernels, which the provided guests have, lack dualpi2 alone of what can be declared."""
    sent = {kind for kind in qdiscs.KINDS if "pollbench vm run FILE" in qdiscs.missing_remedy(kind)}
    assert set(qdiscs.KINDS) - sent == {"dualpi2"}
