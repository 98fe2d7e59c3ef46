"""Which worker takes which test: what the tables of tests/lanes.py name is there, and each lane has its worker."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests import lanes

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("unit", sorted({*lanes.ASIDE, *lanes.WHOLE, *lanes.SECONDS}))
def test_what_the_tables_name_is_there(unit: str) -> None:
    file, _, name = unit.partition("::")
    path = ROOT / file
    assert path.exists()
    text = path.read_text() if name else ""
    assert not name or re.search(rf"^def {name}\(", text, re.MULTILINE)
    assert bool(name) == (lanes.lane_of(file) == "guests" and file not in lanes.WHOLE), "a unit is one of these"


def test_links_are_the_host_s_alone_and_somebody_begins_with_each_lane() -> None:
    assert lanes.lane_of("tests/netns/test_runs.py") == "links"
    workers = {worker: lanes.lanes_of(worker, True) for worker in ("gw0", "gw1", "gw2", "gw3")}
    assert [worker for worker, own in workers.items() if "links" in own] == ["gw0"]
    assert {worker: own[0] for worker, own in workers.items()} == {
        "gw0": "links",
        "gw1": "guests",
        "gw2": "aside",
        "gw3": "free",
    }
    assert all({"guests", "free", "aside"} <= set(own) for own in workers.values())
    assert "links" in lanes.lanes_of("gw2", False)
