"""Searches by a regular expression that a file brought along, in a process whose time and memory are limited.

Backtracking can take longer than anybody lives, and nothing in this process could stop it.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys

_LIMIT_S = 2.0
# Until the interpreter is there, which is no fault of the pattern: seconds in an emulated guest or on a crowded host.
_STARTS_S = 60.0
_MOST_BYTES = 512 << 20
_CODE = """
import json, re, resource, signal, sys
asked = json.load(sys.stdin)
resource.setrlimit(resource.RLIMIT_AS, (asked["bytes"], asked["bytes"]))
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
signal.setitimer(signal.ITIMER_PROF, asked["seconds"])
last, count = None, 0
for last in re.finditer(asked["pattern"], asked["text"], re.MULTILINE):
    count += 1
    if asked["first"]:
        break
print(json.dumps(last and [last[1] if last.re.groups else last[0], count]))
"""


def last_match(pattern: str, text: str, limit_s: float = _LIMIT_S) -> list[str | None] | None:
    """[the first group of the last match], None in it where the group took no part; None where nothing matches.

    Of a pattern without a group the whole match. Raises ValueError when that takes more CPU time than `limit_s`, or
    more memory than a search can need, or its process is not done after another minute.
    """
    answer = _asked(pattern, text, limit_s, first=False)
    return answer and [answer[0]]


def count(pattern: str, text: str, limit_s: float = _LIMIT_S) -> int:
    """How often the pattern matches. Raises ValueError as `last_match` does."""
    answer = _asked(pattern, text, limit_s, first=False)
    return answer[1] if answer else 0


def matches(pattern: str, text: str, limit_s: float = _LIMIT_S) -> bool:
    """Does anything in the text match? Raises ValueError as `last_match` does."""
    return _asked(pattern, text, limit_s, first=True) is not None


def _asked(pattern: str, text: str, limit_s: float, *, first: bool) -> tuple[str | None, int] | None:
    """What the first group of a match is, and how many matches there were up to it."""
    # A text of n characters takes at most 4 n in the other process, and the JSON beside it as much again.
    size = _MOST_BYTES + 16 * len(text)
    question = json.dumps({"pattern": pattern, "text": text, "first": first, "bytes": size, "seconds": limit_s})
    command = [sys.executable, "-I", "-S", "-c", _CODE]
    subject = f"the regular expression {pattern[:60]!r} in {len(text)} characters of output"
    wait_s = _STARTS_S + limit_s
    try:
        done = subprocess.run(command, input=question.encode(), capture_output=True, timeout=wait_s, check=False)
    except subprocess.TimeoutExpired:
        raise ValueError(f"{subject} was not done after {wait_s:g} s: this machine is too busy") from None
    if done.returncode == -signal.SIGPROF:
        raise ValueError(f"{subject} took longer than {limit_s:g} s of CPU time; make it simpler")
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise ValueError(f"{subject}: {last[0] if last else f'ended with status {done.returncode}'}")
    answer = json.loads(done.stdout)
    return answer and (answer[0], int(answer[1]))
