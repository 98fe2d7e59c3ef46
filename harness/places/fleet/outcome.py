"""What a play reported of each host: the results of its tasks, and in one line why it failed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

TakeResult = Callable[[str, str, Mapping[str, Any]], None]
"""Called with the host, the name of a task that has ended there, and the task's result."""

UNREACHABLE = "unreachable"
"""The first word of the reason of a host that could not be reached."""
# Tasks whose message says itself what was done.
_OWN_WORDS = (
    "Look at the host and at the version there",
    "Ship the share and start",
    "Follow",
    "Put back what was killed, and remove",
)


@dataclass
class Outcomes:
    """Gathers a play's events. failed: by host, why it failed, in one line; hosts that are not in it did not fail."""

    take: TakeResult | None = None
    failed: dict[str, str] = field(default_factory=dict)

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Take one event of ansible-runner's."""
        data = event.get("event_data") or {}
        host, result = data.get("host"), data.get("res")
        if not host or not isinstance(result, Mapping):
            return
        kind = event["event"]
        if kind == "runner_on_unreachable":
            self.failed[host] = f"{UNREACHABLE}: {_words(result)}"
        elif kind == "runner_on_failed" and not data.get("ignore_errors"):
            self.failed[host] = _reason(str(data.get("task", "")), result)
        elif kind in ("runner_on_ok", "runner_retry") and self.take is not None:
            self.take(host, str(data.get("task", "")), result)


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
    return text[:400] or "it gave no reason"
