"""Our own generator in whole runs: open and closed loops, phases, service times, stalls, memcached, pollers."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import experiment
from tests.netns.test_unmodified import ENDS, POLL, record_of

NAPI = experiment.document()["topology"] | {"datapath": "napi"}
# How late this machine's neighbours make the generator is not what these tests are about.
PATIENT = experiment.NO_NOISE_LIMITS | {"max_late_share": "100%", "max_missed_share": "100%"}
needs_memcached = pytest.mark.skipif(shutil.which("memcached") is None, reason="memcached is not installed")


def load(**changes: Any) -> dict[str, Any]:
    """A short load of UDP requests."""
    return {"kind": "load", **ENDS, "warmup": "50ms", "duration": "300ms"} | changes


def test_an_open_loop_keeps_its_rate_and_says_what_it_is(tmp_path: Path) -> None:
    record, samples, _ = record_of(tmp_path, workload=load(rate=2000), checks=PATIENT | {"max_rate_error": "100%"})
    assert (record.verdict, record.reasons) == ("valid", ())
    assert record.workload | {"loop": "open", "rate_rps": 2000, "connections": 1} == record.workload
    metrics = record.metrics
    assert metrics["offered_rps"] == 2000
    # On a busy host the generator is late, the window ends later, and what is then overdue is missed: each is told.
    assert metrics["sent"] + metrics["missed"] == 600
    late = metrics["lateness_max_us"] / 300_000
    assert metrics["sent"] / 0.3 / (1.02 + late) < metrics["achieved_rps"] < metrics["sent"] / 0.3 * 1.005
    assert metrics["lateness_p99_us"] is not None and metrics["late_percent"] is not None
    assert metrics["service_p50_us"] <= metrics["rtt_p50_us"]
    assert samples is not None
    assert set(samples.dtype.names) == {"intended_ns", "latency_ns", "service_ns", "connection"}
    gaps = np.diff(samples["intended_ns"])
    assert gaps.min() == gaps.max() == 500_000


def test_a_closed_loop_of_depth_over_connections(tmp_path: Path) -> None:
    workload = load(protocol="tcp", wait="epoll", connections=8, depth=8, size="uniform:64B-1000B")
    record, samples, _ = record_of(tmp_path, workload=workload)
    assert (record.verdict, record.reasons) == ("valid", ())
    assert record.workload["loop"] == "closed" and record.workload["sizes"] == "uniform:64-1000"
    assert record.metrics["offered_rps"] is None and record.metrics["late_percent"] is None
    assert record.metrics["throughput_bps"] > 0
    assert samples is not None and set(samples["connection"]) == set(range(8))


def test_coordinated_omission_shows_in_the_open_loop_only(tmp_path: Path) -> None:
    """A server that answers nothing for 2 ms of every 20: one request in ten is due in such a time."""
    stalled = {"stall": "2ms", "stall_every": "20ms", "duration": "1s"}
    opened, _, _ = record_of(tmp_path, workload=load(rate=2000, **stalled), checks=PATIENT)
    closed, _, _ = record_of(tmp_path, workload=load(**stalled))
    assert opened.metrics["rtt_p99_us"] > 1000
    assert closed.metrics["rtt_p90_us"] < 1000
    assert closed.metrics["rtt_p90_us"] < opened.metrics["rtt_p95_us"]


def test_phases_add_up_and_show_where_busy_polling_saves(tmp_path: Path) -> None:
    workload = load(phases=True, duration="500ms")
    base, samples, _ = record_of(tmp_path, workload=workload, topology=NAPI)
    assert (base.verdict, base.reasons) == ("valid", ())
    assert samples is not None
    names = [name for name in samples.dtype.names if name.startswith("phase_")]
    total = sum(base.metrics[f"{name}_us"] for name in names)
    assert total == pytest.approx(base.metrics["rtt_mean_us"], rel=0.01)
    polled, _, _ = record_of(tmp_path, workload=workload, settings=POLL)
    assert (polled.verdict, polled.reasons) == ("valid", ())
    assert polled.metrics["phase_request_wake_us"] < base.metrics["phase_request_wake_us"]


def test_service_time_is_in_every_request(tmp_path: Path) -> None:
    workload = load(service={"distribution": "fixed", "time": "300us"})
    record, _, _ = record_of(tmp_path, workload=workload)
    assert record.metrics["rtt_min_us"] >= 300 * 0.9
    assert record.workload["service"] == "fixed:300000"


@pytest.mark.parametrize("tracking", ["dynamic", "static"])
def test_io_uring_polls_or_the_reason_is_told(tmp_path: Path, tracking: str) -> None:
    workload = load(server_wait="uring", uring_napi=tracking)
    knobs = {"server": {"busy_poll": {"usecs": 200}}}
    record, _, _ = record_of(tmp_path, workload=workload, topology=NAPI, settings=knobs)
    if record.verdict == "failed":
        assert "io_uring" in record.reasons[0]
    else:
        assert (record.verdict, record.reasons) == ("valid", ())
        assert record.metrics["server_polled_percent"] > 10


@needs_memcached
def test_stock_memcached_is_polled_through_its_epoll_instances(tmp_path: Path) -> None:
    workload = {"kind": "memcached", **ENDS, "warmup": "100ms", "duration": "500ms", "wait": "spin", "keys": 100}
    base, _, _ = record_of(tmp_path, workload=workload, topology=NAPI)
    assert (base.verdict, base.reasons) == ("valid", ())
    assert base.metrics["hit_percent"] == 100
    assert base.metrics["get_percent"] == pytest.approx(90, abs=5)
    knobs = {"server": {"epoll_busy_poll": {"usecs": 50}}}
    record, _, files = record_of(tmp_path, workload=workload, settings=knobs)
    assert (record.verdict, record.reasons) == ("valid", ())
    assert record.metrics["server_polled_percent"] > 50
    assert record.metrics["rtt_p50_us"] < base.metrics["rtt_p50_us"]
    assert {row.took_effect for row in record.knobs} == {True}
    assert all(row.applied == [50, 0, 0] and "(epoll)" in row.setting for row in record.knobs)
    assert b"memcached" not in files.get("server.stderr.txt", b"")


@needs_memcached
def test_the_socket_option_alone_does_not_reach_memcached(tmp_path: Path) -> None:
    workload = {"kind": "memcached", **ENDS, "warmup": "100ms", "duration": "300ms", "keys": 100}
    record, _, _ = record_of(tmp_path, workload=workload, settings={"server": POLL["*"]})
    assert record.verdict == "inert"
    assert "busy_poll on server took no effect" in record.reasons[0]
    assert "waits by `epoll`" in record.reasons[0] or "0 of" in record.reasons[0]


def test_idle_polling_sockets_beside_the_measured_one(tmp_path: Path) -> None:
    idle = load(rate=10, connections=20, server_wait="epoll", measured=False)
    workloads = [experiment.document()["workload"] | {"duration": "300ms"}, idle]
    knobs = {"*": {"busy_poll": {"usecs": 50}}, "server": {"epoll_busy_poll": {"usecs": 50}}}
    record, _, files = record_of(tmp_path, workload=None, workloads=workloads, settings=knobs)
    assert record.verdict == "valid", record.reasons
    assert record.metrics["background_rps"] == pytest.approx(10, abs=7)
    assert any(row.setting == "SO_BUSY_POLL (background1-server)" for row in record.knobs)
    assert "background1-client.stdout.jsonl" in files


@pytest.mark.parametrize("layout", ["hash", "napi"])
def test_connections_are_laid_out_by_their_napis(tmp_path: Path, layout: str) -> None:
    ends = {"client": {"cpus": "0"}, "server": {"cpus": "1"}}
    topology = {"nodes": ends, "links": [{"between": ["client", "server"], "queues": 2}], "datapath": "napi"}
    workload = load(protocol="tcp", wait="epoll", connections=16, rate=4000, server_threads=2, server_layout=layout)
    record, _, _ = record_of(tmp_path, topology=topology, workload=workload)
    assert "rx-0" in str(record.nodes["server"]["napis"]) and "rx-1" in str(record.nodes["server"]["napis"])
    # The kernel's hash of a listener knows nothing of the queue: sixteen connections fall apart by queues by no chance.
    assert record.metrics["server_napis_per_thread"] == (1 if layout == "napi" else 2)
    assert record.metrics["lost"] == 0 and (record.metrics["requests"] or 0) > 500
    # Several requests may come of one return, on a crowded machine many; none takes two but for what accepting took.
    assert 0 < (record.metrics["server_waits_per_request"] or 0) < 1.5


def test_a_departure_time_that_nobody_keeps_is_inert(tmp_path: Path) -> None:
    record, _, _ = record_of(tmp_path, workload=load(txtime="2ms", wait="spin"))
    assert record.verdict == "inert" and "txtime took no effect" in record.reasons[0]
    # They leave at once: the device takes them microseconds after the call, 2 ms before their time.
    assert record.metrics["txtime_held_percent"] == 0 and -2000 < (record.metrics["txtime_late_p50_us"] or 0) < -1000


def test_a_server_takes_several_datagrams_of_one_call(tmp_path: Path) -> None:
    # On one CPU they take turns, so that replies and requests gather; on two, that is a matter of which one is faster.
    ends = {"client": {"cpus": "1"}, "server": {"cpus": "1"}}
    topology = {"nodes": ends, "links": [{"between": ["client", "server"]}]}
    record, _, _ = record_of(tmp_path, topology=topology, workload=load(depth=64, udp_batch=16))
    assert (record.verdict, record.reasons) == ("valid", ())
    found = record.metrics
    # No call brings more than it was told to take, and many bring several.
    assert 2 < found["datagrams_per_receive"] <= 16
    assert found["datagrams_per_send"] == pytest.approx(found["datagrams_per_receive"], rel=0.05)
    assert found["lost"] == found["duplicates"] == 0


def test_replies_sent_from_their_own_memory_are_counted_and_said_to_be_copied_here(tmp_path: Path) -> None:
    workload = load(protocol="tcp", wait="epoll", depth=4, connections=4, size="20kB", zerocopy=True)
    record, _, _ = record_of(tmp_path, workload=workload)
    assert (record.verdict, record.reasons) == ("valid", ())
    found = record.metrics
    # A send is at least one reply's; the kernel tells of each, and a veth pair hands on copies alone.
    assert found["zerocopy_sends"] >= found["requests"] > 0
    assert (found["zerocopy_done_percent"], found["zerocopy_copied_percent"]) == (100.0, 100.0)
    assert [hint for hint in record.hints if hint.startswith("zerocopy: the kernel copied")]


def test_one_receive_of_a_connection_goes_on_or_the_reason_is_told(tmp_path: Path) -> None:
    workload = load(protocol="tcp", client_wait="epoll", connections=3, depth=6, server_wait="uring")
    record, _, _ = record_of(tmp_path, workload=workload | {"uring_multishot": True})
    if record.verdict == "failed":
        assert "io_uring" in record.reasons[0]
        pytest.skip(record.reasons[0])
    assert (record.verdict, record.reasons) == ("valid", ())
    found = record.metrics
    # Each connection's receive is asked for once, and the kernel says of all that it brings that more will come.
    assert (found["multishot_armed"], found["multishot_more_percent"]) == (3, 100.0)
    assert found["multishot_receives"] > found["multishot_armed"]
