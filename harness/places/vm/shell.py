"""A guest with a shell on this terminal, for looking around."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import termios
from collections.abc import Iterator, Sequence

from harness import loadgen
from harness.places.vm import qemu
from harness.places.vm.emulator import Qemu
from harness.places.vm.home import Home
from harness.places.vm.image import open_image
from harness.places.vm.job import job_image
from harness.run.process import launch_options
from harness.spec.machine import Machine


@contextlib.contextmanager
def shell_command(home: Home, emulator: Qemu, kernel: str, accelerator: str) -> Iterator[list[str]]:
    """The command line of such a guest, good for the block. Raises MissingError when the image is not built."""
    image, machine = open_image(home, kernel), Machine()
    with home.workshop() as workshop:
        files = qemu.GuestFiles.of(image, workshop, job_image({}), machine.output_bytes)
        pairs = {"e1000e": 1, "virtio-net": 1}
        argv = qemu.command(emulator, machine, accelerator, files, pairs, shell=True)
        yield [str(loadgen.path()), *launch_options(None, {}), "exec", "--", *argv]


def attended(argv: Sequence[str], terminal_fd: int = 0) -> int:
    """The exit code of a program of its own process group that has our terminal, if there is one, until it ends."""
    if not os.isatty(terminal_fd):
        return subprocess.run(argv, check=False).returncode
    attributes = termios.tcgetattr(terminal_fd)
    # A group in the background is stopped where it touches the terminal, and so would we be when taking it back.
    ours = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    try:
        process = subprocess.Popen(argv, process_group=0)
        os.tcsetpgrp(terminal_fd, process.pid)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGCONT)  # it may have touched it before
        return process.wait()
    finally:
        os.tcsetpgrp(terminal_fd, os.getpgrp())
        termios.tcsetattr(terminal_fd, termios.TCSADRAIN, attributes)
        signal.signal(signal.SIGTTOU, ours)
