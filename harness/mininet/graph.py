"""What is asked of the processes that run somebody's topology file, and what they answer: values that JSON carries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# Options as the user's file gives them: by Mininet's names, values of any kind.
Options = Mapping[str, Any]
# The address of a host whose links get theirs from whoever lays out the testbed.
AUTOMATIC = "automatic"
# Keys and values of a section of an experiment file, as plain data; its models check them.
Section = dict[str, Any]


class Refused(Exception):  # noqa: N818  # whoever knows the experiment file makes the error of it
    """Why a topology cannot be had. where: file:line:column in the user's own file, "" where that is not known."""

    def __init__(self, got: str, todo: str = "", where: str = "") -> None:
        super().__init__(got)
        self.got, self.todo, self.where = got, todo, where

    def answer(self) -> dict[str, dict[str, str]]:
        """The answer of a process that can give no other."""
        return {"error": {"got": self.got, "todo": self.todo, "where": self.where}}


@dataclass(frozen=True)
class TopoRequest:
    """Which Topo, by a name as find.make_topo takes it; a file's name in it is relative to `directory`."""

    name: str
    directory: str
    args: list[Any] = field(default_factory=list)
    keywords: Options = field(default_factory=dict)
    argv: list[str] = field(default_factory=list)

    @classmethod
    def of(
        cls, name: str, directory: str, args: Options | list[Any] | None, argv: Sequence[str] | None = None
    ) -> TopoRequest:
        """The same with arguments as a file has them: by name (a mapping) or by position (a list).

        argv: the words that the file's program finds on its command line.
        """
        positions, keywords = ([], args) if isinstance(args, Mapping) else (list(args or ()), {})
        return cls(name, directory, positions, keywords, list(argv or ()))


@dataclass(frozen=True)
class EmulationRequest:
    """What Mininet is to build, and how; see the experiment file's `emulator`.

    controller: HOST:PORT, or a name in the file's `controllers`; it is waited for `connect_s`, and must be there then
    if `must_connect`. kernel_datapath: has this kernel Open vSwitch's? open_flow: is any switch Open vSwitch's?
    """

    topo: TopoRequest
    switch: str
    controller: str | None
    stp: bool
    open_flow: bool
    kernel_datapath: bool
    connect_s: float
    must_connect: bool


@dataclass(frozen=True)
class Rehearsal:
    """What a host's class did on a node without a shell.

    commands: what it typed; given: the parameters that it passed on to Mininet; where: file:line:column of its
    definition; failed: why the rehearsal ended early, "" where it did not.
    """

    commands: list[str]
    given: Options
    where: str
    failed: str


@dataclass(frozen=True)
class GraphNode:
    """A host or switch. at: where it was added, as file:line:column; own: the rehearsal of a class of the user's."""

    name: str
    options: Options
    at: str = ""
    own: Rehearsal | None = None


@dataclass(frozen=True)
class GraphLink:
    """A link between two nodes, by their names."""

    ends: tuple[str, str]
    options: Options
    at: str = ""


@dataclass(frozen=True)
class Graph:
    """A Topo's nodes and links, in the order in which Mininet makes them.

    script: what the script that made the net does besides, which is not done here, a line each.
    """

    hosts: list[GraphNode]
    switches: list[GraphNode]
    links: list[GraphLink]
    script: list[str] = field(default_factory=list)

    @classmethod
    def of_answer(cls, answer: Mapping[str, list[Any]]) -> Graph:
        """The graph of its own JSON data, as dataclasses.asdict has made it."""
        hosts, switches = (
            [GraphNode(**node | {"own": Rehearsal(**node["own"]) if node["own"] else None}) for node in nodes]
            for nodes in (answer["hosts"], answer["switches"])
        )
        return cls(hosts, switches, [GraphLink(**link) for link in answer["links"]], answer["script"])
