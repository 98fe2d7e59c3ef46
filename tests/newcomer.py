"""A copy of the package with a knob and a kind of link that somebody adds: one file each, and nothing else edited."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests import command

KNOB = '''"""The transmit queue of the node's devices."""

from pydantic import Field

from harness.knobs.base import Knob
from harness.units import Count


class TransmitQueue(Knob):
    """Length of the transmit queue. Source: Documentation/ABI/testing/sysfs-class-net."""

    name = "transmit_queue"
    scope = "device"
    phase = "features"
    target = "sysfs"

    tx_queue_len: Count = Field(ge=1, le=100_000, description="packets")
'''
LINK_KIND = '''"""twin: a pair by another name."""

from harness.spec.links.base import DevicePair

KIND = DevicePair("twin", device="veth", peer=1, napi=True)
'''


class Newcomer:
    """The copy, below `directory`."""

    def __init__(self, directory: Path) -> None:
        self.home = directory / "copy"
        here = command.ROOT / "harness"
        shutil.copytree(here, self.home / "harness", ignore=shutil.ignore_patterns("__pycache__"))
        self.add("knobs/transmit_queue.py", KNOB)
        self.add("spec/links/twin.py", LINK_KIND)

    def add(self, path: str, text: str) -> None:
        """Write one more file of the package."""
        (self.home / "harness" / path).write_text(text)

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """A command of the copy, to its end; what it reports of its mistakes stays beside the copy."""
        env = {"PYTHONPATH": str(self.home), "TMPDIR": str(self.home.parent)}
        return command.run(*arguments, cwd=self.home, env=env)

    def evaluate(self, code: str) -> str:
        """What Python prints that imports the copy, and the tools of the tree."""
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=self.home,
            env={**os.environ, "PYTHONPATH": f"{self.home}:{command.ROOT}"},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout
