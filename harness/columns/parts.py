"""The columns of the tables beside runs.csv: of nodes, of knobs, of CPUs."""

from __future__ import annotations

from harness.columns.model import Column, Table, text


def count(table: Table, name: str, meaning: str, unit: str = "count") -> Column:
    """A number counted per node or CPU."""
    return Column(name, unit, "number", table, meaning)


NODES = (
    text("nodes", "run_id", "The run, as in runs.csv."),
    text("nodes", "case", "The case."),
    text("nodes", "node", "The node."),
    count("nodes", "received_packets", "Packets delivered to the node's sockets."),
    count("nodes", "polled_packets", "Those of them that busy polling picked up (BusyPollRxPackets)."),
    count("nodes", "polled_percent", "Their share.", "%"),
    count("nodes", "napi_id", "SO_INCOMING_NAPI_ID of the node's first workload socket; 0: no NAPI.", ""),
    count("nodes", "retransmits", "TCP segments sent again."),
    count("nodes", "socket_drops", "UDP packets that found the socket's buffer full."),
    count("nodes", "link_drops", "Packets dropped by the node's devices."),
    count("nodes", "qdisc_drops", "Packets dropped by the node's queueing disciplines."),
    count("nodes", "napi_threads_cpu_ms", "CPU time of the node's NAPI threads.", "ms"),
    count("nodes", "cpu_ms", "CPU time of the node's workload process.", "ms"),
    count("nodes", "user_ms", "Its part in user mode.", "ms"),
    count("nodes", "system_ms", "Its part in the kernel.", "ms"),
    count("nodes", "run_queue_wait_ms", "Time the process was ready and waited for a CPU.", "ms"),
    count(
        "nodes", "throttled_periods", "Periods in which the quota of the node's control group was used up."
    ),
    count("nodes", "throttled_ms", "Time its threads then waited, together.", "ms"),
    text("nodes", "numa", "NUMA nodes of the CPUs that the node's workload may use; several by commas."),
    count("nodes", "voluntary_switches", "Times the process went to sleep."),
    count("nodes", "involuntary_switches", "Times the process was pushed off its CPU."),
)

KNOBS = (
    text("knobs", "run_id", "The run, as in runs.csv."),
    text("knobs", "case", "The case."),
    text("knobs", "node", "The node the knob was set on; * for the whole host."),
    text("knobs", "knob", "The knob, by its name in the experiment file."),
    text("knobs", "setting", "What was written, by the kernel's own name for it."),
    text("knobs", "scope", "socket, process, device or host."),
    text("knobs", "requested", "The value asked for."),
    text("knobs", "found", "The value before, which is put back afterwards."),
    text("knobs", "applied", "The value read back after writing; blank where the kernel does not show it."),
    Column("took_effect", "", "flag", "knobs", "true, false, or blank where there was nothing to see."),
    text("knobs", "evidence", "What took_effect was judged by."),
)

CPUS = (
    text("cpus", "run_id", "The run, as in runs.csv."),
    text("cpus", "case", "The case."),
    text("cpus", "cpu", "CPU number; NODE:NUMBER on the server's host, of two."),
    count("cpus", "in_set", "1 for a CPU of the run's CPU set, 0 for the others.", ""),
    count("cpus", "user_share", "Share of time in user mode, 0 to 1.", "share"),
    count("cpus", "system_share", "In the kernel.", "share"),
    count("cpus", "softirq_share", "In softirqs.", "share"),
    count("cpus", "irq_share", "In interrupts.", "share"),
    count("cpus", "steal_share", "Taken by the hypervisor.", "share"),
    count("cpus", "idle_share", "Idle, waiting for disks included.", "share"),
    count("cpus", "irq_count", "Interrupts."),
    count("cpus", "net_rx_count", "NET_RX softirqs."),
)
