"""Small experiments for tests: written as the user would, loaded by the loader, judged without the noise limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from harness.plan import Plan, load_experiment, make_plan

# Tests run on shared machines and next to each other: noise is not what they are about.
NO_NOISE_LIMITS = {f"max_{kind}_share": "100%" for kind in ("foreign", "steal", "starved")}


def document(**changes: Any) -> dict[str, Any]:
    """A quick ping-pong between two nodes, with top-level sections replaced by `changes`."""
    base: dict[str, Any] = {
        "name": "small",
        "topology": {
            "nodes": {"client": {"cpus": "0"}, "server": {"cpus": "1"}},
            "links": [{"between": ["client", "server"]}],
        },
        "workload": {"kind": "ping-pong", "from": "client", "to": "server", "warmup": "30ms", "duration": "100ms"},
        "checks": NO_NOISE_LIMITS,
        "repeat": 1,
    }
    return {key: value for key, value in (base | changes).items() if value is not None}


def write(directory: Path, **changes: Any) -> Path:
    """The document as a file in `directory`."""
    path = directory / "small.yaml"
    path.write_text(yaml.safe_dump(document(**changes), sort_keys=False))
    return path


def plan(directory: Path, **changes: Any) -> Plan:
    """The plan of the document."""
    return make_plan(load_experiment(write(directory, **changes)))
