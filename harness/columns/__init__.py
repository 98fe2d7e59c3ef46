"""The one list of result columns: name, unit, type, table, meaning, and which direction is better."""

from __future__ import annotations

from harness.columns.imported import IMPORTED_FACTS as IMPORTED_FACTS
from harness.columns.imported import IMPORTED_METRICS as IMPORTED_METRICS
from harness.columns.interruptions import INTERRUPTIONS
from harness.columns.model import VERDICTS as VERDICTS
from harness.columns.model import Column as Column
from harness.columns.model import measured, text
from harness.columns.parts import CPUS as CPUS
from harness.columns.parts import KNOBS as KNOBS
from harness.columns.parts import NODES as NODES

_IDENTITY = (
    text("runs", "run_id", "Name of the run's directory under runs/; the same plan always gives the same."),
    text("runs", "case", "The case of the experiment file."),
)

_COURSE = (
    Column("block", "", "integer", "runs", "Repetition, from 1. Every cell is run once in each block."),
    Column("order", "", "integer", "runs", "Position in the sequence in which runs were made, from 0."),
    text("runs", "started_utc", "When the run began, UTC, ISO 8601."),
    Column("wall_s", "s", "number", "runs", "Wall time of the whole run, building and removing included."),
    text("runs", "verdict", "valid, inert (a knob took no effect), suspect (noise), failed or skipped."),
    text("runs", "reasons", "Why the verdict is what it is, in words; several are joined by '; '."),
    text("runs", "datapath", "napi (veth made busy-poll capable) or plain; one for the whole experiment."),
    text(
        "runs",
        "links_tried",
        "What shaped links did when they were tried, and what was declared; see topologies.md.",
    ),
)

ENVIRONMENT = (
    text("runs", "place", "Where the run was made: host, vm (a guest of ours) or fleet."),
    text(
        "runs",
        "host",
        "The host's name in the fleet's inventory (client's / server's, of two); blank outside a fleet.",
    ),
    text("runs", "kernel", "Kernel release."),
    text("runs", "cpu_model", "CPU model name."),
    text("runs", "virtualisation", "Hypervisor the machine runs under, none on bare metal."),
    text(
        "runs",
        "accelerator",
        "What a guest's CPU runs on (kvm, tcg-virtual, tcg-smoke); blank outside a guest of ours.",
    ),
    text("runs", "emulator", "QEMU of a guest, and whose (provided, host, or its path); blank outside one."),
    text("runs", "governor", "CPU frequency governor; blank where the host shows none."),
    text("runs", "smt", "Whether hyper-threads are on."),
    text("runs", "mitigations", "CPU vulnerability mitigations in force."),
    text("runs", "iommu", "IOMMU in use."),
    text("runs", "clocksource", "Clock source of the kernel."),
    text("runs", "rt_throttle", "What fifo and rr tasks may take of each period, or off."),
)

_DECLARED = (
    text("runs", "workload_kind", "Kind of workload."),
    text(
        "runs",
        "workload_loop",
        "closed: a request waits for the reply before it; open: each is sent when it is due.",
    ),
    text("runs", "workload_mode", "Mode or test of a program that has several (sockperf, netperf)."),
    text("runs", "workload_protocol", "udp or tcp."),
    text(
        "runs",
        "workload_client_wait",
        "How the client waits for a reply: blocking, spin, epoll, poll or select.",
    ),
    text("runs", "workload_server_wait", "How the server waits for a request; uring: by io_uring."),
    Column("workload_rate_rps", "1/s", "number", "runs", "Open loop: requests per second asked for."),
    text("runs", "workload_arrivals", "Open loop: constant, poisson, burst or etc."),
    Column("workload_burst", "", "integer", "runs", "Open loop, burst arrivals: requests per burst."),
    Column("workload_depth", "", "integer", "runs", "Closed loop: requests outstanding per thread."),
    Column("workload_connections", "", "integer", "runs", "Sockets of the client."),
    Column("workload_threads", "", "integer", "runs", "Threads of the client."),
    Column("workload_server_threads", "", "integer", "runs", "Threads of the server."),
    Column("workload_size_bytes", "bytes", "integer", "runs", "Payload of a request, and of its reply."),
    text("runs", "workload_sizes", "Distribution of sizes, where there is no single one."),
    text(
        "runs", "workload_response_sizes", "Payload of a reply, bytes or distribution, where it is its own."
    ),
    text("runs", "workload_service", "CPU work of the server per request, ns."),
    Column("workload_stall_s", "s", "number", "runs", "How long the server was made to stand still."),
    Column("workload_stall_every_s", "s", "number", "runs", "Period of those stalls."),
    text("runs", "workload_connect_per_request", "on: every request opened and closed a connection."),
    text("runs", "workload_phases", "on: requests were split into phases, which costs time of its own."),
    Column("workload_reply_every", "", "integer", "runs", "sockperf: requests per reply."),
    Column("workload_get_share", "share", "number", "runs", "memcached: share of gets, 0 to 1."),
    text("runs", "workload_client_command", "Command line of the client, kind command."),
    text("runs", "workload_server_command", "Command line of the server, kind command."),
    text("runs", "workload_conversion", "What was converted to make a program's figures round trips."),
    text("runs", "workload_from", "Node of the client."),
    text("runs", "workload_to", "Node of the server."),
    Column("workload_warmup_s", "s", "number", "runs", "Warm-up before measuring, discarded."),
    Column("workload_duration_s", "s", "number", "runs", "Measured time asked for."),
    Column("workload_cooldown_s", "s", "number", "runs", "Traffic after measuring, discarded."),
    Column("workload_count", "", "integer", "runs", "Requests after which measuring ended, if earlier."),
    Column("workload_timeout_s", "s", "number", "runs", "Time after which a request counted as lost."),
    Column(
        "workload_seed", "", "integer", "runs", "Seed in the file; each repetition makes its own from it."
    ),
    text("runs", "contention_kind", "What the hogs do; blank without contention."),
    text("runs", "contention_cpus", "CPU set the hogs run on."),
    Column("contention_threads", "", "integer", "runs", "Number of hog threads."),
    Column("contention_load_percent", "%", "number", "runs", "Duty cycle asked of each hog thread."),
)

_RTT = "of the run's round-trip times: reply received less request due (open loop) or sent (closed loop)"
_LATE = "of how long after its time a request was sent, open loop"
_SERVICE = "of the time from a request's actual sending to its reply"


def _phase(name: str, meaning: str) -> Column:
    text = f"Mean time per request: {meaning}."
    return measured(f"phase_{name}_us", "us", text, "lower", label=f"phase {name.replace('_', ' ')}")


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

METRICS: tuple[Column, ...] = (
    measured("requests", "count", "Requests measured and answered.", "higher"),
    measured("sent", "count", "Requests sent in the measured window."),
    measured("lost", "count", "Requests never answered within the time-out.", "lower"),
    measured("duplicates", "count", "Replies that came twice.", "lower"),
    measured("retransmits", "count", "TCP segments sent again, all nodes.", "lower"),
    measured("drops", "count", "Packets dropped by devices and qdiscs, all nodes.", "lower"),
    *INTERRUPTIONS,
    measured("rate_rps", "1/s", "Answered requests per second.", "higher", main=True, label="requests/s"),
    measured("offered_rps", "1/s", "Requests per second that were due, open loop; blank in a closed one."),
    measured("achieved_rps", "1/s", "Requests per second that were sent.", "higher"),
    measured("missed", "count", "Requests that were due in the window and never sent.", "lower"),
    measured(
        "late_percent", "%", "Requests sent later after their time than the workload's `late`.", "lower"
    ),
    measured("lateness_p50_us", "us", f"Median {_LATE}.", "lower"),
    measured("lateness_p99_us", "us", f"99 % quantile {_LATE}.", "lower"),
    measured("lateness_max_us", "us", f"Greatest {_LATE}.", "lower"),
    measured(
        "throughput_bps",
        "bit/s",
        "Payload delivered per second; of requests and replies, both.",
        "higher",
        main=True,
        label="payload",
    ),
    measured("lost_percent", "%", "Datagrams sent that never came, as the program counts them.", "lower"),
    measured("hit_percent", "%", "memcached: gets that found their key.", "higher"),
    measured("get_percent", "%", "memcached: share of gets."),
    measured("errors", "count", "Replies that told of an error.", "lower"),
    measured("elapsed_s", "s", "Measured time."),
    measured("rtt_min_us", "us", f"Least {_RTT}.", "lower", label="RTT min"),
    measured("rtt_mean_us", "us", f"Mean {_RTT}.", "lower", main=True, label="RTT mean"),
    measured("rtt_sd_us", "us", f"Standard deviation {_RTT}.", "lower", label="RTT sd"),
    measured("rtt_p50_us", "us", f"Median {_RTT}.", "lower", main=True, label="RTT p50"),
    measured("rtt_p90_us", "us", f"90 % quantile {_RTT}.", "lower", label="RTT p90"),
    measured("rtt_p95_us", "us", f"95 % quantile {_RTT}.", "lower", label="RTT p95"),
    measured("rtt_p99_us", "us", f"99 % quantile {_RTT}.", "lower", main=True, label="RTT p99"),
    measured("rtt_p99_9_us", "us", f"99.9 % quantile {_RTT}.", "lower", main=True, label="RTT p99.9"),
    measured("rtt_p99_99_us", "us", f"99.99 % quantile {_RTT}.", "lower", label="RTT p99.99"),
    measured("rtt_max_us", "us", f"Greatest {_RTT}.", "lower", label="RTT max"),
    measured(
        "rtt_jitter_us", "us", "Spread of the tail: p99.9 less p50.", "lower", main=True, label="jitter"
    ),
    measured("service_p50_us", "us", f"Median {_SERVICE}.", "lower", label="service p50"),
    measured("service_p99_us", "us", f"99 % quantile {_SERVICE}.", "lower", label="service p99"),
    measured("service_p99_9_us", "us", f"99.9 % quantile {_SERVICE}.", "lower", label="service p99.9"),
    *_PHASES,
    measured(
        "client_cpu_percent", "%", "CPU time of the client process, of one CPU.", "lower", label="client CPU"
    ),
    measured(
        "server_cpu_percent", "%", "CPU time of the server process, of one CPU.", "lower", label="server CPU"
    ),
    measured(
        "cpu_us_per_request",
        "us",
        "CPU time of client and server process, and of NAPI threads, per answered request.",
        "lower",
        main=True,
        label="CPU per request",
    ),
    measured(
        "client_polled_percent",
        "%",
        "Busy-polled share of the packets the client received.",
        main=True,
        label="client busy-polled",
    ),
    measured(
        "server_polled_percent",
        "%",
        "Busy-polled share of the packets the server received.",
        main=True,
        label="server busy-polled",
    ),
    measured(
        "client_napi_id", "", "SO_INCOMING_NAPI_ID of the client's socket; 0: no NAPI, no busy polling."
    ),
    measured("server_napi_id", "", "SO_INCOMING_NAPI_ID of the server's socket.", label="server NAPI id"),
    measured(
        "client_voluntary_per_request",
        "",
        "Times the client went to sleep, per request.",
        label="client sleeps/request",
    ),
    measured(
        "server_voluntary_per_request",
        "",
        "Times the server went to sleep, per request.",
        label="server sleeps/request",
    ),
    measured("client_involuntary", "count", "Times the client was pushed off its CPU.", "lower"),
    measured(
        "server_involuntary",
        "count",
        "Times the server was pushed off its CPU.",
        "lower",
        label="server preemptions",
    ),
    measured(
        "server_runqueue_wait_us",
        "us",
        "Time the server was ready and waited for a CPU, per request.",
        "lower",
        label="server waited for its CPU, per request",
    ),
    measured(
        "server_runqueue_wait_percent",
        "%",
        "The same, of the window; threads add up.",
        "lower",
        label="server waited for its CPU",
    ),
    measured(
        "client_runqueue_wait_percent", "%", "Time the client waited for a CPU, of the window.", "lower"
    ),
    measured(
        "set_busy_percent",
        "%",
        "Run time of all tasks on the CPU set, exact; interrupts of an idle CPU are not in it.",
        "lower",
        label="set busy",
    ),
    measured(
        "set_user_percent",
        "%",
        "User time of the CPU set; like the next five by 10 ms ticks, of which a napping CPU gets too few.",
        "lower",
    ),
    measured("set_system_percent", "%", "Time of the CPU set in the kernel, softirqs apart.", "lower"),
    measured("set_softirq_percent", "%", "Softirq time of the CPU set.", "lower", label="set softirq"),
    measured(
        "set_irq_percent", "%", "Hard-interrupt time of the CPU set, where the kernel tells it.", "lower"
    ),
    measured("set_steal_percent", "%", "Time the hypervisor took from the CPU set.", "lower"),
    measured("set_idle_percent", "%", "Idle time of the CPU set, waiting for disks included.", "higher"),
    measured(
        "foreign_percent",
        "%",
        "Time of other programs on the CPU of the set that had most of it, of that CPU.",
        "lower",
    ),
    measured(
        "hog_achieved_percent", "%", "CPU time the hogs had, of their threads' wall time.", label="hogs' CPU"
    ),
    measured(
        "turnaround_p99_us", "us", "99 % quantile of reply received to next request sent: lateness.", "lower"
    ),
    measured(
        "doubts",
        "count",
        "Reasons not to believe the figures (noise, losses, lateness), whatever the verdict.",
        "lower",
    ),
    measured("clock_overhead_ns", "ns", "What one reading of the generator's clock costs.", "lower"),
    measured(
        "background_rps", "1/s", "Answered requests per second of the workloads beside the measured one."
    ),
    measured(
        "background_bps",
        "bit/s",
        "Payload per second of the workloads beside the measured one.",
        "higher",
        main=True,
        label="payload beside it",
    ),
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

METRICS = (*METRICS, *IMPORTED_METRICS)
MAIN_METRICS = tuple(column for column in METRICS if column.main)
BY_NAME = {column.name: column for column in (*RUN_COLUMNS, *IMPORTED_FACTS, *IMPORTED_METRICS)}

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
    "_per_query": "",
    "_per_interrupt": "",
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
