"""The columns of runs.csv."""

from __future__ import annotations

from harness.columns.model import Column, listed

_RTT = "of the run's round-trip times: reply received less request due (open loop) or sent (closed loop)"
_LATE = "of how long after its time a request was sent, open loop"
_SERVICE = "of the time from a request's actual sending to its reply"

IDENTITY = listed("""
run_id | text | Name of the run's directory under runs/; the same plan always gives the same.
case | text | The case of the experiment file.
""")

COURSE = listed("""
block | integer | Repetition, from 1. Every cell is run once in each block.
order | integer | Position in the sequence in which runs were made, from 0.
started_utc | text | When the run began, UTC, ISO 8601.
wall_s | number s | Wall time of the whole run, building and removing included.
verdict | text | valid, inert (a knob took no effect), suspect (noise), failed or skipped.
reasons | text | Why the verdict is what it is, in words; several are joined by '; '.
hints | text | What has to be known beside the figures, and is no reason against them; several are joined by '; '.
attempt | integer | 1, or more where noise spoilt the run and it was made again, in its block; what was rejected is
    beside it as rejected-1.json and so on.
rejected | text | Why each attempt before this one did not count; joined by ' / '.
again_s | number s | Wall time of the attempts before this one.
noise | text | Which kinds of noise spoilt the run (foreign, steal, clock), judged by nothing else; blank for none.
datapath | text | napi (veth made busy-poll capable) or plain; one for the whole experiment.
links_tried | text | What shaped links did when they were tried, and what was declared; see topologies.md.
""")

ENVIRONMENT = listed("""
place | text | Where the run was made: host, vm (a guest of ours) or fleet.
host | text | Name of the fleet's host in its inventory (client's / server's, of two), or of a share's; blank elsewhere.
kernel | text | Kernel release.
cpu_model | text | CPU model name.
virtualisation | text | Hypervisor the machine runs under, none on bare metal.
accelerator | text | What a guest's CPU runs on (kvm, tcg-virtual, tcg-smoke); blank outside a guest of ours.
emulator | text | QEMU of a guest, and whose (provided, host, or its path); blank outside one.
governor | text | CPU frequency governor; blank where the host shows none.
smt | text | Whether hyper-threads are on.
mitigations | text | CPU vulnerability mitigations in force.
iommu | text | IOMMU in use.
clocksource | text | Clock source of the kernel.
rt_throttle | text | What fifo and rr tasks may take of each period, or off.
""")

DECLARED = listed("""
workload_kind | text | Kind of workload.
workload_loop | text | closed: a request waits for the reply before it; open: each is sent when it is due.
workload_mode | text | Mode or test of a program that has several (sockperf, netperf).
workload_protocol | text | udp or tcp; mptcp where the sockets were seen to be that.
workload_timed | text | on the wire: latencies are of packets at the client's devices, not what a program says.
workload_client_wait | text | How the client waits for a reply: blocking, spin, epoll, poll or select.
workload_server_wait | text | How the server waits for a request; uring: by io_uring.
workload_rate_rps | number 1/s | Open loop: requests per second asked for.
workload_arrivals | text | Open loop: constant, poisson, burst or etc.
workload_burst | integer | Open loop, burst arrivals: requests per burst.
workload_depth | integer | Closed loop: requests outstanding per thread.
workload_connections | integer | Sockets of the client.
workload_threads | integer | Threads of the client.
workload_server_threads | integer | Threads of the server.
workload_size_bytes | integer bytes | Payload of a request, and of its reply.
workload_sizes | text | Distribution of sizes, where there is no single one.
workload_response_sizes | text | Payload of a reply, bytes or distribution, where it is its own.
workload_service | text | CPU work of the server per request, ns.
workload_stall_s | number s | How long the server was made to stand still.
workload_stall_every_s | number s | Period of those stalls.
workload_connect_per_request | text | on: every request opened and closed a connection.
workload_udp_gro | text | on: the server took several datagrams at once (UDP_GRO).
workload_client_socket | text | kernel or af_xdp, where either end has an AF_XDP socket.
workload_server_socket | text | The same of the server.
workload_xdp_mode | text | AF_XDP sockets: copy or zero-copy, as asked for.
workload_xdp_need_wakeup | text | AF_XDP sockets: on, the kernel said when it wanted a system call.
workload_phases | text | on: requests were split into phases, which costs time of its own.
workload_reply_every | integer | sockperf: requests per reply.
workload_get_share | number share | memcached: share of gets, 0 to 1.
workload_client_command | text | Command line of the client, kind command.
workload_server_command | text | Command line of the server, kind command.
workload_conversion | text | What was converted to make a program's figures round trips.
workload_from | text | Node of the client.
workload_to | text | Node of the server.
workload_warmup_s | number s | Warm-up before measuring, discarded.
workload_duration_s | number s | Measured time asked for.
workload_cooldown_s | number s | Traffic after measuring, discarded.
workload_count | integer | Requests after which measuring ended, if earlier.
workload_timeout_s | number s | Time after which a request counted as lost.
workload_seed | integer | Seed in the file; each repetition makes its own from it.
contention_kind | text | What the hogs do; blank without contention.
contention_cpus | text | CPU set the hogs run on.
contention_threads | integer | Number of hog threads.
contention_load_percent | number % | Duty cycle asked of each hog thread.
contention_awake | text | on: spinners of policy idle kept every CPU of the run from going idle.
""")

MEASURED = listed(f"""
requests | integer count | higher | | Requests measured and answered.
sent | integer count | | | Requests sent in the measured window.
lost | integer count | lower | | Requests never answered within the time-out.
duplicates | integer count | lower | | Replies that came twice.
retransmits | integer count | lower | | TCP segments sent again, all nodes.
drops | integer count | lower | | Packets dropped by devices and qdiscs, all nodes.
nic_irqs | integer count | | | Interrupts of NICs, all nodes; blank without any.
nic_irqs_per_packet | number | lower main | IRQs/packet | Those interrupts for each packet received.
irqs_per_request | number | lower | interrupts/request | Interrupts of the CPU set, of any kind (device, timer, other
    CPU), for each request answered.
device_irqs_per_request | number | lower | | Of them those of devices.
timer_irqs_per_request | number | lower | | Of them those of the CPUs' own timers: ticks, deferrals,
    sleeps.
reschedule_irqs_per_request | number | lower | | Of them those by which another CPU woke one, or had it
    reschedule.
call_irqs_per_request | number | lower | | Of them those by which another CPU had it call a function.
net_rx_per_request | number | lower | softirqs/request | Receive softirqs (NET_RX) of the CPU set for each request
    answered.
rate_rps | number 1/s | higher main | requests/s | Answered requests per second.
offered_rps | number 1/s | | | Requests per second that were due, open loop; blank in a closed one.
achieved_rps | number 1/s | higher | | Requests per second that were sent.
missed | integer count | lower | | Requests that were due in the window and never sent.
late_percent | number % | lower | | Requests sent later after their time than the workload's `late`.
lateness_p50_us | number us | lower | | Median {_LATE}.
lateness_p99_us | number us | lower | | 99 % quantile {_LATE}.
lateness_max_us | number us | lower | | Greatest {_LATE}.
link_changes | integer count | | | Changes made of links that change (`changes`), the window and what follows it.
link_late_p50_us | number us | lower | | How late they were, from due to done by the kernel: the median.
link_late_p99_us | number us | lower | | 99 % quantile of the same.
link_late_max_us | number us | lower | | The latest.
link_slots | integer count | | | Packets that had a slot of a packet-delivery trace; blank where its rates had to do.
link_slot_late_us | number us | lower | | How late they left at last: the kernel's moving average, of the latest link.
throughput_bps | number bit/s | higher main | payload | Payload delivered per second; of requests and replies, both.
lost_percent | number % | lower | | Datagrams sent that never came, as the program counts them.
hit_percent | number % | higher | | memcached: gets that found their key.
get_percent | number % | | | memcached: share of gets.
errors | integer count | lower | | Replies that told of an error.
elapsed_s | number s | | | Measured time.
rtt_min_us | number us | lower | RTT min | Least {_RTT}.
rtt_mean_us | number us | lower main | RTT mean | Mean {_RTT}.
rtt_sd_us | number us | lower | RTT sd | Standard deviation {_RTT}.
rtt_p50_us | number us | lower main | RTT p50 | Median {_RTT}.
rtt_p90_us | number us | lower | RTT p90 | 90 % quantile {_RTT}.
rtt_p95_us | number us | lower | RTT p95 | 95 % quantile {_RTT}.
rtt_p99_us | number us | lower main | RTT p99 | 99 % quantile {_RTT}.
rtt_p99_9_us | number us | lower main | RTT p99.9 | 99.9 % quantile {_RTT}.
rtt_p99_99_us | number us | lower | RTT p99.99 | 99.99 % quantile {_RTT}.
rtt_max_us | number us | lower | RTT max | Greatest {_RTT}.
rtt_jitter_us | number us | lower main | jitter | Spread of the tail: p99.9 less p50.
service_p50_us | number us | lower | service p50 | Median {_SERVICE}.
service_p99_us | number us | lower | service p99 | 99 % quantile {_SERVICE}.
service_p99_9_us | number us | lower | service p99.9 | 99.9 % quantile {_SERVICE}.
phase_late_us | number us | lower | phase late | Mean time per request: due to sent.
phase_request_send_us | number us | lower | phase request send | Mean time per request: request through the sender's
    stack, to the packet scheduler.
phase_request_wire_us | number us | lower | phase request wire | Mean time per request: request through queues, shaping
    and link, until the receiver's stack has it.
phase_request_wake_us | number us | lower | phase request wake | Mean time per request: request through the receiver's
    stack and socket, and the wake-up of the server.
phase_service_us | number us | lower | phase service | Mean time per request: in the server.
phase_reply_send_us | number us | lower | phase reply send | Mean time per request: reply through the sender's stack.
phase_reply_wire_us | number us | lower | phase reply wire | Mean time per request: reply through queues, shaping and
    link.
phase_reply_wake_us | number us | lower | phase reply wake | Mean time per request: reply through the receiver's stack
    and socket, and the wake-up of the client.
client_cpu_percent | number % | lower | client CPU | CPU time of the client process, of one CPU.
server_cpu_percent | number % | lower | server CPU | CPU time of the server process, of one CPU.
set_cpu_us_per_request | number us | lower main | CPU per request | CPU time of the whole CPU set per answered request:
    all that was neither idle nor stolen, in whatever context (processes, kernel threads, interrupts, softirqs), less
    hogs, other programs, pollbench itself, and what the idle set does by itself (at most 1 %, from an idle window of 50
    ms before the run's programs start). Idle time: the kernel's idle clock, which stands still while an idle CPU takes
    interrupts and softirqs (/proc/timer_list, ns; else /proc/stat, 10 ms steps). Hogs: from switch to switch by
    performance events (where the kernel has no such events for us, or times interrupts itself: scheduler run time,
    which lacks the flight of wake-up interrupts that end their turns), less the interrupts and softirqs taken over
    them, by a program at the kernel's tracepoints (where it takes none from us, and over hogs that have softirqs of
    their own, network, poller and stress-ng, these stay the hogs' time). Other programs: scheduler run time. Steal:
    /proc/stat, 10 ms ticks. Blank where that leaves less than half of the processes' own run time: what others took is
    not known that well.
set_cpu_low_us_per_request | number us | lower | | The least that set_cpu_us_per_request can be by the accounting: no
    softirq over a hog but for those that were timed, all steal out of work.
set_cpu_high_us_per_request | number us | lower | | The most that it can be: steal that hit idle CPUs, background not
    taken out, and the interrupts that may have run over other programs, and over hogs where these were not timed, by
    ticks. Differences that both bounds do not leave are claimed of no case.
set_user_us_per_request | number us | lower | | Of it the workloads' processes in user mode: scheduler run time, split
    by ticks; of this and the next two, the flights that are hogs' time are taken out.
set_system_us_per_request | number us | lower | | Of it the workloads' processes in the kernel, with the interrupts and
    softirqs taken over them (unless the kernel times those): scheduler run time, split by ticks.
set_kthread_us_per_request | number us | lower | | Of it kernel threads (NAPI, ksoftirqd, all others): scheduler run
    time.
set_idle_irq_us_per_request | number us | lower | | Of it the rest: interrupts and softirqs taken while a CPU was idle,
    and the way to and from idle.
set_task_irq_us_per_request | number us | lower | | Interrupts and softirqs taken over any task, hogs too: sampled by
    ticks (/proc/stat), so coarse; held by the tasks' figures. 0 where the kernel times interrupts: then they are in the
    rest.
set_idle_us_per_request | number us | | | Idle time of the CPU set per answered request, by the idle clock.
cpu_us_per_request | number us | lower main | process CPU per request | CPU time of client and server process, and of
    NAPI threads, per answered request: scheduler run time. A part of the cost: interrupts and softirqs that ran
    elsewhere (timers, RPS, ksoftirqd, an idle CPU) are not in it. The only cost that sets of pollbench 0.2.0 and older
    have.
client_polled_percent | number % | main | client busy-polled | Busy-polled share of the packets the client received.
server_polled_percent | number % | main | server busy-polled | Busy-polled share of the packets the server received.
client_napi_id | number | | | SO_INCOMING_NAPI_ID of the client's socket; 0: no NAPI, no busy polling.
server_napi_id | number | | server NAPI id | SO_INCOMING_NAPI_ID of the server's socket.
client_voluntary_per_request | number | | client sleeps/request | Times the client went to sleep, per request.
server_voluntary_per_request | number | | server sleeps/request | Times the server went to sleep, per request.
client_involuntary | integer count | lower | | Times the client was pushed off its CPU.
server_involuntary | integer count | lower | server preemptions | Times the server was pushed off its CPU.
server_runqueue_wait_us | number us | lower | server waited for its CPU, per request | Time the server was ready and
    waited for a CPU, per request.
server_runqueue_wait_percent | number % | lower | server waited for its CPU | The same, of the window; threads add up.
client_runqueue_wait_percent | number % | lower | | Time the client waited for a CPU, of the window.
set_busy_percent | number % | lower | set busy | Run time of all tasks on the CPU set, exact; interrupts of an idle CPU
    are not in it.
set_user_percent | number % | lower | | User time of the CPU set; like the next five by 10 ms ticks, of which a napping
    CPU gets too few.
set_system_percent | number % | lower | | Time of the CPU set in the kernel, softirqs apart.
set_softirq_percent | number % | lower | set softirq | Softirq time of the CPU set.
set_irq_percent | number % | lower | | Hard-interrupt time of the CPU set, where the kernel tells it.
quiet_wait_s | number s | lower | | How long the run waited for a quiet moment before its programs were started, beyond
    the first look.
set_steal_percent | number % | lower | | Time the hypervisor took from the CPU set.
set_idle_percent | number % | higher | | Idle time of the CPU set, waiting for disks included.
foreign_percent | number % | lower | | Time of other programs on the CPU of the set that had most of it, of that CPU.
hog_achieved_percent | number % | | hogs' CPU | CPU time the hogs had, of their threads' wall time.
turnaround_p99_us | number us | lower | | 99 % quantile of reply received to next request sent: lateness.
doubts | integer count | lower | | Reasons not to believe the figures (noise, losses, lateness), whatever the verdict.
clock_overhead_ns | number ns | lower | | What one reading of the generator's clock costs.
background_rps | number 1/s | | | Answered requests per second of the workloads beside the measured one.
background_bps | number bit/s | higher main | payload beside it | Payload per second of the workloads beside the
    measured one.
""")

IMPORTED_FACTS = listed("""
workload_direction | text | Of a stream: client to server, server to client, or both.
workload_rate_bps | number bit/s | Bits per second asked for, all streams together.
latency_basis | text | What the source recorded: rtt; half round trip, doubled; or one way.
latency_from | text | What a latency counts from, where the source says so: due (waiting to be sent is in it) or sent.
measured_by | text | Whose figures these are: of latencies client or server, of a stream sender or receiver.
workload_server_layout | text | napi: the server's threads had the connections of a NAPI each.
workload_txtime_s | number s | So long after it is handed over a request was to leave (SO_TXTIME).
workload_udp_batch | text | Datagrams that the server took by one recvmmsg at most; blank: one by one.
workload_uring_multishot | text | on: one receive of a connection went on bringing what came.
workload_zerocopy | text | on: the server sent its replies with MSG_ZEROCOPY.
program_version | text | The program and its version, as its output has it.
""")
"""Facts that only some runs have, imported ones above all."""

_OTHER_LATENCIES = {
    "oneway": "one-way times, never compared with round trips.",
    "wakeup": "how long after its timer a thread or handler ran (cyclictest, rtla); no network is in it.",
    "io": "requests to storage (fio); no network is in it.",
}
_SHARES = {
    "min": "Least",
    "mean": "Mean",
    "sd": "Standard deviation",
    "p50": "Median",
    "p90": "90 % quantile",
    "p95": "95 % quantile",
    "p99": "99 % quantile",
    "p99_9": "99.9 % quantile",
    "p99_99": "99.99 % quantile",
    "max": "Greatest",
    "jitter": "p99.9 less p50",
}

IMPORTED_METRICS = listed("""
cycles_per_query | number | lower main | cycles/query | CPU cycles of the CPU set per answered query.
instructions_per_query | number | lower | | Instructions of the CPU set per answered query.
packets_per_interrupt | number | | | Packets received per interrupt of the NIC.
reverse_throughput_bps | number bit/s | higher | | Payload delivered per second from server to client, where both
    directions were measured at once; throughput_bps has the other.
reverse_lost_percent | number % | lower | | Datagrams of that direction that never came.
socket_errors | integer count | lower | | Failed connects, reads and writes, and time-outs of an HTTP client.
nic_irq_spacing_us | number us | | IRQ spacing | Window by the interrupts of the busiest line of the NICs, lines of
    transmit queues alone left out: how far apart they came in the mean. A NIC that coalesces may space them by more
    than it was asked to.
client_waits_per_request | number | | client waits/request | Returns of poll(), select() and epoll_wait() in our own
    client for each request, of one that waits so; an open loop's client never sleeps in them, and makes many.
client_empty_waits_percent | number % | | | Those of them that named nothing.
server_napis_per_thread | integer | | | NAPIs that fed the connections of one thread of our own server, of the thread
    that had most: an epoll instance polls one of them at a time.
server_waits_per_request | number | | server waits/request | The same of our own server, warm-up and settling included:
    below 1 where one return brings several requests.
server_empty_waits_percent | number % | | | Those of them that named nothing.
idle_shallowest_percent | number % | | shallowest idle | Time of the CPU set in the first of its idle states, by
    cpuidle's own clock: the one that only polls, where there is one. Blank without a driver of idle states.
idle_deeper_percent | number % | | deeper idle | In all others.
energy_uj_per_request | number | lower | energy/request, uJ | Energy of all processor packages of the host (RAPL) in the
    window, for each request answered: idle CPUs, other programs and all. Blank where none is told, as on most virtual
    machines.
txtime_held_percent | number % | | held for SO_TXTIME | Requests that did not leave before their departure time
    (`txtime`), by the kernel's stamp as the client's device took them.
txtime_late_p50_us | number us | lower | | Median of departure minus the time asked for; below 0: it left before.
txtime_late_p99_us | number us | lower | | 99 % quantile of the same.
datagrams_per_receive | number | | datagrams/recvmmsg | Datagrams that a recvmmsg of the server brought
    (`udp_batch`), warm-up and settling included.
datagrams_per_send | number | | datagrams/sendmmsg | The same of its sendmmsg.
multishot_armed | integer count | | | Multishot receives that the server asked for (`uring_multishot`).
multishot_receives | integer count | | | What they brought, warm-up and settling included.
multishot_more_percent | number % | | | Of it after how much the kernel said that more will come unasked
    (IORING_CQE_F_MORE).
zerocopy_sends | integer count | | | MSG_ZEROCOPY sends of the server (`zerocopy`), warm-up and settling included.
zerocopy_done_percent | number % | | | Of them those that the kernel said to have done with.
zerocopy_copied_percent | number % | lower | copied all the same | Of these those whose bytes the kernel copied after
    all (SO_EE_CODE_ZEROCOPY_COPIED), as it does on the way over a veth pair.
messages_pps | number 1/s | higher | | Messages sent per second, unanswered.
udp_jitter_us | number us | lower | | Smoothed change of the one-way transit time (RFC 3550), no latency.
tcp_rtt_min_us | number us | lower | | Least RTT the sending kernel's TCP estimated; no request's latency.
tcp_rtt_mean_us | number us | lower | | Mean of the sending kernel's smoothed TCP RTT.
tcp_rtt_max_us | number us | lower | | Greatest of the sending kernel's smoothed TCP RTT.
local_cpu_util_percent | number % | lower | | Busy time of all CPUs of the client's host.
remote_cpu_util_percent | number % | lower | | Busy time of all CPUs of the server's host.
""") + tuple(
    Column(f"{prefix}_{name}_us", "us", "number", f"{share} of {meaning}", "lower", label=f"{prefix}_{name}_us")
    for prefix, meaning in _OTHER_LATENCIES.items()
    for name, share in _SHARES.items()
)
"""Figures that only some runs have, imported ones above all; they follow all others in runs.csv, by name."""
