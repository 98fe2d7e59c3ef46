"""Figures from counters: made-up readings with a known answer."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from harness.kernel.proc import ProcessUsage
from harness.knobs import KNOBS, GroupUse
from harness.run import checks
from harness.run import metrics as metrics_of
from harness.run.counters import CounterDelta, HostDelta
from harness.run.cpu_set import CpuInterference
from harness.run.outcome import Outcome, ProgramOutcome
from harness.spec.checks import Checks

SECOND = 10**9


def ticks(**states: int) -> dict[str, int]:
    return dict.fromkeys(("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"), 0) | states


def host(**changes: Any) -> HostDelta:
    base = HostDelta(
        cpus={0, 1},
        ticks={0: ticks(user=25, idle=75), 1: ticks(system=40, softirq=10, idle=50), 2: ticks(idle=100)},
        net_rx={0: 5, 1: 6, 2: 0},
        irqs={0: 7, 1: 8, 2: 0},
        softnet={"processed": 0, "dropped": 0, "time_squeeze": 0, "received_rps": 0},
        interference=CpuInterference(
            7 * SECOND // 10, SECOND // 100, {0: SECOND // 25, 1: 1000}, {"cc1": SECOND // 25, "sh": 1000}
        ),
        clocksources=("tsc", "tsc"),
    )
    return dataclasses.replace(base, **changes)


def delta(hosts: dict[str, HostDelta] | None = None, **changes: Any) -> CounterDelta:
    base = CounterDelta(
        elapsed_ns=SECOND,
        nodes={
            "c": {"Udp:InDatagrams": 1000, "TcpExt:BusyPollRxPackets": 900},
            "s": {"Udp:InDatagrams": 1010, "TcpExt:BusyPollRxPackets": 0, "link:tx_dropped": 3},
        },
        programs={
            "client": ProcessUsage(cpu_ns=SECOND // 2),
            "server": ProcessUsage(cpu_ns=SECOND // 5, voluntary=1010, involuntary=4, wait_ns=2_000_000),
            "hog": ProcessUsage(cpu_ns=SECOND),
        },
        kthreads={},
        hosts=hosts or {"": host()},
    )
    return dataclasses.replace(base, **changes)


def on_host(**changes: Any) -> CounterDelta:
    """What happened where the one host of the run saw this."""
    return delta({"": host(**changes)})


CLIENT = {
    "requests": 1001,
    "answered": 1000,
    "settle_requests": 10,
    "lost": 1,
    "duplicates": 2,
    "elapsed_ns": SECOND,
    "turnaround_p99_ns": 1500,
    "napi_ids": [7],
    "usage": {"cpu_ns": SECOND // 2, "voluntary": 100, "involuntary": 3},
    "clock": {"source_resolution_ns": 1},
}


def outcome(**changes: Any) -> Outcome:
    base = Outcome(
        delta=delta(),
        client=CLIENT,
        server={"napi_ids": [8]},
        hog={"cpu_ns": [SECOND]},
        hog_threads=2,
        protocol="udp",
        programs=(),
    )
    made = dataclasses.replace(base, **changes)
    programs = (
        ProgramOutcome("client", "c", "blocking", made.client | {"readback": {}}),
        ProgramOutcome("server", "s", "epoll", made.server | {"readback": {}}),
    )
    return dataclasses.replace(made, programs=programs)


def test_figures_of_a_run() -> None:
    metrics = metrics_of.run_metrics(outcome())
    expected = {
        "rate_rps": 1000.0,
        "drops": 3,
        "client_cpu_percent": 50.0,
        "server_cpu_percent": 20.0,
        # 0.5 s over 1000 requests and 0.2 s over the 1010 that the server saw.
        "cpu_us_per_request": 500 + 200_000 / 1010,
        "client_polled_percent": 90.0,
        "server_polled_percent": 0.0,
        "client_napi_id": 7,
        "server_napi_id": 8,
        "client_voluntary_per_request": 0.1,
        "server_voluntary_per_request": 1.0,
        "hog_achieved_percent": 50.0,
        "set_busy_percent": 35.0,
        "set_user_percent": 12.5,
        "set_idle_percent": 62.5,
        "set_softirq_percent": 5.0,
        # 4 % of CPU 0, and 1 % that ended, wherever it ran.
        "foreign_percent": 5.0,
        "turnaround_p99_us": 1.5,
    }
    assert {name: metrics[name] for name in expected} == pytest.approx(expected)


def test_a_run_without_an_answer_has_blanks_not_zeros() -> None:
    silent = CLIENT | {"requests": 3, "answered": 0, "lost": 3, "settle_requests": 0, "elapsed_ns": 0}
    quiet = delta(nodes={"c": {}, "s": {}})
    metrics = metrics_of.run_metrics(outcome(client=silent, delta=quiet))
    for name in ("rate_rps", "cpu_us_per_request", "client_polled_percent"):
        assert metrics[name] is None


def test_napi_threads_are_on_the_bill() -> None:
    threaded = delta(kthreads={"s": SECOND // 100})
    more = metrics_of.run_metrics(outcome(delta=threaded))["cpu_us_per_request"]
    less = metrics_of.run_metrics(outcome())["cpu_us_per_request"]
    assert more is not None and less is not None
    assert more - less == pytest.approx(10_000 / 1010)


def test_noise_is_named_and_has_limits() -> None:
    quiet = outcome(delta=on_host(interference=CpuInterference()))
    metrics = metrics_of.run_metrics(quiet)
    assert checks.doubts(quiet, metrics, Checks(), {"c", "s"}) == []
    loud = outcome(
        delta=on_host(
            interference=CpuInterference(SECOND, 0, {0: SECOND}, {"cc1": SECOND}),
            clocksources=("tsc", "hpet"),
            ticks={0: ticks(steal=10, idle=90)},
            cpus={0},
        )
    )
    lax = Checks.model_validate({"max_foreign_share": "100%", "max_steal_share": "50%"})
    reasons = " | ".join(checks.doubts(loud, metrics_of.run_metrics(loud), Checks(), {"c"}))
    for part in ("cc1", "limit 5%", "stole 10.0 %", "tsc to hpet"):
        assert part in reasons
    assert checks.doubts(loud, metrics_of.run_metrics(loud), lax, {"c"}) == [
        "the clock source changed from tsc to hpet during the run"
    ]


def test_the_whole_host_sees_all_sockets() -> None:
    seen = metrics_of.seen_on(outcome(), "*", 0.01)
    assert (seen.received, seen.polled, seen.napi_ids) == (2010, 900, (7, 8))
    counters = {"Udp:InDatagrams": 100, "TcpExt:BusyPollRxPackets": 40}
    both = outcome(delta=delta(nodes={"c": counters, "s": counters}, kthreads={"c": 1, "s": 2}))
    seen = metrics_of.seen_on(both, "*", 0.01)
    assert (seen.received, seen.polled, seen.kthread_cpu_ns) == (200, 80, 3)
    assert metrics_of.seen_on(both, "s", 0.01).polled == 40


def test_what_two_hosts_counted_is_summed_and_the_worse_is_judged() -> None:
    busy = host(
        interference=CpuInterference(SECOND, 0, {0: SECOND // 2}, {"rsync": SECOND // 2}),
        softnet={"dropped": 5, "received_rps": 2},
        clocksources=("tsc", "hpet"),
    )
    both = outcome(delta=delta({"": host(), "s": busy}))
    metrics = metrics_of.run_metrics(both)
    assert metrics["foreign_percent"] == 50.0
    assert metrics["drops"] == 3 + 5
    assert metrics["irqs_per_request"] == pytest.approx(30 / 1000)
    assert "timer_irqs_per_request" not in metrics
    assert metrics["set_busy_percent"] == pytest.approx(100 * (0.7 + 1) / 4)
    reasons = " | ".join(checks.doubts(both, metrics, Checks(), {"c", "s"}))
    assert "rsync most of it" in reasons and "from tsc to hpet" in reasons


def test_nodes_and_cpus() -> None:
    nodes = metrics_of.node_figures(outcome())
    assert nodes["s"]["link_drops"] == 3 and nodes["s"]["run_queue_wait_ms"] == 2.0
    cpus = metrics_of.cpu_figures(outcome())
    assert cpus["1"]["softirq_share"] == 0.1 and cpus["2"]["in_set"] == 0


def test_a_base_that_is_polled_is_no_base() -> None:
    run = outcome(delta=on_host(interference=CpuInterference()))
    (reason,) = checks.doubts(run, metrics_of.run_metrics(run), Checks(), {"s"})
    assert reason.startswith("900 packets of c were busy-polled though no knob asked for it")


def test_lost_requests_are_no_answers() -> None:
    run = outcome(client=CLIENT | {"requests": 1000, "answered": 900, "lost": 100})
    metrics = metrics_of.run_metrics(run)
    assert (metrics["requests"], metrics["rate_rps"]) == (900, 900.0)
    assert "100 of 1000 requests were lost; limit 1.0%" in checks.doubts(run, metrics, Checks(), {"c", "s"})


@pytest.mark.parametrize(("lost", "doubted"), [(20, False), (40, False), (60, True)])
def test_a_declared_loss_is_allowed_for(lost: int, doubted: bool) -> None:
    """2 % declared, 1 % allowed besides: 30 of 1000, and as many as chance may add, no more."""
    run = outcome(client=CLIENT | {"requests": 1000, "answered": 1000 - lost, "lost": lost})
    found = checks.doubts(run, metrics_of.run_metrics(run), Checks(), {"c", "s"}, declared_loss=0.02)
    said = f"{lost} of 1000 requests were lost; limit 1.0%, besides the 2.0% that the links declare"
    assert (said in found) == doubted


def test_one_tick_of_steal_says_nothing() -> None:
    quiet = host(interference=CpuInterference(), ticks={0: ticks(steal=2, idle=8)}, cpus={0})
    run = outcome(delta=delta({"": quiet}, elapsed_ns=SECOND // 10))
    assert checks.doubts(run, metrics_of.run_metrics(run), Checks(), {"c", "s"}) == []


@pytest.mark.parametrize(("polled", "doubted"), [(0, False), (9, False), (10, True), (99, True), (100, False)])
def test_a_run_that_was_polled_in_part_is_doubted(polled: int, doubted: bool) -> None:
    """Below 1 % the knob took no effect, which is another reason; from 10 % on it is believed."""
    nodes = {"c": {"Udp:InDatagrams": 1000, "TcpExt:BusyPollRxPackets": polled}, "s": {}}
    partly = outcome(delta=delta(nodes=nodes))
    reasons = checks.doubts(partly, {}, Checks(), {"c"})
    text = f"{polled} of 1000 packets of c were busy-polled ({polled / 1000:.1%})"
    assert any(reason.startswith(text) for reason in reasons) is doubted
    assert not any("of c were" in reason for reason in checks.doubts(partly, {}, Checks(doubt_polled_share=0), {"c"}))


def test_what_changed_underneath_is_a_doubt() -> None:
    text = "rx-gro of s/eth0 changed underneath, during the run: from on to off"
    assert text in checks.doubts(outcome(changed=(text,)), {}, Checks(), set())


# -- more figures --------------------------------------------------------------------------------------------


def test_a_client_of_others_is_counted_over_its_whole_life() -> None:
    usage = {"cpu_ns": SECOND // 4, "voluntary": 202, "involuntary": 1}
    run = outcome(client=CLIENT | {"usage": usage, "whole_life": True, "elapsed_ns": SECOND // 2})
    found = metrics_of.run_metrics(run)
    # All requests of its life are its: 1000 that were measured and 10 besides.
    assert found["cpu_us_per_request"] == pytest.approx((250_000 + 200_000) / 1010)
    assert found["client_voluntary_per_request"] == pytest.approx(0.2)
    assert found["client_cpu_percent"] == 25.0
    assert found["client_runqueue_wait_percent"] is None
    assert found["server_runqueue_wait_percent"] == pytest.approx(0.2)


def test_waits_for_a_cpu_and_switches_of_both_programs() -> None:
    programs = {"client": ProcessUsage(wait_ns=SECOND // 100), "server": ProcessUsage(wait_ns=SECOND // 50)}
    found = metrics_of.run_metrics(outcome(delta=delta(programs=programs | {"hog": ProcessUsage()})))
    assert (found["client_runqueue_wait_percent"], found["server_runqueue_wait_percent"]) == (1.0, 2.0)
    assert found["server_runqueue_wait_us"] == pytest.approx(20_000 / 1010)
    assert (found["client_involuntary"], found["server_involuntary"]) == (3, 0)
    assert found["hog_achieved_percent"] == 0.0
    alone = metrics_of.run_metrics(outcome(hog=None, delta=delta(programs={})))
    assert (alone["server_runqueue_wait_percent"], alone["hog_achieved_percent"]) == (None, 0.0)
    assert (alone["lost"], alone["duplicates"], alone["elapsed_s"]) == (1, 2, 1.0)


def test_drops_are_those_of_sockets_links_queues_and_the_host() -> None:
    names = ("Udp:RcvbufErrors", "Udp:SndbufErrors", "Udp6RcvbufErrors", "Udp6SndbufErrors", "link:rx_dropped")
    counters = {name: 10**place for place, name in enumerate((*names, "link:tx_dropped", "qdisc:drops"))}
    nodes = {"c": counters | {"Tcp:RetransSegs": 4}, "s": {"Tcp:RetransSegs": 5}}
    run = outcome(delta=delta({"": host(softnet={"dropped": 10**7, "received_rps": 0})}, nodes=nodes))
    found = metrics_of.run_metrics(run)
    assert (found["drops"], found["retransmits"]) == (11_111_111, 9)
    columns = metrics_of.node_figures(run)["c"]
    assert (columns["socket_drops"], columns["link_drops"], columns["qdisc_drops"]) == (101, 110_000, 10**6)
    assert columns["retransmits"] == 4


def test_workloads_beside_it_are_added_up() -> None:
    beside = (
        {"answered": 500, "elapsed_ns": SECOND // 2},
        {"requests": 10, "elapsed_ns": SECOND, "bytes_sent": 100, "bytes_received": 25},
        {"unread": "x"},
    )
    found = metrics_of.run_metrics(outcome(background=beside))
    assert (found["background_rps"], found["background_bps"]) == (1010.0, 1000.0)
    none = metrics_of.run_metrics(outcome())
    assert none["background_rps"] is none["background_bps"] is None


def test_interrupts_of_nics_are_told_by_line_and_per_packet() -> None:
    nodes = {
        "c": {"nic:irqs": 30, "nic:irq24_cpu0": 10, "nic:irq24_cpu3": 0, "nic:irq25_cpu3": 20, "link:rx_packets": 100},
        "s": {"nic:irqs": 60, "nic:irq30_cpu1": 10, "nic:txirq31_cpu1": 50, "link:rx_packets": 60},
    }
    run = outcome(delta=delta(nodes=nodes))
    found = metrics_of.run_metrics(run)
    assert (found["nic_irqs"], found["nic_irqs_per_packet"]) == (90, 0.5625)
    # The busiest line that receives had 20 in the second.
    assert found["nic_irq_spacing_us"] == 50_000.0
    assert metrics_of.seen_on(run, "c", 0.01).irqs == {24: {0: 10}, 25: {3: 20}}
    assert metrics_of.seen_on(run, "*", 0.01).irqs == {24: {0: 10}, 25: {3: 20}, 30: {1: 10}, 31: {1: 50}}
    assert [metrics_of.seen_on(run, of, 0.01).rx_irqs for of in "cs*"] == [20, 10, 20]
    silent = outcome(delta=delta(nodes={"c": {"nic:irqs": 0}, "s": {}}))
    assert metrics_of.run_metrics(silent)["nic_irqs_per_packet"] is None
    assert "nic_irqs" not in metrics_of.run_metrics(outcome())


def test_what_a_node_s_knobs_judge_themselves_by() -> None:
    nodes = {
        "c": {"Tcp:InSegs": 5, "Udp:InDatagrams": 7, "Udp6InDatagrams": 11, "link:rx_packets": 50},
        "s": {"Udp:InDatagrams": 1, "link:rx_packets": 70},
    }
    run = outcome(delta=delta(nodes=nodes, kthreads={"c": 9}), protocol="udp+tcp", client=CLIENT | {"unreached": True})
    poll, steer = KNOBS["busy_poll"](), KNOBS["rps"].model_validate({"cpus": "0"})
    whole = {"host_busy_poll": KNOBS["host_busy_poll"].model_validate({"busy_read": 5})}
    settings = {"c": {"busy_poll": poll}}
    seen = metrics_of.seen_on(run, "c", 0.25, settings | {"*": whole, "s": {"rps": steer}})
    assert (seen.received, seen.arrived, seen.rps_elsewhere, seen.kthread_cpu_ns) == (23, 50, 70, 9)
    assert (seen.min_polled_share, seen.node, seen.wait, seen.protocol) == (0.25, "c", "blocking", "udp+tcp")
    assert (seen.unreached, seen.napi_ids, seen.ours) == (("client",), (7,), True)
    assert seen.beside == whole | {"busy_poll": poll}
    everywhere = metrics_of.seen_on(run, "*", 0.25)
    assert (everywhere.arrived, everywhere.node, everywhere.wait) == (120, "", "epoll")
    assert metrics_of.seen_on(outcome(), "c", 0.25).arrived is None
    nobody = metrics_of.seen_on(run, "x", 0.25)
    assert (nobody.ours, nobody.wait, nobody.received) == (False, "", 0)


def test_several_ways_to_wait_are_epoll_where_it_is_one_of_them() -> None:
    run = outcome()
    waits = {"one": ("spin", "poll"), "two": ("spin", "epoll"), "three": ("spin", "spin")}
    found = {}
    for name, ways in waits.items():
        programs = tuple(dataclasses.replace(run.programs[0], wait=wait, node="c") for wait in ways)
        found[name] = metrics_of.seen_on(dataclasses.replace(run, programs=programs), "c", 0.01).wait
    assert found == {"one": "", "two": "epoll", "three": "spin"}


def test_columns_of_a_node_are_sums_over_its_programs() -> None:
    usage = ProcessUsage(cpu_ns=3_000_000, user_ns=1_000_000, system_ns=2_000_000, voluntary=5, involuntary=6)
    run = outcome(delta=delta(programs={"client": usage, "more": usage, "hog": usage}, kthreads={"c": 4_000_000}))
    more = dataclasses.replace(run.programs[0], label="more")
    group = GroupUse(100, 10, 4, 2500, (0,))
    run = dataclasses.replace(run, programs=(*run.programs, more), numa={"c": [0, 2]}, groups={"c": group})
    columns = metrics_of.node_figures(run)
    expected: dict[str, float] = {
        "cpu_ms": 6,
        "user_ms": 2,
        "system_ms": 4,
        "voluntary_switches": 10,
        "involuntary_switches": 12,
    }
    expected |= {"napi_threads_cpu_ms": 4, "throttled_periods": 4, "throttled_ms": 2.5}
    assert {name: columns["c"][name] for name in expected} == expected
    assert columns["c"]["numa"] == "0,2" and "numa" not in columns["s"] and "throttled_ms" not in columns["s"]
    assert (columns["c"]["polled_percent"], columns["c"]["napi_id"], columns["s"]["napi_id"]) == (90.0, 7, 8)
    assert (columns["c"]["received_packets"], columns["c"]["polled_packets"]) == (1000, 900)
    empty = metrics_of.node_figures(outcome(delta=delta(nodes={"x": {}})))["x"]
    assert (empty["polled_percent"], empty["napi_id"]) == (None, None) and "cpu_ms" not in empty


def test_shares_of_a_cpu_are_of_the_time_that_passed() -> None:
    states = {"user": 10, "nice": 5, "system": 7, "softirq": 6, "irq": 4, "steal": 3, "idle": 40, "iowait": 20}
    run = outcome(delta=delta({"": host(ticks={3: ticks(**states)}, cpus={3}), "s": host(ticks={}, cpus=set())}))
    expected = {"user": 0.15, "system": 0.07, "softirq": 0.06, "irq": 0.04, "steal": 0.03, "idle": 0.6}
    (columns,) = metrics_of.cpu_figures(run).values()
    assert {name: columns[f"{name}_share"] for name in expected} == expected
    assert (columns["in_set"], columns["irq_count"], columns["net_rx_count"]) == (1, 0, 0)
    found = metrics_of.run_metrics(run)
    assert {name: found[f"set_{name}_percent"] for name in expected} == pytest.approx(
        {name: 100 * share for name, share in expected.items()}
    )
    assert metrics_of.idle_shares(run, "c") == {3: 0.6} and metrics_of.idle_shares(run, "s") == {}
    assert set(metrics_of.cpu_figures(run)) == {"3"}
    cpus = metrics_of.cpu_figures(outcome())
    assert (cpus["1"]["irq_count"], cpus["0"]["net_rx_count"], cpus["1"]["in_set"]) == (8, 5, 1)


def test_interruptions_per_request_are_those_of_the_set() -> None:
    found = metrics_of.run_metrics(outcome(delta=on_host(cpus={1, 9})))
    assert (found["irqs_per_request"], found["net_rx_per_request"]) == pytest.approx((8 / 1000, 6 / 1000))
    silent = metrics_of.run_metrics(outcome(client=CLIENT | {"answered": 0}))
    assert silent["irqs_per_request"] is None
    kinds = {"timer": {0: 1, 1: 2, 9: 4}, "call": {0: 8}}
    run = outcome(delta=on_host(cpus={1, 9}, irq_kinds=kinds))
    figures = metrics_of.run_metrics(run)
    assert (figures["timer_irqs_per_request"], figures["call_irqs_per_request"]) == pytest.approx((6 / 1000, 0))
    cpu = metrics_of.cpu_figures(run)["1"]
    assert (cpu["timer_irq_count"], cpu["call_irq_count"]) == (2, 0) and "reschedule_irq_count" not in cpu


def test_what_tcp_was_set_to_stands_beside_a_nodes_figures() -> None:
    columns = metrics_of.node_figures(outcome(tcp={"c": {"tcp_congestion_control": "bbr"}}))
    assert columns["c"]["tcp_congestion_control"] == "bbr"
    assert "tcp_congestion_control" not in columns["s"]
