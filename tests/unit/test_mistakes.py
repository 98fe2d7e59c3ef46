"""Everything that is wrong with a file is named at once, each with its place, and so is what would mean nothing."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from harness.errors import InputError
from harness.knobs import KNOBS
from harness.spec.load import load_experiment
from harness.spec.messages import MAX_MISTAKES
from tests import command, experiment

ROOT = Path(__file__).parents[2]
PLACE = re.compile(r"pollbench: (?:\S*/)?(\w+\.yaml):(\d+):(\d+): \S")
HEAD = """\
name: several
topology:
  nodes: {client: {cpus: "0"}, server: {cpus: "1"}}
  links: [{between: [client, server]}]
workload: {kind: ping-pong, from: client, to: server, duration: 100ms}
"""


@pytest.fixture(autouse=True)
def two_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.kernel.facts.online_cpus", lambda: {0, 1})


def validated(directory: Path, text: str) -> list[str]:
    """The lines of `validate`, each of which begins with a place in the file; without the file's directory."""
    path = directory / "f.yaml"
    path.write_text(text)
    done = command.call("validate", path)
    lines = done.stderr.splitlines()
    assert done.returncode == (2 if lines else 0)
    assert all(PLACE.match(line) for line in lines), lines
    return [line.replace(f"pollbench: {path}:", "") for line in lines]


def test_every_mistake_of_a_file_is_named_with_its_place(tmp_path: Path) -> None:
    lines = validated(
        tmp_path,
        """\
name: "bad name"
descriptio: x
topology:
  nodes: {client: {cpus: "0", foo: 1}, server: {cpus: "x"}}
  links: [{between: [client, server], mtu: 3}]
workload: {kind: ping-pong, from: clint, to: server, duration: 1, sie: 64B}
contention: {on: nobody.cpus, kind: spn}
settings:
  "*": {busy_poll: {usecs: -1}}
vm: {cmdline: "a\\nb"}
sweep: {contention.load: [0%, 0%, {}]}
cases: {a: {settigs: {}, foo: 1}, "b c": {}}
quick: {workload.duraton: 1s, nope.x: 3, repeat: x}
guest: {topologyy: 1}
""",
    )
    places = [":".join(line.split(":")[:2]) for line in lines]
    first = ["1:7", "2:1", "4:31", "4:55", "5:44", "6:67", "6:64", "7:37", "9:28", "10:15", "11:31", "11:35"]
    second = ["12:13", "12:26", "12:35", "13:27", "13:39", "13:50", "14:20"]
    assert sorted(places) == sorted([*first, *second])
    assert len(set(lines)) == len(lines)


def test_what_only_the_cells_tell_is_named_too(tmp_path: Path) -> None:
    lines = validated(
        tmp_path,
        """\
name: cells
topology:
  nodes: {client: {cpus: "0"}, server: {cpus: "1"}, third: {}}
  links:
    - {between: [client, server], shape: {burst: 10B, rate: 1gbit, jitter: 1ms}}
    - {between: [client, server], shape: {limit: 5, qdisc: {kind: cake, limit: 9}}}
workload: {kind: ping-pong, from: clint, to: third}
contention: {on: nobody.cpus, kind: spin}
settings:
  "*": {coalesce: {}}
  nobody: {busy_poll: {usecs: 50}}
claims: {c: {sentence: s, expect: [{case: none, direction: lower}, {case: bas, at: {x: 1}, direction: lower}]}}
""",
    )
    assert [line.split(": ")[1] for line in lines] == [
        "topology.links.0.shape.burst",
        "topology.links.0.shape.jitter",
        "topology.links.1.shape.limit",
        "topology.links.1.shape.qdisc.limit",
        "topology.nodes.third",
        "workload.from",
        "contention.on",
        "settings.*.coalesce",
        "settings.nobody",
        "claims.c.expect.0.case",
        "claims.c.expect.1.case",
        "claims.c.expect.1.at.x",
    ]


def test_a_mistake_that_all_cells_share_is_named_once(tmp_path: Path) -> None:
    sweep = "sweep: {contention.load: [0%, 10%, 20%], workload.size: [64B, 65B]}\n"
    lines = validated(tmp_path, HEAD + "contention: {on: nobody.cpus}\ncases: {a: {}, b: {checks: {}}}\n" + sweep)
    assert len(lines) == 1 and 'there is no node "nobody"' in lines[0]


def test_no_more_are_gathered_than_anybody_reads(tmp_path: Path) -> None:
    lines = validated(tmp_path, HEAD + "".join(f"wrong{number}: 1\n" for number in range(3 * MAX_MISTAKES)))
    assert len(lines) == MAX_MISTAKES


def test_who_runs_a_file_hears_of_ten_and_of_how_many_more(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text(HEAD + "".join(f"wrong{number}: 1\n" for number in range(12)))
    done = command.call("plan", path)
    assert done.returncode == 2
    *lines, last = done.stderr.splitlines()
    assert len(lines) == 10 and all(f'unknown key "wrong{number}"' in line for number, line in enumerate(lines))
    assert last == "pollbench: and 2 more"


def test_json_has_all_of_them(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text(HEAD + "wrong: 1\nother: 2\n")
    (row,) = json.loads(command.call("validate", "--json", path).stdout)
    assert len(row["errors"]) == 2 and row["error"] == row["errors"][0] and not row["ok"]


@pytest.mark.parametrize(
    ("section", "where", "why"),
    [
        ("quick: {workload.duraton: 1s}", "6:27", 'unknown key "duraton" in workload; did you mean "duration"?'),
        ("quick: {workload.duration: 7}", "6:28", "7 has no unit"),
        ("quick: {workload: 7}", "6:19", "7 is not a mapping"),
        ("quick: {repeat: [1]}", "6:17", "is not"),
        ("quick: {nothing.x: 1}", "6:20", 'there is no key "nothing.x" to set'),
        ("quick: {cases.none.settings: {}}", "6:30", 'there is no case "none"'),
        ("quick: [1]", "6:1", "a list is not a mapping"),
        ("guest: {topology.links.0.mt: 1500}", "6:30", 'unknown key "mt" in topology.links.0'),
        ("guest: {vm.cpus: two}", "6:18", '"two" is not a whole number'),
        ("guest: {quick.workload.duratoin: 1s}", "6:34", 'unknown key "duratoin"'),
        ("guest: {topology.nodes.server.cpus: '7'}", "6:37", "the guest (vm.cpus) has no CPU 7"),
        ("guest: 7", "6:8", "7 is not a mapping"),
    ],
)
def test_sections_that_count_on_demand_are_checked_without(tmp_path: Path, section: str, where: str, why: str) -> None:
    lines = validated(tmp_path, HEAD + section + "\n")
    assert lines and all(line.startswith(f"{where}: ") for line in lines), lines
    assert why in lines[0]


def test_sections_that_are_right_cost_nothing(tmp_path: Path) -> None:
    assert validated(tmp_path, HEAD + "quick: {repeat: 2, workload.duration: 50ms}\nguest: {vm.cpus: 4}\n") == []


def _without_required() -> list[str]:
    return [
        name for name, knob in KNOBS.items() if not any(field.is_required() for field in knob.model_fields.values())
    ]


@pytest.mark.parametrize("name", _without_required())
def test_a_knob_that_sets_nothing_is_a_mistake(tmp_path: Path, name: str) -> None:
    """Its case would do nothing, and be compared."""
    lines = validated(tmp_path, HEAD + f'cases: {{base: {{}}, on: {{settings: {{"*": {{{name}: {{}}}}}}}}}}\n')
    empty = KNOBS[name].model_construct() if name != "cgroup" else None
    if empty is not None and empty.settings():
        assert lines == [], "empty, it has a meaning of its own"
    else:
        assert len(lines) == 1 and "nothing" in lines[0] and lines[0].startswith("6:")


def test_some_knobs_can_be_empty() -> None:
    assert {"coalesce", "offloads", "process"} <= set(_without_required())


@pytest.mark.parametrize(
    ("rest", "place"),
    [
        ("cases: {a: {}, b: {}}\n", "6:16"),
        ("cases: {a: {}, b: {description: another}}\n", "6:16"),
        ('cases: {a: {}, b: {settings: {"*": {busy_poll: null}}}}\n', "6:16"),
        ("cases: {a: {}, b: {workload: {duration: 0.1s}}}\n", "6:16"),
        ("cases: {a: {}, b: {}, c: {workload: {size: 65B}}}\nsweep: {workload.wait: [spin, poll]}\n", "6:16"),
        ("sweep: {workload.duration: [100ms, 0.1s]}\n", "1:1"),
    ],
)
def test_cells_that_do_the_same_are_named(tmp_path: Path, rest: str, place: str) -> None:
    lines = validated(tmp_path, HEAD + rest)
    assert len(lines) == 1 and lines[0].startswith(f"{place}: cell "), lines
    assert "it does the same as" in lines[0] and "calibrate" in lines[0]


def test_cells_that_say_the_same_are_named_beside_other_mistakes(tmp_path: Path) -> None:
    """In one go; a case that is wrong itself is not taken for another that lacks what is wrong."""
    cases = "cases: {a: {}, b: {}, c: {workload: {size: none}}}\n"
    lines = validated(tmp_path, HEAD + 'vm: {cmdline: a"b}\n' + cases + "trace: head\n")
    assert [line.split(": ")[0] for line in lines] == ["8:8", "6:15", "7:44", "7:16"], lines
    assert lines[-1].startswith("7:16: cell b: it does the same as a: ")


@pytest.mark.parametrize(
    ("setting", "place", "why"),
    [
        ("socket_options: {incoming_cpu: 2}", "6:52", "this host has no CPU 2; CPUs online: 0-1"),
        ("socket_options: {incoming_cpu: 8192}", "6:52", "it must be at most 8191"),
        ('xps: {queues: ["0", "1-3"]}', "6:27", "this host has no CPU 2-3; CPUs online: 0-1"),
    ],
)
def test_a_knob_s_cpus_are_those_of_the_machine(tmp_path: Path, setting: str, place: str, why: str) -> None:
    (line,) = validated(tmp_path, f"{HEAD}settings: {{client: {{{setting}}}}}\n")
    assert line.startswith(f"{place}: ") and why in line


@pytest.mark.parametrize(
    ("rest", "places"),
    [
        ("contention: {on: server.cpus, load: 50%}\nsweep: {contention.load: [0%, 100%]}\n", ["6:37"]),
        ("contention: {on: server.cpus, load: 0%}\nsweep: {contention.load: [0%, 100%]}\n", []),
        (
            "contention: {on: server.cpus}\ncases: {a: {}, b: {contention: {load: 0%}}}\n"
            "sweep: {contention.load: [0%, 100%]}\n",
            ["7:39"],
        ),
        ("settings: {server: {busy_poll: {usecs: 7}}}\nsweep: {'settings.*.busy_poll.usecs': [20, 50]}\n", ["6:40"]),
        ("settings: {'*': {busy_poll: {usecs: 7}}}\nsweep: {settings.server.busy_poll.usecs: [20, 50]}\n", []),
    ],
)
def test_a_value_that_the_sweep_hides_is_named(tmp_path: Path, rest: str, places: list[str]) -> None:
    lines = validated(tmp_path, HEAD + rest)
    assert [line.split(": ")[0] for line in lines] == places, lines
    assert all("the sweep sets it in every cell" in line for line in lines)


def test_a_value_of_a_shared_topology_file_may_be_swept(tmp_path: Path) -> None:
    (tmp_path / "pair.yaml").write_text(
        "nodes: {client: {}, server: {}}\nlinks: [{between: [client, server], mtu: 1500}]\n"
    )
    text = HEAD.partition("topology")[0] + "topology: ./pair.yaml\nworkload" + HEAD.partition("workload")[2]
    assert validated(tmp_path, text + "sweep: {topology.links.0.mtu: [9000, 3000]}\n") == []


def test_what_is_set_by_hand_may_make_cells_alike(tmp_path: Path) -> None:
    cases = {"a": {}, "b": {"workload": {"size": "65B"}}}
    path = experiment.write(tmp_path, cases=cases)
    assert len(load_experiment(path, [("workload.size", "66B")]).cells) == 2


@pytest.mark.parametrize("separator", ["\n", "\r", "\u2028", "\x85", "\x1b"])
def test_a_kernel_command_line_is_one_line(tmp_path: Path, separator: str) -> None:
    lines = validated(tmp_path, HEAD + f"vm: {{cmdline: {json.dumps(f'a=1{separator}b=2')}}}\n")
    assert len(lines) == 1 and lines[0].startswith("6:15: vm.cmdline: it holds a line break")


LAYOUTS: dict[str, tuple[str, str]] = {
    "a gateway far away": (
        "nodes: {client: {cpus: '0', default_route: 192.0.2.1}, server: {cpus: '1'}}\n"
        "  links: [{between: [client, server]}]",
        "3:11: topology.nodes.client: the gateway of its default route, 192.0.2.1, is in no subnet of its interfaces",
    ),
    "a route's gateway far away": (
        "nodes: {client: {cpus: '0', routes: {10.9.0.0/16: 192.0.2.1}}, server: {cpus: '1'}}\n"
        "  links: [{between: [client, server]}]",
        "3:11: topology.nodes.client: the gateway of its route to 10.9.0.0/16, 192.0.2.1, is in no subnet",
    ),
    "a segment without room": (
        "nodes: {client: {cpus: '0'}, server: {cpus: '1'}, s: {switch: on}}\n"
        "  links:\n"
        "    - {between: [client, s], addresses: [10.0.0.1/30, null]}\n"
        "    - {between: [server, s], addresses: [10.0.0.2/30, null]}\n"
        "    - {between: [server, s]}",
        "2:1: topology: no address is left in 10.0.0.0/30",
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_what_cannot_be_laid_out_has_its_place(tmp_path: Path, name: str) -> None:
    """By validate, and by plan, before anything is made."""
    topology, line = LAYOUTS[name]
    text = f"name: x\ntopology:\n  {topology}\nworkload: {{kind: ping-pong, from: client, to: server}}\n"
    (only,) = validated(tmp_path, text)
    assert only.startswith(line)
    assert command.call("plan", tmp_path / "f.yaml").stderr == f"pollbench: {tmp_path}/f.yaml:{only}\n"


def test_every_golden_message_has_a_place() -> None:
    """In the file: line and column; of what is no text, the file at least; of an option, the option."""
    lines = [path.read_text() for path in sorted((ROOT / "tests/golden/errors").glob("*.txt"))]
    assert len(lines) > 50
    for line in lines:
        assert re.match(r"(?:\S+\.(?:yaml|py):\d+:\d+|\S+\.yaml|--\S+ .*?): ", line), line


def test_no_message_of_specification_and_plan_is_without_a_place() -> None:
    """Every InputError that is made there says where; a ValueError is a validator's, and gets its place later."""
    lacking = []
    for path in [*sorted((ROOT / "harness" / "spec").rglob("*.py")), ROOT / "harness" / "plan.py"]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "InputError":
                named = any(keyword.arg == "where" for keyword in node.keywords) or len(node.args) == 5
                empty = any(keyword.arg == "where" and ast.unparse(keyword.value) == "''" for keyword in node.keywords)
                lacking += [f"{path.name}:{node.lineno}"] if empty or not named else []
    assert lacking == []


def test_an_error_with_others_is_still_one_line() -> None:
    error = InputError("a", where="f:1:1")
    error.others = (InputError("b", where="f:2:1"),)
    assert error.line() == "f:1:1: a"


def test_a_file_that_is_no_yaml_is_one_mistake(tmp_path: Path) -> None:
    assert len(validated(tmp_path, "a: [\n")) == 1


def test_alternatives_of_a_value_are_one_mistake(tmp_path: Path) -> None:
    """Of a value that may be a name or a mapping, only what it is nearer to is told of."""
    text = HEAD.replace("workload", "  emulator: {controller: {comand: x}}\nworkload", 1)
    lines = validated(tmp_path, text)
    assert [line.split(": ")[1].split(";")[0] for line in lines if "comand" in line]
    assert not any("is not text" in line for line in lines)


def test_what_is_wrong_with_interfaces_of_the_host_and_routing_daemons(tmp_path: Path) -> None:
    lines = validated(
        tmp_path,
        """\
name: lent
topology:
  nodes:
    client: {cpus: "0", routing: {}}
    server: {cpus: "1", routing: {bird: "a\\nb", frr: "c\\nd"}, initcwnd: 10}
    third: {routing: {bird: "a\\nb", until: ["fd00::/64"]}}
    lan: {switch: on, routing: {frr: "router ospf\\n"}}
  links:
    - {between: [client, server], nic: physical}
    - {between: [client, third], nic: physical, devices: [eth1, eth0], queues: 2}
    - {between: [third, lan], nic: physical, devices: [lo, eth1]}
workload: {kind: ping-pong, from: client, to: server}
""",
    )
    assert [line.split(": ")[1] for line in lines] == [
        "topology.links.0.nic",
        "topology.links.1.devices.1",
        "topology.links.1.queues",
        "topology.links.2.devices.0",
        "topology.links.2.devices.1",
        "topology.nodes.client.routing",
        "topology.nodes.server.routing",
        "topology.nodes.server.initcwnd",
        "topology.nodes.third.routing.until.0",
        "topology.nodes.lan.routing",
    ]


def test_a_rate_that_is_too_low_is_named_beside_a_delay_that_cannot_be_read(tmp_path: Path) -> None:
    lines = validated(tmp_path, HEAD.replace("server]}", "server], shape: {rate: 1bit, delay: soon}}"))
    assert [line.split(": ")[1] for line in lines] == ["topology.links.0.shape.rate", "topology.links.0.shape.delay"]


def test_a_configuration_is_a_file_or_its_text(tmp_path: Path) -> None:
    nodes = 'nodes: {client: {cpus: "0", routing: {%s}}, server: {cpus: "1"}}'
    head = HEAD.replace('nodes: {client: {cpus: "0"}, server: {cpus: "1"}}', nodes)
    lines = validated(tmp_path, head % "bird: r1.conf")
    assert len(lines) == 1 and "read a configuration of BIRD" in lines[0] and "No such file" in lines[0]
    (tmp_path / "r1.conf").write_text("protocol device {}\n")
    for value in ("bird: r1.conf", 'bird: "protocol device {}\\n"'):
        path = tmp_path / "f.yaml"
        path.write_text(head % value)
        routing = load_experiment(path).cells[0].spec.topology.nodes["client"].routing
        assert routing is not None and routing.text == "protocol device {}\n"
