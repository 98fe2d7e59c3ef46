"""From counters and programs' reports to figures: what a run cost, what it proves, and whether to believe it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from harness.knobs import Seen
from harness.probes import Difference

_RECEIVED = {"udp": ("Udp:InDatagrams", "Udp6InDatagrams"), "tcp": ("Tcp:InSegs",)}
_STABLE_RESOLUTION_NS = 1000


@dataclass(frozen=True)
class Outcome:
    """All that is known of one run when its programs have ended.

    client, server, hog: their result lines (hog None without contention). waits: node -> how its process waits.
    napis: node -> napi-get of its devices after the run. roles: label -> node.
    """

    difference: Difference
    client: dict[str, Any]
    server: dict[str, Any]
    hog: dict[str, Any] | None
    hog_threads: int
    protocol: str
    roles: dict[str, str]
    waits: dict[str, str]
    cpus: set[int]
    napis: dict[str, list[dict[str, int | None]]] = field(default_factory=dict)

    def report(self, role: str) -> dict[str, Any]:
        """The result line of the `client` or the `server`."""
        return self.client if role == "client" else self.server


def _percent(part: float, whole: float) -> float | None:
    return 100.0 * part / whole if whole else None


def seen_on(outcome: Outcome, node: str, min_polled_share: float) -> Seen:
    """What the knobs of one node judge themselves by; node "*" stands for the whole host (all sockets together)."""
    nodes = list(outcome.difference.nodes) if node == "*" else [node]
    roles = [role for role, place in outcome.roles.items() if place in nodes]
    reports = [outcome.report(role) for role in roles]
    difference = outcome.difference
    return Seen(
        received=sum(difference.counter(n, *_RECEIVED[outcome.protocol]) for n in nodes),
        polled=sum(difference.counter(n, "TcpExt:BusyPollRxPackets") for n in nodes),
        napi_ids=tuple(napi for report in reports for napi in report.get("napi_ids", []) or [0]),
        napis=tuple(napi for n in nodes for napi in outcome.napis.get(n, [])),
        sockets=reports[0].get("readback", {}) if reports else {},
        wait=outcome.waits.get(nodes[0], "") if len(roles) == 1 else "",
        rps_packets=difference.softnet["received_rps"],
        kthread_cpu_ns=sum(difference.kthreads.get(n, 0) for n in nodes),
        min_polled_share=min_polled_share,
    )


def run_metrics(outcome: Outcome) -> dict[str, float | int | None]:
    """Columns of runs.csv that do not come from the samples; units in their names."""
    difference, client = outcome.difference, outcome.client
    requests, elapsed_ns = client["requests"], client["elapsed_ns"]
    settled = requests + client.get("settle_requests", 0)
    server = difference.programs["server"]
    out: dict[str, float | int | None] = {
        "requests": requests,
        "lost": client["lost"],
        "duplicates": client["duplicates"],
        "retransmits": difference.total("Tcp:RetransSegs"),
        "drops": _drops(difference),
        "rate_rps": requests / elapsed_ns * 1e9 if elapsed_ns else None,
        "elapsed_s": elapsed_ns / 1e9,
        "client_cpu_percent": _percent(client["usage"]["cpu_ns"], elapsed_ns),
        "server_cpu_percent": _percent(server.cpu_ns, difference.elapsed_ns),
        "cpu_us_per_request": None,
        "client_involuntary": client["usage"]["involuntary"],
        "server_involuntary": server.involuntary,
        "hog_achieved_percent": _hog_achieved(outcome),
        "turnaround_p99_us": client["turnaround_p99_ns"] / 1e3,
    }
    if requests:
        # NAPI threads do for threaded NAPI what the processes' own softirqs do without it: the same bill.
        threads_ns = sum(difference.kthreads.values())
        out["cpu_us_per_request"] = (
            client["usage"]["cpu_ns"] / requests + (server.cpu_ns + threads_ns) / settled
        ) / 1e3
        out["client_voluntary_per_request"] = client["usage"]["voluntary"] / requests
        out["server_voluntary_per_request"] = server.voluntary / settled
    for role, node in outcome.roles.items():
        seen = seen_on(outcome, node, 0.0)
        out[f"{role}_polled_percent"] = 100 * seen.polled_share() if seen.received else None
        out[f"{role}_napi_id"] = (outcome.report(role).get("napi_ids") or [0])[0]
    return out | _set_metrics(outcome)


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
    """CPU use of the run's CPU set, from 10 ms ticks; foreign load from exact run times."""
    ticks = [outcome.difference.ticks[cpu] for cpu in outcome.cpus if cpu in outcome.difference.ticks]
    whole = sum(sum(cpu.values()) for cpu in ticks)
    sums = {name: sum(cpu.get(name, 0) for cpu in ticks) for name in (*ticks[0], "steal")} if ticks else {}
    idle = sums.get("idle", 0) + sums.get("iowait", 0)
    foreign = sum(outcome.difference.foreign.values())
    return {
        "set_busy_percent": _percent(whole - idle, whole),
        "set_user_percent": _percent(sums.get("user", 0) + sums.get("nice", 0), whole),
        "set_system_percent": _percent(sums.get("system", 0), whole),
        "set_softirq_percent": _percent(sums.get("softirq", 0), whole),
        "set_steal_percent": _percent(sums.get("steal", 0), whole),
        "set_idle_percent": _percent(idle, whole),
        "foreign_percent": _percent(foreign, outcome.difference.elapsed_ns * len(outcome.cpus)),
    }


def node_figures(outcome: Outcome) -> dict[str, dict[str, float | int | None]]:
    """Columns of nodes.csv for every node."""
    out: dict[str, dict[str, float | int | None]] = {}
    labels = {node: role for role, node in outcome.roles.items()}
    for node in outcome.difference.nodes:
        seen = seen_on(outcome, node, 0.0)
        counter = outcome.difference.counter
        figures: dict[str, float | int | None] = {
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
        if node in labels:
            usage = outcome.difference.programs[labels[node]]
            figures |= {
                "cpu_ms": usage.cpu_ns / 1e6,
                "user_ms": usage.user_ns / 1e6,
                "system_ms": usage.system_ns / 1e6,
                "run_queue_wait_ms": usage.wait_ns / 1e6,
                "voluntary_switches": usage.voluntary,
                "involuntary_switches": usage.involuntary,
            }
        out[node] = figures
    return out


def cpu_figures(outcome: Outcome) -> dict[str, dict[str, float | int]]:
    """Per CPU of the host: shares of time by state (0..1, 10 ms ticks), interrupts and NET_RX softirqs."""
    difference = outcome.difference
    out: dict[str, dict[str, float | int]] = {}
    for cpu, ticks in sorted(difference.ticks.items()):
        whole = sum(ticks.values()) or 1
        out[str(cpu)] = {
            "in_set": int(cpu in outcome.cpus),
            "user_share": (ticks["user"] + ticks["nice"]) / whole,
            "system_share": ticks["system"] / whole,
            "softirq_share": ticks["softirq"] / whole,
            "irq_share": ticks["irq"] / whole,
            "steal_share": ticks["steal"] / whole,
            "idle_share": (ticks["idle"] + ticks["iowait"]) / whole,
            "irq_count": difference.irqs.get(cpu, 0),
            "net_rx_count": difference.net_rx.get(cpu, 0),
        }
    return out


def _unasked(outcome: Outcome, node: str, polling: set[str]) -> str:
    """Busy polling that nobody asked for: a base that is polled is no base."""
    polled = seen_on(outcome, node, 0.0).polled
    if not polled or node in polling:
        return ""
    return (
        f"{polled} packets of {node} were busy-polled though no knob asked for it; is net.core.busy_read set?"
    )


def doubts(
    outcome: Outcome,
    metrics: dict[str, Any],
    max_foreign_share: float,
    max_steal_share: float,
    polling: set[str],
) -> list[str]:
    """Reasons not to believe the run's figures; empty when there are none. polling: nodes told to busy-poll."""
    reasons = []
    foreign = metrics.get("foreign_percent") or 0.0
    if foreign > 100 * max_foreign_share:
        worst = max(outcome.difference.foreign, key=outcome.difference.foreign.__getitem__)
        reasons.append(
            f"other programs took {foreign:.0f} % of the CPU set, {worst} most of it; limit {max_foreign_share:.0%}"
        )
    steal = metrics.get("set_steal_percent") or 0.0
    if steal > 100 * max_steal_share:
        reasons.append(f"the hypervisor stole {steal:.1f} % of the CPU set; limit {max_steal_share:.0%}")
    reasons += [reason for node in outcome.roles.values() if (reason := _unasked(outcome, node, polling))]
    before, after = outcome.difference.clocksources
    if before != after:
        reasons.append(f"the clock source changed from {before} to {after} during the run")
    resolution = outcome.client.get("clock", {}).get("source_resolution_ns", 0)
    if resolution > _STABLE_RESOLUTION_NS:
        reasons.append(f"the clock moves in steps of {resolution} ns")
    if outcome.hog is not None and metrics.get("hog_achieved_percent") == 0.0:
        reasons.append("the hogs got no CPU time at all")
    return reasons
