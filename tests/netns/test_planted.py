"""What lies in the directory that a command is typed in is data: none of it runs, as root or otherwise."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.testbed import detached
from tests import experiment
from tests.command import HANGS_AFTER_S, ROOT

# The console script's way: -P, so that the command itself is the one under test wherever it is typed.
COMMAND = [sys.executable, "-P", "-m", "harness"]
TOPO = """
from mininet.topo import Topo

class Two(Topo):
    def build(self):
        self.addLink(self.addHost("h1"), self.addHost("h2"))
"""
NAME = f"planted-{os.getpid()}"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A directory whose harness, yaml and pip leave a mark when they are imported, and a topology beside them."""
    for module in ("harness/__init__.py", "yaml.py", "compileall.py", "pip/__init__.py", "sitecustomize.py"):
        path = tmp_path / module
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"open({str(tmp_path / 'marker')!r}, 'a').write({module!r} + ' ')\n")
    (tmp_path / "topo.py").write_text(TOPO)
    workload = experiment.document()["workload"] | {"from": "h1", "to": "h2"}
    experiment.write(tmp_path, topology={"mininet": "topo.py:Two"}, workload=workload)
    (tmp_path / "small.yaml").rename(tmp_path / "mininet.yaml")
    experiment.write(tmp_path)
    yield tmp_path
    if [bed for bed in detached.all_held() if bed.name == NAME]:
        command(tmp_path, "down", NAME)


def command(place: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command typed in the directory."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [*COMMAND, *words], cwd=place, env=env, capture_output=True, text=True, timeout=HANGS_AFTER_S, check=False
    )


def marks(place: Path) -> str:
    """What was imported from there."""
    marker = place / "marker"
    return marker.read_text() if marker.exists() else ""


@pytest.mark.parametrize(
    "words",
    [
        ["up", "small.yaml", "--name", NAME],
        ["up", "topo.py:Two", "--name", NAME, "--pingall"],
        ["topology", "topo.py:Two"],
        ["plan", "mininet.yaml"],
        ["run", "small.yaml", "-o", "out"],
        ["doctor", "small.yaml"],
        ["host", "show"],
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_nothing_of_the_directory_is_imported(place: Path, words: list[str]) -> None:
    done = command(place, *words)
    assert (marks(place), done.returncode in (0, 1)) == ("", True), done.stdout + done.stderr


def test_the_mark_is_left_where_something_is_imported(place: Path) -> None:
    """Else the tests above would see nothing."""
    subprocess.run([sys.executable, "-c", "import yaml"], cwd=place, check=True, timeout=HANGS_AFTER_S)
    assert "yaml.py" in marks(place)
