"""The columns of the tables beside runs.csv: of nodes, of knobs, of CPUs, of phases of links, and of cells."""

from __future__ import annotations

from harness.columns.model import listed

NODES = listed("""
run_id | text | The run, as in runs.csv.
case | text | The case.
node | text | The node.
received_packets | number count | Packets delivered to the node's sockets.
polled_packets | number count | Those of them that busy polling picked up: BusyPollRxPackets of the namespace that
    has the NAPI's device, which is not the node's where a macvlan or ipvlan lies between.
polled_percent | number % | Their share.
napi_id | number | SO_INCOMING_NAPI_ID of the node's first workload socket; 0: no NAPI.
polling | text | What came of busy polling where it was asked for: polled, spun (CPU time spent, nothing polled),
    inert, or unclear.
sockets | text | Kinds of the sockets of the node's programs, as they were seen before and after the window.
napis | text | The NAPIs that fed them: id, node and device, receive queue.
xdp | text | How AF_XDP sockets of our own generator were bound, as the kernel says: device and queue, mode, program.
napi_changes | number count | How often a socket's NAPI was another one than at the look before; changes between two
    looks are not seen.
retransmits | number count | TCP segments sent again.
socket_drops | number count | UDP packets that found the socket's buffer full.
link_drops | number count | Packets dropped by the node's devices.
qdisc_drops | number count | Packets dropped by the node's queueing disciplines.
napi_threads_cpu_ms | number ms | CPU time of the node's NAPI threads.
napi_threads_idle_percent | number % | What they used of a CPU once the run's programs had ended: threads that
    busy-poll burn it for nothing from their first packet on.
cpu_ms | number ms | CPU time of the node's workload process.
user_ms | number ms | Its part in user mode.
system_ms | number ms | Its part in the kernel.
run_queue_wait_ms | number ms | Time the process was ready and waited for a CPU.
throttled_periods | number count | Periods in which the quota of the node's control group was used up.
throttled_ms | number ms | Time its threads then waited, together.
numa | text | NUMA nodes of the CPUs that the node's workload may use; several by commas.
voluntary_switches | number count | Times the process went to sleep.
involuntary_switches | number count | Times the process was pushed off its CPU.
tcp_congestion_control | text | TCP's default there: net.ipv4.tcp_congestion_control (a program may choose another).
tcp_ecn | text | net.ipv4.tcp_ecn: 0 never, 1 asked for and granted, 2 granted.
tcp_rmem_bytes | text | net.ipv4.tcp_rmem: least, default and largest receive buffer of a connection.
tcp_wmem_bytes | text | net.ipv4.tcp_wmem: the same of its send buffer.
tcp_initcwnd | text | Segments that a new connection sends before it hears of any, as the node's routes have it; blank:
    the kernel's own (10). Of routes that differ all values.
tcp_initrwnd | text | Segments that a new connection tells its peer it has room for, the same.
interface | text | The interfaces of this host that were lent to the node: name, driver, place on the bus.
routing | text | The node's routing daemon, as it names itself.
routes | text | The routes that it had made when the run could begin, the first twenty.
routes_after_ms | number ms | How long after the daemons' start all routes that were waited for were there.
""")

KNOBS = listed("""
run_id | text | The run, as in runs.csv.
case | text | The case.
node | text | The node the knob was set on; * for the whole host.
knob | text | The knob, by its name in the experiment file.
setting | text | What was written, by the kernel's own name for it.
scope | text | socket, process, device or host.
requested | text | The value asked for.
found | text | The value before, which is put back afterwards.
applied | text | The value read back after writing; blank where the kernel does not show it.
took_effect | flag | true: seen acting; false: see evidence; blank: nothing tells whether it acted.
evidence | text | What took_effect was judged by.
""")

CPUS = listed("""
run_id | text | The run, as in runs.csv.
case | text | The case.
cpu | text | CPU number; NODE:NUMBER on the server's host, of two.
in_set | number | 1 for a CPU of the run's CPU set, 0 for the others.
user_share | number share | Share of time in user mode, 0 to 1.
system_share | number share | In the kernel.
softirq_share | number share | In softirqs.
irq_share | number share | In interrupts.
steal_share | number share | Taken by the hypervisor.
idle_share | number share | Idle, waiting for disks included.
irq_count | number count | Interrupts.
device_irq_count | number count | Those of devices.
timer_irq_count | number count | Those of the CPU's own timer.
reschedule_irq_count | number count | Those by which another CPU had it reschedule: wake-ups across CPUs.
call_irq_count | number count | Those by which another CPU had it call a function.
net_rx_count | number count | NET_RX softirqs.
""")

PHASES = listed("""
run_id | text | The run, as in runs.csv.
case | text | The case.
link | text | The direction that changes; A <-> B where both change alike.
phase | text | What it is meanwhile; of a long trace, the band that the rate of 100 ms is in.
seconds | number s | How much of the window the phase had, all its turns together.
rate_bps | number bit/s | Declared rate, the mean over that time; 0 while the link is down, or where it has none.
delay_ms | number ms | Declared one-way delay, the same.
loss_percent | number % | Declared loss, the same.
requests | number count | Answered requests that were sent in the phase (of an open loop: were due in it).
lost | number count | Those that never were answered.
p50_us | number us | Median of their round trips.
p99_us | number us | 99 % quantile of the same; blank for fewer than 1,000.
""")
"""Only in sets whose links change."""

QUEUES = listed("""
run_id | text | The run, as in runs.csv.
case | text | The case.
link | text | The direction whose queues were looked into.
at_s | number s | Where the stretch of the row begins, since the measured window did.
seconds | number s | How long it is.
packets | number count | Packets that waited, the mean of the looks in the stretch; with netem and a delay those on
    their way too.
most_packets | number count | The most that any look found.
most_bytes | number B | The most bytes.
drops | number count | Packets dropped in the stretch.
""")
"""Only in sets with a link that has a `queue_series`."""

CELL_COUNTS = listed("""
n_total | integer runs | Runs of the cell, whatever their verdict.
n_valid | integer runs | Runs that count; the medians are over these.
n_inert | integer runs | Runs in which a knob took no effect.
n_suspect | integer runs | Runs with too much noise to count.
n_failed | integer runs | Runs that broke.
n_skipped | integer runs | Runs this host could not make.
""")
"""The first columns of summary.csv, after the case and the factors."""

SUMMARY_PARTS = (
    ("", "Median over the cell's valid runs of"),
    ("_low", "Lower end of the interval of that median, of"),
    ("_high", "Upper end of the interval of that median, of"),
    ("_confidence_percent", "How often such an interval holds the true median (order statistics), for"),
    ("_n", "Valid runs that have a value of"),
)
"""Suffixes and meanings of the five columns that summary.csv has for each main metric."""
