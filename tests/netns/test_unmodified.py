"""Programs nobody modified, on real links: their figures in our terms, and busy polling applied from outside."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from harness import load
from harness.kernel import facts
from harness.run.runner import make_run
from harness.signals import stop_on_signals
from harness.store import ResultSet
from tests import experiment
from tests.command import call, run

POLL = {"*": {"busy_poll": {"usecs": 50}}}
ENDS = {"from": "client", "to": "server"}

# A server that answers each line in upper case, and a client that measures it and prints what it found.
SERVER = """
import socket, sys
s = socket.create_server((sys.argv[1], int(sys.argv[2]))); print("serving", flush=True)
while True:
    c, _ = s.accept()
    c.setsockopt(6, 1, 1)
    while data := c.recv(100):
        c.send(data.upper())
"""
CLIENT = """
import json, socket, sys, time
s = socket.create_connection((sys.argv[1], int(sys.argv[2]))); s.setsockopt(6, 1, 1)
end, n, worst = time.monotonic() + float(sys.argv[3]), 0, 0
begin = time.monotonic()
while time.monotonic() < end:
    t = time.monotonic(); s.send(b"hello"); assert s.recv(100) == b"HELLO"; n += 1
    worst = max(worst, time.monotonic() - t)
print(json.dumps({"end": {"count": n, "mean": (time.monotonic() - begin) / n, "list": [1, 2]}}))
"""


def record_of(tmp_path: Path, **changes: Any) -> tuple[Any, Any, dict[str, bytes]]:
    """The first run of the document: record, samples, files."""
    plan = experiment.plan(tmp_path, **changes)
    with stop_on_signals() as stopper:
        return make_run(plan.runs[0], facts.environment(), stopper)


def command(**changes: Any) -> dict[str, Any]:
    """The toy server and client as a workload."""
    base: dict[str, Any] = {
        "kind": "command",
        **ENDS,
        "server": [sys.executable, "-c", SERVER, "{address}", "{port}"],
        "client": [sys.executable, "-c", CLIENT, "{address}", "{port}", "{duration_s}"],
        "port": 7777,
        "warmup": "100ms",
        "duration": "300ms",
        "figures": {
            "rtt_mean_us": {"json": "end.mean", "scale": 1e6},
            "second_count": {"json": "end.list.1"},
            "requests": {"regex": '"count": (\\d+)'},
        },
    }
    return {key: value for key, value in (base | changes).items() if value is not None}


needs_sockperf = pytest.mark.skipif(shutil.which("sockperf") is None, reason="sockperf is not installed")
needs_iperf3 = pytest.mark.skipif(shutil.which("iperf3") is None, reason="iperf3 is not installed")


@needs_sockperf
@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_sockperf_is_polled_from_outside_and_faster(tmp_path: Path, protocol: str) -> None:
    workload = {"kind": "sockperf", **ENDS, "protocol": protocol, "duration": "500ms"}
    napi = experiment.document()["topology"] | {"datapath": "napi"}
    base, _, _ = record_of(tmp_path, workload=workload, topology=napi)
    record, samples, files = record_of(tmp_path, workload=workload, settings=POLL)
    assert (base.verdict, base.reasons) == ("valid", ())
    assert (record.verdict, record.reasons) == ("valid", ())
    assert base.metrics["server_polled_percent"] == 0
    metrics = record.metrics
    assert metrics["server_polled_percent"] > 50 and metrics["client_polled_percent"] > 50
    assert metrics["server_napi_id"] > 0
    assert metrics["rtt_p50_us"] < base.metrics["rtt_p50_us"]
    assert {row.took_effect for row in record.knobs} == {True}
    assert any(re.search(r"SO_BUSY_POLL server\[\d+\] fd \d+ \(", row.setting) for row in record.knobs)
    assert all(row.applied == 50 for row in record.knobs)
    assert "whole round trips" in record.workload["conversion"]
    assert metrics["client_napi_id"] > 0
    # Its printed mean is over the same requests; it was told to print whole round trips.
    printed = re.search(r"avg-rtt=([\d.]+)", files["client.stdout.txt"].decode())
    assert printed is not None
    assert metrics["rtt_mean_us"] == pytest.approx(float(printed[1]), rel=0.01)
    assert samples is not None and metrics["requests"] == len(samples)
    assert b'"napi_id"' in files["sockets.json"]


@needs_sockperf
def test_sockperf_under_load_is_an_open_loop(tmp_path: Path) -> None:
    workload = {"kind": "sockperf", **ENDS, "mode": "under-load", "rate": 2000, "duration": "500ms"}
    # Its rate wanders more than ours may: that is not what is tested.
    checks = experiment.NO_NOISE_LIMITS | {"max_rate_error": "20%"}
    record, _, _ = record_of(tmp_path, workload=workload, checks=checks)
    assert (record.verdict, record.reasons) == ("valid", ())
    assert record.workload["loop"] == "open"
    assert "from the actual send" in record.workload["conversion"]
    assert record.metrics["offered_rps"] == 2000
    assert record.metrics["achieved_rps"] == pytest.approx(2000, rel=0.2)


@needs_iperf3
def test_iperf3_fills_a_shaped_link_and_has_no_round_trips(tmp_path: Path) -> None:
    topology = experiment.document()["topology"]
    links = [topology["links"][0] | {"shape": {"rate": "50mbit"}}]
    workload = {"kind": "iperf3", **ENDS, "warmup": 0, "duration": "1s"}
    record, samples, files = record_of(tmp_path, workload=workload, topology=topology | {"links": links})
    assert (record.verdict, record.reasons) == ("valid", ())
    assert record.metrics["throughput_bps"] == pytest.approx(48e6, rel=0.15)
    assert record.metrics["requests"] is None and record.metrics["rtt_p50_us"] is None
    assert samples is None
    assert b'"bits_per_second"' in files["client.stdout.txt"]


def test_any_command_is_read_by_regex_and_json(tmp_path: Path) -> None:
    record, _, files = record_of(tmp_path, workload=command())
    assert (record.verdict, record.reasons) == ("valid", ())
    metrics = record.metrics
    assert metrics["requests"] > 100 and metrics["second_count"] == 2
    assert metrics["rtt_mean_us"] == pytest.approx(300_000 / metrics["requests"], rel=0.2)
    assert metrics["client_cpu_percent"] > 0 and metrics["server_cpu_percent"] > 0
    assert files["server.stdout.txt"] == b"serving\n"
    assert b'"count"' in files["client.stdout.txt"]


def test_sockets_accepted_later_inherit_from_the_listener(tmp_path: Path) -> None:
    """The client's process starts when the window opens: its peer at the server exists only then.

    On a busy machine an interpreter needs a while until it connects, so it has two seconds, and a poller gives its CPU
    away; without the option nothing at all would be polled.
    """
    idle = CLIENT.replace("end, n, worst", "s.send(b'hello'); s.recv(100); time.sleep(2); end, n, worst", 1)
    workload = command(warmup="2s", client=[sys.executable, "-c", idle, "{address}", "{port}", "{duration_s}"])
    record, _, _ = record_of(tmp_path, workload=workload, settings=POLL)
    assert (record.verdict, record.reasons) == ("valid", ())
    rows = {row.setting.split("(")[1]: row for row in record.knobs if " server[" in row.setting}
    listener = next(row for label, row in rows.items() if label.startswith("tcp listener"))
    accepted = next(row for label, row in rows.items() if label.startswith("tcp)"))
    assert (listener.found, listener.applied) == (0, 50)
    assert (accepted.found, accepted.applied) == (50, 50)
    assert record.metrics["server_polled_percent"] > 5


def test_readiness_by_output_and_a_stop_by_another_signal(tmp_path: Path) -> None:
    workload = command(port=None, ready="^serving", stop="SIGINT")
    workload["server"][-1] = workload["client"][-2] = "7778"
    record, _, _ = record_of(tmp_path, workload=workload)
    assert (record.verdict, record.reasons) == ("valid", ())


def test_a_program_that_is_not_installed_skips_the_run_and_names_the_package(tmp_path: Path) -> None:
    if shutil.which("netserver"):
        pytest.skip("netperf is installed here")
    record, _, _ = record_of(tmp_path, workload={"kind": "netperf", **ENDS})
    assert record.verdict == "skipped"
    assert "there is no program netserver; install it: apt install netperf" in record.reasons[0]


@needs_iperf3
def test_a_bulk_flow_beside_the_measured_one(tmp_path: Path) -> None:
    topology = experiment.document()["topology"]
    links = [topology["links"][0] | {"shape": {"rate": "20mbit", "queue": "5ms"}}]
    workloads = [
        {"kind": "iperf3", **ENDS, "measured": False},
        experiment.document()["workload"] | {"duration": "500ms", "measured": True},
    ]
    record, _, files = record_of(tmp_path, workload=None, workloads=workloads, topology=topology | {"links": links})
    assert (record.verdict, record.reasons) == ("valid", ())
    assert record.workload["kind"] == "ping-pong"
    assert record.background[0]["kind"] == "iperf3"
    assert record.metrics["background_bps"] == pytest.approx(19e6, rel=0.4)
    # The requests wait in the queue that the bulk flow fills.
    assert record.metrics["rtt_p50_us"] > 1000
    assert "background1-client.stdout.txt" in files


def test_a_socket_that_came_too_late_is_the_reason_why_it_was_not_polled(tmp_path: Path) -> None:
    late = CLIENT.replace("import json, socket, sys, time", "import json, socket, sys, time; time.sleep(0.6)")
    workload = command(client=[sys.executable, "-c", late, "{address}", "{port}", "{duration_s}"])
    record, _, _ = record_of(tmp_path, workload=workload, settings={"client": POLL["*"]})
    assert record.verdict == "inert"
    (reason,) = record.reasons
    assert "no socket of the client was found before the measured time" in reason
    assert "cannot be busy-polled" not in reason


# How soon an interpreter opens its socket on a busy machine is not what this is about: only the C program busy-polls.
@pytest.mark.parametrize(("name", "case"), [("echo-c", "busypoll50"), ("echo-python", "base")])
def test_a_shipped_example_of_ones_own_program(name: str, case: str, tmp_path: Path) -> None:
    """Copied, built, run: each request is a sample, and its cost and quantiles are computed as of our own generator."""
    copied = call("examples", name, "-o", tmp_path)
    assert copied.returncode == 0, copied.stderr
    path = tmp_path / name / "echo.yaml"
    settings = [f"--set=checks.{key}={value}" for key, value in experiment.NO_NOISE_LIMITS.items()]
    words = ["run", path, "--quick", "--repeat", "1", "--case", case, "--wait", "-o", tmp_path / "results"]
    done = run(*words, *settings)
    (row,) = load(tmp_path / "results" / name).runs.to_dict("records")
    assert row["verdict"] == "valid", done.stderr
    assert row["requests"] > 10 and row["rtt_p50_us"] > 0 and row["cpu_us_per_request"] > 0
    results = ResultSet.latest(tmp_path / "results", name)
    assert results is not None
    shape = results.sample_shape(row["run_id"])
    assert shape is not None and shape[0] == row["requests"] and row["lost"] == 0
    if name == "echo-python":
        assert row["served"] == row["requests"]
