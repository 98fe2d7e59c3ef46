"""What each program's format makes of every part of its output: figures, units, blanks, and findings in their words."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from harness.formats import Head, ReadOptions, load_formats
from tests.unit.test_formats import one, read

# -- sockperf ------------------------------------------------------------------------------------------------

SOCKPERF = """sockperf: == version #3.10 ==
[ 0] IP = 10.0.0.2 PORT = 11111 # TCP
sockperf: [Total Run] RunTime=2.000 sec; Warm up time=400 msec; SentMessages=5400; ReceivedMessages=5390
sockperf: ========= Printing statistics for Server No: 0
sockperf: [Valid Duration] RunTime=2.500 sec; SentMessages=5000; ReceivedMessages=4990
sockperf: ====> avg-latency=10.5 (std-dev=2.25)
sockperf: # dropped messages = 7; # duplicated messages = 3; # out-of-order messages = 1
sockperf: ---> <MAX> observation =  90.5
sockperf: ---> percentile 99.900 =  50.0
sockperf: ---> percentile 99.000 =  20.0
sockperf: ---> percentile 75.000 =  11.0
sockperf: ---> percentile 50.000 =  10.0
sockperf: ---> <MIN> observation =   5.5
test was performed using the following parameters: --mps=2000 --msg-size=14 --time=2
"""


def test_a_summary_of_sockperf() -> None:
    result = one("sockperf", SOCKPERF)
    assert result.metrics == pytest.approx(
        {
            "elapsed_s": 2.5,
            "sent": 5000,
            "requests": 4990,
            "rate_rps": 1996,
            "achieved_rps": 2000,
            "lost": 7,
            "duplicates": 3,
            "rtt_mean_us": 21,
            "rtt_sd_us": 4.5,
            "rtt_max_us": 181,
            "rtt_p99_us": 40,
            "rtt_p50_us": 20,
            "rtt_min_us": 11,
        }
    )
    facts = {"kind": "sockperf", "protocol": "tcp", "size_bytes": 14, "rate_rps": 2000, "duration_s": 2}
    facts["connections"] = 1
    assert result.workload == facts
    assert result.settle_requests == 400
    assert (result.verdict, result.reasons) == ("valid", [])
    assert result.environment == {"latency_basis": "half round trip, doubled", "program_version": "sockperf 3.10"}


def test_whole_round_trips_of_sockperf_are_left_alone() -> None:
    result = one("sockperf", SOCKPERF.replace("avg-latency", "avg-rtt"))
    assert (result.metrics["rtt_p50_us"], result.environment["latency_basis"]) == (10.0, "rtt")
    bare = one("sockperf", SOCKPERF.replace(" (std-dev=2.25)", ""))
    assert "rtt_sd_us" not in bare.metrics and bare.metrics["rtt_mean_us"] == 21


def test_of_several_servers_the_first_is_taken() -> None:
    second = SOCKPERF.splitlines()[3:13]
    text = SOCKPERF + "\n".join(second).replace("10.0", "99.0").replace("SentMessages=5000", "SentMessages=1") + "\n"
    (result,), found = read("sockperf", text)
    assert (result.metrics["rtt_p50_us"], result.metrics["sent"]) == (20.0, 5000)
    assert found == [(15, "statistics of a second server; only the first's are taken")]
    third = read("sockperf", text + "\n".join(second))
    assert len(third[1]) == 1


def test_throughput_of_sockperf_is_in_mebibytes() -> None:
    text = "sockperf: x\nsockperf: Summary: Message Rate is 1000 [msg/sec]\nsockperf: Summary: BandWidth is 1.5 MBps\n"
    result = one("sockperf", text)
    assert result.metrics == {"messages_pps": 1000.0, "throughput_bps": 1.5 * 8 * 2**20}


def test_trouble_of_sockperf_is_doubt_beside_figures_and_failure_without() -> None:
    trouble = "sockperf: No messages were received from the server. Is the server down?\n"
    alone = one("sockperf", trouble)
    assert (alone.verdict, alone.reasons) == ("failed", [trouble.strip()])
    beside = one("sockperf", SOCKPERF + "sockperf: ERROR: one\n" * 4)
    assert (beside.verdict, beside.reasons) == ("suspect", ["; ".join(["sockperf: ERROR: one"] * 3)])


LOG_HEAD = "packet, txTime(sec), rxTime(sec), {}(usec)\n"


def test_a_full_log_has_every_request() -> None:
    rows = "0, 100.5, 100.6, 10.25\n1, 101.0, 101.1, 20.0\n------\n\n2, 100.0, 101.2, 0\n"
    for word, factor in (("latency", 2000), ("rtt", 1000)):
        text = SOCKPERF + LOG_HEAD.format(word) + rows
        result = one("sockperf", text)
        assert result.samples is not None
        assert list(result.samples["intended_ns"]) == [500_000_000, 1_000_000_000, 0]
        assert list(result.samples["latency_ns"]) == [10.25 * factor, 20 * factor, 0]
        # Counts by the log, and no quantile of the summary.
        assert (result.metrics["requests"], result.metrics["rate_rps"]) == (3.0, 1.2)
        assert not any(name.startswith("rtt_") for name in result.metrics)
        assert result.environment["latency_basis"] == ("rtt" if word == "rtt" else "half round trip, doubled")


def test_output_of_sockperf_is_told_by_its_name_or_its_table() -> None:
    told = {"x\nsockperf: y": True, LOG_HEAD.format("rtt"): True, LOG_HEAD.format("latency"): True, "packet, x": False}
    sockperf = load_formats()["sockperf"]
    assert {text: sockperf.sniff(Head(text, "x")) for text in told} == told


def test_rows_of_a_full_log_that_are_none_are_left_out_and_told() -> None:
    head = "sockperf: x\n" + LOG_HEAD.format("rtt")
    told = "the row is not packet, txTime, rxTime, latency; such rows are left out"
    for row in (
        "1, 2, 3",
        "1, x, 3, 4",
        "1, 2, 3, -1",
        "1, 2, 3, 1e12",
        "1, 1e12, 3, 4",
        "1, 2, 3, nan",
        "1, 2, 3, 4, 5",
    ):
        (result,), found = read("sockperf", f"{head}{row}\n1, 2, 3, 4\n")
        assert found == [(3, told)], row
        assert result.samples is not None and len(result.samples) == 1
    (result,), found = read("sockperf", head + "x\n" * 3)
    assert found == [(3, told), (0, "3 rows of the full log are left out"), (0, "the full log holds no rows")]
    assert result.samples is None
    (result,), found = read("sockperf", head + "1, -1e11, 3, 9e11\n")
    assert found == [] and result.samples is not None


def test_requests_outside_the_window_are_those_of_the_whole_run_besides() -> None:
    fewer = SOCKPERF.replace("SentMessages=5400", "SentMessages=10")
    assert one("sockperf", fewer).settle_requests == 0
    without = "\n".join(line for line in SOCKPERF.splitlines() if "Valid Duration" not in line)
    assert one("sockperf", without).settle_requests is None


# -- netperf -------------------------------------------------------------------------------------------------


def test_every_key_of_netperf_that_has_a_column() -> None:
    keys = {
        "THROUGHPUT": "5000",
        "THROUGHPUT_UNITS": "Trans/s",
        "ELAPSED_TIME": "2.0",
        "MIN_LATENCY": "1",
        "MEAN_LATENCY": "2",
        "STDDEV_LATENCY": "0.5",
        "P50_LATENCY": "2.5",
        "P90_LATENCY": "3",
        "P99_LATENCY": "4",
        "MAX_LATENCY": "9",
        "PROTOCOL": '"TCP"',
        "REQUEST_SIZE": "64",
        "LOCAL_CPU_UTIL": "10.5",
        "REMOTE_CPU_UTIL": "20.5",
        "LOCAL_TRANSPORT_RETRANS": "3",
        "REMOTE_TRANSPORT_RETRANS": "4",
        "UNKNOWN_KEY": "5",
    }
    result = one("netperf", "".join(f"{name}={value}\n" for name, value in keys.items()))
    latencies = {"min": 1, "mean": 2, "sd": 0.5, "p50": 2.5, "p90": 3, "p99": 4, "max": 9}
    assert result.metrics == {f"rtt_{name}_us": value for name, value in latencies.items()} | {
        "rate_rps": 5000,
        "elapsed_s": 2,
        "local_cpu_util_percent": 10.5,
        "remote_cpu_util_percent": 20.5,
        "retransmits": 7,
    }
    assert result.workload == {"kind": "netperf", "protocol": "tcp", "size_bytes": 64}


def test_a_rate_of_netperf_is_its_throughput_or_its_transactions() -> None:
    banner = "MIGRATED UDP REQUEST/RESPONSE TEST from a to b\n"
    keys = "THROUGHPUT=9\nTRANSACTION_RATE=7\nTHROUGHPUT_UNITS={}\n"
    assert one("netperf", banner + keys.format("Trans/s")).metrics["rate_rps"] == 9
    assert one("netperf", banner + keys.format("10^6bits/s")).metrics["rate_rps"] == 7
    assert one("netperf", banner + "THROUGHPUT=9\n").metrics["rate_rps"] == 9
    assert one("netperf", banner + "TRANSACTION_RATE=7\n").metrics["rate_rps"] == 7


def test_a_number_of_netperf_that_is_none_is_told_and_one_below_zero_was_not_measured() -> None:
    (result,), found = read("netperf", "ELAPSED_TIME=soon\nP50_LATENCY=-1\nP99_LATENCY=3\nTHROUGHPUT_UNITS=Trans/s\n")
    assert found == [(0, "ELAPSED_TIME is 'soon', which is no number")]
    assert result.metrics == {"rate_rps": None, "rtt_p99_us": 3}


def test_quantiles_of_a_short_netperf_are_blank() -> None:
    keys = "THROUGHPUT=100\nTHROUGHPUT_UNITS=Trans/s\nELAPSED_TIME=5\nP50_LATENCY=2\nP99_LATENCY=3\n"
    assert "rtt_p99_us" not in one("netperf", keys).metrics
    assert "rtt_p99_us" in one("netperf", keys.replace("TIME=5", "TIME=10")).metrics


def test_rows_of_netperf_fit_their_header() -> None:
    head = "Throughput,Throughput Units,Elapsed Time (sec)\n"
    (result,), found = read("netperf", head + "1,2\n3,Trans/s,4\n")
    assert found == [(2, "2 values under a header of 3; the row is left out")]
    assert (result.metrics["rate_rps"], result.metrics["elapsed_s"]) == (3, 4)
    (first, second), found = read("netperf", head + "1,Trans/s,4\n2,Trans/s,4\n")
    assert ([first.metrics["rate_rps"], second.metrics["rate_rps"]], found) == ([1, 2], [])
    assert one("netperf", "THROUGHPUT,THROUGHPUT_UNITS\n5,Bytes/s\n").metrics == {"throughput_bps": 40}


def test_files_of_netperf_are_told_by_their_signs() -> None:
    netperf = load_formats()["netperf"]
    told = {
        "MIGRATED TCP": True,
        "x OMNI Send y": True,
        "P50 Latency Microseconds": True,
        "Throughput Units": True,
        "THROUGHPUT=1\nELAPSED_TIME=2\n": True,
        "THROUGHPUT=1\n": False,
        "NO_KEY=1\nNOR_THIS=2\n": False,
    }
    assert {text: netperf.sniff(Head(text, "x")) for text in told} == told


# -- iperf3 --------------------------------------------------------------------------------------------------


def document(**parts: Any) -> dict[str, Any]:
    start = {"version": "iperf 3.14", "test_start": {"protocol": "UDP", "blksize": 1448, "duration": 10}}
    start |= {"timestamp": {"timesecs": 1_700_000_000}, "system_info": "Linux host 6.99.1 #1 SMP x86_64"}
    end = {
        "sum_sent": {"bits_per_second": 9e6, "retransmits": 5, "seconds": 9},
        "sum_received": {
            "bits_per_second": 8e6,
            "seconds": 10,
            "jitter_ms": 0.25,
            "lost_packets": 3,
            "lost_percent": 1,
        },
        "cpu_utilization_percent": {"host_total": 11.5, "remote_total": 22.5},
        "streams": [
            {"sender": {"min_rtt": 10, "mean_rtt": 20, "max_rtt": 50}},
            {"sender": {"min_rtt": 5, "mean_rtt": 30, "max_rtt": 40}},
            {"receiver": {}},
        ],
    }
    return {"start": start, "end": end} | parts


def test_every_figure_of_iperf3() -> None:
    result = one("iperf3", json.dumps(document()))
    assert result.metrics == {
        "throughput_bps": 8e6,
        "elapsed_s": 10,
        "retransmits": 5,
        "lost": 3,
        "lost_percent": 1,
        "udp_jitter_us": 250,
        "client_cpu_percent": 11.5,
        "server_cpu_percent": 22.5,
        "tcp_rtt_min_us": 5,
        "tcp_rtt_mean_us": 25,
        "tcp_rtt_max_us": 50,
    }
    assert result.workload == {"kind": "iperf3", "protocol": "udp", "size_bytes": 1448, "duration_s": 10}
    facts = {"kernel": "6.99.1", "program_version": "iperf 3.14", "measured_by": "receiver"}
    assert (result.started_utc, result.environment) == ("2023-11-14T22:13:20Z", facts)
    assert (result.verdict, result.reasons) == ("valid", [])
    summed = one("iperf3", json.dumps(document(end={"sum": {"bits_per_second": 7e6, "retransmits": 2}})))
    assert summed.metrics == {"throughput_bps": 7e6, "retransmits": 2}


@pytest.mark.parametrize("value", [True, "7", None, -1, 2**201, float("inf"), [1]])
def test_what_is_no_number_of_iperf3_is_left_out(value: object) -> None:
    result = one("iperf3", json.dumps(document(end={"sum": {"bits_per_second": 1, "retransmits": value}})))
    assert result.metrics == {"throughput_bps": 1}
    assert one("iperf3", json.dumps(document(end={"sum": {"retransmits": 2**199}}))).metrics == {
        "retransmits": 2.0**199
    }


def test_a_run_of_iperf3_that_was_stopped_has_the_mean_of_its_intervals() -> None:
    sums = [
        {"seconds": 1, "bytes": 900, "omitted": True},
        {"seconds": 1, "bytes": 100, "omitted": False},
        {"seconds": 3, "bytes": 500},
    ]
    intervals = [{"sum": part} for part in sums]
    stopped = document(error="interrupt", intervals=intervals, end={"sum_received": {"bits_per_second": 0}})
    result = one("iperf3", json.dumps(stopped))
    assert result.metrics == {"throughput_bps": 8 * 600 / 4, "elapsed_s": 4}
    assert (result.verdict, result.reasons) == ("suspect", ["iperf3: interrupt"])
    heard = stopped | {"end": {"sum_received": {"bits_per_second": 77}}}
    assert one("iperf3", json.dumps(heard)).metrics == {"throughput_bps": 77}
    nothing = one("iperf3", json.dumps(document(error="refused", end={})))
    assert (nothing.verdict, nothing.reasons) == ("failed", ["iperf3: refused"])


TAIL = """Connecting to host 10.78.0.2, port 5201
[  5]   0.00-0.00   sec   195 KBytes   379 Mbits/sec  0.000 ms  0/200 (0%)  sender
[  5]   0.00-0.08   sec  18.6 KBytes  1.91 Mbits/sec  3.617 ms  51/{counted} (73%)  receiver
"""


@pytest.mark.parametrize(("counted", "told"), [(70, False), (197, False), (198, True)])
def test_datagrams_after_the_last_one_that_came_to_iperf3_are_not_taken_as_received(counted: int, told: bool) -> None:
    report = document()
    report["end"]["sum_sent"]["packets"], report["end"]["sum_received"]["packets"] = 200, counted
    for result in (one("iperf3", json.dumps(report)), one("iperf3-text", TAIL.format(counted=counted))):
        assert [name for name in ("lost", "lost_percent") if name in result.metrics] == ["lost", "lost_percent"] * told
        reason = f"of 200 datagrams that were sent the last {200 - counted} are counted neither as received nor as lost"
        assert any(reason in said for said in result.reasons) is not told
        assert result.verdict == ("valid" if told else "suspect")


def test_a_run_of_iperf3_of_which_nothing_arrived_has_no_throughput_to_believe() -> None:
    report = document()
    report["end"]["sum_sent"]["bytes"] = 9
    report["end"]["sum_received"] |= {"bytes": 0, "bits_per_second": 0}
    text = re.sub(r"18.6 .*", "0.00 Bytes  0.00 bits/sec  0.000 ms  0/0 (0%)  receiver", TAIL)
    for result in (one("iperf3", json.dumps(report)), one("iperf3-text", text)):
        assert (result.verdict, result.reasons) == ("failed", ["iperf3: nothing of what was sent arrived"])
    stopped = one("iperf3-text", f"{text}iperf3: interrupt - the client has terminated\n")
    assert (stopped.verdict, stopped.environment["measured_by"]) == ("suspect", "sender")


def test_odd_documents_of_iperf3_are_told() -> None:
    whole = json.dumps(document())
    results, found = read("iperf3", f"\ufeff 5 \0 {whole}\n{whole}\nnonsense")
    assert len(results) == 2
    assert [line for line, _ in found] == [0, 3] and found[0][1] == "a JSON value in it is no document of iperf3"
    assert found[1][1].startswith("not JSON from here on: ")
    events = [json.dumps({"event": name, "data": document()[name]}) for name in ("start", "end")]
    assert one("iperf3", "\n".join(events)).metrics["throughput_bps"] == 8e6
    (result,), found = read("iperf3", events[0])
    assert found == [(0, "the stream of events ends before the run does")] and result.metrics == {}


@pytest.mark.parametrize(
    ("system", "timestamp", "kernel", "started"),
    [
        ("Linux host 6.1", 0, "6.1", "1970-01-01T00:00:00Z"),
        ("Darwin host 23.1 x", 2**33, None, ""),
        ("Linux host", 2**33 - 1, None, "2242-03-16T12:56:31Z"),
        (5, None, None, ""),
    ],
)
def test_when_and_under_which_kernel_iperf3_ran(system: Any, timestamp: Any, kernel: str | None, started: str) -> None:
    start = {"system_info": system, "timestamp": {"timesecs": timestamp}}
    result = one("iperf3", json.dumps(document(start=start)))
    assert (result.environment.get("kernel"), result.started_utc) == (kernel, started)


# -- neper ---------------------------------------------------------------------------------------------------


def test_rows_of_neper_that_do_not_fit_are_left_out_and_told() -> None:
    head = "time,tid,flow_id,transactions\n"
    (result,), found = read("neper", head + "1,0,0,5\n2,0,0\nx,0,0,5\n\n3,0,0,9\n")
    assert found == [(3, "the row does not fit its header; such rows are left out"), (0, "2 rows are left out")]
    assert result.metrics["elapsed_s"] == 2
    (result,), found = read("neper", "tid,flow_id\n1,2\n")
    assert (found, result.metrics) == ([(1, "the first line does not name time, tid and flow_id")], {})
    (result,), found = read("neper", head + "1,0,0,5\n")
    assert found == [(0, "it has a single point in time, which gives no rate")]


def test_flows_of_neper_are_added_up() -> None:
    head = "time,tid,flow_id,transactions,latency_mean,latency_p50\n"
    rows = "1,0,0,100,0.001,0.001\n1,0,1,50,0.002,0.002\n2,0,0,300,0.001,0.001\n3,0,1,250,0.004,0.005\n"
    (result,), found = read("neper", head + rows)
    assert (result.metrics["elapsed_s"], result.metrics["rate_rps"], result.metrics["requests"]) == (2, 200, 550)
    mean = (300 * 0.001 + 50 * 0.002 + 200 * 0.004) / 550 * 1e6
    assert result.metrics["rtt_mean_us"] == pytest.approx(mean)
    assert not {"rtt_p50_us", "rtt_sd_us", "rtt_min_us"} & result.metrics.keys()
    told = "p50 is per interval, of 4, and left blank: that of the whole run lies between 1000 and 5000 us"
    assert found == [(0, told)]


def test_a_file_of_neper_is_told_by_its_columns() -> None:
    neper = load_formats()["neper"]
    told = {"time,tid,flow_id": True, "\ufefftime,tid,x,flow_id": True, "time,tid": False, "tid,time,flow_id": False}
    assert {text: neper.sniff(Head(text, "x")) for text in told} == told


def test_a_quantile_of_neper_needs_requests_beyond_it() -> None:
    head = "time,tid,flow_id,transactions,latency_mean,latency_p50,latency_p99\n"
    for requests, known in ((999, False), (1000, True)):
        result = one("neper", f"{head}1,0,0,0,,,\n2,0,0,{requests},0.001,0.001,0.002\n")
        assert ("rtt_p99_us" in result.metrics) is known
        assert result.metrics["rtt_p50_us"] == pytest.approx(1000)


def test_what_formats_convert_is_said_in_sentences() -> None:
    formats = load_formats()
    assert {"sockperf", "netperf", "iperf3", "neper", "hdrhistogram"} <= formats.keys()
    for name, made in formats.items():
        said = made.conversions_with(ReadOptions())
        assert made.name == name and made.title and all(len(sentence) > 20 for sentence in said)
    assert "doubled" in formats["sockperf"].conversions[0]
