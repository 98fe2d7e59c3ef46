"""Files that travel with a plan: packed and unpacked as they are, and found wanting before anything starts."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from harness import loadgen
from harness.errors import InputError
from harness.places.carried import lacking, pack, read_elf, refuse_foreign, relocated, unpack
from harness.places.fleet.share import Share
from harness.places.vm.image import image_lacks
from harness.plan import Plan
from harness.workloads import Scene
from tests import experiment

GENERATOR = loadgen.path()
LIBRARIES = {"libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2", "libpthread.so.0"}


def made(home: Path, **fields: Any) -> Plan:
    """The plan of a command whose program is our own generator."""
    home.mkdir(exist_ok=True)
    (home / "bin").mkdir(exist_ok=True)
    program = home / "bin" / "x"
    program.write_bytes(GENERATOR.read_bytes())
    program.chmod(0o755)
    (home / "data.txt").write_text("1 2 3")
    workload = {"kind": "command", "from": "client", "to": "server", "client": "./bin/x ./data.txt", "latencies": {}}
    return experiment.plan(home, workload=workload | {"files": ["./bin/x", "./data.txt"]} | fields)


def test_what_is_packed_is_unpacked_as_it_was_and_found_there(tmp_path: Path) -> None:
    plan = made(tmp_path / "here")
    carried = json.loads(json.dumps(pack(plan)))
    moved = unpack(carried, tmp_path / "there")
    (home,) = moved.values()
    assert Path(home, "bin/x").read_bytes() == GENERATOR.read_bytes()
    assert os.access(Path(home, "bin/x"), os.X_OK) and Path(home, "data.txt").read_text() == "1 2 3"
    again = Plan.from_json(relocated(json.loads(json.dumps(plan.to_json())), moved), "plan")
    assert again.cells[0].spec.workload.client(Scene("")) == [f"{home}/bin/x", f"{home}/data.txt"]
    assert [run.run_id for run in again.runs] == [run.run_id for run in plan.runs]
    # A plan without such files carries nothing.
    assert pack(experiment.plan(tmp_path)) == {}


def test_a_share_of_a_fleet_brings_them_along(tmp_path: Path) -> None:
    plan = made(tmp_path / "here")
    (tmp_path / "host").mkdir()
    path = tmp_path / "host" / "share.json"
    path.write_text(Share(plan, {}).text())
    (program, data) = Share.read(str(path)).plan.cells[0].spec.workload.client(Scene(""))
    assert Path(program).is_relative_to(tmp_path / "host") and os.access(program, os.X_OK)
    assert Path(data).read_text() == "1 2 3"


def test_what_is_named_and_not_carried_or_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"names \./data.txt, which does not travel; add it"):
        pack(made(tmp_path, files=["./bin/x"]))
    with pytest.raises(InputError, match="build it first"):
        pack(made(tmp_path, files=["./bin/x", "./data.txt", "./gone"]))
    for wrong in ("x", "/x", "../x", "./a/../../x"):
        with pytest.raises(InputError, match="no path from this file"):
            made(tmp_path, files=[wrong])
    with pytest.raises(InputError, match="leads elsewhere"):
        unpack({"/h": {"../x": [0o644, ""]}}, tmp_path / "there")


def test_what_a_program_needs_of_a_guest_is_read_from_it(tmp_path: Path) -> None:
    elf = read_elf(GENERATOR.read_bytes())
    assert elf is not None and elf.machine == 62 and "libc.so.6" in elf.needed and elf.glibc >= 17
    assert elf.interpreter.endswith("ld-linux-x86-64.so.2")
    plan = made(tmp_path)
    assert list(lacking(plan, lambda: LIBRARIES, 41)) == []
    assert any("needs glibc 2." in text for text in lacking(plan, lambda: LIBRARIES, 2))
    assert any("needs libc.so.6, which is not there" in text for text in lacking(plan, set, 41))
    data = bytearray(GENERATOR.read_bytes())
    data[18] = 183  # an Arm one
    (tmp_path / "bin" / "x").write_bytes(data)
    assert any("for another processor (ELF machine 183" in text for text in lacking(plan, lambda: LIBRARIES, 41))
    # Without an image, as in a dry run, all but libraries can be told.
    with pytest.raises(InputError, match=r"run in a guest: \./bin/x is for another processor \(ELF machine 183"):
        refuse_foreign(plan, None, 41)
    (tmp_path / "bin" / "x").write_bytes(GENERATOR.read_bytes())
    refuse_foreign(plan, None, 41)
    for damaged in (b"", b"#!/bin/sh\n", GENERATOR.read_bytes()[:100], b"\x7fELF\x02\x01" + b"\xff" * 100):
        assert read_elf(damaged) is None


def test_what_no_guest_has_is_known_before_one_is_there(tmp_path: Path) -> None:
    nodes = {"client": {"cpus": "0", "routing": {"frr": "router ospf\n"}}, "server": {"cpus": "1"}}
    links = [{"between": ["client", "server"], "nic": "physical", "devices": ["eth1", "eth2"]}]
    workload = {"kind": "memcached", "from": "client", "to": "server", "rate": 100}
    plan = experiment.plan(tmp_path, topology={"nodes": nodes, "links": links}, workload=workload)
    lacks = image_lacks(plan.cells[0].spec)
    assert [text.partition("; ")[0] for text in lacks] == [
        "the guests' image has no program zebra (frr)",
        "the guests' image has no program ospfd (frr)",
        "links of nic: physical: a guest has no interface of a host",
    ]
    assert image_lacks(experiment.plan(tmp_path).cells[0].spec) == []
