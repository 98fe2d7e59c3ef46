"""Our own generator's sockets and ways to receive and send: what goes with them, and what reaches the generator."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from harness.columns import BY_NAME
from harness.errors import InputError
from harness.plan import load_experiment, make_plan
from harness.spec.cells import CellSpec
from harness.workloads import Scene
from tests import experiment

SCENE = Scene("10.0.0.2", port=7)
REFERENCES = sorted((Path(__file__).parents[2] / "results/reference").glob("gallery/*/experiment.yaml"))
LINK = {"between": ["client", "server"]}
COUNTED = {"requests": {"regex": "(1)"}}


def spec_of(tmp_path: Path, topology: dict[str, Any] | None = None, **workload: Any) -> CellSpec:
    base = experiment.document()
    changes = {"workload": base["workload"] | workload, "topology": base["topology"] | (topology or {})}
    (cell,) = load_experiment(experiment.write(tmp_path, **changes)).cells
    return cell.spec


@pytest.mark.parametrize("kind", ["ping-pong", "load"])
def test_each_end_has_its_own_kind(tmp_path: Path, kind: str) -> None:
    bound = {"zero_copy": "on", "need_wakeup": "off", "queue": 3}
    workload = spec_of(tmp_path, kind=kind, server_socket="af_xdp", server_wait="poll", xdp=bound).workload
    argv = workload.server(SCENE)
    assert argv[argv.index("--socket") :][:7] == [
        *("--socket", "af_xdp", "--xdp-need-wakeup", "0", "--xdp-queue", "3", "--xdp-zero-copy")
    ]
    assert "--socket" not in workload.client(SCENE) and workload.nodes_beside_the_stack() == ("server",)
    facts = workload.described()
    assert (facts["client_socket"], facts["server_socket"], facts["xdp_mode"]) == ("kernel", "af_xdp", "zero-copy")


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({"udp_batch": 32}, ["--batch", "32"]),
        # Without a size of its own a reply would be an echo out of the request's memory.
        ({"zerocopy": "on", "protocol": "tcp", "size": "4kB"}, ["--response-size", "4000", "--zerocopy"]),
        ({"uring_multishot": "on", "protocol": "tcp", "server_wait": "uring"}, ["--multishot"]),
        ({"server_layout": "napi", "protocol": "tcp", "wait": "epoll", "server_threads": 2}, ["--by-napi"]),
    ],
)
def test_ways_to_receive_and_send_are_the_server_s(tmp_path: Path, fields: dict[str, Any], options: list[str]) -> None:
    workload, fact = spec_of(tmp_path, kind="load", **fields).workload, next(iter(fields))
    assert set(options) <= set(workload.server(SCENE)) and options[-1] not in workload.client(SCENE)
    assert ("--response-size" in options) == ("--response-size" in workload.client(SCENE))
    assert workload.described()[fact] and f"workload_{fact}" in BY_NAME
    # What is not used is in no fact, and in no identity.
    plain = spec_of(tmp_path, kind="load")
    assert fact not in plain.workload.described() and fact not in plain.identity()["workload"]


def test_departure_times_are_the_client_s(tmp_path: Path) -> None:
    workload = spec_of(tmp_path, kind="load", txtime="2ms").workload
    argv = workload.client(SCENE)
    assert argv[argv.index("--txtime-ns") + 1] == "2000000" and "--txtime-ns" not in workload.server(SCENE)
    assert workload.described()["txtime_s"] == 0.002 and not workload.can_be_timed()
    assert "txtime_s" not in spec_of(tmp_path, kind="load").workload.described()


def test_cells_without_them_keep_their_names(tmp_path: Path) -> None:
    known = spec_of(tmp_path).identity()["workload"]
    assert not {"socket", "client_socket", "server_socket", "xdp"} & known.keys()
    assert spec_of(tmp_path, socket="af_xdp", wait="spin").identity()["workload"]["socket"] == "af_xdp"


@pytest.mark.parametrize(
    ("workload", "topology", "message"),
    [
        ({}, {}, "an af_xdp socket cannot wait by `blocking`, as the client does; client_wait: poll (sleeps), or spin"),
        ({"protocol": "tcp"}, {}, "an af_xdp socket sends datagrams, no tcp; protocol: udp"),
        ({"size": 1473}, {}, "size is over the 1472 bytes that one frame of an af_xdp socket holds"),
        ({"kind": "load", "response_size": "exponential:90B:1500B"}, {}, "is over the 1472 bytes that one frame"),
        ({"kind": "load", "connections": 2}, {}, "connections: 1 and threads: 1"),
        ({"kind": "load", "server_threads": 2}, {}, "server_threads: 1"),
        ({"kind": "load", "udp_batch": 8}, {}, "an af_xdp socket has no udp_batch; leave it out"),
        ({"kind": "load", "socket": "kernel", "udp_batch": 8, "protocol": "tcp"}, {}, "udp_batch is of UDP sockets"),
        ({"kind": "load", "txtime": "1ms", "server_socket": "kernel"}, {}, "txtime is of a client with one UDP socket"),
        ({"kind": "load", "socket": "kernel", "zerocopy": "on"}, {}, "zerocopy is of TCP here"),
        (
            {"kind": "load", "socket": "kernel", "server_layout": "napi", "protocol": "tcp"},
            {},
            "needs protocol: tcp, s",
        ),
        ({"kind": "load", "socket": "kernel", "uring_multishot": "on"}, {}, "add protocol: tcp, server_wait: uring"),
        ({"kind": "load", "phases": "on"}, {}, "an af_xdp socket has no phases; leave it out"),
        ({"socket": "kernel", "xdp": {"queue": 1}}, {}, "xdp is of af_xdp sockets; add socket: af_xdp"),
        ({"socket": "xdp"}, {}, "workload.socket"),
        ({"xdp": {"queue": 1024}}, {}, "workload.xdp.queue"),
        ({}, {"family": "ipv6"}, 'topology.family: "client" has an af_xdp socket, for IPv4 alone'),
        (
            {"client_socket": "kernel"},
            {"links": [LINK | {"reverse": {"rate": "1gbit"}}]},
            'topology.links.0.reverse: frames of the af_xdp socket on "server" pass no queueing discipline',
        ),
    ],
)
def test_what_does_not_go_with_them(
    tmp_path: Path, workload: dict[str, Any], topology: dict[str, Any], message: str
) -> None:
    wait = {} if "cannot wait" in message else {"wait": "poll"}
    with pytest.raises(InputError) as caught:
        spec_of(tmp_path, topology, **({"socket": "af_xdp"} | wait | workload))
    assert message in caught.value.line() and "small.yaml:" in caught.value.line()


def test_one_socket_serves_the_connections_of_many(tmp_path: Path) -> None:
    ends = {"server_socket": "af_xdp", "wait": "poll", "connections": 4, "threads": 2}
    workload = spec_of(tmp_path, kind="load", **ends).workload
    assert "--socket" in workload.server(SCENE) and "--socket" not in workload.client(SCENE)


def test_the_other_direction_may_be_shaped(tmp_path: Path) -> None:
    links = [LINK | {"forward": {"rate": "1gbit"}}]
    assert spec_of(tmp_path, {"links": links}, server_socket="af_xdp", server_wait="spin").topology.is_shaped()


@pytest.mark.parametrize(
    ("kind", "more", "cell_id"),
    [
        ("ping-pong", {}, "5580b94e7173"),
        ("load", {"rate": 1000}, "e54bb4dfc305"),
        ("sockperf", {}, "051ccbf7fd5a"),
        ("iperf3", {}, "d6d744039ae5"),
        ("netperf", {}, "b381b8d6f463"),
        ("memcached", {}, "6ef923518b9c"),
        (
            "command",
            {"client": "true", "server": "true", "port": 7000, "figures": {"requests": {"regex": "(1)"}}},
            "b3469d871496",
        ),
    ],
)
def test_a_field_that_is_new_renames_no_cell(tmp_path: Path, kind: str, more: dict[str, Any], cell_id: str) -> None:
    """Else no set that was made before could be resumed, judged again, or compared cell by cell."""
    document = {
        "name": "x",
        "topology": {
            "nodes": {"client": {"cpus": "0"}, "server": {"cpus": "1"}},
            "links": [{"between": ["client", "server"], "shape": {"rate": "1gbit"}}],
        },
        "workload": {"kind": kind, "from": "client", "to": "server", **more},
        "contention": {"on": "server.cpus", "load": "50%"},
        "settings": {"server": {"busy_poll": {"usecs": 50}}},
        "cases": {"base": {}},
        "checks": {"max_steal_share": "50%"},
        "vm": {"cpus": 2},
    }
    path = tmp_path / "x.yaml"
    path.write_text(json.dumps(document))
    (cell,) = make_plan(load_experiment(path)).cells
    assert cell.cell_id == cell_id


def test_sets_of_the_past_have_the_runs_that_their_files_plan_today() -> None:
    """Every shipped set, whenever it was made: their files use all that a field added later could rename."""
    planned, made = set[str](), set[str]()
    for path in REFERENCES:
        planned |= {run.run_id for run in make_plan(load_experiment(path)).runs}
        with (path.parent / "runs.csv").open(encoding="utf-8", newline="") as lines:
            made |= {row["run_id"] for row in csv.DictReader(lines)}
    assert len(REFERENCES) > 15 and len(made) > 1000
    assert made <= planned
