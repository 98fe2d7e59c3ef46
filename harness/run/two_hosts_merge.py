"""What the two ends of a run saw, put together: the figures of either host stand beside each other, never mixed up."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from harness.errors import PollbenchError
from harness.run.counters import Difference
from harness.run.interference import Loads
from harness.run.outcome import FAR_CPUS, Outcome

Told = dict[str, Any]


def pack(outcome: Outcome, rows: list[dict[str, Any]], features: Told, files: Mapping[str, bytes]) -> Told:
    """One end's half, as plain data that JSON can carry."""
    return {
        "outcome": json.loads(json.dumps(dataclasses.asdict(outcome), default=sorted)),
        "rows": rows,
        "features": features,
        "files": {name: data.decode(errors="replace") for name, data in files.items()},
    }


def outcome_of(told: Mapping[str, Any], host: str) -> Outcome:
    """The other end's outcome. Raises PollbenchError when it is none."""
    try:
        found: Outcome = _adapter().validate_python(told["outcome"])
    except (KeyError, ValidationError) as error:
        raise PollbenchError("read what the other end found", host, repr(error)[:300]) from None
    return found


@cache
def _adapter() -> TypeAdapter[Outcome]:
    return TypeAdapter(Outcome)


def rows_of(told: Mapping[str, Any], host: str) -> list[dict[str, Any]]:
    """The other end's knob rows; those of a whole host say which one."""
    return [
        {**row, "setting": f"{row['setting']} ({host})"} if row["node"] == "*" else dict(row)
        for row in told.get("rows", [])
    ]


def files_of(told: Mapping[str, Any]) -> dict[str, bytes]:
    """What the other end's programs said."""
    return {str(name): str(text).encode() for name, text in told.get("files", {}).items()}


def together(near: Outcome, far: Outcome, far_node: str) -> Outcome:
    """Both outcomes as one. CPU n of the far host stands as FAR_CPUS + n; times are by either host's own clock."""
    return dataclasses.replace(
        near,
        difference=_difference(near.difference, far.difference),
        client=near.client or far.client,
        server=near.server or far.server,
        hog=near.hog if near.hog is not None else far.hog,
        hog_threads=near.hog_threads or far.hog_threads,
        parts=near.parts + far.parts,
        cpus=near.cpus | {FAR_CPUS + cpu for cpu in far.cpus},
        napis=near.napis | far.napis,
        metrics=near.metrics | far.metrics,
        background=tuple(here or there for here, there in zip(near.background, far.background, strict=True)),
        groups=near.groups | far.groups,
        numa=near.numa | far.numa,
        far_node=far_node,
    )


def _difference(near: Difference, far: Difference) -> Difference:
    changed = far.clocksources[0] != far.clocksources[1]
    return dataclasses.replace(
        near,
        ticks=near.ticks | _moved(far.ticks),
        net_rx=near.net_rx | _moved(far.net_rx),
        irqs=near.irqs | _moved(far.irqs),
        softnet={key: near.softnet.get(key, 0) + value for key, value in far.softnet.items()},
        nodes=near.nodes | far.nodes,
        programs=near.programs | far.programs,
        kthreads=near.kthreads | far.kthreads,
        loads=_loads(near.loads, far.loads),
        clocksources=far.clocksources if changed else near.clocksources,
    )


def _loads(near: Loads, far: Loads) -> Loads:
    """Of programs that ended, where is not known: the worse of the hosts counts."""
    names = {
        name: near.by_name.get(name, 0) + far.by_name.get(name, 0) for name in near.by_name | far.by_name
    }
    return Loads(
        near.busy_ns + far.busy_ns,
        max(near.ended_ns, far.ended_ns),
        near.by_cpu | _moved(far.by_cpu),
        names,
    )


def _moved(of_cpu: Mapping[int, Any]) -> dict[int, Any]:
    return {FAR_CPUS + cpu: value for cpu, value in of_cpu.items()}


def environment(client: Mapping[str, Any], server: Mapping[str, Any]) -> Told:
    """Facts of both hosts in one row: once where they are alike, else the client's and the server's."""
    found: Told = {}
    for name in {**client, **server}:
        if name == "interface":  # of a node, not of a host
            continue
        here, there = client.get(name), server.get(name)
        found[name] = here if here == there else f"{here or 'unknown'} / {there or 'unknown'}"
    return found
