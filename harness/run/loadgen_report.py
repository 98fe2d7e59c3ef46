"""What a load generator says of itself and of its requests: offered and achieved rate, lateness, service, phases."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from harness import stats
from harness.kernel.proc import ProcessUsage
from harness.run.outcome import Report
from harness.spec.checks import Checks
from harness.store.record import Metrics

# What the sample file writes for a phase that no time stamp told.
_UNKNOWN_NS = -(2**63)
# Means that may differ by the rounding of nanoseconds, and by requests of which a stamp was lost.
_PHASE_SUM_TOLERANCE = 0.01
_MOSTLY = 0.5


def latencies(samples: npt.NDArray[Any] | None) -> npt.NDArray[np.int64]:
    """Every request's time in ns, -1 for a lost one; an empty array without samples."""
    if samples is None or not samples.dtype.names:
        return np.empty(0, dtype=np.int64)
    return np.asarray(samples["latency_ns"], dtype=np.int64)


def answered(samples: npt.NDArray[Any] | None) -> int:
    """How many requests have a time."""
    return int(np.count_nonzero(latencies(samples) >= 0))


def metrics(client: Report) -> Metrics:
    """Columns of runs.csv from the client's report; None where the report has no such member."""
    sent = client.get("requests")
    late = client.get("late_sends")
    is_open = client.get("offered_rps") is not None
    return {
        "sent": sent,
        "offered_rps": client.get("offered_rps"),
        "achieved_rps": client.get("achieved_rps"),
        "missed": client.get("missed_sends") if is_open else None,
        "late_percent": 100.0 * late / sent if is_open and late is not None and sent else None,
        "lateness_p50_us": _us(client.get("lateness_p50_ns")),
        "lateness_p99_us": _us(client.get("lateness_p99_ns")),
        "lateness_max_us": _us(client.get("lateness_max_ns")),
        "turnaround_p99_us": _us(client.get("turnaround_p99_ns")),
        "clock_overhead_ns": (client.get("clock") or {}).get("overhead_ns"),
        **_memcached(client.get("memcached")),
        **_departures(client.get("txtime")),
        **({"throughput_bps": throughput_bps(client)} if "bytes_sent" in client else {}),
    }


def of_server(server: Report) -> Metrics:
    """Columns of runs.csv that tell what the server's own way of receiving and sending came to; none without one."""
    figures = waits("server", server, server.get("requests"))
    if len(napis := server.get("thread_napis") or ()) > 1:
        figures["server_napis_per_thread"] = max(napis)
    if batch := server.get("batch"):
        figures["datagrams_per_receive"] = _share(batch["received"], batch["receive_calls"])
        figures["datagrams_per_send"] = _share(batch["sent"], batch["send_calls"])
    if multishot := server.get("multishot"):
        figures |= {"multishot_armed": multishot["armed"], "multishot_receives": multishot["receives"]}
        figures["multishot_more_percent"] = _share(100.0 * multishot["more"], multishot["receives"])
    if zerocopy := server.get("zerocopy"):
        figures["zerocopy_sends"] = zerocopy["sends"]
        figures["zerocopy_done_percent"] = _share(100.0 * zerocopy["completed"], zerocopy["sends"])
        figures["zerocopy_copied_percent"] = _share(100.0 * zerocopy["copied"], zerocopy["completed"])
    return figures


def hints(client: Report, server: Report) -> list[str]:
    """What has to be known beside the figures: a way of sending that the kernel did not take, or tells nothing of."""
    told, zerocopy, txtime = [], server.get("zerocopy") or {}, client.get("txtime") or {}
    if zerocopy.get("completed") and zerocopy["copied"] == zerocopy["completed"]:
        told.append(
            "zerocopy: the kernel copied the bytes of every MSG_ZEROCOPY send all the same, as it does where the "
            "receiver is on this machine: its price is in the figures, its gain is not"
        )
    if txtime and not txtime["known"]:
        told.append(
            "txtime: nobody tells when requests left, for the client's device takes no time stamps of what it sends: "
            "nothing shows whether they were held back"
        )
    return told


def inert(client: Report, server: Report, laid_out: bool = False) -> list[str]:
    """Why what a workload asks for did nothing. laid_out: its server's threads were to have a NAPI's connections each.

    Of departure times: nobody on the way out held the requests back until then.
    """
    reasons = []
    if laid_out and not any(server.get("thread_napis") or ()):
        reasons.append(
            "server_layout: napi took no effect: no connection came by a NAPI (SO_INCOMING_NAPI_ID is 0), so that the "
            "kernel's hash handed them out"
        )
    txtime = client.get("txtime") or {}
    if not txtime.get("known") or txtime["early"] < _MOSTLY * txtime["known"]:
        return reasons
    return [
        *reasons,
        f"txtime took no effect: {txtime['early']} of {txtime['known']} requests left before their departure time, in "
        f"the median {-txtime['p50_ns'] / 1e3:.1f} us: the queueing discipline of the client's device does not look at "
        "SO_TXTIME, and sends at once; give the way out `qdisc: {kind: fq}`",
    ]


def waits(role: str, report: Report, requests: int | None) -> Metrics:
    """How often poll(), select() or epoll_wait() returned in one of our own programs, and to how many requests."""
    returns = report.get("waits")
    if not returns:
        return {}
    return {
        f"{role}_waits_per_request": _share(returns, requests or 0),
        f"{role}_empty_waits_percent": _share(100.0 * report["empty_waits"], returns),
    }


def work(client: Report, server: ProcessUsage, window_ns: int) -> Metrics:
    """What client and server process used of a CPU in the window, and how often they slept for each request.

    Our own client counts its usage over the measured requests; the server, and a client nobody modified, over all of
    the window's.
    """
    usage = client.get("usage") or {"cpu_ns": 0, "voluntary": 0, "involuntary": 0}
    own, settled = _counted(client)
    own_ns = window_ns if client.get("whole_life") else client.get("elapsed_ns", 0)
    figures: Metrics = {
        "client_cpu_percent": _share(100.0 * usage["cpu_ns"], own_ns),
        "server_cpu_percent": _share(100.0 * server.cpu_ns, window_ns),
        "cpu_us_per_request": None,
    }
    if own and settled:
        figures["cpu_us_per_request"] = (usage["cpu_ns"] / own + server.cpu_ns / settled) / 1e3
        figures["client_voluntary_per_request"] = usage["voluntary"] / own
        figures["server_voluntary_per_request"] = server.voluntary / settled
    return figures


def _counted(client: Report) -> tuple[int, int]:
    """The requests that the client's usage is of, and those that the server's in the window is of."""
    answered = client.get("answered", client.get("requests")) or 0
    settled = answered + (client.get("settle_requests") or 0)
    return (settled if client.get("whole_life") else answered), settled


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def of_samples(samples: npt.NDArray[Any] | None) -> Metrics:
    """The rtt_*, service_* and phase_* columns of one run's samples."""
    figures: Metrics = dict(stats.summarise(latencies(samples)))
    if samples is None:
        return figures
    names = samples.dtype.names or ()
    if "service_ns" in names:
        service = stats.summarise(samples["service_ns"])
        for quantile in ("p50", "p99", "p99_9"):
            figures[f"service_{quantile}_us"] = service[f"rtt_{quantile}_us"]
    return figures | {f"{name}_us": _mean_us(samples[name]) for name in names if name.startswith("phase_")}


def beside(client: Report, server: Report, used: ProcessUsage, window_ns: int) -> Metrics:
    """Columns of a workload that is measured beside the first, its name before theirs. client: with `timed` in it.

    used: what its server used in the window.
    """
    told = metrics(client)
    own: Metrics = {name: value for name, value in client["timed"].items() if name.startswith("rtt_")}
    own |= {name: told.get(name) for name in ("offered_rps", "late_percent", "throughput_bps")}
    own |= {"requests": client.get("answered", client.get("requests")), "lost": client.get("lost")}
    own["rate_rps"] = rate_rps(client)
    for role, report in (("client", client), ("server", server)):
        waited = waits(role, report, report.get("requests"))
        own[f"{role}_waits_per_request"] = waited.get(f"{role}_waits_per_request")
        own[f"{role}_voluntary_per_request"] = None
        own[f"{role}_napi_id"] = (report.get("napi_ids") or [0])[0]
    own |= work(client, used, window_ns)
    return {f"{client['name']}_{name}": value for name, value in own.items()}


def rate_rps(client: Report) -> float | None:
    """Answered requests per second; None for what has no requests."""
    answered, elapsed_ns = client.get("answered", client.get("requests")), client.get("elapsed_ns")
    return answered / elapsed_ns * 1e9 if answered is not None and elapsed_ns else None


def throughput_bps(client: Report) -> float | None:
    """Payload per second, both directions together; None where it is not told."""
    if client.get("throughput_bps") is not None:
        return float(client["throughput_bps"])
    elapsed_ns = client.get("elapsed_ns")
    if not elapsed_ns or "bytes_sent" not in client:
        return None
    return float(8e9 * (client["bytes_sent"] + client["bytes_received"]) / elapsed_ns)


def doubts(client: Report, checks: Checks, arrivals: str | float | None) -> list[str]:
    """Reasons not to believe an open loop: sends that were late, or missed, or of another rate than was offered."""
    figures = metrics(client)
    offered, achieved = figures["offered_rps"], figures["achieved_rps"]
    if offered is None:
        return []
    reasons = []
    sent, missed = figures["sent"] or 0, figures["missed"] or 0
    is_missing = missed > checks.max_missed_share * (sent + missed)
    if is_missing:
        reasons.append(
            f"the generator missed {missed} of {sent + missed} sends: it cannot offer {offered:g} requests/s here"
        )
    late = figures["late_percent"] or 0.0
    if late > 100 * checks.max_late_share:
        bound_us = (client.get("late_ns") or 0) / 1e3
        reasons.append(
            f"the generator sent {late:.1f} % of the requests more than {bound_us:g} us late; "
            f"limit {checks.max_late_share:.1%}"
        )
    if achieved is None or is_missing:
        return reasons
    # Where chance or bursts decide when requests are due, their own number is what was to be sent.
    is_even = arrivals in ("constant", None) or not sent
    due_rps = offered if is_even else achieved * (sent + missed) / sent
    # At a low rate one request more or less per thread is no error, but where the window happened to end.
    rounding = (client.get("threads") or 1) / sent if sent else 0.0
    if abs(achieved / due_rps - 1) > max(checks.max_rate_error, rounding):
        reasons.append(
            f"{achieved:.0f} requests/s were sent, {due_rps:.0f} were offered; limit {checks.max_rate_error:.1%}"
        )
    return reasons


def phase_doubts(figures: Metrics) -> list[str]:
    """A reason when the phases' means do not add up to the whole's."""
    parts = [value for name, value in figures.items() if name.startswith("phase_")]
    known = [value for value in parts if value is not None]
    whole = figures.get("rtt_mean_us")
    if not parts or whole is None:
        return []
    if len(known) < len(parts):
        return ["some phases are unknown: time stamps were not delivered"]
    total = sum(known)
    if abs(total - whole) > _PHASE_SUM_TOLERANCE * whole:
        return [f"the phases add up to {total:.2f} us, the round trips to {whole:.2f} us"]
    return []


def _departures(txtime: Report | None) -> Metrics:
    """Columns on when requests left that were to leave later; none where all were to leave at once."""
    if not txtime:
        return {}
    known = txtime["known"]
    return {
        "txtime_held_percent": _share(100.0 * (known - txtime["early"]), known),
        "txtime_late_p50_us": _us(txtime["p50_ns"]) if known else None,
        "txtime_late_p99_us": _us(txtime["p99_ns"]) if known else None,
    }


def _memcached(counts: Report | None) -> Metrics:
    """Columns from the client's count of memcached commands; none where it sent none."""
    if not counts:
        return {}
    gets = counts.get("gets") or 0
    return {
        "hit_percent": 100.0 * counts.get("hits", 0) / gets if gets else None,
        "get_percent": 100.0 * gets / (gets + counts["sets"]) if gets + counts.get("sets", 0) else None,
        "errors": counts.get("errors"),
    }


def _mean_us(phase_ns: npt.NDArray[Any]) -> float | None:
    known = np.asarray(phase_ns)[np.asarray(phase_ns) != _UNKNOWN_NS]
    return float(known.mean()) / 1e3 if known.size else None


def _us(value_ns: float | None) -> float | None:
    return None if value_ns is None else value_ns / 1e3
