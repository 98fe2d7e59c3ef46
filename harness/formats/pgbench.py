"""pgbench's report: transactions a second, and how long they took."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.formats.latency import MAX_ERROR_SHARE, put_latencies
from harness.formats.model import Format, Head, Note, ReadOptions, Result
from harness.formats.text import NUMBER, Line, amount, plain, ratio

_FACT = re.compile(
    rf"^(number of clients|number of threads|duration|latency average|latency stddev|tps)(?: =|:) ({NUMBER})\b"
)
_SIGNS = {"rate limit schedule lag:": "limited", "average connection time": "again"}
_DONE = re.compile(r"^number of transactions actually processed: (\d{1,15})(?:/(\d{1,15}))?")
_FAILED = re.compile(r"^number of failed transactions: (\d{1,15})")
_SKIPPED = re.compile(r"^number of transactions skipped: (\d{1,15})")
_VERSION = re.compile(r"^pgbench \((\d{1,3}(?:\.\d{1,3})?)")
_TYPE = re.compile(r"^transaction type: (.+)$")


class PgbenchReport(Format):
    """One run per report."""

    name = "pgbench"
    title = "pgbench's report; its log (-l) is read by compare"
    one_run = "a report"
    tried = "15.18"
    unknown = "quantiles: they are in its log alone"
    conversions = (
        "pgbench's latency is that of a transaction, of one or more statements, from when it was due (-R) or begun",
        "without deviation, pgbench's mean latency is the clients over the rate, connecting included",
    )
    accounts = True

    def sniff(self, head: Head) -> bool:
        """By two of its lines."""
        return "number of transactions actually processed:" in head.text and "tps = " in head.text

    def parse(self, lines: Iterator[Line], note: Note, options: ReadOptions) -> Iterator[Result]:
        """One result per report."""
        facts: dict[str, float | None] = {}
        result = _fresh()
        for line in lines:
            if facts and (_TYPE.search(line.text) or _VERSION.search(line.text)):
                yield _finished(result, facts)
                result, facts = _fresh(), {}
            if match := line.search(_TYPE):
                result.workload["mode"] = plain(match[1], 60).strip("<>").removeprefix("builtin: ")
            elif match := line.search(_VERSION):
                result.environment["program_version"] = f"pgbench {match[1]}"
            elif match := line.search(_DONE):
                facts |= {"done": amount(match[1]), "asked": amount(match[2] or "")}
            elif match := line.search(_SKIPPED):
                facts["skipped"] = amount(match[1])
            elif "Run was aborted" in line.text:
                result.doubt("pgbench: the run was aborted; its results are incomplete")
            elif match := line.search(_FAILED):
                facts["failed"] = amount(match[1])
            elif match := line.search(_FACT):
                facts[match[1]] = amount(match[2])
            facts |= {name: 1.0 for sign, name in _SIGNS.items() if line.text.startswith(sign)}
        if facts:
            yield _finished(result, facts)


def _fresh() -> Result:
    return Result(workload={"kind": "pgbench", "protocol": "tcp"})


def _finished(result: Result, facts: dict[str, float | None]) -> Result:
    limited = "limited" in facts
    named = {"connections": facts.get("number of clients"), "threads": facts.get("number of threads"),
             "duration_s": facts.get("duration")}  # fmt: skip
    result.workload |= {name: value for name, value in named.items() if value is not None}
    result.workload["loop"] = "open" if limited else "closed"
    if "again" in facts:
        result.workload["connect_per_request"] = "on"
    requests, failed = facts.get("done"), facts.get("failed")
    result.metrics |= {"requests": requests, "rate_rps": facts.get("tps"), "errors": failed}
    times = {"mean": facts.get("latency average"), "sd": facts.get("latency stddev")}
    put_latencies(result, {name: value and value * 1e3 for name, value in times.items()}, "rtt", requests)
    result.environment["latency_from"] = "due" if limited else "sent"
    asked = facts.get("asked")
    if asked and requests is not None and requests < asked:
        result.doubt(f"pgbench: {requests:,.0f} of {asked:,.0f} transactions were done")
    if skipped := facts.get("skipped"):
        result.doubt(f"pgbench: {skipped:,.0f} transactions were skipped (-L), and their latencies are in no figure")
    share = ratio(failed, (requests or 0.0) + (failed or 0.0))
    if share and share > MAX_ERROR_SHARE:
        result.doubt(f"pgbench: {failed or 0:,.0f} transactions failed, beside {requests or 0:,.0f} that did not")
    return result
