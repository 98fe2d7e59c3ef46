"""What fed a node's sockets: their kinds and NAPIs, where those are, and in words what that means for busy polling."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

_MOST_NAMED = 6
UDP_GRO_HOLDS = (
    "the kernel holds each lone datagram until the poll gives up, so that a round trip takes the busy-poll time"
)


@dataclass(frozen=True)
class NapiPlace:
    """Where a NAPI is. node: whose namespace holds the device, "" for the host's own; queue: None where nothing tells.

    device "" with an id: it is in none of the namespaces that were asked.
    """

    napi_id: int
    node: str = ""
    device: str = ""
    queue: int | None = None

    def text(self) -> str:
        """The NAPI for a reader: NAPI 305 (server/eth0 rx-0)."""
        if not self.device:
            return f"NAPI {self.napi_id}"
        queue = "" if self.queue is None else f" rx-{self.queue}"
        return f"NAPI {self.napi_id} ({self.node or 'the host'}/{self.device}{queue})"


@dataclass(frozen=True)
class SocketSeen:
    """Sockets of a program that are alike, as they were when they were last seen.

    kind: as harness.kernel.pidfd says. napi_ids: SO_INCOMING_NAPI_ID, one after another as it changed between looks,
    the last one last; 0: no packet by a NAPI. busy_poll_us: their SO_BUSY_POLL; None where the kernel has none.
    """

    program: str
    node: str
    kind: str
    napi_ids: tuple[int, ...] = ()
    udp_gro: bool = False
    busy_poll_us: int | None = None
    count: int = 1

    def changes(self) -> int:
        """How often their NAPI changed at least: what came and went between two looks nobody saw."""
        return self.count * max(0, len([napi_id for napi_id in self.napi_ids if napi_id]) - 1)


@dataclass(frozen=True)
class EpollSeen:
    """An epoll instance of a program, and the NAPIs that fed the sockets it watches.

    prefer: whether it prefers busy polling (EPIOCGPARAMS); None where the kernel does not tell.
    """

    program: str
    node: str
    napi_ids: tuple[int, ...] = ()
    prefer: bool | None = None


@dataclass(frozen=True)
class Feeding:
    """All of it, of one node or of a run.

    cpus: CPU time of the node's programs by the window's length, 1.0 is one CPU; sleeps: how often they went to sleep
    per packet received. None where that is not known.
    """

    sockets: tuple[SocketSeen, ...] = ()
    epolls: tuple[EpollSeen, ...] = ()
    places: tuple[NapiPlace, ...] = ()
    cpus: float | None = None
    sleeps: float | None = None

    def of_node(self, node: str) -> Feeding:
        """What was seen on one node, its own places first: another host may have the same ids. Of "*" all of it."""
        if node == "*":
            return self
        sockets = tuple(socket for socket in self.sockets if socket.node == node)
        epolls = tuple(epoll for epoll in self.epolls if epoll.node == node)
        return Feeding(sockets, epolls, tuple(sorted(self.places, key=lambda place: place.node != node)))

    def together(self, other: Feeding) -> Feeding:
        """What was seen on two hosts."""
        return Feeding(self.sockets + other.sockets, self.epolls + other.epolls, self.places + other.places)

    def napi_ids(self) -> tuple[int, ...]:
        """Every NAPI that fed one of the sockets, as first seen."""
        return tuple(dict.fromkeys(number for socket in self.sockets for number in socket.napi_ids if number))

    def place(self, napi_id: int) -> NapiPlace:
        """Where a NAPI is, as far as is known."""
        return next((place for place in self.places if place.napi_id == napi_id), NapiPlace(napi_id))

    def named(self, napi_ids: Iterable[int]) -> str:
        """These NAPIs for a reader, the first few of many."""
        texts = [self.place(napi_id).text() for napi_id in napi_ids]
        more = f" and {len(texts) - _MOST_NAMED} more" if len(texts) > _MOST_NAMED else ""
        return ", ".join(texts[:_MOST_NAMED]) + more

    def is_all(self, kind: str) -> bool:
        """Are all its sockets that receive of this kind?"""
        kinds = {socket.kind for socket in self.sockets if "listener" not in socket.kind}
        return kinds == {kind}

    def has(self, kind: str) -> bool:
        """Is there a socket of this kind?"""
        return any(socket.kind == kind for socket in self.sockets)

    def shared_epoll(self) -> EpollSeen | None:
        """The epoll instance that most NAPIs feed, if several feed one."""
        most = max(self.epolls, key=lambda epoll: len(epoll.napi_ids), default=None)
        return most if most is not None and len(most.napi_ids) > 1 else None

    def in_one_epoll(self) -> str:
        """That several NAPIs feed one epoll instance, and what it makes of them; "" where none does."""
        epoll = self.shared_epoll()
        if epoll is None:
            return ""
        return (
            f"{len(epoll.napi_ids)} NAPIs feed one epoll instance of the {epoll.program}, which polls that of its last "
            f"packet alone: {self.named(epoll.napi_ids)}; one epoll instance (or thread) per NAPI polls them all"
        )

    def held_datagrams(self) -> str:
        """That a program's own UDP_GRO has the kernel hold its datagrams while it polls; "" where none has it on."""
        programs = dict.fromkeys(socket.program for socket in self.sockets if socket.udp_gro)
        return f"the {' and '.join(programs)} has UDP_GRO on: {UDP_GRO_HOLDS}" if programs else ""

    def spent(self) -> str:
        """What the programs did meanwhile, as far as is known."""
        if self.cpus is None or self.sleeps is None:
            return ""
        return f"the programs used {self.cpus:.0%} of a CPU and slept {self.sleeps:.2f} times a packet"

    def spun(self) -> bool:
        """Are sleeps gone and CPU up, as where a poll is in vain? Only where nothing was polled does it mean that."""
        if self.cpus is None or self.sleeps is None:
            return False
        return self.cpus >= 0.5 or (self.cpus >= 0.25 and self.sleeps < 0.5)
