"""What became of every setting in a run: no traffic, already so, nothing to act on, masked; and why a run is inert."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.knobs.feeding import Feeding, SocketSeen
from harness.run import effects
from harness.run.counters import CounterDelta
from harness.run.metrics import seen_on
from harness.run.outcome import Outcome, ProgramOutcome
from harness.store import KnobRow
from tests import experiment
from tests.unit.test_metrics import delta, host, outcome

NODES = {
    "client": {"Udp:InDatagrams": 1000, "link:eth0:packets": 2000, "link:eth1:packets": 4, "link:rx_packets": 1002},
    "server": {"Udp:InDatagrams": 1000, "link:eth0:packets": 2000, "link:rx_packets": 1000},
    "idle": {"link:eth0:packets": 4, "link:rx_packets": 2},
}
TOPOLOGY = {
    "nodes": {"client": {"cpus": "0"}, "server": {"cpus": "1"}, "idle": {}},
    "links": [{"between": ["client", "server"]}, {"between": ["client", "idle"]}],
}


def seen_run(steered: int = 0, **counters: Any) -> Outcome:
    softnet = host().softnet | {"received_rps": steered}
    counted: CounterDelta = delta({"": host(softnet=softnet)}, nodes=NODES | counters)
    programs = tuple(
        ProgramOutcome(label, label, "blocking", {"readback": {}, "napi_ids": [9]}) for label in ("client", "server")
    )
    napi: dict[str, int | None] = {"napi_id": 9, "pid": None, "defer_hard_irqs": 0, "gro_flush_timeout": 0}
    return replace(outcome(delta=counted), programs=programs, napis={name: [napi] for name in NODES})


def answers(
    tmp_path: Path, settings: dict[str, Any], rows: list[KnobRow], seen: Outcome
) -> tuple[list[tuple[bool | None, str]], list[str]]:
    spec = experiment.plan(tmp_path, settings=settings, topology=TOPOLOGY).cells[0].spec
    judged, reasons = effects.judged(spec, seen, rows)
    return [(row.took_effect, row.evidence) for row in judged], reasons


def device_row(node: str, knob: str, setting: str, value: object, before: object = 0) -> KnobRow:
    return KnobRow(node, knob, setting, "device", value, before, value)


def test_a_node_without_traffic_gives_nothing_to_act_on(tmp_path: Path) -> None:
    rows = [device_row("idle", "rps", "eth0 rx-0 rps_cpus", [1], [])]
    got, reasons = answers(tmp_path, {"idle": {"rps": {"cpus": "1"}}}, rows, seen_run(steered=1000))
    assert got == [(False, "no traffic to act on: 4 packets passed eth0 during the run")]
    assert reasons == ["rps on idle took no effect: no traffic to act on: 4 packets passed eth0 during the run"]


def test_where_the_same_knob_acts_elsewhere_the_silent_node_is_told_in_its_row_alone(tmp_path: Path) -> None:
    rows = [
        device_row("idle", "rps", "eth0 rx-0 rps_cpus", [1], []),
        device_row("server", "rps", "eth0 rx-0 rps_cpus", [1], []),
    ]
    both = {"idle": {"rps": {"cpus": "1"}}, "server": {"rps": {"cpus": "1"}}}
    got, reasons = answers(tmp_path, both, rows, seen_run(steered=990))
    assert [took for took, _ in got] == [False, True]
    assert reasons == []


def test_one_device_of_a_node_may_be_silent(tmp_path: Path) -> None:
    rows = [device_row("client", "rps", f"{device} rx-0 rps_cpus", [1], []) for device in ("eth0", "eth1")]
    got, reasons = answers(tmp_path, {"client": {"rps": {"cpus": "1"}}}, rows, seen_run(steered=990))
    assert [took for took, _ in got] == [True, False] and "passed eth1" in got[1][1]
    assert reasons == []


def test_steering_on_two_nodes_is_not_told_apart(tmp_path: Path) -> None:
    rows = [device_row(node, "rps", "eth0 rx-0 rps_cpus", [1], []) for node in ("client", "server")]
    got, reasons = answers(tmp_path, {"*": {"rps": {"cpus": "1"}}}, rows, seen_run(steered=990))
    assert [took for took, _ in got] == [None, None]
    assert "other nodes can have steered them all" in got[0][1]
    assert reasons == []


def test_what_was_already_so_changed_nothing_and_makes_no_run_inert(tmp_path: Path) -> None:
    rows = [
        device_row("server", "offloads", "eth0 gro", False, False),
        device_row("server", "offloads", "eth0 tso", False, True),
    ]
    got, reasons = answers(tmp_path, {"server": {"offloads": {"gro": "off", "tso": "off"}}}, rows, seen_run())
    assert got[0] == (False, "already so: nothing changed")
    assert got[1][0] is None
    assert reasons == []


def test_a_deferral_of_which_one_half_changes_nothing_is_judged_by_the_other(tmp_path: Path) -> None:
    rows = [
        device_row("server", "coalesce", "eth0 napi_defer_hard_irqs", 5),
        device_row("server", "coalesce", "eth0 gro_flush_timeout", 0),
    ]
    settings = {"server": {"coalesce": {"napi_defer_hard_irqs": 5, "gro_flush_timeout": "0ns"}}}
    got, reasons = answers(tmp_path, settings, rows, seen_run())
    assert [took for took, _ in got] == [False, False]
    assert got[1][1] == "already so: nothing changed"
    assert reasons == [
        "coalesce on server took no effect: gro_flush_timeout is 0: the kernel defers only when both are set"
    ]


def test_a_suspension_beside_a_deferral_is_named_alone(tmp_path: Path) -> None:
    rows = [
        device_row("server", "coalesce", "eth0 napi_defer_hard_irqs", 5),
        device_row("server", "coalesce", "eth0 gro_flush_timeout", 20_000),
        device_row("server", "coalesce", "eth0 napi 9 irq_suspend_timeout", 20_000_000),
    ]
    fields = {"napi_defer_hard_irqs": 5, "gro_flush_timeout": "20us", "irq_suspend_timeout": "20ms"}
    napi: dict[str, int | None] = {
        "napi_id": 9,
        "defer_hard_irqs": 5,
        "gro_flush_timeout": 20_000,
        "irq_suspend_timeout": 20_000_000,
    }
    seen = replace(seen_run(), napis={"server": [napi]})
    got, reasons = answers(tmp_path, {"server": {"coalesce": fields}}, rows, seen)
    assert [took for took, _ in got] == [True, True, False]
    (reason,) = reasons
    assert reason.startswith("irq_suspend_timeout of coalesce on server took no effect: interrupts are suspended only")


def test_busy_polling_masks_threads_beside_it(tmp_path: Path) -> None:
    rows = [device_row("server", "threaded_napi", "eth0 threaded", 1)]
    polled = {"Udp:InDatagrams": 1000, "TcpExt:BusyPollRxPackets": 999, "link:eth0:packets": 2000}
    seen = seen_run(server=polled)
    seen = replace(seen, napis={"server": [{"napi_id": 9, "pid": 77}]})
    settings: dict[str, Any] = {"server": {"threaded_napi": {}, "busy_poll": {}}}
    got, reasons = answers(tmp_path, settings, rows, seen)
    assert got[0][0] is False and got[0][1].startswith("masked by busy_poll on server: 999 of 1000")
    assert len(reasons) == 1 and reasons[0].startswith("threaded_napi on server took no effect: masked by")


def test_without_packet_counters_no_device_is_called_silent(tmp_path: Path) -> None:
    rows = [device_row("idle", "offloads", "eth0 gro", False, True)]
    bare: dict[str, Any] = {name: {"Udp:InDatagrams": 1} for name in NODES}
    got, reasons = answers(tmp_path, {"idle": {"offloads": {"gro": "off"}}}, rows, seen_run(**bare))
    assert got[0][0] is None and reasons == []


def test_a_socket_that_inherited_the_value_is_judged_by_what_it_did(tmp_path: Path) -> None:
    rows = [KnobRow("server", "busy_poll", "SO_BUSY_POLL server[7] fd 5 (tcp)", "socket", 50, 50, 50)]
    polled = {"Udp:InDatagrams": 1000, "TcpExt:BusyPollRxPackets": 999, "link:eth0:packets": 2000}
    got, reasons = answers(tmp_path, {"server": {"busy_poll": {}}}, rows, seen_run(server=polled))
    assert got[0][0] is True and reasons == []


def test_a_device_is_silent_by_the_length_of_the_run_and_beside_the_busiest() -> None:
    """In two seconds 10 packets and 5 a second, and never more than a hundredth of what the busiest had."""

    def quiet(busiest: int, mine: int, elapsed_s: int = 2) -> bool:
        nodes = {"a": {"link:eth0:packets": busiest, "link:rx_packets": 0}, "b": {"link:eth1:packets": mine}}
        seen = outcome(delta=delta(nodes=nodes, elapsed_ns=elapsed_s * 10**9))
        found = effects.quiet_devices(seen)
        assert set(found) <= {("b", "eth1"), ("a", "eth0")} and ("a", "eth0") not in found
        assert found.get(("b", "eth1"), mine) == mine
        return ("b", "eth1") in found

    assert quiet(10_000, 20) and not quiet(10_000, 21)
    assert quiet(1000, 10) and not quiet(1000, 11)
    assert quiet(10_000, 60, 10) and not quiet(10_000, 61, 10)
    nothing = outcome(delta=delta(nodes={"a": {"link:eth0:packets": 0}}))
    assert effects.quiet_devices(nothing) == {("a", "eth0"): 0}
    assert effects.quiet_devices(outcome(delta=delta(nodes={}))) == {}


def test_a_knob_of_which_all_was_so_before_makes_no_run_inert(tmp_path: Path) -> None:
    rows = [device_row("server", "offloads", "eth0 gro", False, False)]
    got, reasons = answers(tmp_path, {"server": {"offloads": {"gro": "off"}}}, rows, seen_run())
    assert got == [(False, "already so: nothing changed")] and reasons == []
    # Not so before, as far as is known.
    rows = [device_row("server", "offloads", "eth0 gro", False, None)]
    got, _ = answers(tmp_path, {"server": {"offloads": {"gro": "off"}}}, rows, seen_run())
    assert got[0][0] is None


def test_a_knob_without_any_row_is_judged_by_what_was_seen(tmp_path: Path) -> None:
    got, reasons = answers(tmp_path, {"server": {"busy_poll": {}}}, [], seen_run())
    assert got == []
    assert len(reasons) == 1 and reasons[0].startswith("busy_poll on server took no effect: ")


def test_of_sockets_that_were_never_seen_no_napi_is_known() -> None:
    def ids(*sockets: SocketSeen, **report: Any) -> tuple[int, ...]:
        program = ProgramOutcome("client", "c", "", report)
        run = replace(outcome(), programs=(program,), feeding=Feeding(sockets))
        return seen_on(run, "c", 0.01).napi_ids

    assert ids() == ids(SocketSeen("client", "c", "tcp listener")) == ()
    assert ids(SocketSeen("client", "c", "tcp")) == ids(readback={}, napi_ids=[]) == (0,)
    assert ids(SocketSeen("client", "c", "tcp", (5, 6))) == (5, 6)
