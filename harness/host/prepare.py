"""The play that prepares this host, or puts back what was found: one Ansible play on the local connection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from harness.errors import Interrupted, PollbenchError
from harness.host.ansible import LOCAL, Event, explain, play
from harness.host.definition import Wish
from harness.kernel.host_settings import STATE, SettingRow
from harness.kernel.scratch import aside


def change_host(
    action: str,
    wish: Wish,
    *,
    check: bool = False,
    state: str = STATE,
    packages: Sequence[str] = (),
    stopping: Callable[[], bool] | None = None,
) -> list[SettingRow]:
    """Prepare or restore this host; a row for every target, with what was done. check: only say what would be.

    stopping: asked again and again, ends it when true. Raises PollbenchError when the play does not come to its task
    (no state file can be written, say), Interrupted.
    """
    rows: list[SettingRow] = []
    failures: list[str] = []
    ended: list[str] = []

    def watch(event: Event) -> None:
        if event["event"].startswith("runner_on_"):
            ended.append(event["event"])
        result = event.get("event_data", {}).get("res", {})
        if event["event"] in ("runner_on_ok", "runner_on_failed") and isinstance(result, dict):
            rows.extend(result.get("rows", []))
            if event["event"] == "runner_on_failed":
                failures.append(str(result.get("msg", "failed")))

    variables = {
        **role_variables(wish),
        "measuring_host_action": action,
        "measuring_host_state": state,
        "measuring_host_packages": list(packages),
    }
    with aside() as scratch:
        inventory = scratch / "inventory"
        inventory.write_text(LOCAL)
        options = ["--check", "--diff"] if check else []
        try:
            played = play("host", [str(inventory)], variables, scratch / "play", watch, stopping, options)
        except Interrupted:
            todo = "what was changed by then is put back by: sudo pollbench host restore"
            raise Interrupted(f"{action} this host", got="interrupted", todo=todo) from None
        # A play that comes to no host ends well, too.
        if not rows and (failures or played.code or not ended):
            if failures:
                raise PollbenchError(f"{action} this host", got=failures[0])
            raise explain(played, f"{action} this host")
    return rows


def role_variables(wish: Wish) -> dict[str, Any]:
    """A wish in the words of the role `measuring_host`."""
    return {
        "measuring_host_wanted": wish.values,
        "measuring_host_cpus": list(wish.cpus),
        "measuring_host_devices": list(wish.devices),
    }
