"""What the two ends of a run saw, put together: the figures of either host stand beside each other, never mixed up."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from pydantic import TypeAdapter, ValidationError

from harness.errors import PollbenchError
from harness.run.outcome import Outcome
from harness.run.two_hosts import Message
from harness.store.record import Columns, KnobRow, Scalar


@dataclass(frozen=True)
class Half:
    """What one end knows when the programs have ended. features: as in a run record; files: output by file name."""

    outcome: Outcome
    knobs: list[KnobRow]
    features: dict[str, dict[str, list[str]]]
    files: dict[str, bytes]


def pack(half: Half) -> Message:
    """One end's half, as plain data that JSON can carry."""
    files = {name: data.decode(errors="replace") for name, data in half.files.items()}
    plain = dataclasses.asdict(dataclasses.replace(half, files={})) | {"files": files}
    message: Message = json.loads(json.dumps(plain, default=sorted))
    return message


def unpack(message: Message, host: str) -> Half:
    """The other end's half; knob rows of its whole host say which one. Raises PollbenchError when it is none."""
    try:
        half = _adapter().validate_python(message)
    except ValidationError as error:
        raise PollbenchError("read what the other end found", host, repr(error)[:300]) from None
    knobs = [
        dataclasses.replace(row, setting=f"{row.setting} ({host})") if row.node == "*" else row for row in half.knobs
    ]
    return dataclasses.replace(half, knobs=knobs)


@cache
def _adapter() -> TypeAdapter[Half]:
    return TypeAdapter(Half)


def together(near: Outcome, far: Outcome, far_node: str) -> Outcome:
    """Both outcomes as one; the window's length is by the clock of the near host, which keeps the record."""
    hosts = near.delta.hosts | {far_node: far.delta.hosts[""]}
    return dataclasses.replace(
        near,
        delta=dataclasses.replace(
            near.delta,
            nodes=near.delta.nodes | far.delta.nodes,
            programs=near.delta.programs | far.delta.programs,
            kthreads=near.delta.kthreads | far.delta.kthreads,
            hosts=hosts,
        ),
        client=near.client or far.client,
        server=near.server or far.server,
        hog=near.hog if near.hog is not None else far.hog,
        hog_threads=near.hog_threads or far.hog_threads,
        programs=near.programs + far.programs,
        napis=near.napis | far.napis,
        metrics=near.metrics | far.metrics,
        background=tuple(here or there for here, there in zip(near.background, far.background, strict=True)),
        groups=near.groups | far.groups,
        numa=near.numa | far.numa,
        changed=near.changed + far.changed,
        idle_threads=near.idle_threads | far.idle_threads,
        feeding=near.feeding.together(far.feeding),
        tcp=near.tcp | far.tcp,
    )


def environment(client: Mapping[str, Scalar], server: Mapping[str, Scalar]) -> Columns:
    """Facts of both hosts in one row: once where they are alike, else the client's and the server's."""
    facts: Columns = {}
    for name in {**client, **server}:
        if name == "interface":  # of a node, not of a host
            continue
        here, there = client.get(name), server.get(name)
        facts[name] = here if here == there else f"{here or 'unknown'} / {there or 'unknown'}"
    return facts
