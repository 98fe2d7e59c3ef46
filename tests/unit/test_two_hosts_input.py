"""Experiments on two hosts, before any host is asked: what a file may say, who the pair is, how halves are joined."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from harness.cli import main
from harness.errors import InputError, PollbenchError
from harness.knobs import GroupUse
from harness.places.fleet.share import pair_of
from harness.plan import make_plan
from harness.run import metrics as metrics_of
from harness.run import two_hosts_merge
from harness.run.outcome import Outcome
from harness.spec.load import Experiment, load_experiment
from harness.store.record import Columns, KnobRow
from harness.topology.layout import plan_layout
from harness.topology.placed import refuse_here
from tests.unit.test_metrics import outcome

FILE = """\
name: two
topology:
  nodes:
    client: {host: gen, interface: enp1s0f1, cpus: "900"}
    server: {host: dut, interface: eth1}
  links: [{between: [client, server], mtu: 9000}]
workload: {kind: ping-pong, from: client, to: server, protocol: udp, size: 64B, duration: 1s}
contention: {on: client.cpus, kind: spin}
repeat: 2
"""


def loaded(home: Path, old: str = "", new: str = "") -> Experiment:
    path = home / "two.yaml"
    assert old in FILE
    path.write_text(FILE.replace(old, new) if old else FILE)
    return load_experiment(path)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("host: dut, interface: eth1", "host: dut", "5:14: topology.nodes.server.host: the node names no interface"),
        ("host: dut, interface: eth1", "interface: eth1", "interface: the node names no host"),
        ("host: dut, interface: eth1", "", "two nodes, each on a host of its own"),
        ("interface: eth1", "interface: eth0", "eth0 is not lent"),
        ("host: dut", "host: gen", "both nodes are on this host"),
        ("interface: eth1}", "interface: eth1, cpu_share: 50%}", "cpu_share is nothing that a node on a host"),
        ("mtu: 9000", "shape: {rate: 1gbit}", "a real wire between two hosts is not shaped"),
        ("mtu: 9000", "queues: 2", "queues is the interfaces' own here"),
        ("on: client.cpus", 'on: "0-3"', "on which of the two hosts these CPUs are, nobody says"),
        ("on: client.cpus", "overlap: 1, on: client.cpus", "is known on its host only"),
    ],
)
def test_what_two_hosts_cannot_have_is_said_with_its_place(tmp_path: Path, old: str, new: str, said: str) -> None:
    with pytest.raises(InputError) as raised:
        loaded(tmp_path, old, new)
    assert said in str(raised.value)
    assert str(raised.value).startswith(f"{tmp_path}/two.yaml:")


def test_the_client_keeps_the_records_and_each_end_knows_the_other(tmp_path: Path) -> None:
    plan = make_plan(loaded(tmp_path))
    pair = pair_of(plan, ["dut", "gen", "more"], "two.yaml")
    assert pair is not None
    assert pair.label == "gen / dut"
    near, far = pair.end("gen"), pair.end("dut")
    assert (near.here, near.there, near.host, near.keeps) == ("client", "server", "dut", True)
    assert (far.here, far.there, far.host, far.keeps) == ("server", "client", "gen", False)
    assert near.token == far.token and len(near.token) == 32
    with pytest.raises(InputError, match='the inventory has no such host; did you mean "duT"'):
        pair_of(plan, ["gen", "duT"], "two.yaml")


def test_cells_that_measure_from_different_hosts_are_two_experiments(tmp_path: Path) -> None:
    both = "cases: {a: {}, b: {workload: {from: server, to: client}}}\nrepeat: 2"
    plan = make_plan(loaded(tmp_path, "repeat: 2", both))
    with pytest.raises(InputError, match="differ in which host measures from where"):
        pair_of(plan, ["gen", "dut"], "two.yaml")


def test_it_is_laid_out_with_the_hosts_own_interfaces_and_nowhere_but_in_a_fleet(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (cell,) = loaded(tmp_path).cells
    topology = cell.spec.topology
    layout = plan_layout(topology)
    assert [layout.ports[node][0].device for node in ("client", "server")] == ["enp1s0f1", "eth1"]
    assert layout.address("server", "client") == "10.0.0.2"
    with pytest.raises(InputError, match="pollbench fleet run FILE -i INVENTORY"):
        refuse_here(topology)
    # CPU 900 is no mistake here: it is the other host that has it, or not.
    assert main(["run", str(tmp_path / "two.yaml")]) == 2
    assert "on hosts of an inventory (gen, dut)" in capsys.readouterr().err
    tune = {"space": {"settings.server.busy_poll.usecs": [0, 50]}, "goal": {"least": "rtt_p50_us"}}
    (tmp_path / "tune.yaml").write_text(FILE.replace("repeat: 2", f"tune: {json.dumps(tune)}"))
    assert main(["tune", str(tmp_path / "tune.yaml"), "--plan"]) == 2
    assert "tune FILE -i INVENTORY" in capsys.readouterr().err
    assert main(["plan", str(tmp_path / "two.yaml")]) == 0
    assert "will be skipped: its nodes are on gen, dut; type: pollbench fleet run" in capsys.readouterr().out


def half(whole: Outcome, label: str, node: str) -> Outcome:
    """What one host saw: its node and program, and CPUs as busy as the other's."""
    seen = whole.delta
    return dataclasses.replace(
        whole,
        client=whole.client if label == "client" else {},
        server=whole.server if label == "server" else {},
        hog=None,
        programs=tuple(program for program in whole.programs if program.label == label),
        delta=dataclasses.replace(seen, nodes={node: seen.nodes[node]}, programs={label: seen.programs[label]}),
    )


def test_two_halves_are_one_outcome_whose_cpus_are_told_apart() -> None:
    whole = outcome()
    near, far = half(whole, "client", "c"), half(whole, "server", "s")
    sent = two_hosts_merge.Half(
        far, [KnobRow("*", setting="busy_read")], {"s": {"eth0": ["gro"]}}, {"server.stdout.jsonl": b"x"}
    )
    message = json.loads(json.dumps(two_hosts_merge.pack(sent)))
    received = two_hosts_merge.unpack(message, "dut")
    made = two_hosts_merge.together(near, received.outcome, "s")
    assert {program.label for program in made.programs} == {"client", "server"}
    assert set(metrics_of.cpu_figures(made)) == {"0", "1", "2", "s:0", "s:1", "s:2"}
    assert metrics_of.idle_shares(made, "s") == metrics_of.idle_shares(whole, "c")
    # Twice the same CPUs, as busy as they were, and the worst of them as bad.
    alone, both = metrics_of.run_metrics(whole), metrics_of.run_metrics(made)
    same = ("set_busy_percent", "set_idle_percent", "foreign_percent", "cpu_us_per_request")
    assert {name: both[name] for name in same} == pytest.approx({name: alone[name] for name in same})
    assert received.knobs == [KnobRow("*", setting="busy_read (dut)")]
    assert (received.features, received.files) == (sent.features, sent.files)


def test_a_half_that_is_none_names_the_host() -> None:
    with pytest.raises(PollbenchError, match="read what the other end found on dut") as caught:
        two_hosts_merge.unpack({"outcome": {}}, "dut")
    assert "validation errors" in caught.value.got and len(caught.value.got) <= 300


def test_facts_of_hosts_that_differ_are_told_of_both() -> None:
    client: Columns = {"kernel": "6.18", "smt": "on", "host": "gen", "interface": "eth1 (ixgbe)"}
    server: Columns = {"kernel": "6.12", "smt": "on", "host": "dut", "interface": "eth2 (ice)"}
    assert two_hosts_merge.environment(client, server) == {"kernel": "6.18 / 6.12", "smt": "on", "host": "gen / dut"}


def test_what_either_end_alone_knows_is_in_the_whole() -> None:
    whole = outcome()
    group = GroupUse(5, 1, 0, 0, (0,))
    near = dataclasses.replace(
        half(whole, "client", "c"), numa={"c": [0]}, groups={"c": group}, napis={"c": []}, hog_threads=0
    )
    far = dataclasses.replace(
        half(whole, "server", "s"),
        numa={"s": [1]},
        groups={"s": group},
        napis={"s": [{"napi_id": 8}]},
        changed=("gro went off",),
        metrics={"x_us": 1.0},
        hog={"cpu_ns": [5]},
        hog_threads=3,
    )
    made = two_hosts_merge.together(near, far, "s")
    assert (made.numa, made.groups) == ({"c": [0], "s": [1]}, {"c": group, "s": group})
    assert (made.napis, made.changed, made.metrics) == (near.napis | far.napis, ("gro went off",), {"x_us": 1.0})
    assert (made.hog, made.hog_threads) == ({"cpu_ns": [5]}, 3)
    assert (made.client, made.server) == (whole.client, whole.server)
    assert made.delta.elapsed_ns == near.delta.elapsed_ns
