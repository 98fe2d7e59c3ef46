"""Which chain of qdiscs a declared shape becomes."""

from __future__ import annotations

from typing import Any

import pytest

from harness.errors import InputError
from harness.spec.topology import Shape, Topology
from harness.topology.qdiscs import Disc, default_burst, discs_of, kinds_of

ROOT = 0xFFFFFFFF


def chain(mtu: int | None = None, **declared: Any) -> tuple[Disc, ...]:
    """The discs of a shape written as in the file."""
    return discs_of(Shape.model_validate(declared), mtu)


def test_nothing_declared_is_nothing_installed() -> None:
    assert discs_of(None) == ()
    assert chain() == ()


def test_tbf_with_defaults() -> None:
    (disc,) = chain(rate="100mbit")
    assert (disc.kind, disc.handle, disc.parent) == ("tbf", 0x10000, ROOT)
    assert disc.options == {"rate_bps": 10**8, "burst_bytes": 50_000, "limit_bytes": 625_000 + 50_000}


def test_order_is_rate_then_netem_then_leaf() -> None:
    discs = chain(rate="1gbit", delay="1ms", qdisc={"kind": "fq_codel", "limit": 100})
    assert [disc.kind for disc in discs] == ["tbf", "netem", "fq_codel"]
    assert [disc.parent for disc in discs] == [ROOT, 0x10001, 0x20001]
    assert discs[-1].options == {"limit": 100}


def test_htb_gets_the_queue_that_tbf_has() -> None:
    htb, leaf = chain(rate="50mbit", method="htb", queue="10ms")
    assert htb.options == {"rate_bps": 50_000_000, "burst_bytes": 25_000}
    assert (leaf.kind, leaf.options) == ("bfifo", {"limit": 62_500 + 25_000})


@pytest.mark.parametrize("more", [{"delay": "1ms"}, {"qdisc": {"kind": "pfifo", "limit": 9}}])
def test_htb_with_a_declared_queue_gets_no_other(more: dict[str, Any]) -> None:
    htb, second = chain(rate="50mbit", method="htb", **more)
    assert set(htb.options) == {"rate_bps", "burst_bytes"}
    assert second.kind in ("netem", "pfifo")


def test_netem_alone_and_leaf_alone() -> None:
    (netem,) = chain(loss="1%")
    assert (netem.kind, netem.parent, netem.options["limit"]) == ("netem", ROOT, 1000)
    (leaf,) = chain(qdisc={"kind": "fq"})
    assert (leaf.kind, leaf.parent, leaf.options) == ("fq", ROOT, {})


def test_netem_holds_what_a_fast_long_link_has_in_flight() -> None:
    _, netem = chain(rate="10gbit", delay="20ms")
    assert netem.options["limit"] * 256 >= 10**10 / 8 * 0.07


@pytest.mark.parametrize(("rate", "mtu", "burst"), [(5_000, 1500, 1600), (10**9, 1500, 500_000), (8, 9000, 9014)])
def test_default_burst(rate: int, mtu: int, burst: int) -> None:
    assert default_burst(rate, mtu) == burst


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
    assert kinds_of(topology) == {"tbf", "netem"}
