"""Outputs that real programs wrote (tools/foreign_outputs.py makes them again), and what they are held against."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

REAL = Path(__file__).parents[1] / "golden" / "import"


@dataclass(frozen=True)
class Output:
    """One output. file: below tests/golden/import; against: what its figures are compared with; unit: of --unit."""

    file: str
    format: str
    version: str
    against: str
    unit: str = ""


OUTPUTS = (
    Output("sockperf.txt", "sockperf", "3.7", "the same run's full log, by numpy"),
    Output("sockperf.log", "sockperf", "3.7", "its own summary"),
    Output("sockperf_mps.log", "sockperf", "3.7", "its own summary"),
    Output("sockperf_mps-3.10.log", "sockperf", "3.10", "its own summary"),
    Output("sockperf_tcp.txt", "sockperf", "3.7", "its own lines"),
    Output("sockperf_rtt.txt", "sockperf", "3.7", "its own lines"),
    Output("sockperf_udp.txt", "sockperf", "3.7", "its own lines"),
    Output("sockperf_ul.txt", "sockperf", "3.7", "its own lines"),
    Output("sockperf_udp-3.10.txt", "sockperf", "3.10", "its own lines"),
    Output("sockperf_ul-3.10.txt", "sockperf", "3.10", "its own lines"),
    Output("sockperf_throughput.txt", "sockperf", "3.7", "message rate times size"),
    Output("sockperf_giga.txt", "sockperf", "3.7", "message rate times size"),
    Output("sockperf_giga-3.10.txt", "sockperf", "3.10", "message rate times size"),
    Output("iperf3_client.json", "iperf3", "3.12", "bytes of its streams over their seconds"),
    Output("iperf3_reverse.json", "iperf3", "3.12", "bytes of its streams over their seconds"),
    Output("iperf3_bidir.json", "iperf3", "3.12", "bytes of its streams over their seconds"),
    Output("iperf3_udp_reverse.json", "iperf3", "3.12", "bytes of its streams over their seconds"),
    Output("iperf3_server.json", "iperf3", "3.12", "bytes of its streams over their seconds"),
    Output("iperf3_server_reverse.json", "iperf3", "3.12", "bytes of its streams over their seconds"),
    Output("iperf3_server_udp.json", "iperf3", "3.12", "bytes of its streams over their seconds"),
    Output("iperf3_client-3.21.json", "iperf3", "3.21", "bytes of its streams over their seconds"),
    Output("iperf3_reverse-3.21.json", "iperf3", "3.21", "bytes of its streams over their seconds"),
    Output("iperf3_bidir-3.21.json", "iperf3", "3.21", "bytes of its streams over their seconds"),
    Output("iperf3_udp_reverse-3.21.json", "iperf3", "3.21", "bytes of its streams over their seconds"),
    Output("iperf3_server-3.21.json", "iperf3", "3.21", "bytes of its streams over their seconds"),
    Output("iperf3_server_reverse-3.21.json", "iperf3", "3.21", "bytes of its streams over their seconds"),
    Output("iperf3_server_udp-3.21.json", "iperf3", "3.21", "bytes of its streams over their seconds"),
    Output("iperf3-text.txt", "iperf3-text", "3.12", "bytes of its streams over their seconds"),
    Output("iperf3-text_bidir.txt", "iperf3-text", "3.12", "bytes of its streams over their seconds"),
    Output("iperf3-text_udp_reverse.txt", "iperf3-text", "3.12", "bytes of its streams over their seconds"),
    Output("iperf3-text_server.txt", "iperf3-text", "3.12", "bytes of its streams over their seconds"),
    Output("iperf3-text_server_reverse.txt", "iperf3-text", "3.12", "bytes of its streams over their seconds"),
    Output("iperf3-text_server_udp.txt", "iperf3-text", "3.12", "bytes of its streams over their seconds"),
    Output("iperf3-text-3.21.txt", "iperf3-text", "3.21+ (git c9b7422)", "bytes of its streams over their seconds"),
    Output(
        "iperf3-text_bidir-3.21.txt", "iperf3-text", "3.21+ (git c9b7422)", "bytes of its streams over their seconds"
    ),
    Output(
        "iperf3-text_udp_reverse-3.21.txt",
        "iperf3-text",
        "3.21+ (git c9b7422)",
        "bytes of its streams over their seconds",
    ),
    Output(
        "iperf3-text_server-3.21.txt", "iperf3-text", "3.21+ (git c9b7422)", "bytes of its streams over their seconds"
    ),
    Output(
        "iperf3-text_server_reverse-3.21.txt",
        "iperf3-text",
        "3.21+ (git c9b7422)",
        "bytes of its streams over their seconds",
    ),
    Output(
        "iperf3-text_server_udp-3.21.txt",
        "iperf3-text",
        "3.21+ (git c9b7422)",
        "bytes of its streams over their seconds",
    ),
    Output("ab.txt", "ab", "2.3", "requests over seconds; the mean is the connections over the rate"),
    Output("ab_errors.txt", "ab", "2.3", "requests over seconds"),
    Output("hey.txt", "hey", "0.1.4", "requests over seconds; the mean is the connections over the rate"),
    Output("redis-benchmark_report.txt", "redis-benchmark", "7.0.15", "requests of its own steps"),
    Output("redis-benchmark_quiet.txt", "redis-benchmark", "7.0.15", "its own lines"),
    Output("iperf3_tcp.json", "iperf3", "3.12", "bytes of its streams over their seconds"),
    Output("iperf3_udp.json", "iperf3", "3.12", "bytes of its streams over their seconds"),
    Output("iperf3_stopped.json", "iperf3", "3.12", "bytes of its intervals"),
    Output("intervals.hlog", "hdrhistogram", "hdrhistogram 0.10.8", "the package's own quantiles"),
    Output("table.hgrm", "hdrhistogram", "hdrhistogram 0.10.8", "the package's own quantiles", "us"),
    Output("hdrhistogram_memtier.hgrm", "hdrhistogram", "memtier git 2f74d61", "its own percentile table"),
    Output("netperf_tcp_rr.txt", "netperf", "2.7.1", "its own table"),
    Output("netperf_crr.txt", "netperf", "2.7.1", "its own table"),
    Output("netperf_plain_stream.txt", "netperf", "2.7.1", "its own table"),
    Output("netperf_maerts.txt", "netperf", "2.7.1", "its own table"),
    Output("netperf_udp_stream.txt", "netperf", "2.7.1", "its own table"),
    Output("netperf_cpu_rr.txt", "netperf", "2.7.1", "sizes times rate, and the counts of its histogram"),
    Output("netperf_human.txt", "netperf", "2.7.1", "its own quantiles lie within the buckets of its histogram"),
    Output("netperf_demo.txt", "netperf", "2.7.1", "the mean is a second over the rate"),
    Output("netperf_csv.txt", "netperf", "2.7.1", "the mean is a second over the rate"),
    Output("netperf_rr.txt", "netperf", "2.7.1", "the mean is a second over the rate"),
    Output("neper.csv", "neper", "1.1.0", "counts over time by numpy"),
    Output("neper_one.csv", "neper", "1.1.0", "counts over time by numpy"),
    Output("neper_stream.csv", "neper", "1.1.0", "counts over time by numpy"),
    Output("neper-stdout.txt", "neper-stdout", "1.1.0", "the mean is a second over the rate"),
    Output("neper-stdout_crr.txt", "neper-stdout", "1.1.0", "the mean is a second over the rate"),
    Output("neper-stdout_server.txt", "neper-stdout", "1.1.0", "its local throughput"),
    Output("neper-stdout_stream.txt", "neper-stdout", "1.1.0", "its local throughput"),
    Output("wrk.txt", "wrk", "wrk 4.1.0", "requests over seconds"),
    Output("wrk_errors.txt", "wrk", "wrk 4.1.0", "requests over seconds"),
    Output("wrk2.txt", "wrk", "wrk2 (44a94c1)", "its summary of rounded figures"),
    Output("redis-benchmark.csv", "redis-benchmark", "7.0.15", "the mean is the connections over the rate"),
    Output("redis-benchmark-8.0.6.csv", "redis-benchmark", "8.0.6", "the mean is the connections over the rate"),
    Output("flent.flent", "flent", "2.1.1", "bytes over seconds of its netperf; its own mean"),
    Output("memtier.json", "memtier", "git 2f74d61", "its own quantiles, accumulated latency over requests"),
    Output("memtier-2.3.0.json", "memtier", "2.3.0", "its own quantiles, accumulated latency over requests"),
    Output("cyclictest.json", "cyclictest", "rt-tests 2.4", "its cycles"),
    Output("cyclictest_bare.json", "cyclictest", "rt-tests 2.4", "its cycles"),
    Output("ping.txt", "ping", "iputils 20221126", "its replies by numpy"),
    Output("ping_quiet.txt", "ping", "iputils 20221126", "its own line"),
    Output("fping.txt", "fping", "5.1", "its replies by numpy"),
    Output("fping_all.txt", "fping", "5.1", "its replies by numpy"),
    Output("fping-5.5.txt", "fping", "5.5", "its replies by numpy"),
    Output("fping_all-5.5.txt", "fping", "5.5", "its replies by numpy"),
    Output("fping-json.json", "fping-json", "5.5", "its replies by numpy; its own summary"),
    Output("fping-json_all.json", "fping-json", "5.5", "its replies by numpy"),
    Output("fping-json_quiet.json", "fping-json", "5.5", "its own summary"),
    Output("irtt.json", "irtt", "0.9.0", "its own summary"),
    Output("irtt-0.9.1.json", "irtt", "0.9.1", "its own summary"),
    Output("fio.json", "fio", "3.33", "its requests over its seconds"),
    Output("fio_lat.json", "fio", "3.33", "its requests over its seconds"),
    Output("qperf.txt", "qperf", "0.4.11", "two over its message rate is the round trip"),
    Output("qperf-0.4.10.txt", "qperf", "0.4.10", "two over its message rate is the round trip"),
    Output("iperf2.txt", "iperf2", "2.1.8", "bytes over seconds"),
    Output("iperf2_server.txt", "iperf2", "2.1.8", "bytes over seconds"),
    Output("iperf2_udp.txt", "iperf2", "2.1.8", "bytes over seconds"),
    Output("iperf2_tcp.csv", "iperf2", "2.1.8", "bytes over seconds"),
    Output("iperf2_udp.csv", "iperf2", "2.1.8", "bytes over seconds"),
    Output("fio-3.39.json", "fio", "3.39", "its requests over its seconds"),
    Output("fio_lat-3.39.json", "fio", "3.39", "its requests over its seconds"),
    Output("cyclictest-2.6.json", "cyclictest", "rt-tests 2.6", "its cycles"),
    Output("cyclictest_bare-2.6.json", "cyclictest", "rt-tests 2.6", "its cycles"),
    Output("ping-2024.txt", "ping", "iputils 20240905", "its replies by numpy"),
    Output("ping_quiet-2024.txt", "ping", "iputils 20240905", "its own line"),
    Output("iperf2-2.2.1.txt", "iperf2", "2.2.1", "bytes over seconds"),
    Output("iperf2_server-2.2.1.txt", "iperf2", "2.2.1", "bytes over seconds"),
    Output("iperf2_udp-2.2.1.txt", "iperf2", "2.2.1", "bytes over seconds"),
    Output("iperf2_tcp-2.2.1.csv", "iperf2", "2.2.1", "bytes over seconds"),
    Output("iperf2_udp-2.2.1.csv", "iperf2", "2.2.1", "bytes over seconds"),
)
