"""What a boot's events and answers become in the result set; nothing is booted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from harness.cli.carry_out import carry_out
from harness.cli.progress import Progress
from harness.errors import MissingError
from harness.places.vm import execute, wire
from harness.places.vm.boot import Event
from harness.places.vm.emulator import Qemu
from harness.places.vm.execute import Guests
from harness.places.vm.home import Home
from harness.places.vm.image import Image
from harness.signals import stop_on_signals
from harness.store import ResultSet
from tests import experiment
from tests.unit.test_machine_check import account


class Answered:
    """A Boot whose guest comes up as `seen` says, and answers every run with a reason to skip it."""

    seen: ClassVar[dict[str, Any]]

    def __init__(self, *given: Any) -> None:
        _, self.emulator, self.image, self.machine, self.accelerator, _, self.runs, *_ = given
        self.events: list[Event] = []
        self.started, self.not_resumed = "snapshot", ""
        self.argv, self.console = ["qemu"], "quiet"

    def answers(self, tell: Callable[[Event], None]) -> Iterator[wire.Answer]:
        tell({"ev": "up", "uptime_s": 1.5})
        tell({"ev": "ready", "environment": {"kernel": "6.12.1", "no name": "x"}, "machine": self.seen})
        for run in self.runs:
            tell({"ev": "begin", "run_id": run.run_id})
            yield wire.Answer(run.run_id, 0.25, error=MissingError("measure", got="no"))


@pytest.mark.parametrize(("cpus", "verdict", "reason"), [(2, "skipped", "measure: no"), (3, "failed", "cpus: 2")])
def test_answers_become_runs_and_the_boot_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cpus: int, verdict: str, reason: str
) -> None:
    monkeypatch.setattr(execute, "Boot", Answered)
    Answered.seen = account(cpus=cpus)
    plan = experiment.plan(tmp_path, repeat=2)
    results = ResultSet.create(tmp_path, plan.name, "20261122T101500Z", b"", plan, {})
    with stop_on_signals() as stopper:
        guests = Guests(Home(tmp_path / "home"), Qemu(("qemu",), "10.0.13", "host"), "tcg-virtual", stopper)
        none = tmp_path / "none"
        guests._images[""] = Image("6.12", "6.12.1", none, none, none, none, none, {})
        assert carry_out(guests, plan, results, Progress()) is None
    records = results.records()
    assert [(record.verdict, record.wall_s) for record in records] == [
        (verdict, 0.25 if verdict == "skipped" else 0.0)
    ] * 2
    assert all(reason in record.reasons[0] for record in records)
    assert records[0].environment == {
        **{"kernel": "6.12.1", "virtualisation": "qemu tcg", "place": "vm", "accelerator": "tcg-virtual"},
        "emulator": "QEMU 10.0.13 (host)",
    }
    boots = json.loads((results.path / "vm.json").read_text())["boots"]
    assert [(boot["runs"], boot["failure"], boot["found"]["cpus"]) for boot in boots] == [(1, None, cpus)] * 2
    assert {boot["started"] for boot in boots} == {"snapshot"}
    assert [guest["found"]["cpus"] for guest in results.manifest["guests"]] == [cpus]
    assert (results.path / "runs.csv").is_file()
