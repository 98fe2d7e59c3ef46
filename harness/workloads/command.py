"""command: any server and any client, found ready by a port or by what they print, read by regex or JSON path."""

from __future__ import annotations

import json
import math
import os
import re
import shlex
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from harness.formats import ReadOptions, load_formats, read_output, values
from harness.units import Count, DurationNs
from harness.workloads.base import Fact, ProgramOutput, Reading, Scene, Workload

_LONGEST_PATTERN = 1000
_COLUMN = r"^[a-z][a-z0-9_]{0,60}$"
_PLACE, _PLACES = re.compile(r"{([a-z_]+)}"), {"address", "port", "duration_s", "cpus", "log"}
_HERE = ("./", "../")


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
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": ["string", "number"]}}]}),
]
Pattern = Annotated[str, BeforeValidator(_pattern)]


class Figure(BaseModel):
    """Where one figure stands in a program's output: what a regular expression finds, or how often, or a JSON path."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, defer_build=True)

    regex: Pattern | None = Field(None, description="its first group is the number; of several matches the last")
    json_path: str | None = Field(None, alias="json", description='dotted path into JSON output, "end.sum.bytes"')
    counter: Pattern | None = Field(None, description="or a regular expression: the figure is how often it matches")
    of: Literal["client", "server"] = Field("client", description="whose output it stands in")
    scale: float = Field(1.0, description="the number is multiplied by this, to give the column's unit")

    @model_validator(mode="after")
    def _one_of_two(self) -> Figure:
        if sum(way is not None for way in (self.regex, self.json_path, self.counter)) != 1:
            raise ValueError("it is found in one way; expected regex or json, or counter")
        if self.regex is not None and re.compile(self.regex).groups < 1:
            raise ValueError("the regular expression has no group; put the number in ( )")
        return self

    def find(self, name: str, output: ProgramOutput) -> float:
        """The figure. ValueError, naming it, when it is not there."""
        raw: Any
        text = output.client if self.of == "client" else output.server
        if self.counter is not None:
            try:
                raw = output.count(self.counter, text)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        elif self.regex is not None:
            try:
                last = output.last_match(self.regex, text)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
            if last is None:
                raise ValueError(f"{name}: nothing matches {self.regex!r}")
            raw = last[0] or ""
        else:
            try:
                raw = json.loads(text)
            except (ValueError, RecursionError):
                raise ValueError("its output is not JSON") from None
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


class Latencies(BaseModel):
    """Where the client leaves the time of each request, or a histogram of them, and in which form."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, defer_build=True)

    form: Literal["lines", "csv", "json", "hdr", "hgrm"] = Field(
        "lines", alias="format", description="one number a line; a column; a list; an HdrHistogram log, or .hgrm table"
    )
    unit: Literal["ns", "us", "ms", "s"] = Field("us", description="of the numbers")
    column: str = Field("", description="csv: the heading of their column; the first column if absent")
    at: str = Field("", description="csv: the column with the time at which each request was due, in the same unit")
    path: str = Field("", description='json: dotted path, "requests.rtt"; a list on the way means each of its members')
    basis: Literal["rtt", "half-rtt"] = Field("rtt", description="whole round trips, or half ones, which are doubled")
    source: Literal["log", "output", "wire"] = Field(
        "log", alias="in", description="the file {log}; its standard output; or packets at the client's devices"
    )

    @model_validator(mode="after")
    def _wire_has_no_form(self) -> Latencies:
        if self.source == "wire" and (more := self.model_fields_set - {"source"}):
            names = ", ".join(type(self).model_fields[name].alias or name for name in sorted(more))
            raise ValueError(f"packets have no {names}; leave it out beside in: wire")
        return self

    def read(self, output: ProgramOutput) -> Reading:
        """Samples, or the figures of a histogram, and how many requests. ValueError, saying what is wrong."""
        if self.source == "wire":
            if output.requests is None:
                raise ValueError(
                    "latencies: nobody looked at its packets; those of the measured workload alone are timed"
                )
            return self._counted(output.requests)
        text = output.log if self.source == "log" else output.client
        if not text.strip():
            where = "to {log}" if self.source == "log" else "to its output"
            raise ValueError(f"latencies: it wrote nothing {where}")
        try:
            return self._histogram(text) if self.form in ("hdr", "hgrm") else self._values(text)
        except ValueError as error:
            raise ValueError(f"latencies: {error}") from None

    def _values(self, text: str) -> Reading:
        times: list[float] = []
        if self.form == "csv":
            found, times = values.of_csv(text, self.column, self.at)
        else:
            found = values.of_json(text, self.path) if self.form == "json" else values.of_lines(text)
        return self._counted(values.samples_of(found, times, self.unit, 2.0 if self.basis == "half-rtt" else 1.0))

    def _counted(self, samples: Any) -> Reading:
        answered = int((samples["latency_ns"] >= 0).sum())
        return Reading({"requests": samples.size, "answered": answered, "lost": samples.size - answered}, {}, samples)

    def _histogram(self, text: str) -> Reading:
        options = ReadOptions(self.unit, self.basis)
        result, _ = read_output(load_formats()["hdrhistogram"], text, options)
        requests = round(result.metrics.pop("requests", None) or 0)
        return Reading({"requests": requests, "answered": requests}, Reading.of_result(result).metrics)


class Command(Workload):
    """Both programs stay in the foreground, in the directory in which pollbench was started.

    Nodes have names in them (`ping server`). {address}, {port} and {duration_s} stand for what they say, {cpus} for the
    CPUs of the program's node, {log} for a file that the client may write its latencies to. A word that begins with ./
    or ../ is a path, which like every path of an experiment file leads from the file's own directory.
    """

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
        default={}, description="column of runs.csv to where its number stands in a program's output"
    )
    latencies: Latencies | None = Field(None, description="the time of each request, as the client writes it")
    build: Words | None = Field(
        None, description="run once before the first run, in the file's directory, to make the programs"
    )
    files: tuple[str, ...] = Field(
        (), description="programs, libraries and data of its own, ./NAME: they travel to guests and fleets"
    )
    loop_kind: Literal["open", "closed"] = Field("closed", alias="loop", description="which loop the client runs")
    note: str = Field("", description="what was converted, kept in every run's record")

    # Filled in by the loader; best.yaml of a tuning has it, for it stands elsewhere.
    home: str = Field("", description="directory that its paths lead from; this file's if absent")

    native: ClassVar[frozenset[str]] = frozenset()
    rank: ClassVar[int] = 200
    has_requests: ClassVar[bool] = False
    knows_names: ClassVar[bool] = True

    @model_validator(mode="after")
    def _readiness_is_declared(self) -> Command:
        if self.server_command is not None and self.port is None and self.ready is None:
            raise ValueError("nothing tells when the server is ready; add port, or ready")
        for word in self.files:
            if not word.startswith("./") or ".." in word.split("/"):
                raise ValueError(f"files: {word!r} is no path from this file; expected ./NAME, or ./DIRECTORY/NAME")
        if self.is_timed_on_wire() and self.port is None:
            raise ValueError("latencies in: wire are of the packets of one port; add port")
        if self.is_timed_on_wire() and self.source == self.target:
            raise ValueError(f"latencies in: wire need a link; client and server are both on {self.source}")
        if not self.figures and self.latencies is None:
            raise ValueError("nothing says what its figures are; add latencies, or figures")
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
        """The declared words, with what stands in { } replaced, and paths from the file's directory."""
        return self._filled(self.server_command or (), scene)

    def client(self, scene: Scene) -> list[str]:
        """The declared words, with what stands in { } replaced, and paths from the file's directory."""
        return self._filled(self.client_command, scene)

    def _filled(self, words: tuple[str, ...], scene: Scene) -> list[str]:
        duration_s = f"{(scene.lasting_ns or self.duration_ns) / 1e9:g}"
        places = {"address": scene.address, "port": str(self.port or ""), "duration_s": duration_s}
        places |= {"cpus": scene.cpus, "log": scene.log}
        return [_PLACE.sub(lambda match: places[match[1]], self._placed(word)) for word in words]

    def _placed(self, word: str) -> str:
        return os.path.normpath(os.path.join(self.home, word)) if self.home and word.startswith(_HERE) else word

    def paths(self) -> list[str]:
        """The words of both command lines that are paths from the experiment file."""
        words = (*(self.server_command or ()), *self.client_command)
        return list(dict.fromkeys(word for word in words if word.startswith(_HERE)))

    def is_timed_on_wire(self) -> bool:
        """Are latencies `in: wire`?"""
        return self.latencies is not None and self.latencies.source == "wire"

    def shows_in_packets(self) -> bool:
        """Those of a port whose packets pass a link."""
        return self.latencies is not None and self.port is not None and self.source != self.target

    def server_tells(self) -> bool:
        """Is any figure the server's?"""
        return any(figure.of == "server" for figure in self.figures.values())

    def builds(self, program: str) -> bool:
        """Is this program made by `build`, so that it need not be there before?"""
        return self.build is not None and bool(self.home) and program.startswith(f"{self.home}{os.sep}")

    def allowance_ns(self) -> int:
        """The time-out that the file declares."""
        return self.timeout_ns

    def read(self, output: ProgramOutput) -> Reading:
        """Every figure, and each request. ValueError for the first that is not there, or where there was no request."""
        known = self.latencies.read(output) if self.latencies else Reading()
        metrics = {name: figure.find(name, output) for name, figure in self.figures.items()}
        result = {"elapsed_ns": output.elapsed_ns} | known.result
        if "requests" in metrics:
            # What a request costs is computed from it, as of our own generator.
            result |= {"requests": round(metrics["requests"]), "answered": round(metrics["requests"])}
        if result.get("requests") == 0:
            raise ValueError("requests: 0: nothing was measured")
        return Reading(result, known.metrics | dict(metrics), known.samples)

    def described(self) -> dict[str, Fact]:
        """The facts of every workload, and both command lines."""
        timed = {"timed": "on the wire"} if self.is_timed_on_wire() else {}
        return (
            super().described()
            | timed
            | {
                "client_command": shlex.join(self.client_command),
                "server_command": shlex.join(self.server_command or ()) or None,
                "conversion": self.note or None,
            }
        )
