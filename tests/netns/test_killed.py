"""SIGKILL at any moment, then clean: the host is as it was, and nobody else has noticed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.kernel import netns
from harness.kernel.journal import clean, host_lock, open_journal, stale
from harness.kernel.journals import STATE_DIR
from harness.testbed import open_testbed
from tests.beds import bed, pair

ROOT = Path(__file__).parents[2]
BUSY_POLL = Path("/proc/sys/net/core/busy_poll")
# A process for each line that it reads, which builds and holds testbeds and a host-wide value until it is killed.
OWNER = """
import os, sys
from pathlib import Path
from time import sleep
from harness.kernel.journal import open_journal, set_value
from harness.testbed import open_testbed
from tests.beds import chain
state, setting, mark = sys.argv[1:]
topology = chain(*(mark + end for end in "abcdefgh"), shape={"rate": "1gbit"})
for _ in sys.stdin:
    if (pid := os.fork()) == 0:
        print(os.getpid(), flush=True)
        while True:
            with open_journal(Path(state)) as journal, open_testbed(topology, napi=True, journal=journal):
                with set_value(journal, setting, 7):
                    sleep(0.003)
    os.waitpid(pid, 0)
    print("gone", flush=True)
"""


@pytest.mark.slow
def test_clean_after_sigkill_at_random_moments(tmp_path: Path) -> None:
    """With a state directory and a setting of the test's own: other runs on this host go on undisturbed."""
    setting, state, mark = tmp_path / "setting", tmp_path / "state", f"k{os.getpid()}"
    setting.write_text("0")
    chance = random.Random(1)
    found_something = 0
    command = [sys.executable, "-c", OWNER, str(state), str(setting), mark]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, text=True, **pipes) as owner:
        assert owner.stdin is not None and owner.stdout is not None
        for _ in range(20):
            print(file=owner.stdin, flush=True)
            pid = int(owner.stdout.readline())
            time.sleep(chance.uniform(0, 0.04))
            os.kill(pid, signal.SIGKILL)
            assert owner.stdout.readline() == "gone\n"
            would = clean(dry_run=True, state=state)
            done = clean(state=state)
            assert [act.action for act in done if act.action == "failed"] == []
            assert len(would) == len(done)
            found_something += bool(done)
            assert [name for name in netns.names() if mark in name] == []
            assert [path for path in state.iterdir() if path.is_dir()] == []
            assert setting.read_text() == "0"
    assert found_something > 5
    assert clean(state=state) == []


def test_the_real_sysctl_is_restored_by_clean(tmp_path: Path) -> None:
    """Under the host lock, since the value is everybody's."""
    code = (
        "from harness.kernel.journal import open_journal, set_value; import time, sys; from pathlib import Path\n"
        "with open_journal(Path(sys.argv[1])) as j, set_value(j, sys.argv[2], 1):\n"
        " print('ready', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(tmp_path), str(BUSY_POLL)]
    with host_lock(lambda _: time.sleep(0.05)):
        found = BUSY_POLL.read_text().strip()
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as owner:
            assert owner.stdout is not None
            owner.stdout.readline()
            during = BUSY_POLL.read_text().strip()
            owner.kill()
        assert len(stale(tmp_path)) == 1
        actions = [act.action for act in clean(state=tmp_path)]
        assert (during, actions, BUSY_POLL.read_text().strip()) == ("1", ["restored"], found)


def test_clean_leaves_the_living_and_the_foreign_alone() -> None:
    name = f"pbforeign{os.getpid()}"
    alike = f"pb-abcdef-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    subprocess.run(["ip", "netns", "add", alike], check=True)
    try:
        with bed(pair()) as testbed:
            assert not any(testbed.token in act.subject for act in clean())
            assert {name, alike, *(node.netns for node in testbed.nodes.values())} <= set(netns.names())
        assert {name, alike} <= set(netns.names())
    finally:
        for each in (name, alike):
            subprocess.run(["ip", "netns", "del", each], check=True)


def test_two_owners_do_not_disturb_each_other() -> None:
    with bed(pair()) as first:
        with bed(pair()) as second:
            assert first.token != second.token
        assert {node.netns for node in first.nodes.values()} <= set(netns.names())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_python_sees_needs_no_clean(number: signal.Signals) -> None:
    code = (
        "import signal, sys, time\n"
        "from harness.kernel.journal import open_journal\n"
        "from harness.testbed import open_testbed\n"
        "from tests.beds import pair\n"
        "signal.signal(signal.SIGTERM, signal.default_int_handler)\n"
        "with open_journal() as j, open_testbed(pair(), napi=False, journal=j) as t:\n"
        " print(t.token, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT) as owner:
        assert owner.stdout is not None
        token = owner.stdout.readline().decode().strip()
        owner.send_signal(number)
        owner.wait(10)
    assert not [name for name in netns.names() if token in name]
    assert not (STATE_DIR / token).exists()


def test_one_journal_serves_many_testbeds() -> None:
    with open_journal() as journal:
        for _ in range(3):
            with open_testbed(pair(), napi=False, journal=journal) as testbed:
                assert testbed.token == journal.token
