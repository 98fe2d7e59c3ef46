"""Knobs as data: what they write, when they need a NAPI, and how they judge what was seen."""

from __future__ import annotations

from typing import Any

import pytest

from harness.knobs import KNOBS, Seen

NAPI = {
    "napi_id": 9,
    "pid": None,
    "defer_hard_irqs": 100,
    "gro_flush_timeout": 20_000,
    "irq_suspend_timeout": 0,
}
POLLED = Seen(received=1000, polled=990, napi_ids=(9,), napis=(NAPI,), wait="blocking")
UNPOLLED = Seen(received=1000, polled=0, napi_ids=(9,), napis=(NAPI,), wait="epoll")
NO_NAPI = Seen(received=1000, polled=0, napi_ids=(0,), napis=(), wait="blocking")


def model(name: str, **fields: Any) -> Any:
    return KNOBS[name](**fields)


def written(name: str, **fields: Any) -> list[tuple[str, str, Any]]:
    return [(s.target, s.name, s.value) for s in KNOBS[name].settings(model(name, **fields))]


def test_what_each_knob_writes() -> None:
    assert written("busy_poll", usecs=20, prefer=True, budget=16) == [
        ("socket", "SO_BUSY_POLL", 20),
        ("socket", "SO_PREFER_BUSY_POLL", 1),
        ("socket", "SO_BUSY_POLL_BUDGET", 16),
    ]
    assert written("epoll_busy_poll", usecs=20, budget=8, prefer=True) == [
        ("socket", "EPIOCSPARAMS", [20, 8, 1])
    ]
    assert written("host_busy_poll", busy_read=5) == [("sysctl", "net.core.busy_read", 5)]
    fields = {"napi_defer_hard_irqs": 2, "gro_flush_timeout": "20us", "irq_suspend_timeout": "20ms"}
    assert written("coalesce", **fields) == [
        ("sysfs", "napi_defer_hard_irqs", 2),
        ("sysfs", "gro_flush_timeout", 20_000),
        ("napi", "irq_suspend_timeout", 20_000_000),
    ]
    assert [target for target, _, _ in written("coalesce", **fields, per="napi")] == ["napi"] * 3
    assert written("ethtool_coalesce", **{"adaptive-rx": "off", "rx-usecs": 20}) == [
        ("ethtool_coalesce", "adaptive-rx", 0),
        ("ethtool_coalesce", "rx-usecs", 20),
    ]
    assert written("offloads", **{"gro": "on", "rx-gro-list": "off"}) == [
        ("feature", "gro", True),
        ("feature", "rx-gro-list", False),
    ]
    assert written("threaded_napi", mode="on", cpus="0", policy="fifo", priority=5) == [
        ("sysfs", "threaded", 1),
        ("kthread", "cpus", [0]),
        ("kthread", "policy", ["fifo", 5]),
    ]
    assert written("threaded_napi", mode="off", cpus="0") == [("sysfs", "threaded", 0)]
    assert written("rps", cpus="0-1") == [("rx_queue", "rps_cpus", [0, 1])]
    assert written("process", policy="fifo", priority=3) == [
        ("process", "policy", "fifo"),
        ("process", "priority", 3),
    ]


@pytest.mark.parametrize(
    ("name", "fields", "needed"),
    [
        ("busy_poll", {"usecs": 0}, False),
        ("busy_poll", {"usecs": 1}, True),
        ("epoll_busy_poll", {"usecs": 0}, False),
        ("epoll_busy_poll", {"usecs": 0, "prefer": True}, True),
        ("host_busy_poll", {"busy_read": 0}, False),
        ("host_busy_poll", {"busy_poll": 1}, True),
        ("coalesce", {"napi_defer_hard_irqs": 0}, False),
        ("coalesce", {"gro_flush_timeout": "1us"}, True),
        ("threaded_napi", {"mode": "off"}, False),
        ("threaded_napi", {}, True),
        ("offloads", {"gro": "on"}, False),
        ("rps", {"cpus": "0"}, False),
    ],
)
def test_which_settings_need_a_napi(name: str, fields: dict[str, Any], needed: bool) -> None:
    assert KNOBS[name].needs_napi(model(name, **fields)) is needed


@pytest.mark.parametrize("name", ["busy_poll", "host_busy_poll"])
def test_busy_polling_is_proven_by_polled_packets_alone(name: str) -> None:
    on = model(name, **({"usecs": 50} if name == "busy_poll" else {"busy_read": 50}))
    assert KNOBS[name].effect(on, POLLED).took is True
    assert KNOBS[name].effect(on, UNPOLLED).took is False
    assert "`epoll`" in KNOBS[name].effect(on, UNPOLLED).evidence
    found = KNOBS[name].effect(on, NO_NAPI)
    assert found.took is False and "no NAPI" in found.evidence
    off = model(name, **({"usecs": 0} if name == "busy_poll" else {"busy_read": 0}))
    assert KNOBS[name].effect(off, UNPOLLED).took is None


def test_the_reason_why_nothing_was_polled_is_the_true_one() -> None:
    starved = KNOBS["busy_poll"].effect(model("busy_poll"), Seen(1000, 0, (9,), wait="blocking"))
    assert starved.took is False and "nobody else wants the CPU" in starved.evidence
    assert "does not reach" not in starved.evidence
    unpolled = Seen(1000, 0, (9,), wait="poll")
    assert "does not reach a server or client that waits by `poll`" in (
        KNOBS["busy_poll"].effect(model("busy_poll"), unpolled).evidence
    )
    late = KNOBS["busy_poll"].effect(model("busy_poll"), Seen(1000, 0, (0,), unreached=("client",)))
    assert late.took is False and "no socket of the client was found before" in late.evidence
    assert "cannot be busy-polled" not in late.evidence


def test_the_threshold_of_polled_packets_is_the_experiments() -> None:
    few = Seen(received=1000, polled=9, napi_ids=(9,), wait="spin", min_polled_share=0.01)
    assert KNOBS["busy_poll"].effect(model("busy_poll"), few).took is False
    assert KNOBS["busy_poll"].effect(model("busy_poll"), Seen(1000, 10, (9,))).took is True


def test_epoll_parameters_want_an_epoll_instance() -> None:
    found = KNOBS["epoll_busy_poll"].effect(model("epoll_busy_poll"), POLLED)
    assert found.took is False and "no epoll instance" in found.evidence


def test_deferral_needs_both_halves_on_the_napi_that_carried_the_traffic() -> None:
    coalesce = KNOBS["coalesce"]
    both = model("coalesce", napi_defer_hard_irqs=100, gro_flush_timeout="20us")
    assert coalesce.effect(both, UNPOLLED).took is True
    assert coalesce.effect(both, NO_NAPI).took is False
    other = model("coalesce", napi_defer_hard_irqs=100, gro_flush_timeout="30us")
    assert coalesce.effect(other, UNPOLLED).took is False
    half = coalesce.effect(model("coalesce", gro_flush_timeout="20us"), UNPOLLED)
    assert half.took is False and "napi_defer_hard_irqs is 0" in half.evidence
    assert coalesce.effect(model("coalesce", napi_defer_hard_irqs=0), UNPOLLED).took is None
    old_kernel = Seen(received=9, napi_ids=(9,))
    assert coalesce.effect(both, old_kernel).took is True


def test_threaded_napi_is_proven_by_its_threads_running() -> None:
    threaded, on = KNOBS["threaded_napi"], model("threaded_napi")
    with_thread = (NAPI | {"pid": 77},)
    assert threaded.effect(on, Seen(received=9, napis=with_thread, kthread_cpu_ns=5)).took is True
    assert threaded.effect(on, Seen(received=9, napis=with_thread)).took is False
    assert threaded.effect(on, Seen(received=9, napis=(NAPI,))).took is False


def test_priority_and_policy_go_together() -> None:
    for wrong in ({"policy": "fifo"}, {"priority": 5}):
        with pytest.raises(ValueError, match="priority 1-99"):
            model("process", **wrong)


def test_polled_share_never_exceeds_one() -> None:
    assert Seen(received=10, polled=12).polled_share() == 1.0
    assert Seen().polled_share() == 0.0


@pytest.mark.parametrize(
    ("irqs", "took", "said"),
    [
        ({24: {1: 900}, 25: {1: 100}}, True, "1000 of 1000 interrupts came on CPU 1"),
        # The interrupt with which a line moves is still the old CPU's.
        ({24: {1: 900}, 25: {0: 1}, 26: {0: 1, 1: 2}}, True, "902 of 904 interrupts came on CPU 1"),
        # Two are no move, however many there were in all.
        ({24: {1: 100_000}, 25: {0: 2}}, False, "100000 of 100002 interrupts came on CPU 1"),
        ({24: {0: 1, 2: 1, 1: 100_000}}, False, "100000 of 100002 interrupts came on CPU 1"),
        ({24: {0: 1}}, False, "0 of 1 interrupts came on CPU 1"),
        ({}, None, "no interrupt came during the run"),
    ],
)
def test_interrupts_come_where_they_were_sent(
    irqs: dict[int, dict[int, int]], took: bool | None, said: str
) -> None:
    found = KNOBS["irq_affinity"].effect(model("irq_affinity", cpus="1"), Seen(irqs=irqs))
    assert (found.took, found.evidence) == (took, said)
