"""iperf3's JSON output (-J, and --json-stream): throughput, losses, CPU; its TCP RTT is the kernel's estimate."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from harness.importers.each import Note, another, read_each
from harness.importers.files import Files, Line, plain
from harness.importers.model import Format, Head, ImportedRun, Options, Reading

MAX_CHARACTERS = 256 << 20


class Iperf3(Format):
    """One run per JSON document; a file may hold several."""

    name = "iperf3"
    title = "iperf3 client or server JSON (-J, --json-stream)"

    def sniff(self, head: Head) -> bool:
        """By the version in the `start` part."""
        return head.text.lstrip("\ufeff \t\r\n").startswith("{") and (
            '"iperf 3' in head.text or '"tcp_mss_default"' in head.text
        )

    def read(self, files: Files, options: Options) -> Reading:
        """One run per document."""
        reading = Reading()
        reading.converted(
            "iperf3 measures no request latency: tcp_rtt_*_us is the sending kernel's smoothed estimate"
        )
        return read_each(files, options, reading, _parse, self.sniff, in_lines=False)


def _parse(run: ImportedRun, lines: Iterator[Line], note: Note) -> list[ImportedRun]:
    runs = [run]
    for number, document in enumerate(_documents(lines, note), 1):
        if number > 1:
            runs.append(another(run, number))
        _fill(runs[-1], document)
    return runs[1:]


def _documents(lines: Iterator[Line], note: Note) -> Iterator[dict[str, Any]]:
    text = _text(lines, note)
    decoder = json.JSONDecoder(parse_constant=lambda _: None)
    at, stream = 0, {}  # type: tuple[int, dict[str, Any]]
    while (at := _skip_blank(text, at)) < len(text):
        try:
            document, at = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            note(text.count("\n", 0, at) + 1, f"not JSON from here on: {error}")
            break
        if not isinstance(document, dict):
            note(0, "a JSON value in it is no document of iperf3")
        elif "event" in document:
            # --json-stream: one line per part, `end` last.
            stream[str(document["event"])] = document.get("data")
            if document["event"] == "end":
                yield stream
                stream = {}
        else:
            yield document
    if stream:
        note(0, "the stream of events ends before the run does")
        yield stream


def _text(lines: Iterator[Line], note: Note) -> str:
    pieces, size = [], 0
    for line in lines:
        pieces.append(line.text)
        size += len(line.text) + 1
        if size > MAX_CHARACTERS:
            note(line.number, "the file is too large; its end is left out")
            break
    return "\n".join(pieces).lstrip("\ufeff")


def _skip_blank(text: str, at: int) -> int:
    while at < len(text) and text[at] in " \t\r\n\0":
        at += 1
    return at


def _fill(run: ImportedRun, document: dict[str, Any]) -> None:
    run.workload["kind"] = "iperf3"
    test = _part(document, "start", "test_start")
    if isinstance(protocol := test.get("protocol"), str):
        run.workload["protocol"] = plain(protocol.lower(), 20)
    run.workload |= {
        ours: value
        for name, ours in (("blksize", "size_bytes"), ("duration", "duration_s"))
        if (value := _number(test, name)) is not None
    }
    seconds = _number(_part(document, "start", "timestamp"), "timesecs")
    if seconds is not None and 0 <= seconds < 2**33:
        run.started_utc = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    system = _part(document, "start").get("system_info")
    if isinstance(system, str) and len(words := system.split()) > 2 and words[0] == "Linux":
        run.environment["kernel"] = plain(words[2], 80)
    _metrics(run, _part(document, "end"))
    # An error comes with whatever was measured before it.
    if document.get("error"):
        reason = f"iperf3: {plain(str(document['error']))}"
        (run.doubt if run.metrics.get("throughput_bps") is not None else run.fail)(reason)


def _metrics(run: ImportedRun, end: dict[str, Any]) -> None:
    received = _part(end, "sum_received") or _part(end, "sum")
    sent = _part(end, "sum_sent") or _part(end, "sum")
    cpu = _part(end, "cpu_utilization_percent")
    jitter = _number(received, "jitter_ms")
    found = {
        "throughput_bps": _number(received, "bits_per_second"),
        "elapsed_s": _number(received, "seconds"),
        "retransmits": _number(sent, "retransmits"),
        "lost": _number(received, "lost_packets"),
        "lost_percent": _number(received, "lost_percent"),
        "udp_jitter_us": None if jitter is None else 1e3 * jitter,
        "client_cpu_percent": _number(cpu, "host_total"),
        "server_cpu_percent": _number(cpu, "remote_total"),
    }
    streams = end.get("streams")
    senders = (
        [_part(each, "sender") for each in streams if isinstance(each, dict)]
        if isinstance(streams, list)
        else []
    )
    for name, how in (("min", min), ("mean", None), ("max", max)):
        # A receiver does not know the sender's RTT and writes 0.
        values = [value for each in senders if (value := _number(each, f"{name}_rtt"))]
        if values:
            found[f"tcp_rtt_{name}_us"] = how(values) if how else sum(values) / len(values)
    run.metrics |= {name: value for name, value in found.items() if value is not None}


def _part(document: Any, *path: str) -> dict[str, Any]:
    """A nested mapping; empty where there is none."""
    for name in path:
        document = document.get(name) if isinstance(document, dict) else None
    return document if isinstance(document, dict) else {}


def _number(part: dict[str, Any], name: str) -> float | None:
    value = part.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, int) and value.bit_length() > 200:
        return None
    return float(value) if 0 <= value < float("inf") else None
