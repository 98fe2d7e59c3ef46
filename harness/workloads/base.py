"""What a workload is: a model of its fields, its command lines, how its server shows readiness, how to read it."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from harness.formats import Result
from harness.units import DurationNs, OnOff

Role = Literal["client", "server"]
Wait = Literal["blocking", "spin", "epoll", "poll", "select"]
# The load generator takes no longer times; tests/unit/test_bounds.py compares the bounds with its own.
HOUR_NS = 3600 * 10**9
TIMED_MIN_BYTES = 40
# What a run counts itself, for every program alike: a program's own account of these is left aside.
COUNTED_BY_THE_RUN = frozenset({"retransmits", "client_cpu_percent", "server_cpu_percent"})
Fact = str | float | None


@dataclass(frozen=True)
class Scene:
    """What a command line needs to know of the testbed.

    address, port: where the client finds the server, and the server listens; socket_options: options of our own
    generator for this role; log: a file the client may write its samples to; lasting_ns: how long a client in the
    background is to go on (0: as long as its own duration says); timed: replies are to carry the server's times; cpus:
    those of the role's node, as a list.
    """

    address: str
    port: int = 0
    socket_options: tuple[str, ...] = ()
    log: str = ""
    lasting_ns: int = 0
    timed: bool = False
    cpus: str = ""


def _count(pattern: str, text: str) -> int:
    return sum(1 for _ in re.finditer(pattern, text, re.MULTILINE))


def _last_match(pattern: str, text: str) -> list[str | None] | None:
    matches = deque(re.finditer(pattern, text, re.MULTILINE), maxlen=1)
    return [matches[0][1]] if matches else None


@dataclass(frozen=True)
class ProgramOutput:
    """What a program that nobody modified left behind: both outputs, its log file, and how long the client ran.

    requests: as Reading's samples, of a workload that is timed on the wire. last_match: how a regular expression that a
    file brought along is searched for: [first group of the last match], or None; count: how often one matches. A run
    gives such that end in time, with ValueError, whatever the expression.
    """

    client: str
    server: str = ""
    log: str = ""
    elapsed_ns: int = 0
    requests: Any = None
    last_match: Callable[[str, str], list[str | None] | None] = _last_match
    count: Callable[[str, str], int] = _count


@dataclass(frozen=True)
class Reading:
    """An output in our terms.

    result: the members that our own generator's result has (requests, answered, lost, elapsed_ns, ...), as far as they
    are known. metrics: columns of runs.csv by name, for what is not computed from samples. samples: a structured
    array, or None.
    """

    result: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float | int | None] = field(default_factory=dict)
    samples: Any = None

    @classmethod
    def of_result(cls, result: Result) -> Self:
        """What a format read, without the figures that a run counts itself."""
        metrics = {name: value for name, value in result.metrics.items() if name not in COUNTED_BY_THE_RUN}
        return cls({"elapsed_ns": round((metrics.get("elapsed_s") or 0.0) * 1e9)}, metrics, result.samples)


class Workload(BaseModel):
    """A client on one node and a server on another. A workload describes; the runner starts and stops."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, defer_build=True)

    kind: str
    source: str = Field(alias="from", description="node of the client")
    target: str = Field(alias="to", description="node of the server")
    name: str = Field(
        "",
        pattern="^[a-z][a-z0-9]{0,15}$",
        description="in a list of workloads: what tables call it; what is measured beside the first has columns with "
        "this name before theirs (`login_rtt_p50_us`)",
    )
    measured: OnOff | None = Field(
        None,
        description="in a list of workloads: it is measured; the first alone if none says so. Of several the first has "
        "the usual columns",
    )
    warmup_ns: DurationNs = Field(
        200_000_000, ge=0, le=HOUR_NS, alias="warmup", description="traffic before measuring, discarded"
    )
    duration_ns: DurationNs = Field(1_000_000_000, gt=0, le=24 * HOUR_NS, alias="duration", description="measured time")

    # Roles whose program is our own generator: it speaks in events and sets its own socket options.
    native: ClassVar[frozenset[str]] = frozenset({"client", "server"})
    # The place in lists of kinds; kinds of the same rank are sorted by name.
    rank: ClassVar[int] = 100
    # The operating system's package that brings a role's program, for the message when it is missing.
    packages: ClassVar[dict[str, str]] = {}
    # The signal that makes a foreign client in the background end, and still print what it knows.
    stop_signal: ClassVar[str] = "SIGTERM"
    # Protocol of the server's control port, where that shows it ready and is another than that of the data.
    control: ClassVar[Literal["tcp", ""]] = ""
    # Does the client report a time for each request (samples)? A run in which none was answered has then failed.
    has_requests: ClassVar[bool] = True
    # Do its programs know the nodes by their names? It takes them a mount namespace.
    knows_names: ClassVar[bool] = False
    # What was done to the program's own figures to make them round-trip times, in words; "" for nothing.
    conversion: ClassVar[str] = ""

    def nodes(self) -> tuple[str, ...]:
        """The nodes on which this workload has a process: the client's, then the server's."""
        return (self.source, self.target)

    def node_of(self, role: Role) -> str:
        """The node of one role."""
        return self.source if role == "client" else self.target

    def nodes_beside_the_stack(self) -> tuple[str, ...]:
        """The nodes where its frames are made by the program itself: they pass no queueing discipline, only IPv4."""
        return ()

    def cpus(self) -> tuple[int, ...]:
        """CPUs that the workload names itself, beside those of its nodes."""
        return ()

    def of_block(self, block: int, place: int = 0) -> Self:
        """The workload with the random numbers of one repetition (from 1). place: 0 measured, n in the background.

        What is drawn at random must not be the same in every repetition: they would all share its deviation.
        """
        return self

    def loop(self) -> str:
        """open: requests are sent at their time, whatever became of earlier ones; closed: each waits for a reply."""
        return "closed"

    def transport(self) -> str:
        """What carries the data: "udp" or "tcp"."""
        return str(getattr(self, "protocol", "tcp"))

    def wait_of(self, role: Role) -> str:
        """How the role waits for a message; "" where that is the program's own affair."""
        return str(getattr(self, f"{role}_wait", None) or getattr(self, "wait", ""))

    def can_be_timed(self) -> bool:
        """Can the server's times go along in replies, and have they room there?"""
        return False

    def has_server(self) -> bool:
        """Is there a program to start on the server's node?"""
        return True

    def fixed_port(self) -> int:
        """The port to listen on; 0 where the server tells which one it got."""
        return int(getattr(self, "port", 0) or 0)

    def is_timed_on_wire(self) -> bool:
        """Are its requests to be timed by the packets at the client's devices, since nobody tells?"""
        return False

    def shows_in_packets(self) -> bool:
        """Can its requests be told by its packets, for a trace, where no reply tells when the server had it?"""
        return self.is_timed_on_wire()

    def server_tells(self) -> bool:
        """Has the foreign server to end before the output is read, since figures stand in what it says?"""
        return False

    def builds(self, program: str) -> bool:
        """Is this program made by the workload itself, so that it need not be there before?"""
        return False

    def server(self, scene: Scene) -> list[str]:
        """The server's command line: for a native role what follows the launch options, else the program's own."""
        raise NotImplementedError

    def client(self, scene: Scene) -> list[str]:
        """The client's command line."""
        raise NotImplementedError

    def ready_text(self) -> str:
        """A regular expression in the foreign server's output that shows it ready; "": its port, listening."""
        return ""

    def begun_text(self) -> str:
        """A regular expression in the foreign client's output that shows its traffic begun; "": it tells nothing."""
        return ""

    def ramp_ns(self, measured: bool) -> int:
        """How long a foreign client's sockets are looked for once its traffic has begun.

        In the background, the measured window begins thereafter.
        """
        return self.warmup_ns

    def read(self, output: ProgramOutput) -> Reading:
        """A foreign client's output in our terms. Raises ValueError saying what could not be found in it."""
        raise NotImplementedError

    def allowance_ns(self) -> int:
        """How long the client may take beyond warm-up and duration before it counts as hanging."""
        return 10_000_000_000

    def takes_ns(self) -> int:
        """How long its traffic goes on, the warm-up included, as far as the file says."""
        return self.warmup_ns + self.duration_ns

    def life_ns(self) -> int:
        """How long a measured client goes on from the beginning of its window, as far as the file says.

        Of a foreign client that is its whole life: nobody can tell it when to begin.
        """
        return self.duration_ns if "client" in self.native else self.takes_ns()

    def stop_name(self, role: Role) -> str:
        """The name of the signal that ends a foreign program."""
        return str(getattr(self, "stop", self.stop_signal if role == "client" else "SIGTERM"))

    def described(self) -> dict[str, Fact]:
        """The workload as flat columns, without the prefix `workload_`."""
        return {
            "kind": self.kind,
            "loop": self.loop(),
            "protocol": self.transport(),
            "client_wait": self.wait_of("client") or None,
            "server_wait": self.wait_of("server") or None,
            "from": self.source,
            "to": self.target,
            "warmup_s": self.warmup_ns / 1e9,
            "duration_s": self.duration_ns / 1e9,
            "conversion": self.conversion or None,
        }
