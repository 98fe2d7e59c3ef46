"""What fed a node's sockets, and what is made of it: polled, spun or inert, whose counter counts, the true reason."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from harness.analysis.hints import hints_of
from harness.knobs import KNOBS, Seen
from harness.knobs.feeding import EpollSeen, Feeding, NapiPlace, SocketSeen
from harness.run import effects
from harness.run import metrics as metrics_of
from harness.run.outcome import Outcome
from harness.tables.cells import SummaryCell
from harness.tables.columnar import table_of
from tests import experiment
from tests.unit.test_metrics import delta, host, outcome

PLACES = (NapiPlace(7, "s", "eth0", 0), NapiPlace(8, "s", "eth0", 1), NapiPlace(9, "s", "eth1"))
TURNS = Feeding(
    sockets=(SocketSeen("server", "s", "tcp", (7,)), SocketSeen("server", "s", "tcp", (8,))),
    epolls=(EpollSeen("server", "s", (7,)), EpollSeen("server", "s", (7, 8))),
    places=PLACES,
    cpus=0.97,
    sleeps=0.01,
)
SPUN = Seen(received=1000, polled=3, napi_ids=(7, 8), wait="epoll", feeding=TURNS)


def epoll(**fields: Any) -> Any:
    return KNOBS["epoll_busy_poll"](**fields)


def socket(kind: str, *napi_ids: int, **fields: Any) -> SocketSeen:
    return SocketSeen("server", "s", kind, napi_ids, **fields)


def busy_poll(**seen: Any) -> Any:
    knob = KNOBS["busy_poll"]()
    return knob.effect(dataclasses.replace(Seen(received=1000, beside={"busy_poll": knob}), **seen))


def test_several_napis_in_one_epoll_spin_and_are_named() -> None:
    effect = epoll().effect(SPUN)
    assert (effect.took, effect.spun) == (False, True)
    assert "2 NAPIs feed one epoll instance of the server" in effect.evidence
    assert "NAPI 7 (s/eth0 rx-0), NAPI 8 (s/eth0 rx-1)" in effect.evidence
    assert "used 97% of a CPU and slept 0.01 times a packet" in effect.evidence


@pytest.mark.parametrize(
    ("cpus", "sleeps", "spun"),
    [(0.5, 1.0, True), (0.49, 0.5, False), (0.25, 0.49, True), (0.24, 0.0, False), (None, None, False)],
)
def test_to_spin_is_to_use_a_cpu_instead_of_sleeping(cpus: float | None, sleeps: float | None, spun: bool) -> None:
    feeding = dataclasses.replace(TURNS, cpus=cpus, sleeps=sleeps)
    effect = epoll().effect(dataclasses.replace(SPUN, feeding=feeding))
    assert (effect.took, effect.spun) == (False, spun)


def test_a_server_with_work_of_its_own_does_not_spin() -> None:
    """One NAPI, nothing polled, a CPU used up: packets were there before anybody could wait for them."""
    one = Feeding((socket("tcp", 7),), (EpollSeen("server", "s", (7,)),), PLACES, 1.0, 0.0)
    effect = epoll().effect(dataclasses.replace(SPUN, napi_ids=(7,), feeding=one))
    assert (effect.took, effect.spun) == (False, False)
    assert "polls only while no packet is there yet" in effect.evidence


def test_of_napis_that_are_polled_all_the_same_the_number_is_told() -> None:
    effect = epoll().effect(dataclasses.replace(SPUN, polled=700))
    assert effect.took is True and "2 NAPIs feed one epoll instance" in effect.evidence


def test_udp_gro_is_named_where_polling_acts_and_only_there() -> None:
    held = Feeding((socket("udp", 7, udp_gro=True),))
    polled = busy_poll(polled=970, napi_ids=(7,), wait="blocking", feeding=held)
    assert polled.took is True and "the server has UDP_GRO on: the kernel holds each lone datagram" in polled.evidence
    plain = busy_poll(polled=970, napi_ids=(7,), wait="blocking", feeding=Feeding((socket("udp", 7),)))
    assert plain.took is True and "UDP_GRO" not in plain.evidence
    assert "UDP_GRO" not in busy_poll(napi_ids=(7,), feeding=held).evidence


def test_reasons_without_a_napi() -> None:
    late = {"unreached": ("server",)}
    mptcp = busy_poll(feeding=Feeding((socket("mptcp listener"), socket("mptcp"))))
    assert "an MPTCP socket has no NAPI id" in mptcp.evidence and "warmup" not in mptcp.evidence
    mixed = busy_poll(feeding=Feeding((socket("mptcp"), socket("tcp"))))
    assert "the sockets saw no NAPI" in mixed.evidence
    listener = busy_poll(feeding=Feeding((socket("mptcp listener"),)), **late)
    assert "does not hand SO_BUSY_POLL to the plain TCP sockets" in listener.evidence
    assert "a longer warmup looks longer" in busy_poll(feeding=Feeding((socket("tcp listener"),)), **late).evidence
    assert "gives it no NAPI id" in busy_poll(feeding=Feeding((socket("af_xdp"),))).evidence


def test_a_socket_that_came_too_late_to_be_set_is_known_by_its_option() -> None:
    def reason(*sockets: SocketSeen) -> str:
        return str(busy_poll(napi_ids=(7,), feeding=Feeding(sockets)).evidence)

    assert "a longer warmup" in reason(socket("tcp listener", busy_poll_us=50), socket("tcp", 7, busy_poll_us=0))
    by_mptcp = reason(socket("mptcp listener", busy_poll_us=50), socket("tcp", 7, busy_poll_us=0))
    assert "an MPTCP listener hands it to no plain TCP socket" in by_mptcp and "warmup" not in by_mptcp
    for fine in (socket("tcp", 7, busy_poll_us=50), socket("tcp", busy_poll_us=0), socket("tcp", 7)):
        assert "SO_BUSY_POLL 0" not in reason(fine)


def test_a_counter_beyond_the_packets_is_no_share() -> None:
    effect = busy_poll(received=2, polled=6_115_560, napi_ids=(7,), wait="blocking")
    assert effect.took is None and "counts polls here, not packets" in effect.evidence
    # Retransmissions and neighbours' packets are polled too.
    assert busy_poll(received=100, polled=300, napi_ids=(7,), wait="blocking").took is True
    nodes = {"c": {"Udp:InDatagrams": 2, "TcpExt:BusyPollRxPackets": 10**6}, "s": {}}
    assert metrics_of.run_metrics(outcome(delta=delta(nodes=nodes)))["client_polled_percent"] is None


def fed(node: str, place: NapiPlace, program: str = "client") -> Feeding:
    return Feeding((SocketSeen(program, node, "udp", (place.napi_id,)),), places=(place,))


def with_feeding(feeding: Feeding, **changes: Any) -> Outcome:
    return dataclasses.replace(outcome(**changes), feeding=feeding)


def test_polled_packets_are_counted_where_the_napi_is() -> None:
    """A macvlan in namespace c over a veth in namespace s, or over one of the host."""
    nodes = {
        "c": {"Udp:InDatagrams": 1000, "TcpExt:BusyPollRxPackets": 0},
        "s": {"Udp:InDatagrams": 10, "TcpExt:BusyPollRxPackets": 950},
    }
    counted = delta({"": host(home={"TcpExt:BusyPollRxPackets": 77})}, nodes=nodes)

    def counts(place: NapiPlace, node: str = "c") -> tuple[int, int]:
        seen = metrics_of.seen_on(with_feeding(fed("c", place), delta=counted), node, 0.01)
        return seen.received, seen.polled

    assert counts(NapiPlace(7, "c", "eth0", 0)) == (1000, 0)
    assert counts(NapiPlace(7, "s", "eth0", 0)) == (1010, 950)
    assert counts(NapiPlace(7, "", "eth0", 0)) == (1000, 77)
    assert counts(NapiPlace(7)) == (1000, 0)
    # The node that has the device shares its counter with the other.
    assert counts(NapiPlace(7, "s", "eth0", 0), "s") == (10, 950)


def test_a_program_that_tells_no_napi_is_looked_at() -> None:
    run = with_feeding(fed("c", PLACES[0]), client={"requests": 1, "answered": 1, "elapsed_ns": 1})
    assert metrics_of.seen_on(run, "c", 0.0).napi_ids == (7,)
    assert metrics_of.seen_on(with_feeding(Feeding(), client={"requests": 1}), "c", 0.0).napi_ids == (0,)


def test_columns_of_what_fed_a_node() -> None:
    sockets = (
        SocketSeen("client", "c", "udp", (7, 8, 7), count=2),
        SocketSeen("client", "c", "udp", (7,), udp_gro=True),
        SocketSeen("server", "s", "tcp", (9,)),
    )
    columns = metrics_of.node_figures(with_feeding(Feeding(sockets, places=PLACES)))
    assert columns["c"]["sockets"] == "2 udp, 1 udp (UDP_GRO)"
    assert columns["c"]["napis"] == "NAPI 7 (s/eth0 rx-0), NAPI 8 (s/eth0 rx-1)"
    assert (columns["c"]["napi_changes"], columns["s"]["napi_changes"]) == (4, 0)
    assert columns["s"]["napis"] == "NAPI 9 (s/eth1)"
    assert "napis" not in metrics_of.node_figures(outcome())["c"]


def test_the_protocol_is_what_the_sockets_were() -> None:
    def protocol(*kinds: str) -> object:
        sockets = tuple(SocketSeen("server", "s", kind) for kind in kinds)
        return metrics_of.measured_protocol(with_feeding(Feeding(sockets))).get("protocol")

    assert protocol("mptcp listener", "mptcp") == "mptcp"
    assert protocol("mptcp listener", "tcp") is protocol("mptcp", "tcp") is protocol() is None
    background = Feeding((SocketSeen("background1-server", "s", "mptcp"),))
    assert metrics_of.measured_protocol(with_feeding(background)) == {}


def judged(tmp_path: Path, polled: int, feeding: Feeding, knobs: dict[str, Any]) -> tuple[dict[str, str], list[str]]:
    spec = experiment.plan(tmp_path, settings={"server": knobs}).cells[0].spec
    nodes = {"client": {}, "server": {"Udp:InDatagrams": 1000, "TcpExt:BusyPollRxPackets": polled}}
    run = with_feeding(feeding, delta=delta(nodes=nodes), server={"napi_ids": [7]})
    programs = tuple(dataclasses.replace(one, node=one.label) for one in run.programs)
    return effects.polling(spec, dataclasses.replace(run, programs=programs))


def test_the_word_for_a_node_and_what_has_to_be_known(tmp_path: Path) -> None:
    knobs = {"epoll_busy_poll": {}}
    turns = Feeding(
        (SocketSeen("server", "server", "tcp", (7, 8)),),
        (EpollSeen("server", "server", (7, 8)),),
        tuple(dataclasses.replace(place, node="server") for place in PLACES),
    )
    words, known = judged(tmp_path, 900, turns, knobs)
    assert words == {"server": "polled"} and known[0].startswith("server: 2 NAPIs feed one epoll")
    assert judged(tmp_path, 0, turns, knobs) == ({"server": "inert"}, [])
    assert judged(tmp_path, 5000, turns, knobs) == ({"server": "unclear"}, [])
    assert judged(tmp_path, 900, turns, {"epoll_busy_poll": {"usecs": 0}}) == ({}, [])


def test_hints_are_told_once_with_their_cases() -> None:
    frame = pd.DataFrame({"hints": ["NAPI 7 holds", "NAPI 8 holds", "", "other"]})
    runs = table_of(frame)

    def cell(case: str, *rows: int) -> SummaryCell:
        return SummaryCell(case, (), pd.Index(rows).to_numpy(), pd.Index(rows).to_numpy(), {})

    assert list(hints_of(runs, [cell("a", 0), cell("b", 1, 2)])) == ["a, b: NAPI 7 holds"]
    assert list(hints_of(runs, [cell("a", 3)])) == ["a: other"]
    assert list(hints_of(table_of(frame[[]]), [cell("a", 0)])) == []


@pytest.mark.parametrize(("polled", "share"), [(800, 80.0), (6_115_560, None)])
def test_packets_of_an_af_xdp_socket_are_its_devices_and_polls_are_no_packets(polled: int, share: float | None) -> None:
    xdp = {
        "interface": "eth0",
        "queue": 2,
        "mode": "zero-copy",
        "program": "native",
        "need_wakeup": False,
        "dropped": 5,
    }
    counters = {"Udp:InDatagrams": 0, "link:rx_packets": 1000, "TcpExt:BusyPollRxPackets": polled}
    seen = outcome(delta=delta(nodes={"c": {}, "s": counters}), server={"napi_ids": [9], "xdp": xdp})
    columns = metrics_of.node_figures(seen)["s"]
    assert (columns["received_packets"], columns["polled_percent"]) == (1000, share)
    assert columns["xdp"] == "eth0 queue 2, zero-copy, native program, no need_wakeup"
    assert metrics_of.run_metrics(seen)["drops"] == 5
