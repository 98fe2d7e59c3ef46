"""From counters and programs' reports to figures: what a run cost, and what its counters prove."""

from __future__ import annotations

import re

from harness.kernel.proc import TICKS_PER_S, ProcessUsage
from harness.knobs import Seen
from harness.run import loadgen_report
from harness.run.counters import Difference
from harness.run.outcome import FAR_CPUS, Outcome

_RECEIVED = {"udp": ("Udp:InDatagrams", "Udp6InDatagrams"), "tcp": ("Tcp:InSegs",)}
_NIC_IRQ = re.compile(r"nic:irq(\d+)_cpu(\d+)")
_STATES = ("user", "system", "softirq", "irq", "steal", "idle")


def _percent(part: float, whole: float) -> float | None:
    return 100.0 * part / whole if whole else None


def seen_on(outcome: Outcome, node: str, min_polled_share: float) -> Seen:
    """What the knobs of one node judge themselves by; node "*" stands for the whole host (all sockets together)."""
    nodes = list(outcome.difference.nodes) if node == "*" else [node]
    parts = [part for part in outcome.parts if part.node in nodes]
    difference = outcome.difference
    received = [name for each in outcome.protocol.split("+") for name in _RECEIVED[each]]
    waits = {part.wait for part in parts}
    return Seen(
        received=sum(difference.counter(n, *received) for n in nodes),
        polled=sum(difference.counter(n, "TcpExt:BusyPollRxPackets") for n in nodes),
        napi_ids=tuple(napi for part in parts for napi in part.report.get("napi_ids", []) or [0]),
        napis=tuple(napi for n in nodes for napi in outcome.napis.get(n, [])),
        unreached=tuple(part.label for part in parts if part.report.get("unreached")),
        wait=waits.pop() if len(waits) == 1 and node != "*" else "epoll" if "epoll" in waits else "",
        rps_packets=difference.softnet["received_rps"],
        kthread_cpu_ns=sum(difference.kthreads.get(n, 0) for n in nodes),
        irqs=_irqs(difference, nodes),
        group=outcome.groups.get(node),
        min_polled_share=min_polled_share,
    )


def _irqs(difference: Difference, nodes: list[str]) -> dict[int, dict[int, int]]:
    found: dict[int, dict[int, int]] = {}
    for node in nodes:
        for name, count in difference.nodes.get(node, {}).items():
            if count and (which := _NIC_IRQ.fullmatch(name)):
                found.setdefault(int(which[1]), {})[int(which[2])] = count
    return found


def _nic_metrics(difference: Difference) -> dict[str, float | int | None]:
    """Interrupts of emulated NICs, and how many there were for each packet received; nothing where there are none."""
    if not any("nic:irqs" in counters for counters in difference.nodes.values()):
        return {}
    packets, irqs = difference.total("link:rx_packets"), difference.total("nic:irqs")
    return {"nic_irqs": irqs, "nic_irqs_per_packet": irqs / packets if packets else None}


def run_metrics(outcome: Outcome) -> dict[str, float | int | None]:
    """Columns of runs.csv that do not come from the samples; units in their names."""
    difference, client = outcome.difference, outcome.client
    answered, elapsed_ns = client.get("answered", client.get("requests")), client.get("elapsed_ns", 0)
    out: dict[str, float | int | None] = {
        "requests": answered,
        "lost": client.get("lost"),
        "duplicates": client.get("duplicates"),
        "retransmits": difference.total("Tcp:RetransSegs"),
        "drops": _drops(difference),
        "rate_rps": answered / elapsed_ns * 1e9 if elapsed_ns and answered is not None else None,
        "elapsed_s": elapsed_ns / 1e9 if elapsed_ns else None,
        "hog_achieved_percent": _hog_achieved(outcome),
    }
    out |= (
        _program_metrics(outcome, answered or 0)
        | _nic_metrics(difference)
        | _interruptions(outcome, answered)
    )
    for role, part in outcome.measured().items():
        seen = seen_on(outcome, part.node, 0.0)
        out[f"{role}_polled_percent"] = 100 * seen.polled_share() if seen.received else None
        out[f"{role}_napi_id"] = (part.report.get("napi_ids") or [0])[0]
    return (
        out | outcome.metrics | loadgen_report.metrics(client) | _background(outcome) | _set_metrics(outcome)
    )


def _interruptions(outcome: Outcome, answered: int | None) -> dict[str, float | None]:
    """What interrupted the CPU set for each request answered: interrupts of any kind, and receive softirqs."""
    counts = {"irqs": outcome.difference.irqs, "net_rx": outcome.difference.net_rx}
    return {
        f"{name}_per_request": sum(by_cpu.get(cpu, 0) for cpu in outcome.cpus) / answered
        if answered
        else None
        for name, by_cpu in counts.items()
    }


def _program_metrics(outcome: Outcome, answered: int) -> dict[str, float | int | None]:
    """What client and server cost: CPU, sleeps, waits for a CPU; per request where there are requests.

    Our own client counts its usage over the measured requests; the server, and a client nobody modified, over all of
    the window's.
    """
    difference, client = outcome.difference, outcome.client
    server = difference.programs.get("server", ProcessUsage())
    usage = client.get("usage") or {"cpu_ns": 0, "voluntary": 0, "involuntary": 0}
    settled = answered + (client.get("settle_requests") or 0)
    own = settled if client.get("whole_life") else answered
    window_ns = difference.elapsed_ns if client.get("whole_life") else client.get("elapsed_ns", 0)
    out: dict[str, float | int | None] = {
        "client_cpu_percent": _percent(usage["cpu_ns"], window_ns),
        "server_cpu_percent": _percent(server.cpu_ns, difference.elapsed_ns),
        "cpu_us_per_request": None,
        "client_involuntary": usage["involuntary"],
        "server_involuntary": server.involuntary,
        "client_runqueue_wait_percent": _waited(outcome, "client"),
        "server_runqueue_wait_percent": _waited(outcome, "server"),
    }
    if own and settled:
        # NAPI threads do for threaded NAPI what the processes' own softirqs do without it: the same bill.
        threads_ns = sum(difference.kthreads.values())
        out["cpu_us_per_request"] = (usage["cpu_ns"] / own + (server.cpu_ns + threads_ns) / settled) / 1e3
        out["client_voluntary_per_request"] = usage["voluntary"] / own
        out["server_voluntary_per_request"] = server.voluntary / settled
        out["server_runqueue_wait_us"] = server.wait_ns / settled / 1e3
    return out


def _waited(outcome: Outcome, role: str) -> float | None:
    """Time a program was ready and waited for a CPU; unknown of one that was not there before and after."""
    if (role == "client" and outcome.client.get("whole_life")) or role not in outcome.difference.programs:
        return None
    return _percent(outcome.difference.programs[role].wait_ns, outcome.difference.elapsed_ns)


def _background(outcome: Outcome) -> dict[str, float | int | None]:
    """Sums over the workloads in the background, of what they tell."""
    rates = [loadgen_report.rate_rps(figures) for figures in outcome.background]
    bits = [loadgen_report.throughput_bps(figures) for figures in outcome.background]
    return {
        "background_rps": sum(r for r in rates if r is not None)
        if any(r is not None for r in rates)
        else None,
        "background_bps": sum(b for b in bits if b is not None) if any(b is not None for b in bits) else None,
    }


def _drops(difference: Difference) -> int:
    sockets = difference.total("Udp:RcvbufErrors", "Udp:SndbufErrors", "Udp6RcvbufErrors", "Udp6SndbufErrors")
    return (
        sockets
        + difference.total("link:rx_dropped", "link:tx_dropped", "qdisc:drops")
        + difference.softnet["dropped"]
    )


def _hog_achieved(outcome: Outcome) -> float | None:
    """CPU time the hogs had over the window, as a share of their threads' wall time; 0 without hogs."""
    if outcome.hog is None:
        return 0.0
    used = outcome.difference.programs["hog"].cpu_ns
    return _percent(used, outcome.difference.elapsed_ns * outcome.hog_threads)


def _set_metrics(outcome: Outcome) -> dict[str, float | None]:
    """CPU use of the run's CPU set: busy and foreign from exact run times, the states from 10 ms ticks."""
    difference, loads = outcome.difference, outcome.difference.loads
    shares = [_shares(difference, cpu) for cpu in outcome.cpus if cpu in difference.ticks]
    means = {name: sum(share[name] for share in shares) / len(shares) for name in _STATES} if shares else {}
    return {
        "set_busy_percent": _percent(loads.busy_ns, difference.elapsed_ns * len(outcome.cpus)),
        **{f"set_{name}_percent": 100 * value for name, value in means.items()},
        "foreign_percent": _percent(min(loads.worst_cpu_ns(), difference.elapsed_ns), difference.elapsed_ns),
    }


def _shares(difference: Difference, cpu: int) -> dict[str, float]:
    """Shares of the elapsed time that a CPU spent in each state, by ticks.

    Of the elapsed time, not of the ticks: a CPU that naps between ticks is given too few of them, of every state.
    """
    ticks = difference.ticks[cpu]
    whole = difference.elapsed_ns / 1e9 * TICKS_PER_S
    sums = {
        "user": ticks["user"] + ticks["nice"],
        "system": ticks["system"],
        "softirq": ticks["softirq"],
        "irq": ticks["irq"],
        "steal": ticks["steal"],
        "idle": ticks["idle"] + ticks["iowait"],
    }
    return {name: value / whole if whole else 0.0 for name, value in sums.items()}


def node_figures(outcome: Outcome) -> dict[str, dict[str, float | int | str | None]]:
    """Columns of nodes.csv for every node."""
    out: dict[str, dict[str, float | int | str | None]] = {}
    for node in outcome.difference.nodes:
        labels = [part.label for part in outcome.parts if part.node == node]
        seen = seen_on(outcome, node, 0.0)
        counter = outcome.difference.counter
        figures: dict[str, float | int | str | None] = {
            "received_packets": seen.received,
            "polled_packets": seen.polled,
            "polled_percent": 100 * seen.polled_share() if seen.received else None,
            "napi_id": seen.napi_ids[0] if seen.napi_ids else None,
            "retransmits": counter(node, "Tcp:RetransSegs"),
            "socket_drops": counter(node, "Udp:RcvbufErrors", "Udp6RcvbufErrors"),
            "link_drops": counter(node, "link:rx_dropped", "link:tx_dropped"),
            "qdisc_drops": counter(node, "qdisc:drops"),
            "napi_threads_cpu_ms": outcome.difference.kthreads.get(node, 0) / 1e6,
        }
        if labels:
            usage = ProcessUsage()
            for label in labels:
                usage = usage.plus(outcome.difference.programs.get(label, ProcessUsage()))
            figures |= {
                "cpu_ms": usage.cpu_ns / 1e6,
                "user_ms": usage.user_ns / 1e6,
                "system_ms": usage.system_ns / 1e6,
                "run_queue_wait_ms": usage.wait_ns / 1e6,
                "voluntary_switches": usage.voluntary,
                "involuntary_switches": usage.involuntary,
            }
        if node in outcome.numa:
            figures["numa"] = ",".join(map(str, outcome.numa[node]))
        if (group := outcome.groups.get(node)) is not None:
            figures |= {"throttled_periods": group.throttled, "throttled_ms": group.throttled_us / 1e3}
        out[node] = figures
    return out


def cpu_figures(outcome: Outcome) -> dict[str, dict[str, float | int]]:
    """Per CPU, NODE:CPU on another host: shares of time by state (0..1, 10 ms ticks), interrupts, NET_RX softirqs."""
    difference = outcome.difference
    out: dict[str, dict[str, float | int]] = {}
    for cpu in sorted(difference.ticks):
        name = str(cpu) if cpu < FAR_CPUS else f"{outcome.far_node}:{cpu - FAR_CPUS}"
        out[name] = {
            "in_set": int(cpu in outcome.cpus),
            **{f"{name}_share": round(share, 4) for name, share in _shares(difference, cpu).items()},
            "irq_count": difference.irqs.get(cpu, 0),
            "net_rx_count": difference.net_rx.get(cpu, 0),
        }
    return out


def idle_shares(outcome: Outcome, node: str) -> dict[int, float]:
    """The share of the time that each CPU of the node's host was idle, by the number it has there."""
    far = bool(outcome.far_node) and node == outcome.far_node
    return {
        cpu % FAR_CPUS: _shares(outcome.difference, cpu)["idle"]
        for cpu in outcome.difference.ticks
        if (cpu >= FAR_CPUS) == far
    }
