"""Outputs of other programs in our terms: of the stock programs through harness/formats/, of commands as declared."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import TypeAdapter

from harness.spec.experiment import WorkloadSection
from harness.workloads import ProgramOutput, Scene, Workload

ADAPTER: TypeAdapter[Any] = TypeAdapter(WorkloadSection)
SCENE = Scene("10.0.0.2", 7000)


def make(kind: str, **fields: Any) -> Workload:
    """A workload of this kind, as a file describes it."""
    made: Workload = ADAPTER.validate_python({"kind": kind, "from": "a", "to": "b", **fields})
    return made


SOCKPERF = """
sockperf: [Total Run] RunTime=1.001 sec; Warm up time=400 msec; SentMessages=10; ReceivedMessages=10
sockperf: [Valid Duration] RunTime=0.500 sec; SentMessages=4; ReceivedMessages=3
sockperf: # dropped messages = 1; # duplicated messages = 2; # out-of-order messages = 0
"""
LOG = (
    SOCKPERF
    + """------------------------------
packet, txTime(sec), rxTime(sec), rtt(usec)
0, 2.999999999, 3.000003687, 3.688
1, 3.000003687, 3.000103687, 100.000
2, 3.000203687, 3.000204687, 1.000
"""
)


def test_sockperf_is_read_by_its_times_not_by_its_halves() -> None:
    reading = make("sockperf").read(ProgramOutput(SOCKPERF, log=LOG))
    assert list(reading.samples["latency_ns"]) == [3688, 100_000, 1000]
    assert list(reading.samples["intended_ns"]) == [0, 3688, 203_688]
    expected = {"requests": 4, "answered": 3, "lost": 1, "duplicates": 2, "settle_requests": 6}
    assert reading.result | expected == reading.result
    assert reading.result["elapsed_ns"] == 500_000_000


@pytest.mark.parametrize(
    ("text", "log", "message"),
    [
        ("Illegal", LOG, "there is no result of sockperf"),
        ("sockperf: No messages were received from the server.", LOG, "No messages were received"),
        ("sockperf: # dropped messages = 0; # duplicated messages = 0;", LOG, "no summary line"),
        (SOCKPERF, "", "there is no result of sockperf"),
        (SOCKPERF, SOCKPERF, "no table of packets"),
        (SOCKPERF, LOG + "3, nothing\n", "the row is not packet, txTime, rxTime, latency"),
    ],
)
def test_sockperf_that_says_something_else(text: str, log: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make("sockperf").read(ProgramOutput(text, log=log))


def test_iperf3_whole_and_stopped_half_way() -> None:
    whole = {"end": {"sum_sent": {}, "sum_received": {"bits_per_second": 8e9, "seconds": 2.0}}}
    assert make("iperf3").read(ProgramOutput(json.dumps(whole))).metrics["throughput_bps"] == 8e9
    second = {"sum": {"bytes": 1000, "seconds": 1.0}}
    omitted = {"sum": {"bytes": 9999, "seconds": 1.0, "omitted": True}}
    stopped = {"intervals": [omitted, second, second], "end": {}, "error": "interrupt - the client has terminated"}
    reading = make("iperf3").read(ProgramOutput(json.dumps(stopped)))
    assert reading.metrics["throughput_bps"] == 8000 and reading.result["elapsed_ns"] == 2 * 10**9


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there is no result of iperf3"),
        ("iperf3: error", "not JSON"),
        ('{"error": "unable to connect"}', "unable to connect"),
        ('{"end": {"sum": {"bits_per_second": 0}}}', "it moved no data"),
    ],
)
def test_iperf3_that_failed(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make("iperf3").read(ProgramOutput(text))


def test_netperf_request_response_and_stream() -> None:
    argv = make("netperf").client(SCENE)
    asked = argv[argv.index("-k") + 1].split(",")
    values = dict.fromkeys(asked, "-1") | {"THROUGHPUT": "13000.5", "THROUGHPUT_UNITS": "Trans/s"}
    values |= {"ELAPSED_TIME": "1.00", "P50_LATENCY": "74", "P99_LATENCY": "130", "MEAN_LATENCY": "76.9"}
    assert set(values) == set(asked)
    printed = "".join(f"{name}={value}\n" for name, value in values.items())
    reading = make("netperf").read(ProgramOutput(printed))
    expected = {"rtt_p50_us": 74.0, "rtt_p99_us": 130.0, "rtt_mean_us": 76.9, "rate_rps": 13000.5}
    assert reading.metrics == expected | {"elapsed_s": 1.0} and reading.result == {"elapsed_ns": 10**9}
    with pytest.raises(ValueError, match="there is no result of netperf"):
        make("netperf").read(ProgramOutput("establish control: are you sure there is a netserver?"))
    with pytest.raises(ValueError, match="it measured nothing"):
        make("netperf").read(ProgramOutput("THROUGHPUT=0.00\nTHROUGHPUT_UNITS=Trans/s\n"))


@pytest.mark.parametrize(
    ("units", "bits"),
    [
        ("10^0bits/s", 1),
        ("10^3bits/s", 10**3),
        ("10^6bits/s", 10**6),
        ("10^9bits/s", 10**9),
        ("Bytes/s", 8),
        ("KBytes/s", 8 * 2**10),
        ("MBytes/s", 8 * 2**20),
        ("GBytes/s", 8 * 2**30),
    ],
)
def test_netperf_throughput_in_every_unit(units: str, bits: int) -> None:
    printed = f"THROUGHPUT=941.5\nTHROUGHPUT_UNITS={units}\nELAPSED_TIME=1.00\n"
    reading = make("netperf", test="tcp_stream").read(ProgramOutput(printed))
    assert reading.metrics["throughput_bps"] == pytest.approx(941.5 * bits, rel=1e-12)


def test_netperf_throughput_in_a_unit_that_is_not_known_is_no_figure() -> None:
    printed = "THROUGHPUT=941.5\nTHROUGHPUT_UNITS=furlongs\nELAPSED_TIME=1.00\n"
    with pytest.raises(ValueError, match="has the unit 'furlongs', which is not known"):
        make("netperf", test="tcp_stream").read(ProgramOutput(printed))


@pytest.mark.parametrize(
    ("printed", "message"),
    [
        ("did 0", "requests: 0: nothing was measured"),
        ("did nan", "requests: 'nan' is not a number"),
        ("did inf", "requests: 'inf' is not a number"),
        ("did", "requests: nothing matches"),
    ],
)
def test_a_commands_figure_that_is_none_is_no_measurement(printed: str, message: str) -> None:
    made = make("command", client="x", figures={"requests": {"regex": "did (\\w+)"}})
    with pytest.raises(ValueError, match=message):
        made.read(ProgramOutput(printed))
    assert made.read(ProgramOutput("did 3")).metrics == {"requests": 3}


def test_a_figure_in_json_may_be_no_nan_either() -> None:
    made = make("command", client="x", figures={"rtt_mean_us": {"json": "mean"}})
    with pytest.raises(ValueError, match="rtt_mean_us: 'nan' is not a number"):
        made.read(ProgramOutput('{"mean": NaN}'))
