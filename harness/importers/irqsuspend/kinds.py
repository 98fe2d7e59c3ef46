"""The campaign's kinds of files, each read into the parts of a run: load generator, server, CPUs and counters."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from harness.formats import NOT_USED, Line, Note
from harness.formats.text import amount, count, decimal, plain, ratio
from harness.importers.irqsuspend.names import Parts
from harness.store.record import KnobRow

Reader = Callable[[Iterator[Line], Parts, Note], None]

# Columns of the "#type" header by their names there: rtt_*_us. 5th and 10th have no column of ours.
_LATENCIES = {"avg": "mean", "std": "sd", "min": "min", "50th": "p50", "90th": "p90", "95th": "p95", "99th": "p99"}
_HEADER = ("avg", "std", "min", "5th", "10th", "50th", "90th", "95th", "99th")
_QPS = re.compile(r"Total QPS\s*=\s*(\S{1,60})(?: ?\( ?(\S{1,40}) ?/ ?([\d.,]{1,40}) ?s ?\))?")
_LOST = re.compile(r"^(Misses|Skipped TXs)\s*=\s*(\S{1,60})")
LOST = {"Misses": "were for keys that the server did not have", "Skipped TXs": "were due and never sent"}
"""Counts of requests that no latency stands for, as mutilate calls them, and what they mean."""

_DURATION = re.compile(r"\s-t\s+(\d{1,9})\s*$")
_TASKSET = re.compile(r"taskset\s+-c\s+([0-9,-]{1,200})")


def mutilate(lines: Iterator[Line], parts: Parts, note: Note) -> None:
    """Latencies of the `read` row, the rate, and requests that were lost."""
    header: tuple[str, ...] = _HEADER
    seen = {"read": False, "Total QPS": False}
    for line in lines:
        words = line.text.split()
        if words[:1] == ["#type"]:
            header = tuple(words[1:])
            line.use()
        elif words[:1] == ["read"]:
            seen["read"] = True
            _read_row(line, words[1:], header, parts, note)
        elif match := line.search(_QPS):
            seen["Total QPS"] = True
            _rate(line, match, parts, note)
        elif (match := line.search(_LOST)) and (number := count(match[2])):
            parts.lost[match[1]] = number
            note(line.number, f"{match[1]}: {number} requests {LOST[match[1]]}")
    for heading, there in seen.items():
        if not there:
            note(0, f"there is no line {heading}: it is not mutilate's output, or cut short")


def _read_row(line: Line, words: list[str], header: tuple[str, ...], parts: Parts, note: Note) -> None:
    line.use()
    if len(words) != len(header):
        note(line.number, f"the read row has {len(words)} numbers and its header {len(header)}")
        # A row cut short may end inside a number: the last one there is not to be trusted.
        words = words[:-1] if len(words) < len(header) else words[: len(header)]
    for name, text in zip(header, words, strict=False):
        value = amount(text)
        if value is None:
            note(line.number, f"{name} is {text[:40]!r}, which is no number")
        elif name in _LATENCIES:
            parts.run.metrics[f"rtt_{_LATENCIES[name]}_us"] = value
        else:
            note(line.number, f"{NOT_USED}{name} of the read row ({value:g})")


def _rate(line: Line, match: re.Match[str], parts: Parts, note: Note) -> None:
    parts.run.metrics["rate_rps"] = amount(match[1])
    if parts.run.metrics["rate_rps"] is None:
        note(line.number, f"Total QPS is {match[1][:40]!r}, which is no number")
    queries, seconds = count(match[2] or ""), amount(match[3] or "")
    if queries is None or seconds is None:
        note(line.number, "the line does not say how many queries were made in how long")
        return
    parts.queries = float(queries)
    parts.run.metrics |= {"requests": float(queries), "elapsed_s": seconds}


def memcached(lines: Iterator[Line], parts: Parts, note: Note) -> None:
    """The command lines: the server's CPU set and how long the run was to be."""
    known = False
    for line in lines:
        if match := line.search(_TASKSET):
            parts.server["cpu_set"] = match[1]
            known = True
        if "mutilate" in line.text and (match := line.search(_DURATION)):
            parts.run.workload["duration_s"] = float(match[1])
            known = True
    if not known:
        note(0, "it holds none of the campaign's command lines")


_SHARES = {"%usr": "user", "%sys": "system", "%soft": "softirq", "%irq": "irq", "%steal": "steal", "%idle": "idle"}
_KERNEL = re.compile(r"^Linux (\S{1,100}) ")
_NODENAME = re.compile(r"^Linux \S+ (\S{1,100}) ")
_SETTING = re.compile(
    r"^\s*\"?(gro_flush_timeout|napi_defer_hard_irqs|gro-flush-timeout|defer-hard-irqs|irq-suspend-timeout"
    r"|[rt]x-(?:usecs|frames))\"?:\s*(-?\w{1,40}),?"
)
_ADAPTIVE = re.compile(r"Adaptive RX:\s*(\w+)\s+TX:\s*(\w+)")


def sar(lines: Iterator[Line], parts: Parts, note: Note) -> None:
    """The shares of each CPU from the closing averages, whatever they are called in the file's language.

    Rows are read from the right: the time of day, or the word for "average", takes one or two words. Averages
    are the rows that do not begin with a time.
    """
    header: list[str] = []
    averages: dict[str, dict[str, float]] = {}
    for line in lines:
        words = line.text.split()
        if kernel := line.search(_KERNEL):
            parts.run.environment.setdefault("kernel", plain(kernel[1]))
        if "CPU" in words and "%idle" in words:
            header = words[words.index("CPU") :]
        elif header and words and not words[0][0].isdigit():
            _average(line, words, header, averages, note)
    if not averages:
        note(0, "it holds no averages: sar was cut short, or this is not its output")
        return
    # The row `all` is the mean of the others; it counts only where it is alone.
    single = {cpu: shares for cpu, shares in averages.items() if cpu != "all"}
    if single and "all" in averages:
        note(0, f"{NOT_USED}the averages of all CPUs together, beside those of each")
    parts.run.cpus |= {cpu: {**shares, "in_set": 1} for cpu, shares in (single or averages).items()}


def _average(
    line: Line, words: list[str], header: list[str], averages: dict[str, dict[str, float]], note: Note
) -> None:
    row = words[-len(header) :]
    cpu = row[0]
    if len(words) <= len(header) - 1 or not (cpu == "all" or (cpu.isascii() and cpu.isdigit())):
        note(line.number, "a line of averages is cut short")
        return
    line.use()
    others = [f"{name} {text}" for name, text in zip(header[1:], row[1:], strict=True) if name not in _SHARES]
    if others:
        note(line.number, f"{NOT_USED}{', '.join(others)} of the averages")
    values = {name: decimal(text) for name, text in zip(header, row, strict=True)}
    shares = {
        f"{ours}_share": value / 100
        for name, ours in _SHARES.items()
        if (value := values.get(name)) is not None and 0 <= value <= 100.5
    }
    if "idle_share" not in shares:
        note(line.number, f"%idle is {row[header.index('%idle')][:40]!r}, which is no share")
        return
    averages[cpu[:10]] = shares


def setup(lines: Iterator[Line], parts: Parts, note: Note) -> None:
    """Kernel, and the settings in force as they were read back: recorded as knobs that nobody verified."""
    values: dict[str, list[str]] = {}
    for line in lines:
        if kernel := line.search(_NODENAME):
            parts.run.environment["kernel"] = plain(kernel[1])
        if adaptive := _ADAPTIVE.match(line.text):
            values.setdefault("adaptive-rx", []).append(adaptive[1])
            values.setdefault("adaptive-tx", []).append(adaptive[2])
        if match := line.search(_SETTING):
            values.setdefault(match[1], []).append(match[2])
    if not values:
        note(0, "it names none of the settings of the campaign")
    for name, met in values.items():
        knob = "ethtool_coalesce" if name.startswith(("rx-", "tx-", "adaptive-")) else "coalesce"
        # Per-NAPI settings come once per NAPI; usually they are all the same.
        value = plain(" ".join(dict.fromkeys(met)))
        evidence = "read back before the run, by the setup file; not observed in effect"
        parts.run.knobs.append(KnobRow("server", knob, name, "device", "", "", value, None, evidence))


_PERF = re.compile(r"^\s*(\d[\d.,'’\u00a0\u202f ]{0,30}?|<not [a-z ]{1,20}>)\s{2,}([A-Za-z_.:/-]{1,60})")
_WINDOW = re.compile(r"^\s*([\d.,]+)\s+seconds time elapsed")
_EVENTS = {"cycles": "cycles_count", "instructions": "instructions_count"}
_TOTAL = re.compile(r"^total\s+(\d+)\s+(\d+)\s+(\d+)\s*$")
_TCP = re.compile(r"^[^:]{1,100}: sent\s+(\d+) \| retrans\s+(\d+) \| timeout\s+(\d+)")
_STAT = re.compile(r"STAT (\w{1,40}) (\S{1,40})\s*$")
_STATS = {
    "rusage_user": "memcached_user_s",
    "rusage_system": "memcached_system_s",
    "conn_yields": "memcached_yields_count",
    "get_misses": "memcached_misses_count",
}
_POLL = re.compile(r"^@\[(\d{1,9})\]:\s*(\d{1,18})\s*$")
_EPOLL = re.compile(r"^\{.*\bret:\s*(-?\d{1,9})\s*\}\s*hitcount:\s*(\d{1,18})\s*$")


def perf(lines: Iterator[Line], parts: Parts, note: Note) -> None:
    """Cycles and instructions of the CPU set, and for how long they were counted."""
    for line in lines:
        if match := line.search(_WINDOW):
            parts.server["perf_window_s"] = amount(match[1])
        elif (match := _PERF.match(line.text)) and (name := _EVENTS.get(match[2].partition(":")[0])):
            line.search(_PERF)
            parts.server[name] = count(match[1].strip())
            if parts.server[name] is None:
                note(line.number, f"{match[2]} is {match[1].strip()[:40]!r}, which is no count")
    missing = [name for name in (*_EVENTS.values(), "perf_window_s") if parts.server.get(name) is None]
    if missing:
        note(0, f"it does not give {' or '.join(missing)}; cost per query stays blank")


def irq(lines: Iterator[Line], parts: Parts, note: Note) -> None:
    """Interrupts and packets of the server's NIC during the run, from the line of totals."""
    total = None
    for line in lines:
        if match := line.search(_TOTAL):
            if total:
                note(line.number, f"{NOT_USED}an earlier line of totals ({', '.join(total.groups())})")
            total = match
    if total is None:
        note(0, "there is no line of totals")
        return
    names = ("interrupts_count", "rx_packets_count", "tx_packets_count")
    parts.server |= {name: count(text) for name, text in zip(names, total.groups(), strict=True)}


def tcp(lines: Iterator[Line], parts: Parts, note: Note) -> None:
    """Segments sent, sent again, and time-outs, over all clients."""
    sums = [0, 0, 0]
    hosts = 0
    for line in lines:
        if match := line.search(_TCP):
            hosts += 1
            sums = [total + (count(text) or 0) for total, text in zip(sums, match.groups(), strict=True)]
        elif line.text.strip():
            note(line.number, "the line is not HOST: sent N | retrans N | timeout N")
    if not hosts:
        note(0, "it counts no client")
        return
    names = ("sent_segments_count", "retransmits", "timeouts_count")
    parts.clients |= dict(zip(names, sums, strict=True))
    parts.run.metrics["retransmits"] = float(sums[1])


def stats(lines: Iterator[Line], parts: Parts, note: Note) -> None:
    """The server's own account: CPU time, yields, misses (whole life of the process, not of the run)."""
    seen = False
    for line in lines:
        if match := _STAT.match(line.text):
            seen = True
            if name := _STATS.get(match[1]):
                line.search(_STAT)
                parts.server[name] = amount(match[2])
    if not seen:
        note(0, "it holds no STAT line")


def mean_of(pattern: re.Pattern[str], name: str) -> Reader:
    """A reader of a histogram, value and how often on every line: its mean as column `name` of the server."""

    def read(lines: Iterator[Line], parts: Parts, note: Note) -> None:
        pairs = [(int(match[1]), int(match[2])) for line in lines if (match := line.search(pattern))]
        total, weight = sum(value * often for value, often in pairs), sum(often for _, often in pairs)
        parts.server[name] = ratio(float(total), float(weight))
        if not weight:
            note(0, "its histogram is empty")

    return read


READERS: dict[str, Reader] = {
    "mutilate": mutilate,
    "memcached": memcached,
    "sar": sar,
    "perf": perf,
    "irq": irq,
    "tcp": tcp,
    "setup": setup,
    "stats": stats,
    # Packets of a NAPI poll, and events of an epoll_wait that returned.
    "poll": mean_of(_POLL, "napi_poll_mean_packets"),
    "epoll": mean_of(_EPOLL, "epoll_mean_events"),
}
"""What reads each kind of file into the parts of a run."""
