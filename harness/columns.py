"""The one list of result columns: name, unit, type, table, meaning, and which direction is better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Dtype = Literal["text", "integer", "number", "flag"]
Better = Literal["lower", "higher", ""]
Table = Literal["runs", "nodes", "knobs", "cpus", "summary"]

VERDICTS = ("valid", "inert", "suspect", "failed", "skipped")
"""Every verdict a run can have, best first."""


@dataclass(frozen=True)
class Column:
    """One column of one table.

    unit: as printed, "" for none; better: the direction a user wants, "" where neither is; main: the column
    is summarised per cell and compared by default; label: what a table for people calls it.
    """

    name: str
    unit: str
    dtype: Dtype
    table: Table
    meaning: str
    better: Better = ""
    main: bool = False
    label: str = ""


def _text(table: Table, name: str, meaning: str) -> Column:
    return Column(name, "", "text", table, meaning)


def _metric(
    name: str, unit: str, meaning: str, better: Better = "", *, main: bool = False, label: str = ""
) -> Column:
    dtype: Dtype = "integer" if unit == "count" else "number"
    return Column(name, unit, dtype, "runs", meaning, better, main, label or name)


_IDENTITY = (
    _text("runs", "run_id", "Name of the run's directory under runs/; the same plan always gives the same."),
    _text("runs", "case", "The case of the experiment file."),
)

_COURSE = (
    Column("block", "", "integer", "runs", "Repetition, from 1. Every cell is run once in each block."),
    Column("order", "", "integer", "runs", "Position in the sequence in which runs were made, from 0."),
    _text("runs", "started_utc", "When the run began, UTC, ISO 8601."),
    Column("wall_s", "s", "number", "runs", "Wall time of the whole run, building and removing included."),
    _text("runs", "verdict", "valid, inert (a knob took no effect), suspect (noise), failed or skipped."),
    _text("runs", "reasons", "Why the verdict is what it is, in words; several are joined by '; '."),
    _text("runs", "datapath", "napi (veth made busy-poll capable) or plain; one for the whole experiment."),
)

ENVIRONMENT = (
    _text("runs", "place", "Where the run was made: host (later also vm or fleet)."),
    _text("runs", "kernel", "Kernel release."),
    _text("runs", "cpu_model", "CPU model name."),
    _text("runs", "virtualisation", "Hypervisor the machine runs under, none on bare metal."),
    _text("runs", "accelerator", "What a guest's CPU runs on (kvm, tcg); blank outside a guest of ours."),
    _text("runs", "governor", "CPU frequency governor; blank where the host shows none."),
    _text("runs", "smt", "Whether hyper-threads are on."),
    _text("runs", "mitigations", "CPU vulnerability mitigations in force."),
    _text("runs", "iommu", "IOMMU in use."),
    _text("runs", "clocksource", "Clock source of the kernel."),
    _text("runs", "rt_throttle", "What fifo and rr tasks may take of each period, or off."),
)

_DECLARED = (
    _text("runs", "workload_kind", "Kind of workload."),
    _text(
        "runs",
        "workload_loop",
        "closed: a request waits for the reply before it; open: each is sent when it is due.",
    ),
    _text("runs", "workload_mode", "Mode or test of a program that has several (sockperf, netperf)."),
    _text("runs", "workload_protocol", "udp or tcp."),
    _text("runs", "workload_client_wait", "How the client waits for a reply: blocking, spin, epoll or poll."),
    _text("runs", "workload_server_wait", "How the server waits for a request; uring: by io_uring."),
    Column("workload_rate_rps", "1/s", "number", "runs", "Open loop: requests per second asked for."),
    _text("runs", "workload_arrivals", "Open loop: constant, poisson, burst or etc."),
    Column("workload_depth", "", "integer", "runs", "Closed loop: requests outstanding per thread."),
    Column("workload_connections", "", "integer", "runs", "Sockets of the client."),
    Column("workload_threads", "", "integer", "runs", "Threads of the client."),
    Column("workload_server_threads", "", "integer", "runs", "Threads of the server."),
    Column("workload_size_bytes", "bytes", "integer", "runs", "Payload of a request, and of its reply."),
    _text("runs", "workload_sizes", "Distribution of sizes, where there is no single one."),
    _text("runs", "workload_service", "CPU work of the server per request, ns."),
    Column("workload_get_share", "share", "number", "runs", "memcached: share of gets, 0 to 1."),
    _text("runs", "workload_client_command", "Command line of the client, kind command."),
    _text("runs", "workload_server_command", "Command line of the server, kind command."),
    _text("runs", "workload_conversion", "What was converted to make a program's figures round trips."),
    _text("runs", "workload_from", "Node of the client."),
    _text("runs", "workload_to", "Node of the server."),
    Column("workload_warmup_s", "s", "number", "runs", "Warm-up before measuring, discarded."),
    Column("workload_duration_s", "s", "number", "runs", "Measured time asked for."),
    _text("runs", "contention_kind", "What the hogs do; blank without contention."),
    _text("runs", "contention_cpus", "CPU set the hogs run on."),
    Column("contention_threads", "", "integer", "runs", "Number of hog threads."),
    Column("contention_load_percent", "%", "number", "runs", "Duty cycle asked of each hog thread."),
)

_RTT = "of the run's round-trip times: reply received less request due (open loop) or sent (closed loop)"
_LATE = "of how long after its time a request was sent, open loop"
_SERVICE = "of the time from a request's actual sending to its reply"


def _phase(name: str, meaning: str) -> Column:
    text = f"Mean time per request: {meaning}."
    return _metric(f"phase_{name}_us", "us", text, "lower", label=f"phase {name.replace('_', ' ')}")


_PHASES = (
    _phase("late", "due to sent"),
    _phase("request_send", "request through the sender's stack, to the packet scheduler"),
    _phase("request_wire", "request through queues, shaping and link, until the receiver's stack has it"),
    _phase("request_wake", "request through the receiver's stack and socket, and the wake-up of the server"),
    _phase("service", "in the server"),
    _phase("reply_send", "reply through the sender's stack"),
    _phase("reply_wire", "reply through queues, shaping and link"),
    _phase("reply_wake", "reply through the receiver's stack and socket, and the wake-up of the client"),
)

METRICS = (
    _metric("requests", "count", "Requests measured and answered.", "higher"),
    _metric("sent", "count", "Requests sent in the measured window."),
    _metric("lost", "count", "Requests never answered within the time-out.", "lower"),
    _metric("duplicates", "count", "Replies that came twice.", "lower"),
    _metric("retransmits", "count", "TCP segments sent again, all nodes.", "lower"),
    _metric("drops", "count", "Packets dropped by devices and qdiscs, all nodes.", "lower"),
    _metric("rate_rps", "1/s", "Answered requests per second.", "higher", main=True, label="requests/s"),
    _metric("offered_rps", "1/s", "Requests per second that were due, open loop; blank in a closed one."),
    _metric("achieved_rps", "1/s", "Requests per second that were sent.", "higher"),
    _metric("missed", "count", "Requests that were due in the window and never sent.", "lower"),
    _metric("late_percent", "%", "Requests sent later after their time than the workload's `late`.", "lower"),
    _metric("lateness_p50_us", "us", f"Median {_LATE}.", "lower"),
    _metric("lateness_p99_us", "us", f"99 % quantile {_LATE}.", "lower"),
    _metric("lateness_max_us", "us", f"Greatest {_LATE}.", "lower"),
    _metric(
        "throughput_bps",
        "bit/s",
        "Payload delivered per second; of requests and replies, both.",
        "higher",
        main=True,
        label="payload",
    ),
    _metric("lost_percent", "%", "Datagrams lost, as iperf3 counts them.", "lower"),
    _metric("hit_percent", "%", "memcached: gets that found their key.", "higher"),
    _metric("get_percent", "%", "memcached: share of gets."),
    _metric("errors", "count", "Replies that told of an error.", "lower"),
    _metric("elapsed_s", "s", "Measured time."),
    _metric("rtt_min_us", "us", f"Least {_RTT}.", "lower", label="RTT min"),
    _metric("rtt_mean_us", "us", f"Mean {_RTT}.", "lower", main=True, label="RTT mean"),
    _metric("rtt_sd_us", "us", f"Standard deviation {_RTT}.", "lower", label="RTT sd"),
    _metric("rtt_p50_us", "us", f"Median {_RTT}.", "lower", main=True, label="RTT p50"),
    _metric("rtt_p90_us", "us", f"90 % quantile {_RTT}.", "lower", label="RTT p90"),
    _metric("rtt_p95_us", "us", f"95 % quantile {_RTT}.", "lower", label="RTT p95"),
    _metric("rtt_p99_us", "us", f"99 % quantile {_RTT}.", "lower", main=True, label="RTT p99"),
    _metric("rtt_p99_9_us", "us", f"99.9 % quantile {_RTT}.", "lower", main=True, label="RTT p99.9"),
    _metric("rtt_p99_99_us", "us", f"99.99 % quantile {_RTT}.", "lower", label="RTT p99.99"),
    _metric("rtt_max_us", "us", f"Greatest {_RTT}.", "lower", label="RTT max"),
    _metric("rtt_jitter_us", "us", "Spread of the tail: p99.9 less p50.", "lower", main=True, label="jitter"),
    _metric("service_p50_us", "us", f"Median {_SERVICE}.", "lower", label="service p50"),
    _metric("service_p99_us", "us", f"99 % quantile {_SERVICE}.", "lower", label="service p99"),
    _metric("service_p99_9_us", "us", f"99.9 % quantile {_SERVICE}.", "lower", label="service p99.9"),
    *_PHASES,
    _metric("client_cpu_percent", "%", "CPU time of the client process, of one CPU.", "lower"),
    _metric("server_cpu_percent", "%", "CPU time of the server process, of one CPU.", "lower"),
    _metric(
        "cpu_us_per_request",
        "us",
        "CPU time of client and server process, and of NAPI threads, per answered request.",
        "lower",
        main=True,
        label="CPU per request",
    ),
    _metric(
        "client_polled_percent",
        "%",
        "Busy-polled share of the packets the client received.",
        main=True,
        label="client busy-polled",
    ),
    _metric(
        "server_polled_percent",
        "%",
        "Busy-polled share of the packets the server received.",
        main=True,
        label="server busy-polled",
    ),
    _metric("client_napi_id", "", "SO_INCOMING_NAPI_ID of the client's socket; 0: no NAPI, no busy polling."),
    _metric("server_napi_id", "", "SO_INCOMING_NAPI_ID of the server's socket."),
    _metric("client_voluntary_per_request", "", "Times the client went to sleep, per request."),
    _metric("server_voluntary_per_request", "", "Times the server went to sleep, per request."),
    _metric("client_involuntary", "count", "Times the client was pushed off its CPU.", "lower"),
    _metric("server_involuntary", "count", "Times the server was pushed off its CPU.", "lower"),
    _metric(
        "server_runqueue_wait_us",
        "us",
        "Time the server was ready and waited for a CPU, per request.",
        "lower",
    ),
    _metric("server_runqueue_wait_percent", "%", "The same, of the window; threads add up.", "lower"),
    _metric("client_runqueue_wait_percent", "%", "Time the client waited for a CPU, of the window.", "lower"),
    _metric(
        "set_busy_percent",
        "%",
        "Run time of all tasks on the CPU set, exact; interrupts of an idle CPU are not in it.",
        "lower",
        label="set busy",
    ),
    _metric(
        "set_user_percent",
        "%",
        "User time of the CPU set; like the next five by 10 ms ticks, of which a napping CPU gets too few.",
        "lower",
    ),
    _metric("set_system_percent", "%", "Time of the CPU set in the kernel, softirqs apart.", "lower"),
    _metric("set_softirq_percent", "%", "Softirq time of the CPU set.", "lower"),
    _metric(
        "set_irq_percent", "%", "Hard-interrupt time of the CPU set, where the kernel tells it.", "lower"
    ),
    _metric("set_steal_percent", "%", "Time the hypervisor took from the CPU set.", "lower"),
    _metric("set_idle_percent", "%", "Idle time of the CPU set, waiting for disks included.", "higher"),
    _metric(
        "foreign_percent",
        "%",
        "Time of other programs on the CPU of the set that had most of it, of that CPU.",
        "lower",
    ),
    _metric("hog_achieved_percent", "%", "CPU time the hogs had, of their threads' wall time."),
    _metric(
        "turnaround_p99_us", "us", "99 % quantile of reply received to next request sent: lateness.", "lower"
    ),
    _metric("clock_overhead_ns", "ns", "What one reading of the generator's clock costs.", "lower"),
    _metric(
        "background_rps", "1/s", "Answered requests per second of the workloads beside the measured one."
    ),
    _metric(
        "background_bps",
        "bit/s",
        "Payload per second of the workloads beside the measured one.",
        "higher",
        main=True,
        label="payload beside it",
    ),
)


def _count(table: Table, name: str, meaning: str, unit: str = "count") -> Column:
    return Column(name, unit, "number", table, meaning)


NODES = (
    _text("nodes", "run_id", "The run, as in runs.csv."),
    _text("nodes", "case", "The case."),
    _text("nodes", "node", "The node."),
    _count("nodes", "received_packets", "Packets delivered to the node's sockets."),
    _count("nodes", "polled_packets", "Those of them that busy polling picked up (BusyPollRxPackets)."),
    _count("nodes", "polled_percent", "Their share.", "%"),
    _count("nodes", "napi_id", "SO_INCOMING_NAPI_ID of the node's first workload socket; 0: no NAPI.", ""),
    _count("nodes", "retransmits", "TCP segments sent again."),
    _count("nodes", "socket_drops", "UDP packets that found the socket's buffer full."),
    _count("nodes", "link_drops", "Packets dropped by the node's devices."),
    _count("nodes", "qdisc_drops", "Packets dropped by the node's queueing disciplines."),
    _count("nodes", "napi_threads_cpu_ms", "CPU time of the node's NAPI threads.", "ms"),
    _count("nodes", "cpu_ms", "CPU time of the node's workload process.", "ms"),
    _count("nodes", "user_ms", "Its part in user mode.", "ms"),
    _count("nodes", "system_ms", "Its part in the kernel.", "ms"),
    _count("nodes", "run_queue_wait_ms", "Time the process was ready and waited for a CPU.", "ms"),
    _count("nodes", "voluntary_switches", "Times the process went to sleep."),
    _count("nodes", "involuntary_switches", "Times the process was pushed off its CPU."),
)

KNOBS = (
    _text("knobs", "run_id", "The run, as in runs.csv."),
    _text("knobs", "case", "The case."),
    _text("knobs", "node", "The node the knob was set on; * for the whole host."),
    _text("knobs", "knob", "The knob, by its name in the experiment file."),
    _text("knobs", "setting", "What was written, by the kernel's own name for it."),
    _text("knobs", "scope", "socket, process, device or host."),
    _text("knobs", "requested", "The value asked for."),
    _text("knobs", "found", "The value before, which is put back afterwards."),
    _text("knobs", "applied", "The value read back after writing; blank where the kernel does not show it."),
    Column("took_effect", "", "flag", "knobs", "true, false, or blank where there was nothing to see."),
    _text("knobs", "evidence", "What took_effect was judged by."),
)

CPUS = (
    _text("cpus", "run_id", "The run, as in runs.csv."),
    _text("cpus", "case", "The case."),
    _text("cpus", "cpu", "CPU number."),
    _count("cpus", "in_set", "1 for a CPU of the run's CPU set, 0 for the others.", ""),
    _count("cpus", "user_share", "Share of time in user mode, 0 to 1.", "share"),
    _count("cpus", "system_share", "In the kernel.", "share"),
    _count("cpus", "softirq_share", "In softirqs.", "share"),
    _count("cpus", "irq_share", "In interrupts.", "share"),
    _count("cpus", "steal_share", "Taken by the hypervisor.", "share"),
    _count("cpus", "idle_share", "Idle, waiting for disks included.", "share"),
    _count("cpus", "irq_count", "Interrupts."),
    _count("cpus", "net_rx_count", "NET_RX softirqs."),
)

CELL_COUNTS = tuple(
    Column(f"n_{name}", "runs", "integer", "summary", meaning)
    for name, meaning in (
        ("total", "Runs of the cell, whatever their verdict."),
        ("valid", "Runs that count; the medians are over these."),
        ("inert", "Runs in which a knob took no effect."),
        ("suspect", "Runs with too much noise to count."),
        ("failed", "Runs that broke."),
        ("skipped", "Runs this host could not make."),
    )
)

SUMMARY_PARTS = (
    ("", "Median over the cell's valid runs of"),
    ("_low", "Lower end of the interval of that median, of"),
    ("_high", "Upper end of the interval of that median, of"),
    ("_confidence_percent", "How often such an interval holds the true median (order statistics), for"),
    ("_n", "Valid runs that have a value of"),
)
"""Suffixes and meanings of the five columns that summary.csv has for each main metric."""

FIXED_BEFORE_FACTORS = _IDENTITY
RUN_COLUMNS = (*_IDENTITY, *_COURSE, *ENVIRONMENT, *_DECLARED, *METRICS)
"""Every column of runs.csv in its order, without the factors, which come after `case`."""

MAIN_METRICS = tuple(column for column in METRICS if column.main)
BY_NAME = {column.name: column for column in RUN_COLUMNS}

# A measured value carries its unit in its name; a name without one is something that was varied.
UNIT_SUFFIXES = {
    "_ns": "ns",
    "_us": "us",
    "_ms": "ms",
    "_s": "s",
    "_percent": "%",
    "_share": "share",
    "_rps": "1/s",
    "_qps": "1/s",
    "_pps": "1/s",
    "_bps": "bit/s",
    "_bytes": "bytes",
    "_count": "count",
    "_per_request": "",
}


def unit_of(name: str) -> str | None:
    """Unit of a column: from the list, else from its name's ending; None when it has none (no metric)."""
    known = BY_NAME.get(name)
    if known is not None:
        return known.unit
    for suffix, unit in UNIT_SUFFIXES.items():
        if name.endswith(suffix):
            return unit
    return None


def is_factor(name: str) -> bool:
    """Is this column of a runs table something that was varied? Any dotted name; else one without a unit."""
    return name not in BY_NAME and ("." in name or unit_of(name) is None)


def metric(name: str) -> Column:
    """The column of a metric; one that is not in the list is described by its name alone."""
    known = BY_NAME.get(name)
    return known or Column(name, unit_of(name) or "", "number", "runs", "", label=name)
