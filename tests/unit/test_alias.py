"""The package under the project's own name: `import pollbench` and `python -m pollbench`."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import harness
import pollbench
from tests.command import ROOT
from tests.test_house import HEAVY


def python(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True, check=True)


def test_it_gives_scripts_what_harness_offers() -> None:
    assert pollbench.__all__ == harness.__all__
    assert all(getattr(pollbench, name) is getattr(harness, name) for name in harness.__all__)


def test_it_is_the_command() -> None:
    assert python("-m", "pollbench", "--version").stderr == f"pollbench {version('pollbench')}\n"
    assert python("-m", "pollbench", "--help").stdout == python("-m", "harness", "--help").stdout


def test_it_starts_light() -> None:
    loaded = python("-c", "import sys, pollbench, pollbench.__main__; print(*sys.modules)").stdout.split()
    assert set(HEAVY) & set(loaded) == set()
