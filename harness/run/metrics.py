"""From counters and programs' reports to figures: what a run cost, and what its counters prove."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

from harness.kernel.proc import TICKS_PER_S, ProcessUsage
from harness.knobs import Knob, Seen
from harness.knobs.feeding import Feeding
from harness.run import loadgen_report
from harness.run.counters import CounterDelta
from harness.run.cpu_cost import cost_metrics
from harness.run.idling import idling
from harness.run.outcome import Outcome, ProgramOutcome
from harness.store.record import Columns, Metrics

Figure = TypeVar("Figure", int, float)
_RECEIVED = {"udp": ("Udp:InDatagrams", "Udp6InDatagrams"), "tcp": ("Tcp:InSegs",)}
_STEERING = {"rps", "rfs"}
_POLLED = "TcpExt:BusyPollRxPackets"
_TOLD_IRQS = ("device", "timer", "reschedule", "call")
_STATES = ("user", "system", "softirq", "irq", "steal", "idle")


def _percent(part: float, whole: float) -> float | None:
    return 100.0 * part / whole if whole else None


def _polled_percent(seen: Seen) -> float | None:
    """The busy-polled share; None where nothing came in, or the counter cannot be one of packets."""
    return 100 * seen.polled_share() if seen.received and not seen.overcounted() else None


def seen_on(
    outcome: Outcome, node: str, min_polled_share: float, settings: Mapping[str, Mapping[str, Knob]] | None = None
) -> Seen:
    """What the knobs of one node judge themselves by; node "*" stands for the whole host (all sockets together).

    settings: the knobs of every node, those of the whole host under "*".
    """
    settings = settings or {}
    delta = outcome.delta
    nodes = list(delta.nodes) if node == "*" else [node]
    programs = [program for program in outcome.programs if program.node in nodes]
    received, polled = _traffic(outcome, nodes)
    return Seen(
        received=received,
        polled=polled,
        napi_ids=_napi_ids(outcome, programs, node),
        napis=tuple(napi for n in nodes for napi in outcome.napis.get(n, [])),
        unreached=tuple(program.label for program in programs if program.report.get("unreached")),
        wait=_wait(programs, node),
        waits=frozenset(program.wait for program in programs),
        ours=bool(programs) and all("readback" in program.report for program in programs),
        protocol=outcome.protocol,
        arrived=_arrived(delta, nodes),
        rps_elsewhere=sum(
            _arrived(delta, [n]) or 0 for n, knobs in settings.items() if _STEERING & set(knobs) and n not in nodes
        ),
        rps_packets=delta.softnet("received_rps"),
        backlog_ns=sum(host.interference.backlog_ns for host in delta.hosts.values()),
        kthread_cpu_ns=sum(delta.kthreads.get(n, 0) for n in nodes),
        irqs=delta.nic_irqs(nodes),
        rx_irqs=delta.busiest_rx_irqs(nodes),
        elapsed_us=delta.elapsed_ns / 1e3,
        squeezes=delta.softnet("time_squeeze"),
        idle_states=tuple(state[:3] for host in delta.hosts.values() for state in host.idle_states),
        group=outcome.groups.get(node),
        min_polled_share=min_polled_share,
        node="" if node == "*" else node,
        beside={**settings.get("*", {}), **settings.get(node, {})},
        on_nodes=tuple(
            (_only_wait(program.wait for program in programs if program.node == n), settings.get(n, {})) for n in nodes
        ),
        feeding=_feeding(outcome, programs, node, received),
    )


def _traffic(outcome: Outcome, nodes: list[str]) -> tuple[int, int]:
    """Packets that the nodes' sockets received, and those of them that were busy-polled.

    The kernel counts these in the namespace of the NAPI's device. Where that is another node's, or the host's, the
    count is shared by all nodes whose sockets it feeds, and so is what they received.
    """
    delta, counts = outcome.delta, [name for part in outcome.protocol.split("+") for name in _RECEIVED[part]]
    owners = {node: _owners(outcome, node) for node in delta.nodes}
    theirs = {owner for node in nodes for owner in owners.get(node, {node})}
    sharing = [node for node in delta.nodes if node in nodes or (theirs - set(nodes)) & owners[node]]
    polled = sum(
        delta.counter(owner, _POLLED) if owner else delta.host_of(nodes[0]).home.get(_POLLED, 0) for owner in theirs
    )
    return sum(_received(outcome, node, counts) for node in sharing), polled


def _received(outcome: Outcome, node: str, counts: list[str]) -> int:
    """Packets that a node's sockets received; of AF_XDP sockets, which the stack does not count, by its devices."""
    if _beside_the_stack(outcome, node):
        return outcome.delta.counter(node, "link:rx_packets")
    return outcome.delta.counter(node, *counts)


def _owners(outcome: Outcome, node: str) -> set[str]:
    """In whose namespaces the NAPIs of a node's sockets are, "" for the host's; the node itself where nothing tells."""
    feeding = outcome.feeding.of_node(node)
    places = [feeding.place(napi_id) for napi_id in feeding.napi_ids()]
    return {place.node for place in places if place.device} or {node}


def _napi_ids(outcome: Outcome, programs: list[ProgramOutcome], node: str) -> tuple[int, ...]:
    """The NAPIs that fed the programs' sockets: as each tells itself, else as its sockets were seen; 0 for none.

    Nothing of a program whose sockets were never there at a look: which NAPI fed them nobody knows.
    """
    feeding, out = outcome.feeding.of_node(node), list[int]()
    for program in programs:
        seen = [one for one in feeding.sockets if one.program == program.label and "listener" not in one.kind]
        looked_up = [number for one in seen for number in one.napi_ids]
        none = [0] if seen or "readback" in program.report else []
        out += program.report.get("napi_ids") or list(dict.fromkeys(looked_up)) or none
    return tuple(out)


def _feeding(outcome: Outcome, programs: list[ProgramOutcome], node: str, received: int) -> Feeding:
    """What fed the node's sockets, with what its programs spent meanwhile."""
    usage, elapsed_ns = outcome.used_by(programs), outcome.delta.elapsed_ns
    return replace(
        outcome.feeding.of_node(node),
        cpus=usage.cpu_ns / elapsed_ns if elapsed_ns and programs else None,
        sleeps=usage.voluntary / received if received and programs else None,
    )


def _arrived(delta: CounterDelta, nodes: list[str]) -> int | None:
    """Packets that came in by the nodes' devices; None where that was not counted."""
    return _sum_of_known(delta.nodes.get(node, {}).get("link:rx_packets") for node in nodes)


def _wait(programs: list[ProgramOutcome], node: str) -> str:
    """The way in which the programs wait; of several ways epoll if it is one of them, else ""."""
    waits = {program.wait for program in programs}
    if len(waits) == 1 and node != "*":
        return waits.pop()
    return "epoll" if "epoll" in waits else ""


def _only_wait(waits: Iterable[str]) -> str:
    """The one way in which all of them wait, or ""."""
    ways = set(waits)
    return ways.pop() if len(ways) == 1 else ""


def _nic_metrics(delta: CounterDelta) -> Metrics:
    """Interrupts of emulated NICs, and how many there were for each packet received; nothing where there are none."""
    if not any("nic:irqs" in counters for counters in delta.nodes.values()):
        return {}
    packets, irqs = delta.total("link:rx_packets"), delta.total("nic:irqs")
    busiest = delta.busiest_rx_irqs(delta.nodes)
    return {
        "nic_irqs": irqs,
        "nic_irqs_per_packet": irqs / packets if packets else None,
        "nic_irq_spacing_us": delta.elapsed_ns / 1e3 / busiest if busiest else None,
    }


def run_metrics(outcome: Outcome) -> Metrics:
    """Columns of runs.csv that do not come from the samples; units in their names."""
    delta, client = outcome.delta, outcome.client
    answered, elapsed_ns = client.get("answered", client.get("requests")), client.get("elapsed_ns", 0)
    metrics: Metrics = {
        "requests": answered,
        "lost": client.get("lost"),
        "duplicates": client.get("duplicates"),
        "retransmits": delta.total("Tcp:RetransSegs"),
        "drops": _drops(delta) + sum(program.report["xdp"]["dropped"] for program in _beside_the_stack(outcome)),
        "rate_rps": loadgen_report.rate_rps(client),
        "elapsed_s": elapsed_ns / 1e9 if elapsed_ns else None,
        "hog_achieved_percent": _hog_achieved(outcome),
    }
    metrics |= _program_metrics(outcome, answered or 0)
    metrics |= cost_metrics(outcome, (answered or 0) + (client.get("settle_requests") or 0))
    metrics |= _nic_metrics(delta) | _interruptions(outcome, answered)
    for role, program in outcome.measured().items():
        seen = seen_on(outcome, program.node, 0.0)
        metrics[f"{role}_polled_percent"] = _polled_percent(seen)
        metrics[f"{role}_napi_id"] = (program.report.get("napi_ids") or [0])[0]
    metrics |= outcome.metrics | loadgen_report.metrics(client) | loadgen_report.of_server(outcome.server)
    metrics |= loadgen_report.waits("client", client, client.get("requests"))
    metrics |= idling(outcome.delta, answered)
    return metrics | _background(outcome) | _beside(outcome) | _set_metrics(outcome)


def _interruptions(outcome: Outcome, answered: int | None) -> Metrics:
    """What interrupted the CPU set for each request answered: interrupts of any kind, and receive softirqs."""
    hosts = outcome.delta.hosts.values()
    counts = {
        "irqs": sum(host.irqs.get(cpu, 0) for host in hosts for cpu in host.cpus),
        "net_rx": sum(host.net_rx.get(cpu, 0) for host in hosts for cpu in host.cpus),
    }
    for kind in _TOLD_IRQS if any(host.irq_kinds for host in hosts) else ():
        counts[f"{kind}_irqs"] = sum(host.irq_kinds.get(kind, {}).get(cpu, 0) for host in hosts for cpu in host.cpus)
    return {f"{name}_per_request": count / answered if answered else None for name, count in counts.items()}


def _program_metrics(outcome: Outcome, answered: int) -> Metrics:
    """What client and server cost: CPU, sleeps, waits for a CPU; per request where there are requests."""
    delta, client = outcome.delta, outcome.client
    server = delta.programs.get("server", ProcessUsage())
    metrics = loadgen_report.work(client, server, delta.elapsed_ns) | {
        "client_involuntary": (client.get("usage") or {}).get("involuntary", 0),
        "server_involuntary": server.involuntary,
        "client_runqueue_wait_percent": _waited(outcome, "client"),
        "server_runqueue_wait_percent": _waited(outcome, "server"),
    }
    own = metrics["cpu_us_per_request"]
    if own is not None:
        settled = answered + (client.get("settle_requests") or 0)
        # NAPI threads do for threaded NAPI what the processes' own softirqs do without it: the same bill.
        metrics["cpu_us_per_request"] = own + sum(delta.kthreads.values()) / settled / 1e3
        metrics["server_runqueue_wait_us"] = server.wait_ns / settled / 1e3
    return metrics


def _waited(outcome: Outcome, role: str) -> float | None:
    """Time a program was ready and waited for a CPU; unknown of one that was not there before and after."""
    if (role == "client" and outcome.client.get("whole_life")) or role not in outcome.delta.programs:
        return None
    return _percent(outcome.delta.programs[role].wait_ns, outcome.delta.elapsed_ns)


def _background(outcome: Outcome) -> Metrics:
    """Sums over the workloads in the background, of those that tell; None where none does."""
    figures = {"background_rps": loadgen_report.rate_rps, "background_bps": loadgen_report.throughput_bps}
    return {name: _sum_of_known(map(figure, outcome.background)) for name, figure in figures.items()}


def _beside(outcome: Outcome) -> Metrics:
    """The columns of each workload that is measured beside the first."""
    metrics: Metrics = {}
    for place, report in outcome.measured_beside().items():
        label = f"background{place + 1}-server"
        server = next((program.report for program in outcome.programs if program.label == label), {})
        used = outcome.delta.programs.get(label, ProcessUsage())
        metrics |= loadgen_report.beside(report, server, used, outcome.delta.elapsed_ns)
    return metrics


def _sum_of_known(figures: Iterable[Figure | None]) -> Figure | None:
    known = [figure for figure in figures if figure is not None]
    return sum(known[1:], known[0]) if known else None


def _beside_the_stack(outcome: Outcome, node: str = "") -> list[ProgramOutcome]:
    """The programs that have an AF_XDP socket, on one node or on any."""
    there = [program for program in outcome.programs if node in ("", program.node)]
    return [program for program in there if program.report.get("xdp")]


def _drops(delta: CounterDelta) -> int:
    sockets = delta.total("Udp:RcvbufErrors", "Udp:SndbufErrors", "Udp6RcvbufErrors", "Udp6SndbufErrors")
    return sockets + delta.total("link:rx_dropped", "link:tx_dropped", "qdisc:drops") + delta.softnet("dropped")


def _hog_achieved(outcome: Outcome) -> float | None:
    """CPU time the hogs had over the window, as a share of their threads' wall time; 0 without hogs."""
    if outcome.hog is None:
        return 0.0
    return _percent(outcome.delta.programs["hog"].cpu_ns, outcome.delta.elapsed_ns * outcome.hog_threads)


def _set_metrics(outcome: Outcome) -> Metrics:
    """CPU use of the run's CPU set: busy and foreign from exact run times, the states from 10 ms ticks."""
    elapsed_ns, hosts = outcome.delta.elapsed_ns, outcome.delta.hosts.values()
    shares = [_shares(host.ticks[cpu], elapsed_ns) for host in hosts for cpu in host.cpus if cpu in host.ticks]
    means = {name: sum(share[name] for share in shares) / len(shares) for name in _STATES} if shares else {}
    busy_ns = sum(host.interference.busy_ns for host in hosts)
    foreign_ns = max(host.interference.worst_cpu_ns() for host in hosts)
    return {
        "set_busy_percent": _percent(busy_ns, elapsed_ns * sum(len(host.cpus) for host in hosts)),
        **{f"set_{name}_percent": 100 * value for name, value in means.items()},
        "foreign_percent": _percent(min(foreign_ns, elapsed_ns), elapsed_ns),
    }


def _shares(ticks: dict[str, int], elapsed_ns: int) -> dict[str, float]:
    """Shares of the elapsed time that a CPU spent in each state, by ticks.

    Of the elapsed time, not of the ticks: a CPU that naps between ticks is given too few of them, of every state.
    """
    whole = elapsed_ns / 1e9 * TICKS_PER_S
    sums = {state: ticks[state] for state in _STATES}
    sums["user"] += ticks["nice"]
    sums["idle"] += ticks["iowait"]
    return {name: value / whole if whole else 0.0 for name, value in sums.items()}


def node_figures(outcome: Outcome) -> dict[str, Columns]:
    """Columns of nodes.csv for every node."""
    return {node: _node_columns(outcome, node) for node in outcome.delta.nodes}


def _node_columns(outcome: Outcome, node: str) -> Columns:
    seen, counter = seen_on(outcome, node, 0.0), outcome.delta.counter
    columns: Columns = {
        "received_packets": seen.received,
        "polled_packets": seen.polled,
        "polled_percent": _polled_percent(seen),
        "napi_id": seen.napi_ids[0] if seen.napi_ids else None,
        **_feeding_columns(seen),
        "retransmits": counter(node, "Tcp:RetransSegs"),
        "socket_drops": counter(node, "Udp:RcvbufErrors", "Udp6RcvbufErrors"),
        "link_drops": counter(node, "link:rx_dropped", "link:tx_dropped"),
        "qdisc_drops": counter(node, "qdisc:drops"),
        "napi_threads_cpu_ms": outcome.delta.kthreads.get(node, 0) / 1e6,
    }
    if node in outcome.idle_threads:
        columns["napi_threads_idle_percent"] = 100 * outcome.idle_threads[node]
    if programs := [program for program in outcome.programs if program.node == node]:
        usage = outcome.used_by(programs)
        columns |= {
            "cpu_ms": usage.cpu_ns / 1e6,
            "user_ms": usage.user_ns / 1e6,
            "system_ms": usage.system_ns / 1e6,
            "run_queue_wait_ms": usage.wait_ns / 1e6,
            "voluntary_switches": usage.voluntary,
            "involuntary_switches": usage.involuntary,
        }
    if beside := _beside_the_stack(outcome, node):
        columns["xdp"] = "; ".join(_bound(program.report["xdp"]) for program in beside)
    if node in outcome.numa:
        columns["numa"] = ",".join(map(str, outcome.numa[node]))
    if (group := outcome.groups.get(node)) is not None:
        columns |= {"throttled_periods": group.throttled, "throttled_ms": group.throttled_us / 1e3}
    return columns | outcome.tcp.get(node, {})


def _bound(xdp: Mapping[str, object]) -> str:
    """How an AF_XDP socket was bound, as the kernel says."""
    wakes = "need_wakeup" if xdp["need_wakeup"] else "no need_wakeup"
    return f"{xdp['interface']} queue {xdp['queue']}, {xdp['mode']}, {xdp['program']} program, {wakes}"


def _feeding_columns(seen: Seen) -> Columns:
    """What the sockets of a node were, which NAPIs fed them, and how often that changed at least."""
    feeding = seen.feeding
    if not feeding.sockets:
        return {}
    kinds = Counter[str]()
    for one in feeding.sockets:
        kinds[one.kind + (" (UDP_GRO)" if one.udp_gro else "")] += one.count
    return {
        "sockets": ", ".join(f"{count} {kind}" for kind, count in kinds.items()),
        "napis": feeding.named(feeding.napi_ids()),
        "napi_changes": sum(one.changes() for one in feeding.sockets),
    }


def measured_protocol(outcome: Outcome) -> Columns:
    """The protocol of the measured workload, where its sockets were seen to be of another one than was declared."""
    sockets = [one for one in outcome.feeding.sockets if one.program in outcome.measured()]
    kinds = {one.kind for one in sockets if "listener" not in one.kind}
    return {"protocol": "mptcp"} if kinds == {"mptcp"} else {}


def cpu_figures(outcome: Outcome) -> dict[str, Columns]:
    """Per CPU, NODE:CPU on another host: shares of time by state (0..1, 10 ms ticks), interrupts, NET_RX softirqs."""
    return {
        f"{name}:{cpu}" if name else str(cpu): {
            "in_set": int(cpu in host.cpus),
            **{f"{state}_share": round(share, 4) for state, share in _shares(ticks, outcome.delta.elapsed_ns).items()},
            "irq_count": host.irqs.get(cpu, 0),
            **{f"{kind}_irq_count": host.irq_kinds[kind].get(cpu, 0) for kind in _TOLD_IRQS if kind in host.irq_kinds},
            "net_rx_count": host.net_rx.get(cpu, 0),
        }
        for name, host in outcome.delta.hosts.items()
        for cpu, ticks in sorted(host.ticks.items())
    }


def idle_shares(outcome: Outcome, node: str) -> dict[int, float]:
    """The share of the time that each CPU of the node's host was idle, by the number it has there."""
    ticks = outcome.delta.host_of(node).ticks
    return {cpu: _shares(states, outcome.delta.elapsed_ns)["idle"] for cpu, states in ticks.items()}
