"""A knob, or a kind of link, is one file: schema, plan, messages and documentation follow by themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.spec.links import LINK_KINDS, EmulatedNic
from tests import command, experiment
from tests.newcomer import KNOB, LINK_KIND, Newcomer

LINK = {"between": ["client", "server"], "nic": "twin"}


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Newcomer:
    return Newcomer(tmp_path_factory.mktemp("newcomer"))


def document(length: int) -> dict[str, Any]:
    topology = experiment.document()["topology"] | {"links": [LINK]}
    return {"topology": topology, "settings": {"*": {"transmit_queue": {"tx_queue_len": length}}}}


def test_the_schema_has_them(newcomer: Newcomer) -> None:
    definitions = json.loads(newcomer.run("schema").stdout)["$defs"]
    assert definitions["TransmitQueue"]["properties"]["tx_queue_len"]["maximum"] == 100_000
    assert definitions["Link"]["properties"]["nic"]["enum"][:3] == ["netkit", "twin", "veth"]


def test_a_plan_has_them(newcomer: Newcomer, tmp_path: Path) -> None:
    done = newcomer.run("plan", experiment.write(tmp_path, **document(500)), "--json")
    assert done.returncode == 0, done.stderr
    (cell,) = json.loads(done.stdout)["cells"]
    assert cell["document"]["settings"]["*"]["transmit_queue"] == {"tx_queue_len": 500}


def test_mistakes_in_them_are_named(newcomer: Newcomer, tmp_path: Path) -> None:
    done = newcomer.run("plan", experiment.write(tmp_path, **document(0)))
    assert "transmit_queue.tx_queue_len" in done.stderr and "at least 1" in done.stderr
    elsewhere = command.run("plan", experiment.write(tmp_path, **document(500)))
    assert '"twin" is not allowed; allowed: netkit, veth, bond' in elsewhere.stderr.replace(" (", "; ")


def test_the_documentation_has_them(newcomer: Newcomer) -> None:
    page = "<!-- generated: Knobs -->\n<!-- end --><!-- generated: Link -->\n<!-- end -->"
    text = newcomer.evaluate(f"from tools.experiment_doc import render; print(render({page!r}))")
    assert "### `transmit_queue`\n\nScope: device. Length of the transmit queue. Source: " in text
    assert "| `tx_queue_len` | whole number, 1 to 100000 | required | packets |" in text
    assert "| `nic` | `netkit`, `twin`, `veth`, `bond`" in text


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("knobs/again.py", KNOB, "both name a knob 'transmit_queue'"),
        ("knobs/again.py", KNOB.replace('    phase = "features"\n', ""), "TransmitQueue has no phase"),
        ("spec/links/again.py", LINK_KIND, "a name stands twice: "),
    ],
)
def test_a_name_that_is_taken_is_refused(tmp_path: Path, path: str, text: str, message: str) -> None:
    newcomer = Newcomer(tmp_path)
    newcomer.add(path, text)
    assert message in newcomer.run("schema").stderr


def test_every_model_of_nic_has_a_number_of_its_own() -> None:
    numbers = [kind.number for kind in LINK_KINDS.values() if isinstance(kind, EmulatedNic)]
    assert len(set(numbers)) == len(numbers) == 4
