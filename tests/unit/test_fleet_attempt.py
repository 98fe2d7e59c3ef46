"""What comes of an attempt's hosts, above all of two that need each other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.places.fleet import attempt as attempts
from harness.places.fleet.attempt import Attempt
from harness.places.fleet.share import Pair
from harness.places.fleet.split import Allotment
from harness.store import ResultSet, codec
from tests.unit import synthetic


class _Plan:
    plan_hash = "0"

    def to_json(self) -> dict[str, Any]:
        return {}


class _Board:
    def __init__(self) -> None:
        self.said: dict[str, str] = {}

    def tell(self, host: str, text: str, kind: str = "at work") -> None:
        self.said[host] = text if kind == "at work" else f"{kind}: {text}"

    def heard(self, host: str, lines: Sequence[str]) -> None:
        self.tell(host, lines[-1])


def of_two(home: Path) -> tuple[Attempt, _Board]:
    """Two runs, of which one has come from the client's host."""
    record = synthetic.record(block=1)
    directory = home / "incoming" / "gen" / record.run_id
    directory.mkdir(parents=True)
    (directory / "run.json").write_bytes(codec.to_json(record))
    results = ResultSet.create(home, "fl", "20260101T000000Z", b"", _Plan(), {})
    lot = Allotment({record.run_id: "gen / dut", "0" * 12: "gen / dut"})
    pair, board = Pair(("client", "server"), ("gen", "dut")), _Board()
    return Attempt(results, lot, home / "incoming", board, {"gen": 2, "dut": 2}, pair), board


ENDED = {"done": True, "state": "1", "lines": ["pollbench: take the interface on eth1: it is not there"]}


def test_a_host_that_waits_for_one_that_has_ended_is_told_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt, board = of_two(tmp_path)
    attempt.take("gen", "follow", {"lines": ["1/2  base"], "done": False, "state": "running"})
    assert board.said == {"gen": "1/2  base"}
    assert (tmp_path / "logs" / "gen.log").read_text().split(" ", 1)[1] == "1/2  base\n"
    attempt.take("gen", "follow", ENDED)
    # It has some time to notice by itself.
    assert attempt.left_alone({}) == ""
    monkeypatch.setattr(attempts, "_GRACE_S", -1.0)
    assert attempt.left_alone({}) == "gen"
    assert attempt.left_alone({"dut": "unreachable: no route"}) == ""
    assert attempt.going({}) == ["gen", "dut"]
    attempt.take("gen", "fetch", {"fetched": 1})
    assert board.said["gen"] == "failed: 1 of 2 runs: take the interface on eth1: it is not there"
    assert attempt.going({}) == ["dut"]


def test_of_a_host_out_of_reach_nobody_knows_whether_it_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempts, "_GRACE_S", -1.0)
    attempt, _ = of_two(tmp_path)
    assert attempt.left_alone({"dut": "unreachable: no route"}) == ""
    assert attempt.left_alone({"dut": "its disk is full (/var/lib/pollbench)"}) == "dut"
    assert attempt.going({"dut": "unreachable: no route"}) == ["gen", "dut"]


def test_records_are_kept_at_one_of_the_two_ends(tmp_path: Path) -> None:
    attempt, board = of_two(tmp_path)
    for host in ("gen", "dut"):
        attempt.take(host, "follow", {"lines": [], "done": True, "state": "0"})
        attempt.take(host, "fetch", {"fetched": 0})
    assert board.said == {"gen": "failed: 1 of 2 runs: it ended early", "dut": "done: its end of the runs"}


@pytest.mark.parametrize(
    ("state", "lines", "reason"),
    [
        ("1", ["1/2  base", "pollbench: first", "pollbench: last", "more"], "last"),
        ("137", ["1/2  base"], "it was killed (SIGKILL)"),
        ("3", [], "exit code 3"),
    ],
)
def test_why_a_run_ended_early_is_in_its_line(tmp_path: Path, state: str, lines: list[str], reason: str) -> None:
    attempt, board = of_two(tmp_path)
    # Each look brings what is new, and the last one may bring nothing.
    for line in lines:
        attempt.take("gen", "follow", {"lines": [line], "done": False, "state": "running"})
    attempt.take("gen", "follow", {"lines": [], "done": True, "state": state})
    attempt.take("gen", "fetch", {"fetched": 1})
    assert board.said["gen"] == f"failed: 1 of 2 runs: {reason}"
