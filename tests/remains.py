"""What test runs before this one left on the host because they were killed: what bears a dead run's mark."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from types import FrameType
from typing import NoReturn

_MARKED = re.compile(r"pbtest-(\d+)-")


def end_as_by_ctrl_c() -> None:
    """Have SIGTERM end a test run as Ctrl-C does: with every fixture taken down, what it made on the host among it."""

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        del number, frame
        raise KeyboardInterrupt("SIGTERM")

    signal.signal(signal.SIGTERM, interrupt)


def sweep(namespaces: Path = Path("/run/netns"), temporary: Path | None = None) -> list[str]:
    """Remove the namespaces and temporary directories pbtest-PID-... whose process is gone; their names.

    What runs in the namespaces is ended. Only SIGKILL leaves any. Runs that sweep at the same time do each other no
    harm, and who is not root removes their own.
    """
    swept = []
    for path in _of_dead_runs(namespaces) if os.geteuid() == 0 else []:
        inside = subprocess.run(["ip", "netns", "pids", path.name], capture_output=True, text=True, check=False)
        for pid in map(int, inside.stdout.split()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        subprocess.run(["ip", "netns", "delete", path.name], capture_output=True, check=False)
        swept.append(path.name)
    for path in _of_dead_runs(temporary or Path(tempfile.gettempdir())):
        with contextlib.suppress(FileNotFoundError):
            if path.lstat().st_uid == os.geteuid():
                shutil.rmtree(path, ignore_errors=True)
                swept.append(path.name)
    return swept


def _of_dead_runs(directory: Path) -> list[Path]:
    marked = {path: _MARKED.match(path.name) for path in sorted(directory.glob("pbtest-*"))}
    return [path for path, mark in marked.items() if mark and not Path(f"/proc/{mark[1]}").exists()]
