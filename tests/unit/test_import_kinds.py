"""What strangers' files hold that is easily read wrong: whose figure it is, of what, in which unit, and of how much."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.importers import FORMATS, ImportOptions
from harness.importers.files import gather
from harness.importers.model import ImportedRun, ImportedRuns
from tests.command import run as command
from tests.unit import foreign
from tests.unit.real_outputs import REAL


def reading_of(name: str, path: Path, text: str, file: str = "case.txt", **options: str) -> ImportedRuns:
    path.mkdir(exist_ok=True)
    (path / file).write_text(text)
    return FORMATS[name].read(gather(path / file), ImportOptions(**options))  # type: ignore[arg-type]


def one(name: str, path: Path, text: str, **options: str) -> ImportedRun:
    (run,) = reading_of(name, path, text, **options).runs
    return run


def findings(reading: ImportedRuns) -> str:
    return "\n".join(finding.text for finding in reading.findings)


# -- summaries that cannot be combined -----------------------------------------------------------------------

NEPER_HEAD = (
    "tid,flow_id,time,transactions,latency_min,latency_mean,latency_max,latency_stddev,latency_p50,latency_p99\n"
)
NEPER_INTERVALS = (
    "0,0,10.0,1,0.000050,0.000050,0.000050,-nan,0.000050,0.000050\n"
    "0,0,11.0,20001,0.000030,0.000040,0.000500,0.000010,0.000035,0.000080\n"
    "0,0,12.0,30001,0.000035,0.000100,0.007000,0.000300,0.000045,0.002000\n"
    "0,0,12.2,30101,0.000000,0.000000,0.000000,0.000000,0.000000,0.000000\n"
)


def test_quantiles_of_intervals_are_no_quantiles_of_the_run(tmp_path: Path) -> None:
    reading = reading_of("neper", tmp_path, NEPER_HEAD + NEPER_INTERVALS)
    (run,) = reading.runs
    assert not {"rtt_p50_us", "rtt_p99_us"} & run.metrics.keys()
    assert "p99 is per interval, of 3, and left blank: that of the whole run lies between 50 and 2000 us" in findings(
        reading
    )
    assert run.metrics["requests"] == 30_001 and run.metrics["rtt_min_us"] == 30 and run.metrics["rtt_max_us"] == 7000
    assert run.metrics["rtt_mean_us"] == pytest.approx((50 + 20_000 * 40 + 10_000 * 100) / 30_001)
    # The deviation of a single transaction is 0, whatever neper prints.
    assert run.metrics["rtt_sd_us"] == pytest.approx(175.6, rel=0.01)
    # The closing row counts for the rate alone.
    assert run.metrics["rate_rps"] == pytest.approx(30_100 / 2.2)
    assert "1 closing rows have no latencies" in findings(reading)


def test_the_quantiles_of_a_single_interval_are_the_runs(tmp_path: Path) -> None:
    run = one("neper", tmp_path, NEPER_HEAD + NEPER_INTERVALS.split("\n")[1] + "\n")
    assert [run.metrics["rtt_p50_us"], run.metrics["rtt_p99_us"]] == pytest.approx([35, 80])


def test_a_server_of_neper_measures_no_latency(tmp_path: Path) -> None:
    rows = "0,0,5.0,1,0.0,0.0,0.0,0.0,0.0,0.0,0.0\n0,0,7.0,8001,4000,0.0,0.0,0.0,0.0,0.0,0.0\n"
    head = NEPER_HEAD.replace("transactions,", "transactions,transactions/s,")
    reading = reading_of("neper", tmp_path, head + rows)
    (run,) = reading.runs
    assert {name for name in run.metrics if name.startswith("rtt")} == set()
    assert (run.metrics["rate_rps"], run.environment["measured_by"]) == (4000, "server")
    assert "neper's servers measure none" in findings(reading)


WRK2 = """Running 20s test @ http://10.0.0.2/
  2 threads and 10 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    31.00ms    9.00ms 120.00ms   80.00%
    Req/Sec   510.00     12.00   600.00     70.00%
  Latency Distribution (HdrHistogram - Recorded Latency)
 50.000%   30.00ms
 99.000%   70.00ms

  Detailed Percentile spectrum:
       Value   Percentile   TotalCount 1/(1-Percentile)

      11.000     0.000000            1         1.00
      30.125     0.500000        20000         2.00
      70.250     0.990000        39600       100.00
      95.000     0.999000        39960      1000.00
     119.871     1.000000        40000          inf
#[Mean    =       31.250, StdDeviation   =        9.125]
#[Max     =      119.808, Total count    =        40000]
#[Buckets =           27, SubBuckets     =         2048]
----------------------------------------------------------

  Latency Distribution (HdrHistogram - Uncorrected Latency (measured without taking delayed starts into account))
 50.000%    3.00ms

  Detailed Percentile spectrum:
       Value   Percentile   TotalCount 1/(1-Percentile)

       1.000     0.000000            1         1.00
       3.125     0.500000        20000         2.00
       7.250     0.990000        39600       100.00
      11.871     1.000000        40000          inf
#[Mean    =        3.250, StdDeviation   =        1.125]
#[Max     =       11.808, Total count    =        40000]
#[Buckets =           27, SubBuckets     =         2048]
----------------------------------------------------------
  40000 requests in 20.00s, 10.00MB read
Requests/sec:   2000.00
Transfer/sec:    512.00KB
"""


@pytest.mark.parametrize(("name", "unit"), [("wrk", ""), ("hdrhistogram", "ms")])
def test_two_tables_of_one_run_are_two_sets_of_figures(tmp_path: Path, name: str, unit: str) -> None:
    run = one(name, tmp_path, WRK2, unit=unit)
    names = {"p50": 30_125, "p99": 70_250, "p99_9": 95_000, "min": 11_000, "max": 119_808, "mean": 31_250, "sd": 9125}
    assert {key: run.metrics[f"rtt_{key}_us"] for key in names} == pytest.approx(names)
    assert run.environment["latency_from"] == "due" and run.workload["loop"] == "open"
    # What was counted from the actual sending has columns of its own.
    assert (run.metrics["service_p50_us"], run.metrics["service_p99_us"]) == (3125, 7250)
    assert (run.metrics["requests"], run.metrics["rate_rps"], run.metrics["elapsed_s"]) == (40_000, 2000, 20)
    assert run.metrics["throughput_bps"] == 512 * 1024 * 8
    assert (run.verdict, run.workload["connections"], run.workload["threads"]) == ("valid", 10, 2)


def test_answers_that_are_errors_make_a_run_suspect(tmp_path: Path) -> None:
    bad = "  Socket errors: connect 0, read 5, write 0, timeout 900\n  Non-2xx or 3xx responses: 39000\nRequests/sec"
    run = one("wrk", tmp_path, WRK2.replace("Requests/sec", bad, 1))
    assert (run.verdict, run.metrics["errors"], run.metrics["socket_errors"]) == ("suspect", 39_000, 905)
    assert "39,000 answers that are not 2xx or 3xx, 5 read, 900 timeout" in run.reasons[0]
    few = one("wrk", tmp_path, WRK2.replace("Requests/sec", bad.replace("39000", "3").replace("900", "1"), 1))
    assert (few.verdict, few.metrics["errors"]) == ("valid", 3)


def test_tables_of_one_file_are_runs_of_their_own(tmp_path: Path) -> None:
    table = (REAL / "table.hgrm").read_text()
    first, second = reading_of("hdrhistogram", tmp_path, table + table, unit="us").runs
    assert first.metrics == second.metrics and first.block != second.block


# -- whose figure it is --------------------------------------------------------------------------------------


def iperf3(**end: Any) -> str:
    parts = {"start": {"version": "iperf 3.12", "test_start": {"protocol": "TCP", "reverse": 0}}, "end": end}
    return json.dumps(parts)


def half(bits: float, **more: Any) -> dict[str, Any]:
    return {"seconds": 4, "bits_per_second": bits, **more}


def at_server(text: str) -> str:
    document = json.loads(text)
    document["start"]["accepted_connection"] = {"host": "10.0.0.1", "port": 4}
    return json.dumps(document)


CPU = {"host_total": 61.0, "remote_total": 0}


def test_a_servers_cpu_is_the_servers(tmp_path: Path) -> None:
    text = at_server(iperf3(sum_sent=half(7e9), sum_received=half(0), cpu_utilization_percent=CPU))
    run = one("iperf3", tmp_path, text.replace('"reverse": 0', '"reverse": 1'))
    assert run.metrics["server_cpu_percent"] == 61 and "client_cpu_percent" not in run.metrics
    assert (run.metrics["throughput_bps"], run.environment["measured_by"]) == (7e9, "sender")
    assert run.workload["direction"] == "server to client"
    client = one("iperf3", tmp_path, iperf3(sum_sent=half(7e9), sum_received=half(6e9), cpu_utilization_percent=CPU))
    assert client.metrics["client_cpu_percent"] == 61 and "server_cpu_percent" not in client.metrics
    assert (client.metrics["throughput_bps"], client.environment["measured_by"]) == (6e9, "receiver")


def test_both_directions_of_iperf3(tmp_path: Path) -> None:
    end = {
        "sum_sent": half(5e9, retransmits=2),
        "sum_received": half(4e9),
        "sum_sent_bidir_reverse": half(3e9, retransmits=40),
        "sum_received_bidir_reverse": half(2e9),
    }
    reading = reading_of("iperf3", tmp_path, iperf3(**end))
    (run,) = reading.runs
    assert (run.metrics["throughput_bps"], run.metrics["reverse_throughput_bps"]) == (4e9, 2e9)
    assert (run.metrics["retransmits"], run.workload["direction"]) == (42, "both")
    assert "both directions at once" in findings(reading)


def test_the_one_sum_of_old_udp_is_the_senders(tmp_path: Path) -> None:
    counts = {"lost_packets": 250, "packets": 1000, "lost_percent": 25, "jitter_ms": 0.5}
    text = iperf3(sum=half(80e6, **counts)).replace("TCP", "UDP")
    run = one("iperf3", tmp_path, text)
    assert run.metrics["throughput_bps"] == pytest.approx(60e6)
    assert (run.metrics["lost"], run.metrics["udp_jitter_us"]) == (250, 500)
    # Where the receiver speaks for itself, its figure counts as it is.
    new = one("iperf3", tmp_path, iperf3(sum=half(80e6), sum_sent=half(80e6), sum_received=half(60e6, **counts)))
    assert new.metrics["throughput_bps"] == 60e6


def test_a_stream_of_events_and_its_own_repetition_are_one_run(tmp_path: Path) -> None:
    document = json.loads(iperf3(sum_sent=half(5e9), sum_received=half(5e9)))
    events = "".join(json.dumps({"event": name, "data": document[name]}) + "\n" for name in ("start", "end"))
    reading = reading_of("iperf3", tmp_path, events + json.dumps(document) + "\n")
    assert len(reading.runs) == 1 and "repeats the stream of events" in findings(reading)
    other = document | {"end": {"sum_received": half(1e9)}}
    assert len(reading_of("iperf3", tmp_path, events + json.dumps(other) + "\n").runs) == 2


SOCKPERF_GREPPED = (
    "sockperf: Summary: {} is 12.000 usec\n"
    "sockperf: Total {} observations; each percentile contains 1.00 observations\n"
    "sockperf: ---> <MAX> observation =  80.000\n"
    "sockperf: ---> percentile 99.900 =  50.000\n"
    "sockperf: ---> percentile 99.000 =  40.000\n"
    "sockperf: ---> percentile 50.000 =  11.000\n"
    "sockperf: ---> <MIN> observation =   9.000\n"
)


@pytest.mark.parametrize(
    ("words", "observations", "p50", "p99", "p99_9"),
    [("Latency", 60, 22, None, None), ("Latency", 5000, 22, 80, None), ("Round trip", 40_000, 11, 40, 50)],
)
def test_a_summary_of_sockperf_without_its_average_line(
    tmp_path: Path, words: str, observations: int, p50: float, p99: float | None, p99_9: float | None
) -> None:
    metrics = one("sockperf", tmp_path, SOCKPERF_GREPPED.format(words, observations)).metrics
    assert metrics["rtt_mean_us"] == (24 if words == "Latency" else 12)
    assert [metrics.get(f"rtt_{name}_us") for name in ("p50", "p99", "p99_9")] == [p50, p99, p99_9]


def test_what_cassandra_stress_measured_is_said_by_its_tag(tmp_path: Path) -> None:
    kinds = {"rt": 9, "st": 5, "wt": 4}
    lines = "".join(foreign.hdr_line({value: 500}, tag=f"READ-{kind}") for kind, value in kinds.items())
    reading = reading_of("hdrhistogram", tmp_path, foreign.HDR_HEAD + lines, unit="us")
    runs = {run.case.rpartition(" ")[2]: run for run in reading.runs}
    assert runs["READ-rt"].environment["latency_from"] == "due" and runs["READ-rt"].metrics["rtt_p50_us"] == 9
    assert runs["READ-st"].environment["latency_from"] == "sent"
    assert runs["READ-wt"].metrics["lateness_p50_us"] == 4 and "rtt_p50_us" not in runs["READ-wt"].metrics


# -- which column, which text, which number ------------------------------------------------------------------


def hdr_log(second: str, rows: list[tuple[float, float]]) -> str:
    head = foreign.HDR_HEAD.replace("Interval_Length", second)
    cells = foreign.hdr_line({7: 1000}).split(",", 2)[2]
    return head + "".join(f"{start:.3f},{other:.3f},{cells}" for start, other in rows)


@pytest.mark.parametrize(
    ("second", "rows"),
    [
        ("Interval_Length", [(0, 2), (2, 2)]),
        ("EndTimestamp", [(0, 2), (2, 4)]),
        ("EndTimestamp", [(1.8e9, 1.8e9 + 2), (1.8e9 + 2, 1.8e9 + 4)]),
    ],
)
def test_the_title_says_what_the_second_column_of_a_log_is(
    tmp_path: Path, second: str, rows: list[tuple[float, float]]
) -> None:
    run = one("hdrhistogram", tmp_path, hdr_log(second, rows), unit="us")
    assert [run.metrics["elapsed_s"], run.metrics["rate_rps"]] == pytest.approx([4, 500])


def test_a_log_without_titles_says_what_was_assumed(tmp_path: Path) -> None:
    text = hdr_log("EndTimestamp", [(1.8e9, 1.8e9 + 2)]).split("\n", 2)[2]
    reading = reading_of("hdrhistogram", tmp_path, "#[Histogram log format version 1.2]\n" + text)
    assert reading.runs[0].metrics["elapsed_s"] == pytest.approx(2)
    assert "no title says what the second column is; it is taken as EndTimestamp" in findings(reading)


def test_a_count_with_decimals_is_not_grouped_by_thousands(tmp_path: Path) -> None:
    lines = [line for line in (REAL / "table.hgrm").read_text().splitlines() if not line.startswith("#[Max")]
    whole = "\n".join([*lines[:-1], "#[Max     =      299.000, TotalCount     =      300.000]", lines[-1], ""])
    metrics = one("hdrhistogram", tmp_path, whole, unit="us").metrics
    assert metrics["requests"] == 300 and "rtt_p99_us" not in metrics and "rtt_p95_us" in metrics


def test_the_size_is_not_taken_from_advice(tmp_path: Path) -> None:
    text = (
        "sockperf: Total of 5000 messages sent in 2.000 sec\n"
        "sockperf: NOTE: test was performed, using msg-size=77{}. For getting maximum throughput consider using "
        "--msg-size=1472\nsockperf: Summary: Message Rate is 2500 [msg/sec]\nsockperf: Summary: BandWidth is {}\n"
    )
    run = one("sockperf", tmp_path, text.format("", "1.500 MBps (12.000 Mbps)"))
    assert (run.workload["size_bytes"], run.workload["mode"]) == (77, "throughput")
    assert run.metrics["throughput_bps"] == 1.5 * 8 * 2**20
    giga = one("sockperf", tmp_path, text.format(", mps=900", "1.500 GBps (12.000 Gbps)"))
    assert giga.metrics["throughput_bps"] == 1.5 * 8000 * 2**20 and giga.workload["rate_rps"] == 900


def test_figures_of_sockperf_3_10_end_before_their_commas(tmp_path: Path) -> None:
    line = "sockperf: ====> avg-latency=12.051 (std-dev=48.970, mean-ad=3.079, median-ad=0.727, 99.0% ci=[9.5, 10.6])\n"
    metrics = one("sockperf", tmp_path, line).metrics
    assert [metrics["rtt_mean_us"], metrics["rtt_sd_us"]] == pytest.approx([24.102, 97.94])


def test_interim_results_of_netperf_are_no_results(tmp_path: Path) -> None:
    banner, titles, row = foreign.NETPERF_RR.splitlines()
    interim = "27816.38,Trans/s,1.940,1795985732.515\n25468.13,Trans/s,1.060,1795985733.575\n"
    reading = reading_of("netperf", tmp_path, f"{banner}\n{interim}{titles}\n{row}\n")
    (run,) = reading.runs
    assert run.metrics["rate_rps"] == 46000.5
    assert [(finding.line, finding.text) for finding in reading.findings] == [
        (2, "2 interim results (-D) are not the run's: its closing table is")
    ]


def test_what_a_banner_and_keys_of_netperf_state_is_recorded(tmp_path: Path) -> None:
    facts = one("netperf", tmp_path, foreign.NETPERF_RR.replace("first burst 0", "first burst 7")).workload
    assert facts == {"kind": "netperf", "protocol": "tcp", "mode": "tcp_rr", "burst": 7, "depth": 8}
    crr = foreign.NETPERF_RR.replace("REQUEST/RESPONSE", "Connect/Request/Response").replace(" : first burst 0", "")
    facts = one("netperf", tmp_path, crr).workload
    assert (facts["mode"], facts["connect_per_request"]) == ("tcp_crr", "on")
    keys = foreign.NETPERF_KEYS + "DIRECTION=Send|Recv\nRESPONSE_SIZE=128\nBURST_SIZE=3\nRT_LATENCY=22.5\n"
    run = one("netperf", tmp_path, keys.replace("MEAN_LATENCY=21.50\n", ""))
    assert (run.workload["mode"], run.workload["response_sizes"], run.workload["depth"]) == ("udp_rr", "128", 4)
    # The mean of a round trip by another name.
    assert run.metrics["rtt_mean_us"] == 22.5
    assert "mode" not in one("netperf", tmp_path, foreign.NETPERF_KEYS).workload


def test_requests_in_bits_are_a_throughput(tmp_path: Path) -> None:
    text = foreign.NETPERF_RR.replace("46000.500,46000.50,Trans/s", "46000.500,5.75,10^6bits/s")
    metrics = one("netperf", tmp_path, text).metrics
    assert (metrics["rate_rps"], metrics["throughput_bps"]) == (46000.5, 5.75e6)


def test_auto_says_what_it_chose_and_why(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"a-{number}.txt").write_text(foreign.NETPERF_RR)
    (tmp_path / "b.csv").write_text(foreign.NEPER)
    (tmp_path / "c.txt").write_text("hello\n")
    done = command("import", "auto", tmp_path, "-o", tmp_path / "out")
    line = "auto: netperf, for 3 of 5 files look like it; 1 like neper; 1 like none that is known\n"
    assert line in done.stdout


def test_the_server_of_old_udp_has_its_intervals_alone(tmp_path: Path) -> None:
    document = json.loads(iperf3(sum=half(0, lost_packets=5, packets=100)))
    document["start"]["accepted_connection"] = {"host": "10.0.0.1"}
    document["intervals"] = [{"sum": {"seconds": 2, "bytes": 500}}, {"sum": {"seconds": 2, "bytes": 700}}]
    run = one("iperf3", tmp_path, json.dumps(document))
    assert (run.metrics["throughput_bps"], run.environment["measured_by"]) == (8 * 1200 / 4, "receiver")


def test_a_server_of_sockperf_is_told(tmp_path: Path) -> None:
    reading = reading_of("sockperf", tmp_path, "sockperf: == version #3.7 == \nsockperf: [SERVER] listen on:\n")
    assert "latencies are in the client's" in findings(reading) and reading.runs[0].verdict == "failed"
