"""Runs a mutant's commands in a worker and says how that went; and makes an input that fails small."""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from harness.kernel import processes
from tests.campaign.kinds import ROOT, Mutant

HANGS_AFTER_S = 10.0
_LOOK_S = 0.1
CODES = (0, 1, 2, 3, 4, 6, 130)
"""The exit codes that --help documents; 5, a mistake of pollbench's own, is what is looked for."""
PLANTS = ""
"""Where a test plants mistakes (a sitecustomize.py), to see that they are seen."""
_ESCAPE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_NAMED = re.compile(r"\((\w+): ")


@dataclass(frozen=True)
class Failure:
    """sort: traceback, hang, exit code, escape, journal; detail: which; words: of the command."""

    sort: str
    detail: str
    words: tuple[str, ...] = ()

    def same(self, other: Failure | None) -> bool:
        """Is it the same failure, of the same command?"""
        return other is not None and (self.sort, self.detail, self.words[:1]) == (
            other.sort,
            other.detail,
            other.words[:1],
        )


class _Patience:
    """Whether a process and what it started have had so many seconds: of computing, or of all waiting for something.

    Not of waiting for a CPU, so that a busy host is no hang.
    """

    def __init__(self, pid: int, limit_s: float) -> None:
        self._pid, self._left_s = pid, limit_s
        self._cpu_s = self._look()[1]

    def is_over(self) -> bool:
        """Ask once every _LOOK_S."""
        states, cpu_s = self._look()
        self._left_s -= _LOOK_S if states <= {"S", "Z"} else max(0.0, cpu_s - self._cpu_s)
        self._cpu_s = cpu_s
        return self._left_s <= 0

    def _look(self) -> tuple[set[str], float]:
        """The states of all of them, and the CPU time that they, and those that they have reaped, have had."""
        states, ticks = set(), 0
        for pid in processes.tree(self._pid):
            with contextlib.suppress(OSError):  # it ended while we looked
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                states.add(fields[0])
                ticks += sum(map(int, fields[11:15]))
        return states, ticks / os.sysconf("SC_CLK_TCK")


class Worker:
    """The process that runs commands; a new one after a hang."""

    def __init__(self, hangs_after_s: float = HANGS_AFTER_S) -> None:
        self._limit_s = hangs_after_s
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def run(self, words: list[str], state: str | None) -> dict[str, str | int] | None:
        """What came of a command; None: it hung."""
        if self._process is None:
            command = [sys.executable, "-m", "tests.campaign.worker"]
            environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [PLANTS, str(ROOT)]))}
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, cwd=ROOT, env=environment)
            self._ask(["--version"], None, 60.0)  # the imports are not what is timed
        answer = self._ask(words, state, self._limit_s)
        if answer is None:
            self._end()
        return answer

    def _ask(self, words: list[str], state: str | None, limit_s: float) -> dict[str, str | int] | None:
        process = self._process
        assert process is not None and process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps({"words": words, "state": state}).encode() + b"\n")
        process.stdin.flush()
        patience = _Patience(process.pid, limit_s)
        while not select.select([process.stdout], [], [], _LOOK_S)[0]:
            if patience.is_over():
                return None
        line = process.stdout.readline()
        if not line:
            return {"code": -2, "out": "", "err": "Traceback: the process died"}
        answer: dict[str, str | int] = json.loads(line)
        return answer

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def judge(worker: Worker, mutant: Mutant, data: bytes | None = None) -> Failure | None:
    """Run the mutant's commands; the first thing that must not happen, or None."""
    mutant.place(data)
    for words in mutant.commands:
        answer = worker.run(words, str(mutant.state) if mutant.state else None)
        failure = _failure(answer)
        if failure is not None:
            return Failure(failure.sort, failure.detail, tuple(words))
    if mutant.state is not None and (mutant.state / "bbbbbb").exists():
        return Failure("journal", "a sound one beside it was not cleaned", ("clean",))
    return None


def _failure(answer: dict[str, str | int] | None) -> Failure | None:
    if answer is None:
        return Failure("hang", f"over {HANGS_AFTER_S:g} s")
    code, text = int(answer["code"]), f"{answer['out']}{answer['err']}"
    if code in (-1, -2, 5) or "Traceback" in text:
        named = _NAMED.search(text) or re.search(r"Traceback: (\w+)", text)
        return Failure("traceback", named[1] if named else "unknown")
    if code not in CODES:
        return Failure("exit code", str(code))
    if escape := _ESCAPE.search(text):
        return Failure("escape", f"U+{ord(escape[0]):04X}")
    return None


def minimised(worker: Worker, mutant: Mutant, failure: Failure, most: int = 150) -> bytes:
    """The smallest input with the same failure that so many tries come to: lines left out, then pieces of bytes."""
    tries = 0

    def fails(data: bytes) -> bool:
        nonlocal tries
        tries += 1
        return tries <= most and failure.same(judge(worker, mutant, data))

    lines = mutant.data.splitlines(keepends=True)
    lines = _reduced(lines, lambda part: fails(b"".join(part)))
    pieces = [bytes([byte]) for byte in b"".join(lines)]
    return b"".join(_reduced(pieces, lambda part: fails(b"".join(part))))


def _reduced(parts: list[bytes], fails: Callable[[list[bytes]], bool]) -> list[bytes]:
    """Delta debugging: ever smaller runs of parts are left out while it still fails."""
    size = max(1, len(parts) // 2)
    while parts and size:
        at = 0
        while at < len(parts):
            fewer = parts[:at] + parts[at + size :]
            if fails(fewer):
                parts = fewer
            else:
                at += size
        size //= 2
    return parts
