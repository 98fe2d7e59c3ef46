"""The campaigns that kill, interrupt and forbid see what they are there to see, and their choices repeat."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.campaign import beds, fuzz, users
from tests.campaign.host import JAILED, Host
from tests.campaign.limits import LIMITS
from tests.campaign.nursery import Nursery

ROOT = Path(__file__).parents[2]
# As any program of a run does, beside the command that is looked at.
TALK = "import socket; socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0); print('spoke')"


def refused(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.campaign.refuse", *words, "--", sys.executable, "-c", TALK]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", ["ENOSYS", "EPERM"])
def test_a_refused_call_fails_and_no_other(name: str) -> None:
    done = refused(name, "socket:16", "setns")
    assert os.strerror(getattr(errno, name)) in done.stderr
    assert refused(name, "socket:17", "mount").stdout == "spoke\n"


def test_a_host_that_differs_is_told(tmp_path: Path) -> None:
    host = Host(JAILED)
    before = host.look()
    with subprocess.Popen(["sleep", "60"]) as sleeper:
        left = host.difference(before, patient=False)
        sleeper.kill()
    assert [text for text in left if text.startswith(f"process left: {sleeper.pid} sleep since ")]
    gone = host.difference({kind: things | {"more"} for kind, things in host.look().items()}, patient=False)
    assert {text for text in gone if "gone: more" in text} == {f"{kind} gone: more" for kind in before}


def test_the_nursery_starts_commands_and_tells_how_they_end(tmp_path: Path) -> None:
    with Nursery(tmp_path) as nursery:
        for fresh in (False, True):
            child = nursery.start("schema", fresh=fresh)
            assert child.wait(60) == 0 and '"properties"' in child.said()
            assert nursery.start("validate", str(tmp_path / "none.yaml"), fresh=fresh).wait(60) == 2
        # With a start of its own it lasts long enough to be met.
        child = nursery.start("plan", "quickstart.yaml", fresh=True)
        assert child.end(signal.SIGSTOP) and child.end() and child.wait(60) == -signal.SIGKILL
        assert not child.end()


def test_every_testbed_is_a_sound_experiment(tmp_path: Path) -> None:
    from harness.cli import main

    paths = [str(beds.write(tmp_path, name)) for name in beds.BEDS if name not in ("mininet", "open vswitch")]
    assert main(["validate", *paths]) == 0


def test_a_limit_is_the_same_whenever_it_is_made(tmp_path: Path) -> None:
    for name in ("no_descriptors", "no_address_space", "small_files", "refused"):
        made = []
        for _ in range(2):
            with LIMITS[name](random.Random("seed"), tmp_path) as prefix:
                made.append(prefix)
        assert made[0] == made[1] != ()


@pytest.mark.slow
def test_the_load_generators_parsers_under_sanitizers(tmp_path: Path) -> None:
    """Two seconds of what `make fuzz` does for minutes, with any compiler that has sanitizers."""
    if subprocess.run(
        ["cc", "-fsanitize=address,undefined", "-x", "c", "-", "-o", os.devnull],
        input=b"int main(void){return 0;}",
        capture_output=True,
        check=False,
    ).returncode:
        pytest.skip("this compiler has no address and undefined-behaviour sanitizers")
    command, guided = fuzz.loadgen(tmp_path, clang="")
    assert not guided
    done = subprocess.run(
        [*command, "2", "1"], cwd=tmp_path, capture_output=True, text=True, env=fuzz.NO_LEAKS, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "inputs, the last by seed" in done.stderr
    assert not (tmp_path / "loadgen_fuzz.input").exists()


def test_what_belongs_to_somebody_else_and_what_is_missing_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(users, "HOME", tmp_path)
    with Nursery(tmp_path / "said") as nursery:
        child = nursery.start("schema")
        assert child.wait(60) == 0
        child.err.write_text("1/3 base block 1: valid\n")
        scene = users.Scene(nursery, 1)
        out = scene.home / "alice" / "out"
        out.mkdir(parents=True)
        assert scene.harmed(child, "alice") == ["lost: 1 said, 0 on disk"]
        (out / "file").touch()
        assert scene.harmed(child, "alice")[0] == f"{out}/file belongs to {os.geteuid()}"
