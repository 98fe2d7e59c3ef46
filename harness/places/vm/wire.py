"""What travels back from a guest, one run at a time: packed there, and taken here as something not to be trusted."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import re
import tarfile
import tokenize
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter, ValidationError

from harness.errors import MissingError, PollbenchError
from harness.store.trace import EVENT_DTYPE

if TYPE_CHECKING:
    # The machine half is loaded when the first answer is there, not before the guest is started.
    from harness.run.measure import Measured

MAX_BYTES = 1 << 30
_MAX_JSON, _MAX_FILE, _MAX_FILES = 64 << 20, 16 << 20, 500
_PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+@-]{0,99}")
_RESULT, _SAMPLES, _EVENTS, _SAID = "result.json", "samples.npy", "events.npy", "said/"
# What the readers of JSON, tar and NumPy raise of bytes that are none of theirs; of a head that is no Python, NumPy's
# second attempt at it raises TokenError.
_DAMAGES = (KeyError, TypeError, ValueError, ArithmeticError, RecursionError, MemoryError, EOFError, OSError)
_DAMAGES += (tarfile.TarError, tokenize.TokenError, SyntaxError)
_KINDS = {"missing": MissingError, "failed": PollbenchError}


@dataclass
class Answer:
    """One run as a guest made it. error: what it raised instead of measuring. wall_s: by the guest's clock.

    events: of a traced run, as harness/store/trace.py has them.
    """

    run_id: str
    wall_s: float
    measured: Measured | None = None
    error: PollbenchError | None = None
    files: dict[str, bytes] = field(default_factory=dict)
    events: npt.NDArray[Any] | None = None


def pack(answer: Answer) -> bytes:
    """An answer as a tar archive; in the guest."""
    error, measured = answer.error, answer.measured
    tables = {_SAMPLES: measured.samples if measured else None, _EVENTS: answer.events}
    document: dict[str, object] = {"run_id": answer.run_id, "wall_s": answer.wall_s}
    if error is not None:
        kind = "missing" if isinstance(error, MissingError) else "failed"
        document["error"] = [kind, error.attempted, error.on, error.got, error.todo]
    if measured is not None:
        document["measured"] = dataclasses.asdict(dataclasses.replace(measured, samples=None))
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        _add(tar, _RESULT, json.dumps(document, default=_plain).encode())
        for name, table in tables.items():
            if table is not None:
                raw = io.BytesIO()
                np.save(raw, table, allow_pickle=False)
                _add(tar, name, raw.getvalue())
        for name, data in answer.files.items():
            if _PLAIN_NAME.fullmatch(name):
                _add(tar, _SAID + name, data[:_MAX_FILE])
    return out.getvalue()


def _plain(value: Any) -> Any:
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot travel")


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def unpack(data: bytes) -> Answer:
    """The answer in a tar archive, checked in every part; on the host. Raises PollbenchError for anything else.

    Nothing is written anywhere: names are compared, never opened; sizes and types are bounded.
    """
    try:
        members = _members(data)
        document = json.loads(members[_RESULT], parse_constant=_no_number)
        samples = _table(members[_SAMPLES]) if _SAMPLES in members else None
        files = {name.removeprefix(_SAID): data for name, data in members.items() if name.startswith(_SAID)}
        answer = Answer(str(document["run_id"]), float(document["wall_s"]), files=files)
        answer.events = _table(members[_EVENTS], EVENT_DTYPE) if _EVENTS in members else None
        if "error" in document:
            kind, attempted, on, got, todo = document["error"]
            answer.error = _KINDS[kind](*(printable(str(text)) for text in (attempted, on, got, todo)))
        else:
            # A guest has all nodes of a run: it has nothing to say of other hosts.
            answer.measured = dataclasses.replace(_measured(document["measured"]), samples=samples, hosts={})
    except _DAMAGES as error:
        cause = f"{len(error.errors())} fields" if isinstance(error, ValidationError) else repr(error)[:200]
        raise PollbenchError("read what the guest sent back", got=f"it is no result of ours ({cause})") from None
    return answer


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")


def printable(text: str) -> str:
    """Text of a guest, fit for a terminal and a table."""
    return "".join(letter if letter.isprintable() else "?" for letter in text[:2000])


def _members(data: bytes) -> dict[str, bytes]:
    members: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as tar:
        for member in tar:
            said = member.name.startswith(_SAID) and _PLAIN_NAME.fullmatch(member.name.removeprefix(_SAID))
            limit = {_RESULT: _MAX_JSON, _SAMPLES: MAX_BYTES, _EVENTS: MAX_BYTES}.get(
                member.name, _MAX_FILE if said else -1
            )
            stream = tar.extractfile(member) if member.isreg() else None
            too_many = len(members) > _MAX_FILES or member.name in members
            if stream is None or member.size > limit or too_many:
                raise ValueError(f"a member that we would not send: {printable(member.name)[:80]!r}")
            members[member.name] = stream.read()
    return members


def _table(data: bytes, dtype: np.dtype[Any] | None = None) -> npt.NDArray[Any]:
    """Samples, or events of that dtype, as NumPy writes them. Raises ValueError for anything else."""
    stream = io.BytesIO(data)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("samples of another format")
    shape, _, kind = np.lib.format.read_array_header_1_0(stream)
    # A head may promise more than memory holds; NumPy would believe it.
    if math.prod(shape) * kind.itemsize != len(data) - stream.tell():
        raise ValueError("samples that are not as many as they say")
    table: npt.NDArray[Any] = np.load(io.BytesIO(data), allow_pickle=False)
    whole = table.dtype.names is not None and table.ndim == 1
    kinds = {table.dtype[name].kind for name in table.dtype.names or ()}
    if not whole or kinds - set("iu") or dtype not in (None, table.dtype):
        raise ValueError("samples or events that are no table of whole numbers")
    return table


@cache
def _adapter() -> TypeAdapter[Measured]:
    from harness.run.measure import Measured

    return TypeAdapter(Measured)


def _measured(document: object) -> Measured:
    """What a guest measured; its words are shown as they are by store and reports, so they are made printable."""
    measured = _adapter().validate_python(document)
    for number, row in enumerate(measured.link_checks):
        texts: dict[str, Any] = {key: printable(text) for key, text in vars(row).items() if key != "ok"}
        measured.link_checks[number] = dataclasses.replace(row, **texts)
    measured.phases = [
        dataclasses.replace(row, link=printable(row.link), phase=printable(row.phase)) for row in measured.phases
    ]
    measured.queues = [dataclasses.replace(series, link=printable(series.link)) for series in measured.queues]
    feeding = measured.outcome.feeding
    sockets = [dataclasses.replace(one, kind=printable(one.kind)) for one in feeding.sockets]
    places = [dataclasses.replace(one, device=printable(one.device)) for one in feeding.places]
    feeding = dataclasses.replace(feeding, sockets=tuple(sockets), places=tuple(places))
    measured.outcome = dataclasses.replace(measured.outcome, feeding=feeding)
    measured.breaches = [printable(reason) for reason in measured.breaches]
    measured.hints = [printable(hint) for hint in measured.hints]
    return measured
