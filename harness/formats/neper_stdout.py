"""neper's own report on its standard output: KEY=VALUE lines, whole-run quantiles among them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.formats.latency import put_latencies
from harness.formats.model import NOT_USED, Format, Head, Note, ReadOptions, Result
from harness.formats.neper import QUANTILES
from harness.formats.text import Line, amount, ratio

_PAIR = re.compile(r"([A-Za-z][A-Za-z0-9_.]{0,60})=(\S{1,80})\s*")
_LATENCY = {"latency_min": "min", "latency_mean": "mean", "latency_stddev": "sd", "latency_max": "max"}
_LATENCY |= {f"latency_{name}": ours for name, ours in QUANTILES.items()}
_CPU = ("utime_start", "utime_end", "stime_start", "stime_end")
_READ = {*_LATENCY, *_CPU, "num_transactions", "throughput", "throughput_units", "remote_throughput"}
_READ |= {"time_start", "time_end", "total_run_time", "num_flows", "num_threads", "request_size", "response_size"}
_READ |= {"VERSION", "client"}
_DECIMAL = {"": 0, "k": 3, "K": 3, "M": 6, "G": 9, "T": 12}
_UNITS = {f"{prefix}bit/s": 10.0**power for prefix, power in _DECIMAL.items()}
_UNITS |= {f"{prefix}B/s": 8.0 * 2**power for prefix, power in (("", 0), ("K", 10), ("M", 20), ("G", 30))}


class NeperStdout(Format):
    """One run per file."""

    name = "neper-stdout"
    title = "neper's KEY=VALUE report (tcp_rr, tcp_crr, udp_rr, tcp_stream)"
    tried = "1.1.0"
    unknown = "the test (tcp_rr, tcp_crr, udp_rr): its name is not in it"
    conversions = ("neper latencies are whole round trips in seconds, turned into us; a server measures none",)
    accounts = True

    def sniff(self, head: Head) -> bool:
        """By keys that no other program has."""
        return "total_run_time=" in head.text or "invalid_secret_count=" in head.text or "nivcsw_end=" in head.text

    def parse(self, lines: Iterator[Line], note: Note, options: ReadOptions) -> Iterator[Result]:
        """One result."""
        texts: dict[str, str] = {}
        for line in lines:
            if (match := _PAIR.fullmatch(line.text)) and match[1] in _READ:
                line.use()
                texts[match[1]] = match[2]
        numbers = {name: number for name, text in texts.items() if (number := amount(text)) is not None}
        result = _result(numbers, texts.get("throughput_units", ""), note)
        if result.metrics["elapsed_s"] is None:
            unused = [f"{name}={texts[name]}" for name in (*_CPU, "time_start", "time_end") if name in texts]
            note(0, f"{NOT_USED}{', '.join(unused)}: how long it took is not there") if unused else None
        if "VERSION" in texts:
            result.environment["program_version"] = f"neper {texts['VERSION']}"
        yield result


def _result(numbers: dict[str, float], units: str, note: Note) -> Result:
    result = Result(workload={"kind": "neper"})
    facts = {"size_bytes": "request_size"}
    if numbers.get("client") != 0:
        # A server prints its own defaults, whatever its clients were asked for.
        facts |= {"connections": "num_flows", "threads": "num_threads", "duration_s": "total_run_time"}
    result.workload |= {ours: numbers[name] for ours, name in facts.items() if name in numbers}
    if "response_size" in numbers and numbers["response_size"] != numbers.get("request_size"):
        result.workload["response_sizes"] = f"{numbers['response_size']:g}"
    elapsed = numbers["time_end"] - numbers["time_start"] if {"time_end", "time_start"} <= numbers.keys() else None
    result.metrics["elapsed_s"] = elapsed if elapsed and elapsed > 0 else None
    if units:
        if units in _UNITS and "throughput" in numbers:
            result.metrics["throughput_bps"] = numbers["throughput"] * _UNITS[units]
            result.environment["measured_by"] = "receiver"
        else:
            note(0, f"throughput has the unit {units!r}, which is not known; left out")
    elif "num_transactions" in numbers:
        result.metrics["rate_rps"] = numbers.get("throughput")
        _latencies(result, numbers, note)
    elif numbers.get("remote_throughput") and "request_size" in numbers:
        # A server of requests whose neper (2019's) prints no rate of its own hears that of its client.
        result.metrics["rate_rps"] = numbers["remote_throughput"]
    elif numbers.get("remote_throughput"):
        # A client that only writes hears from its server what arrived, in bits.
        result.metrics["throughput_bps"] = numbers["remote_throughput"]
        result.environment["measured_by"] = "receiver"
    if "remote_throughput" in numbers and (units or "num_transactions" in numbers):
        note(0, f"{NOT_USED}remote_throughput {numbers['remote_throughput']:g}")
    side = "client" if numbers.get("client") else "server"
    if set(_CPU) <= numbers.keys() and "client" in numbers:
        used = sum(numbers[name] * (1 if name.endswith("end") else -1) for name in _CPU)
        share = ratio(used, result.metrics["elapsed_s"])
        result.metrics[f"{side}_cpu_percent"] = None if share is None or share < 0 else 100 * share
    return result


def _latencies(result: Result, numbers: dict[str, float], note: Note) -> None:
    values = {ours: numbers[name] * 1e6 for name, ours in _LATENCY.items() if name in numbers}
    if values and not any(values.values()):
        note(0, "all latencies are 0: a server's report, for neper's servers measure none; left blank")
        result.environment["measured_by"] = "server"
    elif values:
        result.environment["measured_by"] = "client"
        result.metrics["requests"] = numbers["num_transactions"]
        put_latencies(result, values, "rtt", numbers["num_transactions"])
