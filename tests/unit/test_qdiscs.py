"""Which chain of qdiscs a declared shape becomes."""

from __future__ import annotations

from typing import Any

import pytest

from harness.errors import InputError
from harness.spec.shape import Shape
from harness.spec.topology import Topology
from harness.topology.qdiscs import Disc, default_burst, discs_of, kinds_of, pace_of, room_of

ROOT = 0xFFFFFFFF


def chain(mtu: int | None = None, netem: bool = True, **declared: Any) -> tuple[Disc, ...]:
    """The discs of a shape written as in the file."""
    return discs_of(Shape.model_validate(declared), mtu, netem)


def kinds(discs: tuple[Disc, ...]) -> list[str]:
    return [disc.kind for disc in discs]


def test_nothing_declared_is_nothing_installed() -> None:
    assert discs_of(None) == ()
    assert chain() == ()


def test_a_rate_is_netems_where_there_is_one() -> None:
    """Room for 50 ms of full frames, and for the one that is being sent."""
    (disc,) = chain(rate="100mbit")
    assert (disc.kind, disc.handle, disc.parent) == ("netem", 0x10000, ROOT)
    assert disc.options == {"rate_bps": 10**8, "limit": 413 + 1}


@pytest.mark.parametrize(
    ("netem", "declared"),
    [
        (False, {}),
        # A full frame passes in less time than a timer is late by.
        (True, {"rate": "1001mbit"}),
        (True, {"method": "htb"}),
        # A queue that looks at its packets has to hold them itself.
        (True, {"qdisc": {"kind": "fq_codel"}}),
        (True, {"red": "ecn"}),
    ],
)
def test_else_it_is_that_of_a_bucket_of_50_us(netem: bool, declared: dict[str, Any]) -> None:
    shape: dict[str, Any] = {"rate": "100mbit", **declared}
    htb, _ = chain(netem=netem, **shape)
    assert htb.kind == "htb"
    assert htb.options["burst_bytes"] == htb.options["rate_bps"] // 8 // 20_000


def test_a_burst_is_tbfs_and_only_as_large_as_asked_for() -> None:
    (disc,) = chain(rate="100mbit", burst="50kB")
    assert (disc.kind, disc.options["burst_bytes"]) == ("tbf", 50_000)
    (disc,) = chain(rate="100mbit", method="tbf")
    assert disc.options == {"rate_bps": 10**8, "burst_bytes": 625 + 1514, "limit_bytes": 625_000 + 625 + 1514}


def test_by_netem_packets_travel_and_then_wait() -> None:
    """Each with a limit of its own, which counts what is below it: what travels takes no room from what waits."""
    travel, serial = chain(rate="10mbit", queue="20ms", delay="100ms", loss="1%")
    assert (travel.kind, serial.kind, serial.parent) == ("netem", "netem", 0x10001)
    assert serial.options == {"rate_bps": 10**7, "limit": 17 + 1}
    assert (travel.options["delay_ns"], travel.options["loss"]) == (10**8, 0.01)
    # Its own limit is none: in some kernels what waits below counts against it.
    assert travel.options["limit"] == 1_000_000


def test_by_a_bucket_packets_travel_and_then_wait() -> None:
    """A bucket takes packets from below, one by one: a delay below it would have the queue, whatever its length."""
    discs = chain(rate="10mbit", method="htb", delay="1ms", queue="50ms")
    assert kinds(discs) == ["netem", "htb", "bfifo"]
    assert [disc.parent for disc in discs] == [ROOT, 0x10001, 0x20001]
    assert discs[-1].options == {"limit": 62_500 + 1514}
    discs = chain(rate="5gbit", delay="1ms", qdisc={"kind": "fq_codel", "limit": 100})
    assert kinds(discs) == ["netem", "htb", "fq_codel"]
    assert discs[-1].options == {"limit": 100}


def test_duplicates_and_a_rate_are_of_one_netem() -> None:
    """Linux 6.16 and later take no second one beside it."""
    (disc,) = chain(rate="10mbit", delay="10ms", duplicate="1%", queue_packets=5)
    assert (disc.options["rate_bps"], disc.options["duplicate"]) == (10**7, 0.01)
    assert disc.options["limit"] == 5 + 1 + 9


@pytest.mark.parametrize(
    ("declared", "netem", "bucket"),
    [
        ({"queue": "12112us"}, 10, ("bfifo", 15_140 + 1514)),
        ({"queue_bytes": "15140B"}, 10, ("bfifo", 15_140 + 1514)),
        ({"queue_packets": 10}, 10, ("pfifo", 10)),
        ({"limit": 10, "delay": "1ms"}, 10, ("pfifo", 10)),
        ({"qdisc": {"kind": "pfifo", "limit": 10}}, 10, ("pfifo", 10)),
    ],
)
def test_a_queue_in_time_bytes_and_packets(declared: dict[str, Any], netem: int, bucket: tuple[str, int]) -> None:
    assert chain(rate="10mbit", **declared)[-1].options["limit"] == netem + 1
    leaf = chain(rate="10mbit", method="htb", **declared)[-1]
    assert (leaf.kind, leaf.options["limit"]) == bucket


def test_a_queue_that_nobody_declared_holds_a_first_window() -> None:
    assert chain(rate="1mbit")[0].options["limit"] == 16 + 1
    assert chain(rate="1mbit", queue="50ms")[0].options["limit"] == 5 + 1


def test_netem_alone_and_leaf_alone() -> None:
    (netem,) = chain(loss="1%")
    assert (netem.kind, netem.parent, netem.options["limit"]) == ("netem", ROOT, 1000)
    (leaf,) = chain(qdisc={"kind": "fq"})
    assert (leaf.kind, leaf.parent, leaf.options) == ("fq", ROOT, {})


def test_netem_holds_what_a_fast_long_link_has_in_flight() -> None:
    """Also where nothing says how fast it is: 10 Gbit/s over 50 ms are 41,000 full frames."""
    shapes: list[dict[str, Any]] = [{}, {"rate": "10gbit"}]
    for declared in shapes:
        netem = next(disc for disc in chain(delay="50ms", **declared) if disc.kind == "netem")
        assert 41_000 < netem.options["limit"] <= 1_000_000
    (netem,) = chain(delay="50ms", limit=7)
    assert netem.options["limit"] == 7


def test_jitter_in_order_has_a_rate_that_is_no_limit() -> None:
    (netem,) = chain(delay="50ms", jitter="10ms", keep_order="on")
    assert netem.options["rate_bps"] == 10**12
    assert pace_of((netem,)) is None
    assert "rate_bps" not in chain(delay="50ms", jitter="10ms")[0].options


@pytest.mark.parametrize(
    ("rate", "mtu", "kind", "burst"),
    [
        (5_000, 1500, "htb", 1),
        (10**9, None, "htb", 6250),
        (10**8, None, "tbf", 625 + 1514),
        # Four frames pass in 50 us, and travel as one packet.
        (10**9, None, "tbf", 6250 + 4 * 1514),
        (10**9, 9000, "tbf", 6250 + 9014),
    ],
)
def test_default_burst(rate: int, mtu: int | None, kind: str, burst: int) -> None:
    assert default_burst(rate, mtu, kind) == burst


@pytest.mark.parametrize(
    ("declared", "room"),
    [
        ({"rate": "10mbit", "queue_packets": 5}, 5 * 1514),
        ({"rate": "10mbit", "queue_packets": 5, "method": "htb"}, 5 * 1514),
        ({"rate": "10mbit", "queue_bytes": "9kB", "method": "htb"}, 9000 + 1514),
        ({"rate": "10mbit", "method": "tbf", "queue_bytes": "9kB"}, 9000 + 2 * 62 + 2 * 1514 - 62),
        ({"rate": "10mbit", "qdisc": {"kind": "cake"}}, None),
        ({"delay": "1ms"}, None),
    ],
)
def test_what_may_wait_for_the_rate(declared: dict[str, Any], room: int | None) -> None:
    got = room_of(chain(**declared), None)
    assert got == pytest.approx(room, abs=1514) if room is not None else got is None


@pytest.mark.parametrize(
    ("declared", "word"),
    [
        ({"rate": "1mbit", "burst": "1000B"}, "full frame"),
        ({"rate": "1mbit", "burst": "5GB"}, "over"),
        ({"qdisc": {"kind": "cake", "limit": 5}}, "cake"),
    ],
)
def test_what_no_kernel_can_do_is_refused(declared: dict[str, Any], word: str) -> None:
    with pytest.raises(InputError, match=word):
        chain(**declared)


def test_kinds_of_a_topology() -> None:
    topology = Topology.model_validate(
        {
            "nodes": {"a": {}, "b": {}},
            "links": [{"between": ["a", "b"], "forward": {"rate": "1mbit"}, "reverse": {"delay": "1ms"}}],
        }
    )
    assert kinds_of(topology) == {"netem"}
    assert kinds_of(topology, netem=False) == {"htb", "bfifo", "netem"}
