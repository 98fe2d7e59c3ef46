"""The guide from two spreadsheets to a verdict does what it says: its files, its commands, their outcome."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from tests import command

PAGE = (Path(__file__).parents[2] / "docs" / "comparing-csv.md").read_text()


def block(mark: str) -> str:
    """What stands in the fence below <!-- mark -->."""
    match = re.search(rf"<!-- {re.escape(mark)} -->\n *```\w+\n(.*?)\n *```", PAGE, re.DOTALL)
    assert match is not None, mark
    return re.sub(r"(?m)^   ", "", match[1]) + "\n" if mark == "output" else match[1] + "\n"


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("before.csv", "after.csv"):
        (tmp_path / name).write_text(block(name))
    return tmp_path


def commands() -> list[list[str]]:
    match = re.search(r"Five commands:\n\n<!-- tried: [^\n]*\n```sh\n(.*?)```", PAGE, re.DOTALL)
    assert match is not None
    return [shlex.split(line, comments=True)[1:] for line in match[1].splitlines()]


def test_the_five_commands_end_as_the_page_says(files: Path) -> None:
    done = [command.call(*words) for words in commands()]
    assert [one.returncode for one in done] == [0, 0, 2, 0, 6], [one.stderr for one in done]
    assert " ".join(done[0].stdout.split()).startswith(" ".join(block("output").split()))
    assert "--rename echo2=echo" in done[2].stderr
    assert "FAILED: echo at busy_poll_us=50: +10." in done[4].stderr
    assert "echo at busy_poll_us=0" not in done[4].stderr


def test_the_file_beside_the_table_says_the_same(files: Path) -> None:
    (files / "before.csv.yaml").write_text(block("before.csv.yaml"))
    done = command.call("compare", "before.csv", "after.csv", "--json")
    rows = json.loads(done.stdout)["rows"]
    assert [(row["case"], row["metric"]) for row in rows] == [("echo2", "rtt_p99_us")] * 2
    assert [row["ratio"] for row in rows] == [pytest.approx(1, abs=0.01), pytest.approx(1.1, abs=0.01)]
