"""Workloads describe: fields that fit each other, command lines, and outputs of other programs in our terms."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from harness.columns import RUN_COLUMNS
from harness.spec.experiment import WorkloadSection
from harness.spec.load import load_experiment
from harness.units import parse_size
from harness.workloads import WORKLOADS, Contention, ProgramOutput, Scene, Workload
from harness.workloads.contention import overlapping
from harness.workloads.sizes import fixed_bytes, parse_sizes
from tests import experiment

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


FORMS = [
    ({}, "# rtt\n10\n20.5\n\n-1\n", [10_000, 20_500, -1], [0, 10_000, 30_500]),
    ({"unit": "ns", "basis": "half-rtt"}, "5\n7", [10, 14], [0, 10]),
    (
        {"format": "csv", "column": "rtt", "at": "t", "unit": "ms"},
        "t, rtt\n100,1\n250,2\n",
        [10**6, 2 * 10**6],
        [0, 150 * 10**6],
    ),
    ({"format": "csv", "unit": "s"}, "rtt;x\n1\n", [10**9], [0]),
    (
        {"format": "json", "path": "runs.rtt"},
        '{"runs": [{"rtt": [1, 2]}, {"rtt": 3}]}',
        [1000, 2000, 3000],
        [0, 1000, 3000],
    ),
    ({"format": "json"}, "[4]", [4000], [0]),
]


@pytest.mark.parametrize(("how", "text", "latency_ns", "intended_ns"), FORMS)
def test_a_program_s_own_latencies_are_samples(
    how: dict[str, Any], text: str, latency_ns: list[int], intended_ns: list[int]
) -> None:
    made = make("command", client="x", latencies=how)
    reading = made.read(ProgramOutput("", log=text, elapsed_ns=9))
    assert reading.samples["latency_ns"].tolist() == latency_ns
    assert reading.samples["intended_ns"].tolist() == intended_ns
    answered = sum(value >= 0 for value in latency_ns)
    assert reading.result == {
        "elapsed_ns": 9, "requests": len(latency_ns), "answered": answered, "lost": len(latency_ns) - answered
    }  # fmt: skip
    printed = make("command", client="x", latencies=how | {"in": "output"})
    assert printed.read(ProgramOutput(text)).samples["latency_ns"].tolist() == latency_ns


@pytest.mark.parametrize(
    ("how", "text", "why"),
    [
        ({}, "", "it wrote nothing to {log}"),
        ({"in": "output"}, "", "it wrote nothing to its output"),
        ({}, "1\nfast\n", "line 2: 'fast' is not a number"),
        ({}, "1\nnan\n", "line 2: 'nan' is not a number"),
        ({"format": "csv", "column": "rtt"}, "a,b\n1,2\n", "there is no column 'rtt'; there is a, b"),
        ({"format": "csv", "column": "b"}, "a,b\n1\n", "line 2: '' is not a number"),
        ({"format": "json"}, "{", "it is not JSON"),
        ({"format": "json", "path": "a.b"}, '{"a": {}}', "there is no 'b' in it"),
        ({"format": "json"}, "[true]", "'True' is not a number"),
        ({"format": "hdr"}, "1,2,3\n", "latencies: "),
    ],
)
def test_latencies_that_cannot_be_read_are_told(how: dict[str, Any], text: str, why: str) -> None:
    made = make("command", client="x", latencies=how)
    with pytest.raises(ValueError, match=re.escape(why)):
        made.read(ProgramOutput(text, log=text))


def test_a_histogram_table_gives_its_quantiles() -> None:
    rows = "".join(f"{us:12.3f} {share:.12f} {int(share * 100_000):10d} {1 / (1 - share):14.2f}\n"
                   for us, share in ((10, 0.0), (20, 0.5), (30, 0.9), (40, 0.99), (50, 0.999)))  # fmt: skip
    head = "       Value     Percentile TotalCount 1/(1-Percentile)\n\n"
    foot = "      60.000 1.000000000000     100000\n#[Mean    =       22.000, StdDeviation   =        5.000]\n"
    table = f"{head}{rows}{foot}#[Max     =       60.000, Total count    =       100000]\n"
    made = make("command", client="x", latencies={"format": "hgrm", "unit": "us"})
    reading = made.read(ProgramOutput("", log=table))
    assert reading.samples is None and reading.result["requests"] == 100_000
    assert {name: reading.metrics[f"rtt_{name}_us"] for name in ("p50", "p99", "p99_9")} == {
        "p50": 20,
        "p99": 40,
        "p99_9": 50,
    }


def test_figures_of_a_command_are_counted_and_read_from_either_program() -> None:
    figures = {"requests": {"counter": "^ok"}, "served": {"regex": "served (\\d+)", "of": "server"}}
    made = make("command", client="x", figures=figures)
    assert made.server_tells()
    reading = made.read(ProgramOutput("ok\nok\nno ok\n", server="served 3\nserved 7\n", elapsed_ns=5))
    assert reading.metrics == {"requests": 2, "served": 7}
    # From them the cost of a request is computed.
    assert reading.result == {"elapsed_ns": 5, "requests": 2, "answered": 2}


def test_paths_of_a_command_lead_from_its_file(tmp_path: Path) -> None:
    made = make(
        "command",
        client="./bin/x ../data -c {cpus} {log} /abs .hidden",
        home="/home/me/exp",
        figures={"a": {"json": "b"}},
    )
    scene = replace(SCENE, cpus="2-3", log="/dev/fd/9")
    assert made.client(scene) == ["/home/me/exp/bin/x", "/home/me/data", "-c", "2-3", "/dev/fd/9", "/abs", ".hidden"]
    assert not made.builds("/home/me/exp/bin/x")
    workload = {
        "kind": "command",
        "from": "client",
        "to": "server",
        "client": "./x",
        "build": ["make"],
        "latencies": {},
    }
    written = experiment.write(tmp_path, workload=workload)
    (cell,) = load_experiment(written).cells
    assert cell.spec.workload.client(SCENE) == [str(tmp_path / "x")]
    assert cell.spec.workload.builds(str(tmp_path / "x"))
    # Where a file lies does not make another experiment of it.
    (tmp_path / "b").mkdir()
    (moved,) = load_experiment(experiment.write(tmp_path / "b", workload=workload)).cells
    assert moved.cell_id == cell.cell_id


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
