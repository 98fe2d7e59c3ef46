"""iperf3's JSON output (-J, and --json-stream): throughput, losses, CPU; its TCP RTT is the kernel's estimate."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from harness.formats.jsontext import Json, documents
from harness.formats.model import NOT_USED, Format, Head, Note, ReadOptions, Result
from harness.formats.text import Line, plain

# What is on its way when a test ends is never counted, and is no loss.
_UNCOUNTED = 0.01
NOTHING_CAME = "iperf3: nothing of what was sent arrived"


class Iperf3Json(Format):
    """One run per JSON document; a file may hold several."""

    name = "iperf3"
    title = "iperf3 client or server JSON (-J, --json-stream)"
    one_run = "a JSON document"
    tried = "3.12 and 3.21; 3.1 by look-alikes"
    unknown = "any request's latency; the CPU of the other end, in a server's output"
    conversions = (
        "iperf3 measures no request latency: tcp_rtt_*_us is the sending kernel's smoothed estimate",
        "throughput is what the receiver got, or the sender's figure where the output has no other (see measured_by)",
    )
    tells_its_end = True
    accounts = True

    def sniff(self, head: Head) -> bool:
        """By the version in the `start` part."""
        return head.text.lstrip("\ufeff \t\r\n").startswith("{") and (
            '"iperf 3' in head.text or '"tcp_mss_default"' in head.text
        )

    def parse(self, lines: Iterator[Line], note: Note, options: ReadOptions) -> Iterator[Result]:
        """One result per JSON document, or per stream of events."""
        for document in _runs(lines, note):
            yield _result(document, note)
            document.unused(note)


def _runs(lines: Iterator[Line], note: Note) -> Iterator[Json]:
    """Whole documents, and streams of events put together; a document that repeats the stream before it is left out."""
    stream: dict[str, object] = {}
    last: dict[str, object] = {}
    for document in documents(lines, note):
        if not isinstance(document, dict):
            note(0, "a JSON value in it is no document of iperf3")
        elif "event" in document:
            # --json-stream: one line per part, `end` last; of the many intervals only their kind counts.
            event = str(document["event"])
            if event == "interval":
                intervals = stream.setdefault("intervals", [])
                assert isinstance(intervals, list)
                intervals.append(document.get("data"))
            else:
                stream[event] = document.get("data")
            if event == "end":
                yield Json(stream)
                stream, last = {}, stream
        elif last and (last.get("start"), last.get("end")) == (document.get("start"), document.get("end")):
            note(0, "the document at the end repeats the stream of events before it (--json-stream-full-output)")
            last = {}
        else:
            yield Json(document)
    if stream:
        note(0, "the stream of events ends before the run does")
        yield Json(stream)


def _result(document: Json, note: Note) -> Result:
    result = Result(workload={"kind": "iperf3"})
    _describe(result, document)
    at_server = _at_server(document)
    result.metrics |= _known(**_metrics(result, document, at_server, note))
    if _bidirectional(document):
        note(0, "both directions at once: throughput_bps is client to server, reverse_throughput_bps the other")
    # An error comes with whatever was measured before it.
    if error := document.text("error"):
        reason = f"iperf3: {error}"
        (result.doubt if result.metrics.get("throughput_bps") is not None else result.fail)(reason)
    elif not at_server:
        for suffix in ("", "_bidir_reverse"):
            sent, received = (document.at("end", f"sum_{end}{suffix}").number("bytes") for end in ("sent", "received"))
            if sent and received == 0:
                result.fail(NOTHING_CAME)
    return result


def _describe(result: Result, document: Json) -> None:
    """What the test was, where and when."""
    start = document.at("start")
    test = start.at("test_start")
    if protocol := test.text("protocol"):
        result.workload["protocol"] = plain(protocol.lower(), 20)
    streams, duration = test.number("num_streams"), test.number("duration")
    facts = _known(size_bytes=test.number("blksize"), duration_s=duration, connections=streams)
    rate = test.number("target_bitrate") or start.number("target_bitrate")
    facts |= _known(warmup_s=test.number("omit"), rate_bps=rate)
    # 0 stands for no limit.
    result.workload |= {name: value for name, value in facts.items() if value or name == "warmup_s"}
    if test or start.at("connected"):
        both = _bidirectional(document)
        reverse = None if both else test.number("reverse")
        known = reverse is not None or both
        way = "both" if both else "server to client" if reverse else "client to server"
        result.workload |= {"direction": way} if known else {}
    seconds = start.number("timestamp", "timesecs")
    if seconds is not None and seconds < 2**33:
        result.started_utc = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    # Only the release is taken of it, so that it stays among what was not used.
    words = str(start.at("system_info").value).split()
    if len(words) > 2 and words[0] == "Linux":
        result.environment["kernel"] = plain(words[2], 80)
    if version := start.text("version"):
        result.environment["program_version"] = version


def _bidirectional(document: Json) -> bool:
    end, test = document.at("end"), document.at("start", "test_start")
    return bool(test.number("bidirectional")) or any(name.endswith("_bidir_reverse") for name in end.names())


def _at_server(document: Json) -> bool:
    """Is this the server's account? It names whom it accepted, a client whom it connected to."""
    start = document.at("start")
    return bool(start.at("accepted_connection")) and not start.at("connecting_to")


def _metrics(result: Result, document: Json, at_server: bool, note: Note) -> dict[str, float | None]:
    end = document.at("end")
    sent, received, measured_by = _halves(document)
    rate, seconds = _rate(document, received, measured_by, note)
    if not received.number("bits_per_second") and rate and "direction" in result.workload:
        # Intervals are those of the end that wrote the document.
        sends = at_server == (result.workload["direction"] == "server to client")
        measured_by = "sender" if sends else "receiver"
    if measured_by and rate is not None:
        result.environment["measured_by"] = measured_by
    # A sender counts no losses: its zero says nothing. The one sum of old versions has the receiver's count.
    counts = measured_by == "receiver" or received.path.endswith("sum")
    lost = received if counts else Json(None)
    whole = counts and told_whole(result, sent.number("packets"), received.number("packets"))
    jitter_ms = lost.number("jitter_ms")
    cpu = end.at("cpu_utilization_percent")
    # A server hears nothing of its client's CPU, and writes 0.
    local, remote = cpu.number("host_total"), cpu.number("remote_total") or None
    resent = [value for name in ("", "_bidir_reverse") if (value := _resent(end, sent, name)) is not None]
    back, sent_back = end.at("sum_received_bidir_reverse"), end.at("sum_sent_bidir_reverse")
    whole_back = told_whole(result, sent_back.number("packets"), back.number("packets"))
    back = back if back.number("bits_per_second") else sent_back
    return {
        "throughput_bps": rate,
        "reverse_throughput_bps": back.number("bits_per_second"),
        "reverse_lost_percent": back.number("lost_percent") if whole_back else None,
        "elapsed_s": seconds,
        "retransmits": sum(resent) if resent else None,
        "lost": lost.number("lost_packets") if whole else None,
        "lost_percent": lost.number("lost_percent") if whole else None,
        "udp_jitter_us": None if jitter_ms is None else 1e3 * jitter_ms,
        "client_cpu_percent": remote if at_server else local,
        "server_cpu_percent": local if at_server else remote,
        **_tcp_rtt(end, note),
    }


def told_whole(result: Result, sent: float | None, counted: float | None) -> bool:
    """Does the receiver's count, of datagrams that came or are missing before the last that came, reach those sent?"""
    if not sent or not counted or sent - counted <= _UNCOUNTED * sent:
        return True
    result.doubt(
        f"iperf3: of {sent:.0f} datagrams that were sent the last {sent - counted:.0f} are counted neither as received "
        "nor as lost: its losses are of those before the last one that came"
    )
    return False


def _resent(end: Json, sent: Json, suffix: str) -> float | None:
    return (end.at(f"sum_sent{suffix}") if suffix else sent).number("retransmits")


def _halves(document: Json) -> tuple[Json, Json, str]:
    """What was sent, what was received as far as anybody said so, and whose figure the latter is."""
    end = document.at("end")
    sent, received, whole = end.at("sum_sent"), end.at("sum_received"), end.at("sum")
    if received.number("bits_per_second"):
        return sent or whole, received, "receiver"
    if document.at("error") and not (sent.number("bits_per_second") or whole.number("bits_per_second")):
        return sent or whole, received or whole, ""
    if sent.number("bits_per_second"):
        return sent, sent, "sender"
    return whole, whole or received, "sender" if whole else ""


def _rate(document: Json, received: Json, measured_by: str, note: Note) -> tuple[float | None, float | None]:
    """Bits and seconds: of the end, else over the intervals of a run that was stopped half-way."""
    rate, seconds = received.number("bits_per_second"), received.number("seconds")
    if not rate:
        return _of_intervals(document) or (rate, seconds)
    packets, lost = received.number("packets"), received.number("lost_packets")
    if measured_by == "sender" and rate and packets and lost:
        note(0, "the rate is the sender's; what arrived is that less the share of its packets that was lost")
        rate *= max(0.0, 1 - lost / packets)
    return rate, seconds


def _of_intervals(document: Json) -> tuple[float, float] | None:
    """Mean rate and length of the intervals that count; None without any."""
    sums = [interval.at("sum") for interval in document.at("intervals").items()]
    counted = [part for part in sums if not part.flag("omitted")]
    seconds = sum(part.number("seconds") or 0.0 for part in counted)
    bits = 8 * sum(part.number("bytes") or 0.0 for part in counted)
    return (bits / seconds, seconds) if bits and seconds else None


def _tcp_rtt(end: Json, note: Note) -> dict[str, float | None]:
    """Over the streams that this end sends. A receiver does not know the sender's RTT: it writes 0, or its own."""
    senders = [sender for stream in end.at("streams").items() if (sender := stream.at("sender"))]
    here = [sender for sender in senders if sender.flag("sender") is not False]
    if here and len(here) < len(senders):
        note(0, f"{NOT_USED}min_rtt, mean_rtt and max_rtt of the streams that this end receives")
    senders = here
    estimates: dict[str, float | None] = {}
    for name in ("min", "mean", "max"):
        values = [value for sender in senders if (value := sender.number(f"{name}_rtt"))]
        if values:
            whole = {"min": min(values), "mean": sum(values) / len(values), "max": max(values)}
            estimates[f"tcp_rtt_{name}_us"] = whole[name]
    if len(senders) > 1:
        note(0, f"{NOT_USED}min_rtt and max_rtt of single streams; those of all are there")
    return estimates


def _known(**numbers: float | None) -> dict[str, float]:
    """The numbers without those that are missing."""
    return {name: number for name, number in numbers.items() if number is not None}
