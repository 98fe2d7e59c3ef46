"""What an experiment file may ask for, the load generator takes: their bounds are compared here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import BaseModel

from harness.workloads import WORKLOADS, Contention, load, memcached, own_sockets

SOURCES = Path(__file__).parents[2] / "harness" / "loadgen"
NAMES = {"NS_PER_S": 10**9, "HOUR_NS": 3600 * 10**9, "THREADS_MAX": 4096}


def of_the_program(option: str, source: str) -> tuple[int, int]:
    """The lowest and the highest value of an option, from its line in the C table."""
    text = (SOURCES / source).read_text()
    names = NAMES | {
        name: eval(value.replace("INT64_C", ""))  # noqa: S307  # constants of our own source
        for name, value in re.findall(r"#define (WORKING_SET_M\w+) (.+)", text)
    }
    (line,) = re.findall(rf'\{{.name = "{option}",[^}}]*', text)
    bounds = dict(re.findall(r"\.(low|high) = ([^,}]+)", line))
    return (
        eval(bounds.get("low", "0"), {}, names),  # noqa: S307
        eval(bounds["high"], {}, names | {"INT64_C": int}),  # noqa: S307
    )


def of_the_file(model: type[BaseModel], field: str) -> tuple[int, int]:
    low, high = 0, 2**63
    for each in model.model_fields[field].metadata:
        low = max(low, getattr(each, "ge", low), getattr(each, "gt", low - 1) + 1)
        high = min(high, getattr(each, "le", high))
    return low, high


@pytest.mark.parametrize(
    ("model", "field", "option", "source"),
    [
        (WORKLOADS["ping-pong"], "timeout_ns", "--timeout-ns", "client_options.c"),
        (WORKLOADS["ping-pong"], "warmup_ns", "--warmup-ns", "client_options.c"),
        (WORKLOADS["ping-pong"], "duration_ns", "--duration-ns", "client_options.c"),
        (WORKLOADS["load"], "timeout_ns", "--timeout-ns", "client_options.c"),
        (WORKLOADS["load"], "cooldown_ns", "--cooldown-ns", "client_options.c"),
        (WORKLOADS["load"], "late_ns", "--late-ns", "client_options.c"),
        (WORKLOADS["load"], "count", "--count", "client_options.c"),
        (Contention, "period_ns", "--period-ns", "hog.c"),
        (Contention, "working_set_bytes", "--working-set", "hog.c"),
    ],
)
def test_the_file_allows_no_more_than_the_program(model: type[BaseModel], field: str, option: str, source: str) -> None:
    low, high = of_the_file(model, field)
    lowest, highest = of_the_program(option, source)
    assert lowest <= low and high <= highest


@pytest.mark.parametrize(
    ("ours", "name", "source"),
    [
        (load.UDP_MAX_BYTES, "MESSAGE_MAX_UDP", "message.h"),
        (load.TCP_MAX_BYTES, "MESSAGE_MAX_TCP", "message.h"),
        (load.PHASES_MIN_BYTES, "MESSAGE_PHASES_MIN", "message.h"),
        (memcached.KEY_MAX_BYTES, "MEMCACHED_KEY_MAX", "memcached.h"),
        (memcached.VALUE_MAX_BYTES, "MEMCACHED_VALUE_MAX", "memcached.h"),
        (own_sockets.FRAME_MAX_BYTES, "XDP_PAYLOAD_MAX", "xdp_frame.h"),
        (own_sockets.QUEUE_MAX, "XSK_QUEUES_MAX", "xsk.h"),
        (load.SERVICE_MAX_NS, "SERVICE_MAX_NS", "service.c"),
    ],
)
def test_sizes_and_times_are_bounded_alike(ours: int, name: str, source: str) -> None:
    (found,) = re.findall(rf"#define {name} (.+?)(?: /\*.*)?\n", (SOURCES / source).read_text())
    assert ours == eval(found, {}, NAMES)  # noqa: S307
