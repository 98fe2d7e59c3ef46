"""From a file to cells: layers and their precedence, "*" in settings, topology files, CPUs; never a crash."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import InputError
from harness.plan import check_cpus, load_experiment
from harness.spec.load import Experiment
from tests.examples import examples

ROOT = Path(__file__).parent.parent.parent
SHIPPED = sorted((ROOT / "experiments").rglob("*.yaml"))
BASE: dict[str, Any] = {
    "name": "t",
    "topology": {
        "nodes": {"client": {"cpus": "0"}, "mid": {}, "server": {"cpus": "1"}},
        "links": [{"between": ["client", "mid"]}, {"between": ["mid", "server"], "shape": {"rate": "1gbit"}}],
    },
    "workload": {"kind": "ping-pong", "from": "client", "to": "server"},
    "contention": {"on": "server.cpus", "load": "10%"},
}


def load(
    tmp_path: Path, document: dict[str, Any], overrides: list[tuple[str, str]] | None = None, **more: Any
) -> Experiment:
    path = tmp_path / "t.yaml"
    path.write_text(yaml.safe_dump(document | more, sort_keys=False))
    return load_experiment(path, overrides or [])


def test_a_file_without_cases_and_sweep_is_one_cell(tmp_path: Path) -> None:
    experiment = load(tmp_path, BASE)
    (cell,) = experiment.cells
    assert (cell.case, cell.factors, cell.spec.napi) == ("base", {}, False)
    assert cell.spec.contention is not None
    assert cell.spec.contention.load_percent == 10.0
    assert cell.spec.contention_cpus() == (1,)
    assert cell.spec.process_cpus("client") == (0,)
    assert cell.spec.process_cpus("mid") is None


def test_precedence_is_base_case_sweep_command_line(tmp_path: Path) -> None:
    cases = {"a": {}, "b": {"contention": {"load": "20%"}}}
    assert loads(load(tmp_path, BASE, cases=cases)) == [10.0, 20.0]
    assert loads(load(tmp_path, BASE, sweep={"contention.load": ["10%", "30%"]})) == [10.0, 30.0]
    with pytest.raises(InputError, match="the sweep sets it in every cell"):
        load(tmp_path, BASE, cases=cases, sweep={"contention.load": ["10%", "30%"]})
    forced = load(tmp_path, BASE, [("contention.load", "40%")], cases=cases, sweep={"contention.load": ["30%", "50%"]})
    assert loads(forced) == [40.0, 40.0]
    assert forced.cells[0].factors == {"contention.load": "40%"}


def loads(experiment: Experiment) -> list[float]:
    return [cell.spec.contention.load_percent for cell in experiment.cells if cell.spec.contention]


def test_sweep_is_a_grid_in_file_order(tmp_path: Path) -> None:
    sweep = {"contention.load": ["0%", "100%"], "workload.size": ["64B", 1400]}
    base = BASE | {"contention": {"on": "server.cpus"}}
    experiment = load(tmp_path, base, cases={"x": {}, "y": {"workload": {"duration": "2s"}}}, sweep=sweep)
    assert [cell.label() for cell in experiment.cells][:4] == [
        "x contention.load=0% workload.size=64B",
        "x contention.load=0% workload.size=1400",
        "x contention.load=100% workload.size=64B",
        "x contention.load=100% workload.size=1400",
    ]
    assert len({cell.cell_id for cell in experiment.cells}) == 8


def test_overlays_change_list_entries_by_number_and_take_sections_back(tmp_path: Path) -> None:
    cases = {
        "slow": {"topology": {"links": {1: {"shape": {"rate": "1mbit"}}}}},
        "calm": {"contention": None},
        "one": {"topology": {"nodes": {"mid": {"forwarding": "on"}}}},
    }
    slow, calm, one = load(tmp_path, BASE, cases=cases).cells
    forward = slow.spec.topology.links[1].forward
    assert forward is not None
    assert forward.rate_bps == 10**6
    assert slow.spec.topology.links[0].forward is None
    assert calm.spec.contention is None
    assert one.spec.topology.nodes["mid"].forwarding is True


def test_star_reaches_the_nodes_where_a_knob_makes_sense(tmp_path: Path) -> None:
    star = {"busy_poll": {"usecs": 50}, "offloads": {"gro": "on"}, "host_busy_poll": {"busy_read": 5}}
    (cell,) = load(tmp_path, BASE, settings={"*": star, "server": {"busy_poll": {"usecs": 7}}}).cells
    found = {node: list(knobs) for node, knobs in cell.spec.settings.items()}
    assert found == {
        "client": ["offloads", "busy_poll"],
        "mid": ["offloads"],
        "server": ["offloads", "busy_poll"],
        "*": ["host_busy_poll"],
    }
    assert usecs(cell.spec.settings, "client") == 50
    assert usecs(cell.spec.settings, "server") == 7


def usecs(found: Any, node: str) -> Any:
    return found[node]["busy_poll"].usecs


def test_a_later_layer_s_star_reaches_nodes_that_an_earlier_one_names(tmp_path: Path) -> None:
    base = {"server": {"busy_poll": {"usecs": 10}}}
    experiment = load(tmp_path, BASE, settings=base, sweep={"settings.*.busy_poll.usecs": [10, 20]})
    assert [usecs(cell.spec.settings, "server") for cell in experiment.cells] == [10, 20]


def test_null_takes_a_knob_back(tmp_path: Path) -> None:
    given_settings = {"*": {"busy_poll": {"usecs": 50}}, "client": {"busy_poll": None}}
    (cell,) = load(tmp_path, BASE, settings=given_settings).cells
    assert list(cell.spec.settings) == ["server"]


def test_one_cell_that_needs_napi_gives_it_to_all_but_those_that_force_their_own(tmp_path: Path) -> None:
    poll = {"settings": {"*": {"busy_poll": {"usecs": 50}}}}
    cases = {"base": {}, "poll": poll, "inert": poll | {"topology": {"datapath": "plain"}}}
    assert [cell.spec.napi for cell in load(tmp_path, BASE, cases=cases).cells] == [True, True, False]
    del cases["poll"]
    assert [cell.spec.napi for cell in load(tmp_path, BASE, cases=cases).cells] == [False, False]


def test_what_is_otherwise_in_a_guest_counts_there_alone(tmp_path: Path) -> None:
    more: dict[str, Any] = {
        "repeat": 10,
        "cases": {"base": {}, "other": {"workload": {"size": 128}}},
        "quick": {"repeat": 7, "workload.duration": "100ms"},
        "guest": {
            "workload.duration": "50ms",
            "topology.links.0.nic": "e1000e",
            "vm.cpus": 4,
            "cases.other.workload.size": 256,
            "quick.repeat": 5,
            'quick."workload.duration"': "20ms",
        },
    }

    def seen(quick: bool, guest: bool) -> tuple[Any, ...]:
        found = load_experiment(tmp_path / "t.yaml", (), quick, guest)
        spec = found.cells[1].spec
        size = spec.workload.model_dump()["size_bytes"]
        return (found.repeat, spec.workload.duration_ns, spec.topology.links[0].nic, spec.machine.cpus, size)

    load(tmp_path, BASE, **more)
    assert seen(quick=False, guest=False) == (10, 1_000_000_000, "veth", 2, 128)
    assert seen(quick=True, guest=False) == (7, 100_000_000, "veth", 2, 128)
    assert seen(quick=False, guest=True) == (10, 50_000_000, "e1000e", 4, 256)
    assert seen(quick=True, guest=True) == (5, 20_000_000, "e1000e", 4, 256)


@pytest.mark.parametrize(
    ("guest", "said"),
    [
        ({"wrkload.size": 1}, 'there is no key "wrkload.size" to set; did you mean "workload"'),
        ({"cases.othr.workload": {}}, 'there is no case "othr"'),
        ({"workload.sise": 1}, "sise"),
    ],
)
def test_mistakes_in_the_guest_s_section_are_told_where_they_stand(tmp_path: Path, guest: Any, said: str) -> None:
    load(tmp_path, BASE, guest=guest)
    with pytest.raises(InputError) as caught:
        load_experiment(tmp_path / "t.yaml", guest=True)
    assert said in caught.value.line()
    assert "t.yaml:" in caught.value.line()


def test_a_group_that_has_the_cpus_binds_the_program(tmp_path: Path) -> None:
    group = {"server": {"cgroup": {"cpus": "1", "partition": "isolated"}}}
    (cell,) = load(tmp_path, BASE, settings=group).cells
    assert (cell.spec.launch_cpus("client"), cell.spec.launch_cpus("server")) == ((0,), None)
    wide = {"server": {"cgroup": {"cpus": "0-1"}}}
    (cell,) = load(tmp_path, BASE, settings=wide).cells
    assert cell.spec.launch_cpus("server") == (1,)


@pytest.mark.parametrize("number", ["²", "①", "x", "-1", "7"])
def test_what_numbers_no_entry_of_a_list_is_refused(tmp_path: Path, number: str) -> None:
    """Some characters are digits and yet no number."""
    with pytest.raises(InputError):
        load(tmp_path, BASE, [(f"topology.links.{number}.mtu", "1500")])


def test_a_topology_by_name_is_found_and_replaces_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / "topologies").mkdir()
    (tmp_path / "topologies" / "t.yaml").write_text(
        "nodes: {client: {}, server: {}}\nlinks: [{between: [client, server]}]\n"
    )
    case = {"near": {"topology": "t", "contention": {"on": "1"}}, "far": {}}
    near, far = load(tmp_path, BASE, cases=case).cells
    assert list(near.spec.topology.nodes) == ["client", "server"]
    assert list(far.spec.topology.nodes) == ["client", "mid", "server"]
    (tmp_path / "topologies" / "u.yaml").write_text(
        "nodes: {client: {}, server: {}}\nlinks: [{between: [client, server], mtu: 9000}]\n"
    )
    bare = {key: value for key, value in BASE.items() if key not in ("topology", "contention")}
    (swept, _) = load(tmp_path, bare, sweep={"topology": ["t", "./topologies/u.yaml"]}).cells
    assert swept.factors == {"topology": "t"}


def test_cpus_that_the_host_lacks_are_named_where_they_stand(tmp_path: Path) -> None:
    experiment = load(tmp_path, BASE, settings={"*": {"rps": {"cpus": "2-3"}}})
    check_cpus(experiment, {0, 1, 2, 3})
    with pytest.raises(InputError, match=r"has no CPU 2-3; CPUs online: 0-1") as caught:
        check_cpus(experiment, {0, 1})
    assert "settings.*.rps.cpus" in caught.value.line()
    assert caught.value.where.startswith(str(tmp_path / "t.yaml:"))


@pytest.mark.parametrize("path", SHIPPED, ids=[path.stem for path in SHIPPED])
def test_shipped_experiments_load(path: Path) -> None:
    experiment = load_experiment(path)
    assert experiment.name == (path.parent.name if path.stem == "echo" else path.stem)
    assert experiment.description
    # Two CPUs, or those of the guest that it asks for.
    check_cpus(experiment, set(range(max(2, *(cell.spec.machine.cpus for cell in experiment.cells)))))


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**70), 2**70),
        st.floats(allow_nan=False),
        st.sampled_from(["", "0", "client", "server.cpus", "50%", "1ms", "10.1.0.1/24", "*", "pair", "on", "a.b"]),
        st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=8),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["*", "client", "busy_poll", "usecs", "kind", "0", "cpus"]), inner, max_size=3),
    ),
    max_leaves=5,
)


def spots(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    children = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path, *(spot for key, child in children for spot in spots(child, (*path, key)))]


RICH = BASE | {
    "settings": {"*": {"busy_poll": {"usecs": 50}}},
    "cases": {"a": {}, "b": {"topology": {"links": {0: {"mtu": 9000}}}}},
    "sweep": {"contention.load": ["0%", "100%"]},
}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(150))
@given(st.data())
def test_mutated_documents_load_or_are_refused_in_one_line(tmp_path: Path, data: st.DataObject) -> None:
    document = copy.deepcopy(RICH)
    for spot in data.draw(st.lists(st.sampled_from(spots(RICH)[1:]), min_size=1, max_size=3)):
        holder: Any = document
        try:
            for key in spot[:-1]:
                holder = holder[key]
            if data.draw(st.booleans()):
                holder[spot[-1]] = data.draw(VALUES)
            else:
                del holder[spot[-1]]
        except (KeyError, IndexError, TypeError):
            continue  # an earlier mutation took the place away
    try:
        load(tmp_path, document)
    except InputError as error:
        assert error.where.startswith(str(tmp_path))
        assert "\n" not in error.line()
