"""command: any server and any client, found ready by a port or by what they print, read by regex or JSON path."""

from __future__ import annotations

import json
import math
import re
import shlex
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from harness.units import Count, DurationNs
from harness.workloads.base import Fact, ProgramOutput, Reading, Scene, Workload

_LONGEST_PATTERN = 1000
_COLUMN = r"^[a-z][a-z0-9_]{0,60}$"
_PLACE, _PLACES = re.compile(r"{([a-z_]+)}"), {"address", "port", "duration_s"}


def _words(value: object) -> object:
    """A command line from a list of words, or from one text split as a shell would, but without a shell."""
    if isinstance(value, str):
        try:
            value = shlex.split(value)
        except ValueError as error:
            raise ValueError(f"it cannot be split into words ({error}); expected a text as a shell takes it") from None
    if not isinstance(value, (list, tuple)) or not value:
        raise ValueError("it is no command; expected a text, or a list of words")
    words = [str(word) for word in value]
    if any("\0" in word for word in words):
        raise ValueError("it holds a NUL, which no program can be given; leave it out")
    if not words[0]:
        raise ValueError("its first word is empty; expected a program")
    for name in _PLACE.findall(" ".join(words)):
        if name not in _PLACES:
            raise ValueError(f"{{{name}}} stands for nothing; known: " + ", ".join(f"{{{p}}}" for p in sorted(_PLACES)))
    return tuple(words)


def _pattern(value: object) -> object:
    if not isinstance(value, str):
        return value
    if len(value) > _LONGEST_PATTERN:
        raise ValueError(f"{len(value)} characters; expected at most {_LONGEST_PATTERN}")
    try:
        re.compile(value)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"it is no regular expression ({error})") from None
    return value


Words = Annotated[
    tuple[str, ...],
    BeforeValidator(_words),
    Field(
        json_schema_extra={"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": ["string", "number"]}}]}
    ),
]
Pattern = Annotated[str, BeforeValidator(_pattern)]


class Figure(BaseModel):
    """Where one figure stands in the client's output: a regular expression's first group, or a JSON path."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, defer_build=True)

    regex: Pattern | None = Field(None, description="its first group is the number; of several matches the last")
    json_path: str | None = Field(None, alias="json", description='dotted path into JSON output, "end.sum.bytes"')
    scale: float = Field(1.0, description="the number is multiplied by this, to give the column's unit")

    @model_validator(mode="after")
    def _one_of_two(self) -> Figure:
        if (self.regex is None) == (self.json_path is None):
            raise ValueError("it is found in one way; expected regex or json")
        if self.regex is not None and re.compile(self.regex).groups < 1:
            raise ValueError("the regular expression has no group; put the number in ( )")
        return self

    def find(self, name: str, output: ProgramOutput, document: Any) -> float:
        """The figure. ValueError, naming it, when it is not there."""
        raw: Any
        if self.regex is not None:
            try:
                last = output.last_match(self.regex, output.client)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
            if last is None:
                raise ValueError(f"{name}: nothing matches {self.regex!r}")
            raw = last[0] or ""
        else:
            raw = document
            for part in str(self.json_path).split("."):
                try:
                    raw = raw[int(part)] if isinstance(raw, list) else raw[part]
                except (KeyError, IndexError, TypeError, ValueError):
                    raise ValueError(f"{name}: there is no {self.json_path} in its JSON output") from None
        try:
            value = float(raw) * self.scale
        except (TypeError, ValueError, OverflowError):
            value = math.nan
        if not math.isfinite(value):
            raise ValueError(f"{name}: {str(raw)[:40]!r} is not a number")
        return value


class Command(Workload):
    """Both programs stay in the foreground. {address}, {port} and {duration_s} stand for what they say."""

    kind: Literal["command"] = Field(description="any server and client")
    protocol: Literal["udp", "tcp"] = Field("tcp", description="of the server's port, and of the packets that count")
    server_command: Words | None = Field(None, alias="server", description="command line of the server; none if absent")
    client_command: Words = Field(alias="client", description="command line of the client")
    port: Count | None = Field(None, ge=1, le=65535, description="the server is ready when it listens here")
    ready: Pattern | None = Field(None, description="or: when its output matches this regular expression")
    stop: Literal["SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGKILL"] = Field(
        "SIGTERM", description="signal that ends the server, and a client in the background"
    )
    timeout_ns: DurationNs = Field(
        10_000_000_000, gt=0, alias="timeout", description="the client may take so long beyond warmup and duration"
    )
    figures: dict[Annotated[str, Field(pattern=_COLUMN)], Figure] = Field(
        min_length=1, description="column of runs.csv to where its number stands in the client's output"
    )
    loop_kind: Literal["open", "closed"] = Field("closed", alias="loop", description="which loop the client runs")
    note: str = Field("", description="what was converted, kept in every run's record")

    native: ClassVar[frozenset[str]] = frozenset()
    rank: ClassVar[int] = 200
    has_requests: ClassVar[bool] = False

    @model_validator(mode="after")
    def _readiness_is_declared(self) -> Command:
        if self.server_command is not None and self.port is None and self.ready is None:
            raise ValueError("nothing tells when the server is ready; add port, or ready")
        return self

    def loop(self) -> str:
        """As the file declares it: a program's loop cannot be seen from outside."""
        return self.loop_kind

    def has_server(self) -> bool:
        """A client may talk to what another workload started."""
        return self.server_command is not None

    def ready_text(self) -> str:
        """The regular expression that the file declares."""
        return self.ready or ""

    def server(self, scene: Scene) -> list[str]:
        """The declared words, with {address}, {port} and {duration_s} replaced."""
        return self._filled(self.server_command or (), scene)

    def client(self, scene: Scene) -> list[str]:
        """The declared words, with {address}, {port} and {duration_s} replaced."""
        return self._filled(self.client_command, scene)

    def _filled(self, words: tuple[str, ...], scene: Scene) -> list[str]:
        duration_s = f"{(scene.lasting_ns or self.duration_ns) / 1e9:g}"
        places = {"address": scene.address, "port": str(self.port or ""), "duration_s": duration_s}
        return [_PLACE.sub(lambda match: places[match[1]], word) for word in words]

    def allowance_ns(self) -> int:
        """The time-out that the file declares."""
        return self.timeout_ns

    def read(self, output: ProgramOutput) -> Reading:
        """Every figure. ValueError for the first that is not there, and where it says that no request was made."""
        document = None
        if any(figure.json_path for figure in self.figures.values()):
            try:
                document = json.loads(output.client)
            except (ValueError, RecursionError):
                raise ValueError("its output is not JSON") from None
        metrics = {name: figure.find(name, output, document) for name, figure in self.figures.items()}
        if metrics.get("requests") == 0:
            raise ValueError("requests: 0: nothing was measured")
        return Reading({"elapsed_ns": output.elapsed_ns}, dict(metrics))

    def described(self) -> dict[str, Fact]:
        """The facts of every workload, and both command lines."""
        return super().described() | {
            "client_command": shlex.join(self.client_command),
            "server_command": shlex.join(self.server_command or ()) or None,
            "conversion": self.note or None,
        }
