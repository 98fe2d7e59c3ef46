"""Knobs as data: what they write, when they need a NAPI, and how they judge what was seen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.knobs import KNOBS, Seen
from harness.knobs.feeding import EpollSeen, Feeding

NAPI = {"napi_id": 9, "pid": None, "defer_hard_irqs": 100, "gro_flush_timeout": 20_000, "irq_suspend_timeout": 0}
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
    assert written("epoll_busy_poll", usecs=20, budget=8, prefer=True) == [("socket", "EPIOCSPARAMS", [20, 8, 1])]
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
    # sysfs refuses 2, and single queues are netlink's alone.
    assert written("threaded_napi", mode="busy-poll") == [("napi", "threaded", 2)]
    assert written("threaded_napi", mode="on", queues="1") == [("napi", "threaded", 1)]
    (of_one,) = KNOBS["threaded_napi"].settings(model("threaded_napi", queues="1"))
    assert of_one.queues == (1,)
    assert written("rps", cpus="0-1") == [("rx_queue", "rps_cpus", [0, 1])]
    assert written("rfs", flow_count=1024) == [("rx_queue", "rps_flow_cnt", 1024)]
    assert written("xps", queues=["0", "1,2"]) == [("tx_queue", "xps_cpus", [0]), ("tx_queue", "xps_cpus", [1, 2])]
    assert [setting.queues for setting in KNOBS["xps"].settings(model("xps", queues=["0", "1"]))] == [(0,), (1,)]
    assert written("rings", tx=512) == [("rings", "tx", 512)]
    assert written("tx_queue", tx_queue_len=7) == [("sysfs", "tx_queue_len", 7)]
    assert written("host_receive", netdev_budget=9, rps_sock_flow_entries=0) == [
        ("sysctl", "net.core.netdev_budget", 9),
        ("sysctl", "net.core.rps_sock_flow_entries", 0),
    ]
    assert written("cpu_latency", max_us=0) == [("cpu_latency", "max_us", 0)]
    assert written("process", policy="fifo", priority=3) == [("process", "policy", "fifo"), ("process", "priority", 3)]


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
    # Of several NAPIs the one that carried the traffic counts.
    two = (NAPI | {"napi_id": 10, "defer_hard_irqs": 0}, NAPI)
    assert coalesce.effect(both, replace(UNPOLLED, napis=two)).took is True
    assert coalesce.effect(both, replace(UNPOLLED, napis=two, napi_ids=(10,))).took is False
    # Sockets that came and went between two looks: nobody knows.
    unseen = coalesce.effect(both, replace(UNPOLLED, napi_ids=()))
    assert unseen.took is None and "no socket was there at a look" in unseen.evidence
    alone = replace(UNPOLLED, napis=(NAPI | {"defer_hard_irqs": 0},))
    half = coalesce.effect(model("coalesce", gro_flush_timeout="20us"), alone)
    assert half.took is False and "napi_defer_hard_irqs is 0" in half.evidence
    # The device may have the other half already.
    assert coalesce.effect(model("coalesce", gro_flush_timeout="20us"), UNPOLLED).took is True
    unlisted = coalesce.effect(model("coalesce", napi_defer_hard_irqs=1), Seen(received=9, napi_ids=(9,)))
    assert unlisted.took is False and "gro_flush_timeout was not set, and by itself is 0" in unlisted.evidence
    assert coalesce.effect(model("coalesce", napi_defer_hard_irqs=0), UNPOLLED).took is None
    old_kernel = Seen(received=9, napi_ids=(9,))
    assert coalesce.effect(both, old_kernel).took is True


def test_threaded_napi_is_proven_by_its_threads_running() -> None:
    threaded, on = KNOBS["threaded_napi"], model("threaded_napi")
    with_thread = (NAPI | {"pid": 77},)
    assert threaded.effect(on, Seen(received=9, napis=with_thread, kthread_cpu_ns=5)).took is True
    assert threaded.effect(on, Seen(received=9, napis=with_thread)).took is False
    assert threaded.effect(on, Seen(received=9, napis=(NAPI,))).took is False
    # A thread that busy-polls has CPU time whatever comes: the traffic has to come by its NAPI, in that mode.
    ran = Seen(received=9, napis=with_thread, kthread_cpu_ns=5)
    other = threaded.effect(on, replace(ran, napi_ids=(8,)))
    assert other.took is False and "the traffic came by other NAPIs: NAPI 8" in other.evidence
    assert threaded.effect(on, replace(ran, napi_ids=(8, 9))).took is True
    polling = model("threaded_napi", mode="busy-poll")
    fell_back = threaded.effect(polling, replace(ran, napis=(with_thread[0] | {"threaded": 1},)))
    assert fell_back.took is False and "with threaded 1" in fell_back.evidence
    assert threaded.effect(polling, replace(ran, napis=(with_thread[0] | {"threaded": 2},))).took is True


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("process", {"policy": "fifo", "priority": 3}),
        ("channels", {"rx": 1}),
        ("rings", {"rx": 64}),
        ("tx_queue", {"tx_queue_len": 5}),
        ("xps", {"queues": ["0", "1"]}),
        ("host_receive", {"dev_weight": 5}),
        ("rfs", {"flow_count": 0}),
        ("socket_options", {"rcvlowat": 64, "max_pacing": "80mbit"}),
        ("rss", {"equal": 1}),
        ("ethtool_coalesce", {"rx-usecs": 9}),
        ("offloads", {"gro": "off"}),
        ("cgroup", {"weight": 10}),
    ],
)
def test_a_knob_that_no_counter_shows_is_unknown(name: str, fields: dict[str, Any]) -> None:
    assert KNOBS[name].effect(model(name, **fields), UNPOLLED).took is None


@pytest.mark.parametrize(("count", "took", "apart"), [(30_000, False, "33 us"), (12_000, None, "83 us")])
def test_interrupts_nearer_than_rx_usecs_are_no_effect(count: int, took: bool | None, apart: str) -> None:
    seen = replace(UNPOLLED, rx_irqs=count, elapsed_us=1e6)
    effect = KNOBS["ethtool_coalesce"].effect(model("ethtool_coalesce", **{"rx-usecs": 100}), seen)
    assert effect.took is took and f"came {apart} apart in the mean, rx-usecs is 100" in effect.evidence


def test_options_of_tcp_do_nothing_to_udp_sockets() -> None:
    for fields in ({"nodelay": "off"}, {"quickack": "on", "rcvlowat": 64}):
        knob = model("socket_options", **fields)
        assert KNOBS["socket_options"].effect(knob, replace(UNPOLLED, protocol="tcp")).took is None
        effect = KNOBS["socket_options"].effect(knob, replace(UNPOLLED, protocol="udp"))
        assert effect.took is False and "of TCP sockets, and the workload is udp" in effect.evidence
    some = model("socket_options", nodelay="on", incoming_cpu=1)
    told = {name: KNOBS["socket_options"].effect(some, replace(UNPOLLED, protocol=name)) for name in ("tcp", "udp")}
    assert told["tcp"].evidence == "read back as it was set; no counter shows what it changed"
    assert told["udp"].took is None and "set but for what is of TCP sockets, as" in told["udp"].evidence
    for rate in ("4bit", "18gbit"):
        with pytest.raises(ValueError, match="1 to 2147483647 bytes a second"):
            model("socket_options", max_pacing=rate)


def test_tso_under_udp_is_unknown_and_told_why() -> None:
    seen = replace(UNPOLLED, protocol="udp")
    effect = KNOBS["offloads"].effect(model("offloads", tso="off"), seen)
    assert effect.took is None and "TSO cuts TCP segments, and the traffic was UDP" in effect.evidence


def test_what_busy_polling_takes_away_is_masked_and_by_which_knob() -> None:
    beside = {"busy_poll": model("busy_poll"), "threaded_napi": model("threaded_napi")}
    threads = replace(POLLED, napis=(NAPI | {"pid": 77},), kthread_cpu_ns=5, node="server", beside=beside)
    effect = KNOBS["threaded_napi"].effect(beside["threaded_napi"], threads)
    assert effect.took is False
    assert effect.evidence.startswith("masked by busy_poll on server: 990 of 1000 packets were busy-polled (99.0%)")
    half_polled = replace(threads, polled=500)
    assert KNOBS["threaded_napi"].effect(beside["threaded_napi"], half_polled).took is True
    defer = model("coalesce", napi_defer_hard_irqs=100, gro_flush_timeout="20us")
    assert "masked by busy_poll on server" in KNOBS["coalesce"].effect(defer, threads).evidence
    unasked = KNOBS["coalesce"].effect(defer, replace(threads, beside={}))
    assert unasked.took is False and "masked by the programs' own busy polling" in unasked.evidence
    # Between polls that prefer it is the deferral that keeps interrupts off.
    preferring = {"busy_poll": model("busy_poll", prefer=True)}
    assert KNOBS["coalesce"].effect(defer, replace(threads, beside=preferring)).took is None


def test_a_napi_held_by_its_thread_masks_busy_polling() -> None:
    seen = replace(UNPOLLED, wait="blocking", node="server", beside={"threaded_napi": model("threaded_napi")})
    effect = KNOBS["busy_poll"].effect(model("busy_poll"), seen)
    assert effect.took is False and "masked by threaded_napi on server" in effect.evidence


def test_irq_suspension_wants_epoll_that_prefers() -> None:
    coalesce, suspended = KNOBS["coalesce"], NAPI | {"irq_suspend_timeout": 20_000_000}
    knob = model("coalesce", irq_suspend_timeout="20ms")
    epoll = Seen(1000, 0, (9,), napis=(suspended,), wait="epoll", ours=True)
    alone = coalesce.effect(knob, epoll)
    assert alone.took is False and "prefer: on, and there is none" in alone.evidence
    polling = {"epoll_busy_poll": model("epoll_busy_poll", prefer=True)}
    assert coalesce.effect(knob, replace(epoll, beside=polling)).took is None
    # A program that nobody wrote for this may prefer by itself.
    assert coalesce.effect(knob, replace(epoll, ours=False)).took is None
    # ... unless its epoll instances were asked.
    shown = {
        prefer: replace(epoll, ours=False, feeding=Feeding(epolls=(EpollSeen("x", "s", (), prefer),)))
        for prefer in (True, False, None)
    }
    assert {prefer: coalesce.effect(knob, one).took for prefer, one in shown.items()} == {
        True: None,
        False: False,
        None: None,
    }
    blocking = coalesce.effect(knob, replace(epoll, wait="blocking"))
    assert blocking.took is False and "waits by `blocking`" in blocking.evidence
    both = model("coalesce", napi_defer_hard_irqs=100, gro_flush_timeout="20us", irq_suspend_timeout="20ms")
    assert coalesce.effect(both, epoll).took is True
    assert list(both.without_work(epoll)) == ["irq_suspend_timeout"]
    assert both.without_work(replace(epoll, beside=polling)) == {}


@pytest.mark.parametrize(
    ("steered", "elsewhere", "took", "text"),
    [
        (0, 0, False, "0 packets steered"),
        (1000, 0, True, "1000 packets steered"),
        (1000, 1000, None, "RPS or RFS on other nodes can have steered them all"),
        (1900, 1000, True, "1900 packets steered"),
        (5, 0, None, "few beside the 1000 that arrived on server"),
        (0, 0, None, "threads of backlogs (thread_backlog_napi) had 3 ms of CPU"),
    ],
)
def test_steered_packets_are_counted_host_wide(steered: int, elsewhere: int, took: bool | None, text: str) -> None:
    ns = 3_000_000 * ("threads" in text)
    seen = Seen(rps_packets=steered, rps_elsewhere=elsewhere, arrived=1000, node="server", backlog_ns=ns)
    effect = KNOBS["rps"].effect(model("rps", cpus="1"), seen)
    assert effect.took is took and text in effect.evidence


@pytest.mark.parametrize(("name", "fields"), [("rps", {"cpus": "1"}), ("rfs", {"flow_count": 64})])
def test_two_ways_to_steer_on_one_node_are_not_told_apart(name: str, fields: dict[str, Any]) -> None:
    seen = Seen(rps_packets=1000, arrived=1000, node="server")
    assert KNOBS[name].effect(model(name, **fields), seen).took is True
    both = {"rps": model("rps", cpus="1"), "rfs": model("rfs", flow_count=64)}
    effect = KNOBS[name].effect(model(name, **fields), replace(seen, beside=both))
    assert effect.took is None and "nothing tells whether by this or by r" in effect.evidence


def test_why_rfs_leaves_a_udp_server_where_it_is() -> None:
    rfs = KNOBS["rfs"]
    idle = {protocol: rfs.effect(model("rfs", flow_count=64), Seen(protocol=protocol)) for protocol in ("udp", "tcp")}
    assert [effect.took for effect in idle.values()] == [False, False]
    assert "not connected" in idle["udp"].evidence and "not connected" not in idle["tcp"].evidence


@pytest.mark.parametrize(
    ("states", "max_us", "took", "text"),
    [
        ((), 0, False, "no driver of idle states"),
        ((("POLL", 0, 900), ("C1", 2, 0)), 0, True, "POLL 900, C1 0"),
        ((("POLL", 0, 900), ("C1", 2, 9)), 0, True, "C1 9"),
        ((("POLL", 0, 10), ("C1", 2, 900)), 0, False, "C1 900"),
        ((("POLL", 0, 10), ("C1", 2, 900)), 2, False, "none of them takes longer than 2 us"),
        ((("POLL", 0, 0), ("C1", 2, 0)), 0, None, "no CPU was idle"),
    ],
)
def test_idle_states_that_stay_empty_prove_the_latency(
    states: tuple[tuple[str, int, int], ...], max_us: int, took: bool | None, text: str
) -> None:
    effect = KNOBS["cpu_latency"].effect(model("cpu_latency", max_us=max_us), Seen(idle_states=states))
    assert effect.took is took and text in effect.evidence


def test_a_table_of_flows_has_a_power_of_two() -> None:
    with pytest.raises(ValueError, match="1000 is no power of two, and the kernel takes 1024 for it"):
        model("rfs", flow_count=1000)
    with pytest.raises(ValueError, match="the kernel takes 4 for it"):
        model("host_receive", rps_sock_flow_entries=3)


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
def test_interrupts_come_where_they_were_sent(irqs: dict[int, dict[int, int]], took: bool | None, said: str) -> None:
    found = KNOBS["irq_affinity"].effect(model("irq_affinity", cpus="1"), Seen(irqs=irqs))
    assert (found.took, found.evidence) == (took, said)


def test_packets_that_another_setting_had_polled_prove_nothing() -> None:
    # SO_BUSY_POLL does not reach epoll, whatever polls there.
    epoll = Seen(1000, 900, (9,), wait="epoll", beside={"epoll_busy_poll": model("epoll_busy_poll")})
    effect = KNOBS["busy_poll"].effect(model("busy_poll"), epoll)
    assert effect.took is False and "none by this" in effect.evidence
    assert KNOBS["epoll_busy_poll"].effect(model("epoll_busy_poll"), epoll).took is True
    # poll and select ask the sysctl and the socket.
    both = replace(epoll, wait="poll", beside={"host_busy_poll": model("host_busy_poll", busy_poll=50)})
    assert KNOBS["busy_poll"].effect(model("busy_poll"), both).took is True
    # Some of its programs wait in epoll, others in receives.
    mixed = KNOBS["busy_poll"].effect(model("busy_poll"), replace(epoll, waits=frozenset({"epoll", "blocking"})))
    assert mixed.took is None and "or by epoll_busy_poll" in mixed.evidence
    # Nobody knows how a foreign program waits.
    foreign = replace(both, wait="")
    unknown = KNOBS["busy_poll"].effect(model("busy_poll"), foreign)
    assert unknown.took is None and "or by host_busy_poll" in unknown.evidence


@pytest.mark.parametrize(
    ("fields", "waits", "took"),
    [
        ({"busy_read": 50}, [("blocking", {}), ("blocking", {"busy_poll": {}})], True),
        ({"busy_read": 50}, [("blocking", {"busy_poll": {}}), ("epoll", {})], False),
        ({"busy_poll": 50}, [("epoll", {}), ("blocking", {})], True),
        ({"busy_poll": 50}, [("epoll", {"epoll_busy_poll": {}}), ("blocking", {})], False),
        ({"busy_poll": 50}, [("select", {}), ("select", {})], False),
        ({"busy_poll": 50}, [("select", {"busy_poll": {}})], True),
        ({"busy_poll": 50, "busy_read": 50}, [("poll", {})], True),
        ({"busy_read": 50}, [("", {})], True),
    ],
)
def test_a_sysctl_acts_where_no_setting_of_a_node_comes_first(
    fields: dict[str, Any], waits: list[tuple[str, dict[str, dict[str, Any]]]], took: bool
) -> None:
    nodes = tuple((wait, {name: model(name, **values) for name, values in knobs.items()}) for wait, knobs in waits)
    seen = Seen(1000, 900, (9,), on_nodes=nodes)
    assert KNOBS["host_busy_poll"].effect(model("host_busy_poll", **fields), seen).took is took
