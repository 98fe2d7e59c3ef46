"""Columns that only other programs' output fills: in imported sets, and in runs of such a program."""

from __future__ import annotations

from harness.columns.model import measured, text

IMPORTED_FACTS = (
    text("runs", "latency_basis", "What the source recorded: rtt; half round trip, doubled; or one way."),
)
IMPORTED_METRICS = (
    measured(
        "cycles_per_query",
        "",
        "CPU cycles of the CPU set per answered query.",
        "lower",
        main=True,
        label="cycles/query",
    ),
    measured("instructions_per_query", "", "Instructions of the CPU set per answered query.", "lower"),
    measured("packets_per_interrupt", "", "Packets received per interrupt of the NIC."),
    measured("messages_pps", "1/s", "Messages sent per second, unanswered.", "higher"),
    measured(
        "udp_jitter_us", "us", "Smoothed change of the one-way transit time (RFC 3550), no latency.", "lower"
    ),
    measured(
        "tcp_rtt_min_us", "us", "Least RTT the sending kernel's TCP estimated; no request's latency.", "lower"
    ),
    measured("tcp_rtt_mean_us", "us", "Mean of the sending kernel's smoothed TCP RTT.", "lower"),
    measured("tcp_rtt_max_us", "us", "Greatest of the sending kernel's smoothed TCP RTT.", "lower"),
    measured("local_cpu_util_percent", "%", "Busy time of all CPUs of the client's host.", "lower"),
    measured("remote_cpu_util_percent", "%", "Busy time of all CPUs of the server's host.", "lower"),
    *(
        measured(
            f"oneway_{name}_us", "us", f"{told} of one-way times, never compared with round trips.", "lower"
        )
        for name, told in (
            ("min", "Least"),
            ("mean", "Mean"),
            ("sd", "Standard deviation"),
            ("p50", "Median"),
            ("p90", "90 % quantile"),
            ("p95", "95 % quantile"),
            ("p99", "99 % quantile"),
            ("p99_9", "99.9 % quantile"),
            ("p99_99", "99.99 % quantile"),
            ("max", "Greatest"),
            ("jitter", "p99.9 less p50"),
        )
    ),
)
"""Columns that only some programs fill, imported or run; they follow all others in runs.csv, by name."""
