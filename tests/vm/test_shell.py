"""A guest's shell on a terminal, as a user has it."""

from __future__ import annotations

import os
import pty
import re
import selectors
import time

from harness.places.vm.home import Home
from tests import command

DEADLINE_S = 120


def until(terminal: int, wanted: str) -> str:
    """What the terminal shows until it shows `wanted`, or ends."""
    shown, deadline = "", time.monotonic() + DEADLINE_S
    with selectors.DefaultSelector() as selector:
        selector.register(terminal, selectors.EVENT_READ)
        while not re.search(wanted, shown):
            assert selector.select(deadline - time.monotonic()), f"no {wanted!r} in:\n{shown}"
            shown += os.read(terminal, 65536).decode(errors="replace").replace("\r", "")
    return shown


def test_a_shell_has_the_terminal_and_real_nics(home: Home) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(command.ROOT)
        os.execvp(command.COMMAND[0], [*command.COMMAND, "vm", "shell"])
    until(terminal, r"# $")
    os.write(terminal, b"modprobe e1000e; echo NICs: $(ls -x /sys/class/net)\n")
    assert re.search(r"\nNICs: eth0\s+eth1\s+lo", until(terminal, r"\nNICs: .*\n"))
    # Ctrl-C is the guest's: it ends the program there, not the guest.
    os.write(terminal, b"sleep 100\n")
    until(terminal, r"sleep 100\n")
    os.write(terminal, b"\x03")
    until(terminal, r"# $")
    os.write(terminal, b"exit 7\n")
    until(terminal, "Power down")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(terminal)
