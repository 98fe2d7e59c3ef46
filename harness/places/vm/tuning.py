"""A guest set as a good measuring host is, by the one definition that `pollbench host` and the playbooks have too."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from harness.kernel import host_settings

DEFINITION = "harness/places/vm/good_host.json"
"""The definition in the payload: as JSON, since a guest has no time for YAML."""
# The guest ends with its runs: nothing is put back. host_settings notes what it found all the same.
_STATE = "/run/pollbench-host.json"


def definition() -> bytes:
    """The definition for the payload; on the host. Raises MissingError, InputError."""
    from harness.host import load_definition

    return json.dumps(load_definition().settings, sort_keys=True).encode()


def set_guest(profile: str, cpus: Iterable[int]) -> list[dict[str, str]]:
    """Set this guest by a profile, "none" for as its kernel came; in the guest. cpus: the application's.

    A row for each setting: {name, state, wanted, found, reason}. state is "changed", "ok", "failed" or "not
    applicable"; of several targets the worst counts.
    """
    if profile == "none":
        return []
    settings = json.loads((Path(__file__).parent / Path(DEFINITION).name).read_bytes())
    profile_values = {setting["name"]: str(setting[profile]) for setting in settings}
    rows: dict[str, dict[str, str]] = {}
    for row in host_settings.prepare(host_settings.Host("/", cpus), settings, profile_values, _STATE):
        known = rows.get(row["name"])
        if known is None or _RANK.index(row["state"]) > _RANK.index(known["state"]):
            rows[row["name"]] = {key: row[key] for key in ("name", "state", "wanted", "found", "reason")}
    return list(rows.values())


_RANK = ("not applicable", "ok", "changed", "failed")
