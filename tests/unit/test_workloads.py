"""Workloads describe: fields that fit each other, command lines, and outputs of other programs in our terms."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from harness.columns import RUN_COLUMNS
from harness.spec.experiment import WorkloadSection
from harness.units import parse_size
from harness.workloads import WORKLOADS, Contention, ProgramOutput, Scene, Workload
from harness.workloads.contention import overlapping
from harness.workloads.sizes import fixed_bytes, parse_sizes

ADAPTER: TypeAdapter[Any] = TypeAdapter(WorkloadSection)
ENDS = {"from": "a", "to": "b"}
SCENE = Scene("10.0.0.2", 7000, ("--busy-poll", "50"), "/dev/fd/9")
BACKGROUND = Scene("10.0.0.2", 7000, (), "/dev/fd/9", lasting_ns=5 * 10**9)


def make(kind: str, **fields: Any) -> Workload:
    made: Workload = ADAPTER.validate_python({"kind": kind, **ENDS, **fields}, by_alias=True, by_name=False)
    return made


def option(argv: list[str], name: str) -> str:
    return argv[argv.index(name) + 1]


@pytest.mark.parametrize("sizes", ["exponential:200B:1400B", "etc-key", "etc-value", "uniform:16B-1400B"])
@pytest.mark.parametrize("key", ["size", "response_size"])
def test_sizes_of_either_direction_may_be_drawn(key: str, sizes: str) -> None:
    made = make("load", **{key: sizes})
    assert option(made.client(SCENE), f"--{key.replace('_', '-')}") == parse_sizes(sizes)
    assert make("memcached", key_size="etc-key", value_size=sizes).loop() == "closed"


def test_every_repetition_draws_anew_and_the_same_for_all_cases() -> None:
    made = make("load", rate=1000, arrivals="poisson", seed=7)
    seeds = [option(made.of_block(block).client(SCENE), "--seed") for block in (1, 2, 3)]
    assert len(set(seeds)) == 3 and seeds == [
        option(made.of_block(block).client(SCENE), "--seed") for block in (1, 2, 3)
    ]
    assert option(made.of_block(1, 1).client(SCENE), "--seed") != seeds[0]
    assert make("load", rate=1, seed=8).of_block(1) != make("load", rate=1, seed=7).of_block(1)
    pinned = make("sockperf")
    assert pinned.of_block(2) == pinned


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        ("load", {"loop": "open"}, "an open loop needs a rate"),
        ("load", {"loop": "closed", "rate": 1}, "rate means nothing in a closed loop"),
        ("load", {"arrivals": "poisson"}, "arrivals means nothing in a closed loop"),
        ("load", {"rate": 1, "depth": 2}, "depth means nothing in an open loop"),
        ("load", {"rate": 1, "burst": 4}, "burst means nothing with other arrivals"),
        ("load", {"threads": 2}, "2 threads have only 1 connections"),
        ("load", {"connections": 2}, "a blocking client has one connection per thread"),
        ("load", {"connect_per_request": True}, "add protocol: tcp"),
        ("load", {"size": "8B"}, "no room for its header"),
        ("load", {"phases": True, "size": "32B"}, "size of 32 bytes has no room .* and the time stamps"),
        ("load", {"phases": True, "connections": 2, "rate": 1}, "phases need one connection"),
        ("load", {"phases": True, "server_threads": 2}, "phases need one connection"),
        ("load", {"phases": True, "protocol": "tcp", "connect_per_request": True}, "a connection that lasts"),
        ("load", {"phases": True, "server_wait": "uring"}, "phases cannot be taken with server_wait: uring"),
        ("load", {"stall": "20ms"}, "stall is no shorter than its period"),
        (
            "load",
            {"protocol": "tcp", "connect_per_request": True, "depth": 4, "client_wait": "epoll"},
            "depth 4 needs as many connections per thread; connections: 4",
        ),
        (
            "load",
            {"size": "65KiB"},
            "size of 66560 bytes is over the 65507 bytes of a datagram; expected 16B to 65507B",
        ),
        ("load", {"size": "uniform:64B-70kB"}, "size of 70000 bytes is over"),
        ("load", {"response_size": "70kB"}, "response_size of 70000 bytes is over the 65507"),
        ("load", {"response_size": "exponential:200B:70kB"}, "response_size of 70000 bytes is over"),
        ("load", {"response_size": "8B"}, "response_size of 8 bytes has no room for its header"),
        ("load", {"size": "exponential:2B:9B"}, "size of 9 bytes has no room for its header"),
        ("load", {"protocol": "tcp", "size": "2MB"}, "size of 2000000 bytes is over the 1048576"),
        ("load", {"service": {"time": "2h"}}, "less than or equal to 10000000000"),
        ("load", {"rate": 1, "late": "2h"}, "less than or equal to"),
        ("memcached", {"key_size": 300}, "key_size of 300 bytes is over what memcached takes"),
        ("memcached", {"key_size": 2}, "key_size of 2 bytes cannot tell 10000 keys apart"),
        (
            "memcached",
            {"value_size": "2MB"},
            "value_size of 2000000 bytes is over what memcached takes; expected 0B to 1000000B",
        ),
        ("load", {"size": "uniform:9B-2B"}, "runs backwards"),
        ("load", {"size": "exponential:9kB:2B"}, "mean above its maximum"),
        ("load", {"size": "normal:1"}, "is not understood"),
        ("load", {"service": {"time": "1us", "long": "2us"}}, "go with distribution bimodal"),
        (
            "load",
            {"protocol": "tcp", "connections": 4, "client_wait": "spin", "server_threads": 2},
            "2 blocking server threads cannot serve 4",
        ),
        ("sockperf", {"mode": "playback"}, "data_file goes with mode playback"),
        ("sockperf", {"rate": 5}, "rate means nothing in mode ping-pong"),
        ("sockperf", {"reply_every": 5}, "reply_every means nothing in mode ping-pong"),
        ("iperf3", {"protocol": "udp", "length": "100kB"}, "over the 65507 bytes"),
        ("command", {"client": "x", "server": "y", "figures": {"a": {"regex": "(1)"}}}, "nothing tells when"),
        ("command", {"client": "x", "figures": {"a": {"regex": "1"}}}, "has no group"),
        ("command", {"client": "x", "figures": {"a": {"regex": "(1", "json": "b"}}}, "no regular expression"),
        ("command", {"client": "x", "figures": {"a": {"regex": "(1)", "json": "b"}}}, "expected regex or json"),
        ("command", {"client": "x {prot}", "figures": {"a": {"json": "b"}}}, "{prot} stands for nothing"),
        ("command", {"client": [], "figures": {"a": {"json": "b"}}}, "it is no command"),
    ],
)
def test_fields_that_do_not_fit(kind: str, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message.replace("(", r"\(").replace("{", r"\{")):
        make(kind, **fields)


def test_a_rate_makes_the_loop_open() -> None:
    assert make("load").loop() == "closed"
    opened = make("load", rate=1000, arrivals="burst", burst=16)
    assert opened.loop() == "open"
    argv = opened.client(SCENE)
    assert option(argv, "--rate") == "1000" and option(argv, "--burst") == "16"
    assert "--depth" not in argv and option(argv, "--busy-poll") == "50"
    assert "--rate" not in make("load").client(SCENE)


def test_both_ends_agree_on_the_messages() -> None:
    workload = make("load", size="uniform:64B-1kB", response_size="200B", protocol="tcp", wait="epoll")
    for argv in (workload.server(SCENE), workload.client(SCENE)):
        assert option(argv, "--size") == "uniform:64-1000" and option(argv, "--response-size") == "200"
    assert workload.described()["sizes"] == "uniform:64-1000" and workload.described()["size_bytes"] is None


@pytest.mark.parametrize(
    ("fields", "threads"),
    [
        ({"protocol": "tcp", "connections": 32, "client_wait": "spin"}, "32"),
        ({"protocol": "tcp", "connections": 32, "wait": "epoll"}, "1"),
        ({"connections": 32, "client_wait": "spin"}, "1"),
        ({"server_threads": 3}, "3"),
    ],
)
def test_a_blocking_tcp_server_has_a_thread_per_connection(fields: dict[str, Any], threads: str) -> None:
    assert option(make("load", **fields).server(SCENE), "--threads") == threads


def test_service_and_stall() -> None:
    service = {"distribution": "bimodal", "time": "10us", "long": "1ms", "long_share": "1%"}
    argv = make("load", service=service, stall="200us").server(SCENE)
    assert option(argv, "--service") == "bimodal:10000:1000000:0.01"
    assert option(argv, "--stall") == "200000:10000000"


def test_a_background_workload_lasts_as_long_as_it_is_told() -> None:
    assert option(make("load").client(BACKGROUND), "--duration-ns") == "5000000000"
    assert option(make("ping-pong").client(BACKGROUND), "--duration-ns") == "5000000000"
    assert option(make("iperf3").client(BACKGROUND), "--time") == "5"
    assert option(make("sockperf").client(BACKGROUND), "-t") == "6"


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        (64, "64"),
        ("1KiB", "1024"),
        ("uniform:64B-1400B", "uniform:64-1400"),
        ("exponential:200B:1kB", "exp:200:1000"),
        ("etc-value", "etc-value"),
    ],
)
def test_sizes(text: object, canonical: str) -> None:
    assert parse_sizes(text) == canonical
    assert fixed_bytes(canonical) == (parse_size(text) if canonical.isdigit() else None)


def test_results_name_what_changes_the_meaning_of_their_figures() -> None:
    made = make(
        "load",
        protocol="tcp",
        rate=10,
        arrivals="burst",
        burst=4,
        response_size="etc-value",
        connect_per_request=True,
        count=9,
        stall="200us",
        timeout="2s",
        seed=5,
        cooldown="1ms",
    ).described()
    expected = {
        "burst": 4,
        "response_sizes": "etc-value",
        "connect_per_request": "on",
        "count": 9,
        "stall_s": 0.0002,
        "stall_every_s": 0.01,
        "timeout_s": 2.0,
        "seed": 5,
        "cooldown_s": 0.001,
        "phases": None,
    }
    assert {name: made[name] for name in expected} == expected
    assert make("load", phases=True).described()["phases"] == "on"
    assert make("sockperf", mode="under-load", reply_every=7).described()["reply_every"] == 7


@pytest.mark.parametrize("kind", WORKLOADS)
def test_every_fact_of_a_workload_is_a_column(kind: str) -> None:
    command = {"client": "x", "figures": {"a": {"json": "b"}}} if kind == "command" else {}
    names = {column.name for column in RUN_COLUMNS}
    assert {f"workload_{name}" for name in make(kind, **command).described()} <= names


@pytest.mark.parametrize(
    ("written", "order"), [("1,0", "1,0"), ([1, 0], "1,0"), (3, "3"), ("4-6,0", "4,5,6,0"), ([2, "0-1", 2], "2,0,1,2")]
)
def test_threads_take_their_cpus_in_the_order_declared(written: Any, order: str) -> None:
    made = make("load", rate=1, thread_cpus=written, server_thread_cpus=written)
    assert option(made.client(SCENE), "--thread-cpus") == order
    assert option(made.server(SCENE), "--thread-cpus") == order


@pytest.mark.parametrize("wrong", ["", "1-0", [], ["a"], True, [[0]], [8192], {"a": 1}])
def test_no_order_of_cpus(wrong: Any) -> None:
    with pytest.raises(ValidationError, match="CPU"):
        make("load", thread_cpus=wrong)


def test_sockperf_plays_back_with_a_reply_to_every_request() -> None:
    argv = make("sockperf", mode="playback", data_file="x.csv").client(SCENE)
    assert option(argv, "--reply-every") == "1" and "--mps" not in argv
    fewer = make("sockperf", mode="playback", data_file="x.csv", reply_every=10).client(SCENE)
    assert option(fewer, "--reply-every") == "10"


def test_commands_are_words_with_places() -> None:
    figures = {"x_us": {"regex": "p50=([0-9.]+)", "scale": 1000}}
    workload = make("command", client="run 'two words' {address}:{port} {duration_s}", port=9, figures=figures)
    assert workload.client(SCENE) == ["run", "two words", "10.0.0.2:9", "1"]
    assert not workload.has_server()
    reading = workload.read(ProgramOutput("p50=1.5\np50=2.5\n", elapsed_ns=7))
    assert reading.metrics == {"x_us": 2500.0} and reading.result == {"elapsed_ns": 7}


def test_every_kind_says_its_loop_and_nodes() -> None:
    command = {"client": "x", "figures": {"a": {"json": "b"}}}
    for kind in WORKLOADS:
        workload = make(kind, **(command if kind == "command" else {}))
        described = workload.described()
        assert described["loop"] in ("open", "closed") and described["kind"] == kind
        assert (described["from"], described["to"]) == workload.nodes() == ("a", "b")
        assert workload.takes_ns() >= workload.duration_ns


def test_contention_by_kind_and_by_stressor() -> None:
    assert Contention(on="0").command()[:3] == ["hog", "--kind", "spin"]
    by_name = Contention.model_validate({"on": "0", "stress-ng": "cpu", "threads": 2, "load": "30%"})
    assert by_name.command() == ["stress-ng", "--cpu", "2", "--cpu-load", "30"]
    assert by_name.label() == "stress-ng:cpu" and not by_name.native()
    with pytest.raises(ValidationError, match="goes with kind stress-ng"):
        Contention.model_validate({"on": "0", "kind": "spin", "stress-ng": "cpu"})
    with pytest.raises(ValidationError, match="goes with kind stress-ng"):
        Contention.model_validate({"on": "0", "kind": "stress-ng"})


@pytest.mark.parametrize(
    ("cpus", "overlap", "online", "expected"),
    [
        ([2, 3], 1, range(6), [0, 3]),
        ([2, 3], 0, range(6), [0, 1]),
        ([2, 3], 2, range(6), [2, 3]),
        ([0, 1], 0, range(2), []),
    ],
)
def test_overlapping_cpu_sets(cpus: list[int], overlap: int, online: range, expected: list[int]) -> None:
    assert overlapping(cpus, overlap, online) == expected
