"""What is heard of hosts: what a play reports of each, and what each has made of its share in an attempt."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from harness.places.fleet.merge import merge
from harness.places.fleet.share import Pair
from harness.places.fleet.split import Allotment
from harness.store import ResultSet

TakeResult = Callable[[str, str, Mapping[str, Any]], None]
"""Called with the host, the step of the action pollbench_share that it has tried, and what came of it."""

UNREACHABLE = "unreachable"
"""The first word of the reason of a host that could not be reached."""
MESSAGE = "pollbench: "
"""How a line of a host's begins that is no progress."""
# Tasks whose message says itself what was done.
_OWN_WORDS = (
    "Look at the host and at the version there",
    "Ship the share and start",
    "Follow",
    "Fetch",
    "Measure",
    "Put back what was killed, and remove",
    "Look at, set or put back what the definition names",
)
_BECOMING = re.compile(
    r"privilege escalation|(Missing|Incorrect|Invalid) \w+ password|password is required", re.IGNORECASE
)
_ROOT = "root is needed there: ansible_user=root, or ansible_become and the password it asks for, in the inventory"
# What Ansible says, and what there is to do about it.
_REMEDIES = (
    (
        re.compile(r".*HOST IDENTIFICATION HAS CHANGED.*?Offending \S+ key in (\S+).*"),
        r"its host key is not the known one (\1): it was installed anew, or somebody stands in between",
    ),
    (
        re.compile(r".*module interpreter '(.+?)' was not found.*"),
        r"there is no Python \1; name one: ansible_python_interpreter",
    ),
    (
        re.compile(r"(.*Host key verification failed)\.?.*"),
        r"\1; accept its key first: log in once by ssh, or ssh-keyscan",
    ),
    (re.compile(r"non-zero return code (.*not found)"), r"\1; name another with pollbench_python"),
)
# A host whose partner has ended reports that itself, unless it waits for something that cannot come any more.
_GRACE_S = 10.0
_ABSENT_S = 10.0


class Board(Protocol):
    """Who is told how each host does; one line for each."""

    def tell(self, host: str, text: str, kind: str = "at work") -> None:
        """What the host does now, or said last; kind: "done" with its share, or "failed", with the reason."""

    def heard(self, host: str, lines: Sequence[str]) -> None:
        """New lines of the host's own progress, at least one."""


@dataclass
class Attempt:
    """Hosts at their shares. sizes: how many runs each is to make; reasons: why one ended before it had made them."""

    results: ResultSet
    lot: Allotment
    incoming: Path
    board: Board
    sizes: dict[str, int]
    pair: Pair | None = None
    reasons: dict[str, str] = field(default_factory=dict)
    _merged: dict[str, int] = field(default_factory=dict)
    _ended_s: dict[str, float] = field(default_factory=dict)
    _messages: dict[str, list[str]] = field(default_factory=dict)

    def take(self, host: str, step: str, result: Mapping[str, Any]) -> None:
        """A host has tried a step; what was fetched is merged as it comes."""
        if step == "follow":
            self._followed(host, result)
        elif step == "fetch":
            self._fetched(host, told=bool(result.get("failed")))

    def going(self, failed: Mapping[str, str]) -> list[str]:
        """The hosts on which the attempt may be going on: they have not brought what they made."""
        over = {host for host, reason in failed.items() if not reason.startswith(UNREACHABLE)}
        return [host for host in self.sizes if host not in over and host not in self._merged]

    def left_alone(self, failed: Mapping[str, str]) -> str:
        """Of two hosts that need each other: the one that ended a while ago, while the other is still going.

        Of one that is merely out of reach nobody here knows whether it has ended.
        """
        if self.pair is None:
            return ""
        now_s = time.monotonic()
        for host, reason in failed.items():
            if not reason.startswith(UNREACHABLE):
                self._ended_s.setdefault(host, now_s)
        waiting = set(self.pair.hosts) - set(failed) - set(self._ended_s)
        over = [host for host, ended_s in self._ended_s.items() if now_s - ended_s > _GRACE_S]
        return over[0] if over and waiting else ""

    def _followed(self, host: str, result: Mapping[str, Any]) -> None:
        lines = [line for line in result.get("lines", []) if line.strip()]
        # What it ends by may have come with an earlier look than its end.
        messages = self._messages.setdefault(host, [])
        messages += [line for line in lines if line.startswith(MESSAGE)]
        if lines:
            keep_log(self.incoming.parent, host, lines)
            if not result.get("done"):
                self.board.heard(host, lines)
        if not result.get("done"):
            return
        self._ended_s[host] = time.monotonic()
        self.reasons[host] = "" if result.get("state") == "0" else why_ended(result, messages)

    def _fetched(self, host: str, told: bool) -> None:
        came = merge(self.results, self.incoming / host, set(self.lot.host), self.lot.again)
        self._merged[host] = made = self._merged.get(host, 0) + len(came)
        if told:
            return
        reason, size, text = self.reasons.get(host), self.sizes[host], f"{made} of {self.sizes[host]} runs"
        if self.pair and host == self.pair.hosts[1]:
            # Records are kept at the other end.
            text, size = "its end of the runs", made + bool(reason)
        if made < size:
            self.board.tell(host, f"{text}: {reason or 'it ended early'}", "failed")
        else:
            self.board.tell(host, text, "done")


def keep_log(directory: Path, host: str, lines: Sequence[str]) -> None:
    """What a host said, all of it, with the time it was heard, in logs/HOST.log below the directory of the fleet."""
    (directory / "logs").mkdir(exist_ok=True)
    now = datetime.now(UTC).strftime("%H:%M:%SZ")
    with open(directory / "logs" / f"{host}.log", "a") as log:
        log.writelines(f"{now} {line}\n" for line in lines)


def why_ended(result: Mapping[str, Any], lines: Sequence[str]) -> str:
    """Why a host ended before its share was done: by its own last message, else by its exit code."""
    messages = [line.removeprefix(MESSAGE) for line in lines if line.startswith(MESSAGE)]
    reason, state = str(result.get("reason") or ""), str(result.get("state"))
    # As a shell says it of a program that a signal ended.
    if not reason and state.isdigit() and int(state) - 128 in set(signal.Signals):
        reason = f"it was killed ({signal.Signals(int(state) - 128).name})"
    return reason or (messages[-1] if messages else f"exit code {state}")


@dataclass
class Outcomes:
    """Gathers a play's events. failed: by host, why it failed, in one line; hosts that are not in it did not fail.

    heard: the hosts that the play came to at all; looked: those that have told of themselves.
    """

    take: TakeResult | None = None
    failed: dict[str, str] = field(default_factory=dict)
    heard: set[str] = field(default_factory=set)
    looked: set[str] = field(default_factory=set)
    _last_s: float = field(default_factory=time.monotonic)

    def known(self, hosts: Collection[str]) -> bool:
        """Whether of all these hosts it is known if they can measure."""
        return {*self.looked, *self.failed}.issuperset(hosts)

    def silent(self) -> bool:
        """Whether it is long known of all hosts that the play came to: another has the inventory lost meanwhile."""
        return bool(self.heard) and self.known(self.heard) and time.monotonic() - self._last_s > _ABSENT_S

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Take one event of ansible-runner's."""
        self._last_s = time.monotonic()
        data = event.get("event_data") or {}
        host, result = data.get("host"), data.get("res")
        if host:
            self.heard.add(host)
        if not host or not isinstance(result, Mapping):
            return
        kind, step = event["event"], str(result.get("step", ""))
        if step == "look":
            self.looked.add(host)
        if kind == "runner_on_unreachable":
            # Ansible calls a host unreachable too where it was reached, and does not make us root.
            why = _words(result)
            self.failed[host] = f"{_ROOT} ({why})" if _BECOMING.search(why) else f"{UNREACHABLE}: {why}"
        elif kind == "runner_on_failed" and not data.get("ignore_errors"):
            if self.take is not None and "fetched" in result:
                # What came before is kept.
                self.take(host, step, result)
            self.failed[host] = _reason(str(data.get("task", "")), result)
        elif kind in ("runner_on_ok", "runner_retry") and self.take is not None:
            self.take(host, step, result)


def _reason(task: str, result: Mapping[str, Any]) -> str:
    """Why a task failed, as short as it is clear."""
    text = _words(result)
    if "No space left on device" in text or "Disk quota" in text:
        return f"its disk is full ({task.lower()})"
    return text if task in _OWN_WORDS else f"{task.lower()}: {text}"


def _words(result: Mapping[str, Any]) -> str:
    parts = [str(result.get(key) or "") for key in ("msg", "stderr", "module_stderr")]
    text = " ".join(" ".join(dict.fromkeys(part for part in parts if part)).split())
    for lead in ("Task failed: ", "Failed to connect to the host via ssh: "):
        text = text.removeprefix(lead)
    for pattern, remedy in _REMEDIES:
        text = pattern.sub(remedy, text)
    return text[:400] or "it gave no reason"
