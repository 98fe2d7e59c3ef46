"""What a column's name says: quantity, statistic and unit, in the spellings that people use."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import columns
from harness.columns.names import canonical, plain_unit, understood

SAID = {
    "p50": ("latency_p50", "", 1),
    "p999": ("latency_p99_9", "", 1),
    "p9999": ("latency_p99_99", "", 1),
    "lat_p99": ("latency_p99", "", 1),
    "lat99": ("latency_p99", "", 1),
    "95%lat": ("latency_p95", "", 1),
    "99%": ("latency_p99", "", 1),
    "q0.99": ("latency_p99", "", 1),
    "avglat": ("latency_mean", "", 1),
    "latency_us_p99": ("rtt_p99_us", "us", 1),
    "p99 (us)": ("rtt_p99_us", "us", 1),
    "p99us": ("rtt_p99_us", "us", 1),
    "p99_ms": ("rtt_p99_us", "ms", 1),
    "latencyP99Us": ("rtt_p99_us", "us", 1),
    "RTT p99.9 (µs)": ("rtt_p99_9_us", "us", 1),
    "99th percentile (ms)": ("rtt_p99_us", "ms", 1),
    "p99.99 latency, us": ("rtt_p99_99_us", "us", 1),
    "avg latency [usec]": ("rtt_mean_us", "us", 1),
    "lat_p99 in ms": ("rtt_p99_us", "ms", 1),
    "median_us": ("rtt_p50_us", "us", 1),
    "response time (ms)": ("latency_us", "ms", 1),
    "service_p99_us": ("service_p99_us", "us", 1),
    "one-way p99 (us)": ("oneway_p99_us", "us", 1),
    "qps": ("rate_rps", "1/s", 1),
    "kqps": ("rate_rps", "1/s", 1e3),
    "requests/s": ("rate_rps", "1/s", 1),
    "requests_per_second": ("rate_rps", "1/s", 1),
    "throughput (req/s)": ("rate_rps", "1/s", 1),
    "ops/sec": ("rate_rps", "1/s", 1),
    "throughput_mbps": ("throughput_bps", "bit/s", 1e6),
    "tput Mbit/s": ("throughput_bps", "bit/s", 1e6),
    "Throughput (MB/s)": ("throughput_bps", "bit/s", 8e6),
    "MiB/s": ("throughput_bps", "bit/s", 8 * 2**20),
    "wakeups/s": ("wakeups_per_s", "1/s", 1),
    "cpu (%)": ("cpu_percent", "%", 1),
    "read_p99_us": ("read_p99_us", "us", 1),
    "busy_poll_us": ("busy_poll_us", "us", 1),
    "mean": ("mean", "", 1),
    "p2p_latency": ("p2p_latency", "", 1),
    "cpu_usage": ("cpu_usage", "", 1),
    "errors": ("errors", "", 1),
}


@pytest.mark.parametrize("text", SAID)
def test_what_a_name_says(text: str) -> None:
    here, unit, scale = SAID[text]
    name = understood(text)
    assert (canonical(text, name), name.unit, name.scale) == (here, unit, scale)


@pytest.mark.parametrize(("text", "unit"), [("usec", "us"), ("µs", "us"), ("Seconds", "s"), ("%", "%"), ("parsec", "")])
def test_units_by_their_spellings(text: str, unit: str) -> None:
    assert plain_unit(text) == unit


@pytest.mark.parametrize(
    ("name", "unit", "better"),
    [
        ("latency_p99", columns.UNSTATED, "lower"),
        ("latency_us", "us", "lower"),
        ("read_p99_us", "us", "lower"),
        ("wakeups_per_s", "1/s", ""),
        ("my_wait_us", "us", ""),
        ("drops_seen", "count", ""),
        ("score", columns.UNSTATED, ""),
    ],
)
def test_a_metric_that_is_not_listed_is_described_by_its_name(name: str, unit: str, better: str) -> None:
    column = columns.metric(name)
    assert (column.unit, column.better) == (unit, better)


@given(st.text(max_size=30))
def test_any_name_is_understood_somehow_and_stays_a_name(text: str) -> None:
    here = canonical(text, understood(text))
    assert here and here.isascii() and " " not in here and "." not in here
