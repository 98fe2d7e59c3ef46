"""The JSON schema takes what the loader takes, and the reference page is what the models say."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from harness.errors import InputError
from harness.knobs import KNOBS
from harness.spec.load import load_experiment
from harness.spec.schema import schema
from harness.spec.yaml_tree import read_file
from tools.experiment_doc import render

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "experiment-file.md"
SHIPPED = sorted((ROOT / "experiments").rglob("*.yaml"))
VALIDATOR = jsonschema.Draft202012Validator(schema())


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("path", SHIPPED, ids=[path.stem for path in SHIPPED])
def test_shipped_experiments_meet_it(path: Path) -> None:
    assert [error.message for error in VALIDATOR.iter_errors(read_file(path)[1].plain())] == []
    experiment = load_experiment(path)
    assert [error.message for error in VALIDATOR.iter_errors(_without_set(experiment.document))] == []


def _without_set(document: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key != "set"}


FULL: dict[str, Any] = {
    "name": "full",
    "topology": {
        "nodes": {"a": {"cpus": 0, "forwarding": "on"}, "b": {"cpus": "0-3,8"}},
        "links": [{"between": ["a", "b"], "shape": {"rate": "1gbit", "loss": "1%", "qdisc": {"kind": "fq"}}}],
    },
    "workload": {"kind": "ping-pong", "from": "a", "to": "b", "size": 64, "duration": "1.5s"},
    "contention": {"on": "a.cpus", "load": "50%"},
    "settings": {"*": {"coalesce": {"gro_flush_timeout": "20us"}}, "a": {"busy_poll": None}},
    "cases": {"x": None, "y": {"topology": {"links": {"0": {"mtu": 9000}}}, "contention": None}},
    "sweep": {"workload.size": ["64B", 1400]},
    "checks": {"max_steal_share": "3%"},
}


def test_every_written_form_meets_it() -> None:
    assert [error.message for error in VALIDATOR.iter_errors(FULL)] == []


@pytest.mark.parametrize(
    "place",
    [
        (),
        ("topology",),
        ("topology", "nodes", "a"),
        ("topology", "links", 0),
        ("topology", "links", 0, "shape"),
        ("topology", "links", 0, "shape", "qdisc"),
        ("workload",),
        ("contention",),
        ("settings", "*"),
        ("settings", "*", "coalesce"),
        ("checks",),
        ("cases", "y"),
        ("cases", "y", "topology"),
    ],
)
def test_unknown_keys_do_not_meet_it(place: tuple[Any, ...]) -> None:
    document = copy.deepcopy(FULL)
    holder: Any = document
    for part in place:
        holder = holder[part]
    holder["surprise"] = 1
    assert not VALIDATOR.is_valid(document)


@pytest.mark.parametrize(
    ("key", "value"), [("workload.duration", "10"), ("contention.load", 50), ("topology.family", "ipx")]
)
def test_wrong_forms_meet_neither_it_nor_the_loader(key: str, value: Any) -> None:
    document = copy.deepcopy(FULL)
    section, name = key.split(".")
    document[section][name] = value
    assert not VALIDATOR.is_valid(document)
    with pytest.raises(InputError):
        load_experiment(ROOT / "experiments" / "quickstart.yaml", [(key, str(value))])


def test_every_knob_is_in_it() -> None:
    assert set(schema()["$defs"]["NodeSettings"]["properties"]) == set(KNOBS)


def test_the_reference_page_is_up_to_date() -> None:
    page = PAGE.read_text()
    assert render(page) == page, "run make docs"
    missing = [name for name in ("Experiment", "Topology", "Knobs") if f"<!-- generated: {name} -->" not in page]
    assert missing == []
    for name, table in re.findall(r"<!-- generated: (.+?) -->\n(.*?)<!-- end -->", page, re.DOTALL):
        assert "| Key | Value |" in table, f"{name} has no table"
