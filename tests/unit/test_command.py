"""How tests start commands: by a process that forks, and as users do where that one has ended."""

from __future__ import annotations

import os
import signal

import pytest

from tests import command


def test_a_server_that_was_killed_costs_no_command() -> None:
    assert command.run("--version").returncode == 0
    if not ((killed := command.server_pid()) and command.forks_here()):
        pytest.skip("commands are not forked here")
    os.kill(killed, signal.SIGKILL)
    os.waitid(os.P_PID, killed, os.WEXITED | os.WNOWAIT)
    with pytest.warns(UserWarning, match="the fork server ended with -9"):
        assert command.run("--version").returncode == 0
    assert command.server_pid() == 0
    assert command.run("--version").returncode == 0
    assert command.server_pid() not in (0, killed)
