"""vegeta's reports, JSON and text: an attack at a rate, what was answered, and how soon."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.formats.jsontext import objects
from harness.formats.latency import count_errors, put_latencies
from harness.formats.model import Format, Head, Note, ReadOptions, Result
from harness.formats.text import Line, amount, duration_us, ratio

_TIMES = {"min": "min", "mean": "mean", "50th": "p50", "90th": "p90", "95th": "p95", "99th": "p99", "max": "max"}
_ROW = re.compile(r"^(Requests|Duration|Latencies|Bytes In|Success|Status Codes) +\[([^\]]+)\] +(\S.*)$")
_CODE = re.compile(r"(\d{1,3}):(\d{1,15})")


class VegetaJson(Format):
    """One run per JSON document."""

    name = "vegeta-json"
    title = "vegeta report -type=json"
    one_run = "a JSON document"
    tried = "12.2.0, 12.8.4"
    unknown = "connections, and whether the rate was held: achieved_rps is what was sent"
    conversions = (
        "vegeta's latencies count from the sending; rate_rps is its throughput, good answers until the last one came",
        "vegeta before 12.3 prints no throughput: it is computed from its codes and seconds",
    )
    tells_its_end = True
    accounts = True

    def sniff(self, head: Head) -> bool:
        """By its latencies."""
        return '"latencies"' in head.text and '"99th"' in head.text and '"status_codes"' in head.text

    def parse(self, lines: Iterator[Line], note: Note, options: ReadOptions) -> Iterator[Result]:
        """One result per document."""
        for document in objects(lines, note):
            times, codes = document.at("latencies"), document.at("status_codes")
            span, wait = document.number("duration"), document.number("wait")
            values = {ours: value / 1e3 for name, ours in _TIMES.items() if (value := times.number(name)) is not None}
            answers = {name: codes.number(name) or 0.0 for name in codes.names()}
            figures = {"requests": document.number("requests"), "achieved_rps": document.number("rate")}
            figures |= {"rate_rps": document.number("throughput")}
            figures["elapsed_s"] = None if span is None else (span + (wait or 0.0)) / 1e9
            yield _result(figures, values, answers)
            document.unused(note)


class VegetaText(Format):
    """One run per report."""

    name = "vegeta"
    title = "vegeta's report (text); its CSV and binary results: write them as a report"
    one_run = "a report"
    tried = "12.2.0, 12.8.4"
    unknown = VegetaJson.unknown
    conversions = VegetaJson.conversions
    accounts = True

    def sniff(self, head: Head) -> bool:
        """By the title of its first row."""
        return bool(re.search(r"(?m)^Requests +\[total, rate", head.text)) and "Latencies " in head.text

    def parse(self, lines: Iterator[Line], note: Note, options: ReadOptions) -> Iterator[Result]:
        """One result per report."""
        rows: dict[str, dict[str, str]] = {}
        codes: dict[str, float] = {}
        for line in lines:
            match = _ROW.search(line.text)
            if match is None:
                continue
            if match[1] == "Requests" and rows:
                yield _of_rows(rows, codes)
                rows, codes = {}, {}
            titles = [title.strip() for title in match[2].split(",")]
            if match[1] == "Status Codes":
                codes = {code: float(count) for code, count in _CODE.findall(match[3])}
                line.use()
            elif match[1] in ("Requests", "Duration", "Latencies"):
                rows[match[1]] = dict(zip(titles, (cell.strip() for cell in match[3].split(",")), strict=False))
                line.use()
        if rows:
            yield _of_rows(rows, codes)


def _of_rows(rows: dict[str, dict[str, str]], codes: dict[str, float]) -> Result:
    counts, spans, times = (rows.get(name, {}) for name in ("Requests", "Duration", "Latencies"))
    named = {name if name in ("min", "mean", "max") else f"{name}th": text for name, text in times.items()}
    values = {ours: value for name, ours in _TIMES.items() if (value := duration_us(named.get(name, ""))) is not None}
    total = duration_us(spans.get("total", ""))
    figures = {"requests": amount(counts.get("total", "")), "achieved_rps": amount(counts.get("rate", ""))}
    figures |= {"rate_rps": amount(counts.get("throughput", "")), "elapsed_s": total and total / 1e6}
    result = _result(figures, values, codes)
    result.left_out += [f"Duration {name} {text}" for name, text in spans.items() if name != "total"]
    return result


def _result(figures: dict[str, float | None], values: dict[str, float], codes: dict[str, float]) -> Result:
    result = Result(workload={"kind": "vegeta", "protocol": "tcp", "loop": "open"})
    result.metrics |= {name: value for name, value in figures.items() if value is not None}
    requests = figures.get("requests")
    bad = {f"x {code}": count for code, count in codes.items() if code[:1] not in "23"}
    if codes:
        count_errors(result, bad, requests)
        good = ", ".join(f"{code}:{count:.0f}" for code, count in codes.items() if f"x {code}" not in bad)
        result.left_out += [f"good answers, code by code: {good}"] if good else []
        if figures.get("rate_rps") is None:
            result.metrics["rate_rps"] = ratio(sum(codes.values()) - sum(bad.values()), figures.get("elapsed_s"))
    if list(codes) == ["0"]:
        listed = ", ".join(f"{name} {values[ours]:g}" for name, ours in _TIMES.items() if ours in values)
        result.left_out.append(f"latencies (us) of requests that were not answered: {listed}")
    elif values:
        put_latencies(result, values, "rtt", requests)
        result.environment["latency_from"] = "sent"
    return result
