"""Tables that well-known programs write, by their headers: what their names do not say, and their manuals do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from harness.tables.reading.account import Mapping

_TIMES_OF_COMMANDS = ("mean", "stddev", "median", "user", "system", "min", "max")
_TIMES_OF_K6 = (
    "http_req_duration", "http_req_blocked", "http_req_connecting", "http_req_tls_handshaking", "http_req_sending",
    "http_req_waiting", "http_req_receiving", "grpc_req_duration", "iteration_duration", "group_duration",
)  # fmt: skip
_TIMES_OF_TESTS = ("min", "max", "mean", "stddev", "median", "iqr")


@dataclass(frozen=True)
class Program:
    """A program's table. names: columns that no other table has together; says: how it is read, for the notes.

    mapping: what its columns, or the figures that a column names, are. swept: how names of parameters begin. refused:
    why its rows are no runs, and what to do; both empty where they are.
    """

    name: str
    names: frozenset[str]
    says: str = ""
    mapping: Mapping = field(default_factory=Mapping)
    swept: str = ""
    refused: tuple[str, str] = ("", "")


def _names(*names: str) -> frozenset[str]:
    return frozenset(names)


PROGRAMS = (
    Program(
        "hyperfine",
        _names("command", "mean", "stddev", "median", "user", "system"),
        "times in s",
        Mapping(units=dict.fromkeys(_TIMES_OF_COMMANDS, "s")),
        swept="parameter_",
    ),
    Program(
        "pytest-benchmark",
        _names("name", "rounds", "iqr", "ops", "iterations"),
        "times in s",
        Mapping(units=dict.fromkeys(_TIMES_OF_TESTS, "s"), ignore=("rounds", "iterations", "total", "outliers")),
        swept="param:",
    ),
    Program(
        "oha",
        _names("request-start", "DNS+dialup", "request-duration"),
        "times in s",
        Mapping(units={"": "s", "request-duration": "s"}),
    ),
    Program(
        "k6",
        _names("metric_name", "timestamp", "metric_value"),
        "times in ms; http_req_duration is the whole request",
        Mapping(
            metrics={name: name for name in ("http_req_duration", "grpc_req_duration")},
            units=dict.fromkeys(_TIMES_OF_K6, "ms"),
            ignore=(
                "check",
                "error",
                "error_code",
                "expected_response",
                "group",
                "proto",
                "subproto",
                "service",
                "tls_version",
                "url",
                "extra_tags",
                "metadata",
                "iteration_duration",
            ),
        ),
    ),
    Program("hey", _names("response-time", "DNS+dialup", "status-code"), "times in s", Mapping(units={"": "s"})),
    Program(
        "JMeter",
        _names("timeStamp", "elapsed", "label", "success"),
        "times in ms; elapsed is the whole request",
        Mapping(
            units={"": "ms", "elapsed": "ms", "Latency": "ms", "Connect": "ms", "IdleTime": "ms"},
            ignore=("Latency", "Connect", "IdleTime", "grpThreads", "allThreads", "bytes", "sentBytes"),
        ),
    ),
    Program("JMeter", _names("Label", "# Samples", "Average", "99% Line"), "times in ms", Mapping(units={"": "ms"})),
    Program(
        "locust",
        _names("Request Count", "Median Response Time", "99%"),
        "times in ms",
        Mapping(units={"": "ms"}, ignore=("Average Content Size", "50%", "100%")),  # median and maximum once more
    ),
    Program("locust", _names("User Count", "Requests/s", "99%"), "times in ms", Mapping(units={"": "ms"})),
    Program(
        "sadf",
        _names("interval", "timestamp", "%idle"),
        "rows are intervals",
        Mapping(per="interval", ignore=("interval",)),
    ),
    Program(
        "sadf",
        _names("interval", "timestamp", "IFACE"),
        "rows are intervals",
        Mapping(per="interval", ignore=("interval",)),
    ),
    Program(
        "JMH",
        _names("Benchmark", "Mode", "Samples", "Score", "Unit"),
        "Mode is a factor",
        Mapping(
            case="Benchmark", factors=("Mode",), metrics={"Score": "Score"}, ignore=("Samples", "Score Error (99.9%)")
        ),
        swept="Param: ",
    ),
    Program(
        "criterion",
        _names("sample_measured_value", "iteration_count"),
        refused=(
            "its rows are criterion's samples, each the time of iteration_count iterations",
            "divide the one by the other, and write that as a column",
        ),
    ),
)


_BENCHSTAT = Program(
    "benchstat",
    _names(),
    refused=("it is a comparison that benchstat made, and not what was measured", "give compare a table of each side"),
)


def known(names: Sequence[str]) -> Program | None:
    """The program that writes tables of these columns, as far as it is known here."""
    if any(name.endswith("vs base") for name in names):
        return _BENCHSTAT
    return next((program for program in PROGRAMS if program.names <= set(names)), None)


def mapping_of(program: Program, names: Sequence[str]) -> Mapping:
    """What its columns are, of those that this table has."""
    asked = program.mapping
    return Mapping(
        case=asked.case,
        factors=(*asked.factors, *(name for name in names if program.swept and name.startswith(program.swept))),
        metrics=asked.metrics,
        units={name: unit for name, unit in asked.units.items() if not name or name in names or program.name == "k6"},
        ignore=tuple(name for name in asked.ignore if name in names),
        per=asked.per,
    )
