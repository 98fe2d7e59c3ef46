"""sockperf clients' output: the summary on the terminal, and the file that --full-log writes."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator

import numpy as np

from harness import stats
from harness.importers.each import Note, read_each
from harness.importers.figures import amount, decimal, share
from harness.importers.files import Files, Line
from harness.importers.model import Basis, Format, Head, ImportedRun, Options, Reading
from harness.importers.quantiles import put
from harness.store import SAMPLE_DTYPE

_NUMBER = r"([-\d.,]{1,40})"
_AVERAGE = re.compile(rf"avg-(latency|rtt|lat)=\s*{_NUMBER}(?:\s*\(std-dev=\s*{_NUMBER})?")
_VALID = re.compile(
    rf"\[Valid Duration\] RunTime={_NUMBER} sec;.*SentMessages=(\d{{1,18}}); ReceivedMessages=(\d{{1,18}})"
)
_LOST = re.compile(r"# dropped messages = (\d{1,18}); # duplicated messages = (\d{1,18})")
_PERCENTILE = re.compile(rf"---> percentile\s+{_NUMBER}\s*=\s*{_NUMBER}")
_EXTREME = re.compile(rf"---> <(MAX|MIN)> observation\s*=\s*{_NUMBER}")
_PARAMETERS = re.compile(r"--msg-size=(\d{1,9})")
_PROTOCOL = re.compile(r"PORT = \d+ +# (TCP|UDP)")
_RATE = re.compile(rf"Message Rate is {_NUMBER} \[msg/sec\]")
_BANDWIDTH = re.compile(rf"BandWidth is {_NUMBER} MBps")
_TROUBLE = re.compile(r"No messages were received|\bERROR\b|errno=", re.IGNORECASE)
_HEADER = re.compile(r"packet, txTime\(sec\), rxTime\(sec\), (latency|rtt)\(usec\)")
_NAMES = {50.0: "p50", 90.0: "p90", 95.0: "p95", 99.0: "p99", 99.9: "p99_9", 99.99: "p99_99"}
# sockperf's "MBps" are 2^20 bytes: rate x message size says so.
_MIB_BITS = 8 * 1024 * 1024


class Sockperf(Format):
    """One client run per file."""

    name = "sockperf"
    title = "sockperf client output: summary, or the file of --full-log; half round trips are doubled"

    def sniff(self, head: Head) -> bool:
        """By the program's name on its lines."""
        return "sockperf: " in head.text or bool(_HEADER.search(head.text))

    def read(self, files: Files, options: Options) -> Reading:
        """One run per file; a summary whose full log is there as well is left out, with a finding."""
        reading = Reading()
        reading.converted(
            "sockperf latency is half a round trip and was doubled, unless it ran with --full-rtt"
        )
        reading.converted("sockperf percentiles with fewer than 10 observations beyond them are left blank")
        read_each(files, options, reading, _parse, self.sniff)
        _drop_doubles(reading)
        return reading


class _Summary:
    """What the summary lines said; latencies as printed."""

    def __init__(self) -> None:
        self.values: dict[str, float | None] = {}
        self.basis: Basis = "half-rtt"
        self.servers = 0


def _parse(run: ImportedRun, lines: Iterator[Line], note: Note) -> None:
    found = _Summary()
    run.workload["kind"] = "sockperf"
    for line in lines:
        if header := _HEADER.search(line.text):
            found.basis = "rtt" if header[1] == "rtt" else "half-rtt"
            _full_log(run, lines, found.basis, note)
            break
        if "Printing statistics for Server No" in line.text:
            found.servers += 1
            if found.servers == 2:
                note(line.number, "statistics of a second server; only the first's are taken")
        if found.servers < 2:
            _summary_line(run, line, found)
    _finish(run, found)


def _summary_line(run: ImportedRun, line: Line, found: _Summary) -> None:
    text = line.text
    if match := _AVERAGE.search(text):
        found.basis = "rtt" if match[1] == "rtt" else "half-rtt"
        found.values |= {"mean": amount(match[2]), "sd": amount(match[3] or "")}
    elif match := _PERCENTILE.search(text):
        if name := _NAMES.get(decimal(match[1]) or 0.0):
            found.values[name] = amount(match[2])
    elif match := _EXTREME.search(text):
        found.values[match[1].lower()] = amount(match[2])
    elif match := _VALID.search(text):
        elapsed, received = amount(match[1]), float(match[3])
        run.metrics |= {"elapsed_s": elapsed, "requests": received, "rate_rps": share(received, elapsed)}
    elif match := _LOST.search(text):
        run.metrics |= {"lost": float(match[1]), "duplicates": float(match[2])}
    elif match := _RATE.search(text):
        run.metrics["messages_pps"] = amount(match[1])
    elif match := _BANDWIDTH.search(text):
        mebibytes = amount(match[1])
        run.metrics["throughput_bps"] = None if mebibytes is None else mebibytes * _MIB_BITS
    elif _TROUBLE.search(text):
        run.reasons.append(text.strip()[:200])
    if match := _PROTOCOL.search(text):
        run.workload["protocol"] = match[1].lower()
    if match := _PARAMETERS.search(text):
        run.workload["size_bytes"] = float(match[1])


def _full_log(run: ImportedRun, lines: Iterator[Line], basis: Basis, note: Note) -> None:
    """Every request: sent when, and its round trip. Doubling leaves steps of 2 ns."""
    sent, trips = array("d"), array("d")
    bad = 0
    for line in lines:
        fields = line.text.split(", ")
        if line.text.startswith("-----") or not line.text.strip():
            continue
        send, trip = (_seconds(fields[1]), _seconds(fields[3])) if len(fields) == 4 else (None, None)
        if send is None or trip is None or not 0 <= trip < 1e12 or not abs(send) < 1e12:
            bad += 1
            if bad == 1:
                note(line.number, "the row is not packet, txTime, rxTime, latency; such rows are left out")
            continue
        sent.append(send)
        trips.append(trip)
    if bad > 1:
        note(0, f"{bad} rows of the full log are left out")
    if not trips:
        note(0, "the full log holds no rows")
        return
    samples = np.empty(len(trips), dtype=SAMPLE_DTYPE)
    times = np.frombuffer(sent)
    samples["intended_ns"] = np.clip(np.rint((times - times.min()) * 1e9), 0, 2**62)
    samples["latency_ns"] = np.clip(
        np.rint(np.frombuffer(trips) * (1e3 if basis == "rtt" else 2e3)), 0, 2**62
    )
    run.samples = samples


def _seconds(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return decimal(text)


def _finish(run: ImportedRun, found: _Summary) -> None:
    if run.samples is not None:
        run.metrics["requests"] = float(len(run.samples))
        run.metrics |= stats.summarise(run.samples["latency_ns"])
        run.environment["latency_basis"] = "rtt" if found.basis == "rtt" else "half round trip, doubled"
    elif found.values:
        put(run, found.values, found.basis, run.metrics.get("requests"))
    troubles, run.reasons = run.reasons, []
    if not any(value is not None for value in run.metrics.values()):
        if troubles:
            run.fail("; ".join(troubles[:3]))
    elif troubles:
        run.doubt("; ".join(troubles[:3]))


def _drop_doubles(reading: Reading) -> None:
    """The summary of a run also heads its full log: one run, kept with its samples."""
    logs = {_print(run): run for run in reading.runs if run.samples is not None}
    kept = []
    for run in reading.runs:
        twin = logs.get(_print(run))
        if run.samples is None and twin is not None and run.metrics.get("requests"):
            reading.note(run.key, 0, f"the same run as {twin.key}, which has every request; left out")
            if twin.case == run.case:
                twin.block = min(twin.block, run.block)
        else:
            kept.append(run)
    reading.runs[:] = kept


def _print(run: ImportedRun) -> tuple[float | None, ...]:
    """What two records of the same run agree in."""
    maximum = run.metrics.get("rtt_max_us")
    counts = (run.metrics.get(name) for name in ("requests", "elapsed_s", "lost"))
    return *counts, None if maximum is None else round(maximum, 1)
