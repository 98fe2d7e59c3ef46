"""iperf3's JSON output (-J, and --json-stream): throughput, losses, CPU; its TCP RTT is the kernel's estimate."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from harness.formats.model import Format, Head, Note, ReadOptions, Result
from harness.formats.text import Line, plain

MAX_CHARACTERS = 256 << 20
Json = dict[str, Any]


class Iperf3Json(Format):
    """One run per JSON document; a file may hold several."""

    name = "iperf3"
    title = "iperf3 client or server JSON (-J, --json-stream)"
    one_run = "a JSON document"
    conversions = ("iperf3 measures no request latency: tcp_rtt_*_us is the sending kernel's smoothed estimate",)
    tells_its_end = True

    def sniff(self, head: Head) -> bool:
        """By the version in the `start` part."""
        return head.text.lstrip("\ufeff \t\r\n").startswith("{") and (
            '"iperf 3' in head.text or '"tcp_mss_default"' in head.text
        )

    def parse(self, lines: Iterator[Line], note: Note, options: ReadOptions) -> Iterator[Result]:
        """One result per JSON document, or per stream of events."""
        return map(_result, _documents(lines, note))


def _documents(lines: Iterator[Line], note: Note) -> Iterator[Json]:
    text = _text(lines, note)
    decoder = json.JSONDecoder(parse_constant=lambda _: None)
    at = 0
    stream: Json = {}
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


def _result(document: Json) -> Result:
    result = Result(workload={"kind": "iperf3"})
    test = _part(document, "start", "test_start")
    if isinstance(protocol := test.get("protocol"), str):
        result.workload["protocol"] = plain(protocol.lower(), 20)
    result.workload |= _known(size_bytes=_number(test, "blksize"), duration_s=_number(test, "duration"))
    seconds = _number(_part(document, "start", "timestamp"), "timesecs")
    if seconds is not None and 0 <= seconds < 2**33:
        result.started_utc = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    system = _part(document, "start").get("system_info")
    if isinstance(system, str) and len(words := system.split()) > 2 and words[0] == "Linux":
        result.environment["kernel"] = plain(words[2], 80)
    result.metrics |= _metrics(document)
    # An error comes with whatever was measured before it.
    if document.get("error"):
        reason = f"iperf3: {plain(str(document['error']))}"
        (result.doubt if result.metrics.get("throughput_bps") is not None else result.fail)(reason)
    return result


def _metrics(document: Json) -> dict[str, float]:
    end = _part(document, "end")
    received = _part(end, "sum_received") or _part(end, "sum")
    sent = _part(end, "sum_sent") or _part(end, "sum")
    if document.get("error") and not received.get("bits_per_second"):
        # A client that was stopped half-way never heard what the server received.
        received = received | _of_intervals(document)
    cpu = _part(end, "cpu_utilization_percent")
    jitter_ms = _number(received, "jitter_ms")
    return _known(
        throughput_bps=_number(received, "bits_per_second"),
        elapsed_s=_number(received, "seconds"),
        retransmits=_number(sent, "retransmits"),
        lost=_number(received, "lost_packets"),
        lost_percent=_number(received, "lost_percent"),
        udp_jitter_us=None if jitter_ms is None else 1e3 * jitter_ms,
        client_cpu_percent=_number(cpu, "host_total"),
        server_cpu_percent=_number(cpu, "remote_total"),
        **_tcp_rtt(end.get("streams")),
    )


def _of_intervals(document: Json) -> Json:
    """Mean rate and length of the intervals that count; empty without any."""
    intervals = document.get("intervals")
    sums = [_part(interval, "sum") for interval in intervals] if isinstance(intervals, list) else []
    counted = [part for part in sums if not part.get("omitted")]
    seconds = sum(_number(part, "seconds") or 0.0 for part in counted)
    bits = 8 * sum(_number(part, "bytes") or 0.0 for part in counted)
    return {"seconds": seconds, "bits_per_second": bits / seconds} if bits and seconds else {}


def _tcp_rtt(streams: object) -> dict[str, float]:
    """Over the streams' senders. A receiver does not know the sender's RTT and writes 0."""
    senders = [_part(stream, "sender") for stream in streams] if isinstance(streams, list) else []
    estimates: dict[str, float] = {}
    for name in ("min", "mean", "max"):
        values = [value for sender in senders if (value := _number(sender, f"{name}_rtt"))]
        if values:
            whole = {"min": min(values), "mean": sum(values) / len(values), "max": max(values)}
            estimates[f"tcp_rtt_{name}_us"] = whole[name]
    return estimates


def _known(**numbers: float | None) -> dict[str, float]:
    """The numbers without those that are missing."""
    return {name: number for name, number in numbers.items() if number is not None}


def _part(document: object, *path: str) -> Json:
    """A nested mapping; empty where there is none."""
    for name in path:
        document = document.get(name) if isinstance(document, dict) else None
    return document if isinstance(document, dict) else {}


def _number(part: Json, name: str) -> float | None:
    value = part.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if isinstance(value, int) and value.bit_length() > 200:
        return None
    return float(value) if 0 <= value < float("inf") else None
