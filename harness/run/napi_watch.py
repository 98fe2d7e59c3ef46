"""Which NAPIs feed the sockets and epoll instances of a run's programs: looked at through borrowed descriptors."""

from __future__ import annotations

import contextlib
import socket
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from harness.kernel import netdev, pidfd, processes
from harness.kernel.netns import in_netns
from harness.knobs.feeding import EpollSeen, Feeding, NapiPlace, SocketSeen
from harness.testbed import NodeHandle

_EPOLL = "anon_inode:[eventpoll]"
# Of each process at each look: some tens of microseconds each, and thousands of sockets are alike.
_MOST_LOOKED_AT = 512


@dataclass
class _Trail:
    """One socket over the run: what it said last, and the NAPIs that it said one after another."""

    program: str
    node: str
    facts: pidfd.SocketFacts
    napi_ids: list[int] = field(default_factory=list)

    def step(self, facts: pidfd.SocketFacts) -> None:
        """Another look."""
        self.facts = facts
        if facts.napi_id and (not self.napi_ids or self.napi_ids[-1] != facts.napi_id):
            self.napi_ids.append(facts.napi_id)


@dataclass
class _Epoll:
    """One epoll instance over the run: the sockets that it was ever seen to watch, and its preference last."""

    program: str
    node: str
    inodes: set[int] = field(default_factory=set)
    prefer: bool | None = None


class NapiWatch:
    """The sockets of every program of a run. `look` outside of the measured window, `seen` at the end.

    A socket knows the NAPI of its last packet alone: changes between two looks are not seen.
    """

    def __init__(self) -> None:
        self._trails: dict[int, _Trail] = {}
        self._epolls: dict[tuple[int, int], _Epoll] = {}

    def look(self, program: str, node: str, pids: Iterable[int]) -> None:
        """Look at what these processes hold open now. What cannot be borrowed, or has gone meanwhile, is left out."""
        for pid in pids:
            held = processes.descriptors(pid)
            inodes = {descriptor.fd: descriptor.inode for descriptor in held if descriptor.inode}
            for descriptor in [one for one in held if one.inode][:_MOST_LOOKED_AT]:
                self._look_at(program, node, pid, descriptor)
            for descriptor in held:
                if descriptor.target == _EPOLL:
                    epoll = self._epolls.setdefault((pid, descriptor.fd), _Epoll(program, node))
                    epoll.inodes |= {inodes[fd] for fd in pidfd.watched(pid, descriptor.fd) if fd in inodes}
                    with contextlib.suppress(OSError), pidfd.borrowed(pid, descriptor.fd) as fd:
                        epoll.prefer = bool(pidfd.get_epoll(fd)[2])

    def _look_at(self, program: str, node: str, pid: int, descriptor: processes.Descriptor) -> None:
        with contextlib.suppress(OSError), pidfd.borrowed(pid, descriptor.fd) as fd:
            facts = pidfd.facts(fd)
            if facts is not None:
                self._trails.setdefault(descriptor.inode, _Trail(program, node, facts)).step(facts)

    def seen(self, nodes: Iterable[NodeHandle]) -> Feeding:
        """What was seen, sockets that are alike put together; where each NAPI is, in these nodes or on the host."""
        alike = Counter(
            SocketSeen(
                trail.program,
                trail.node,
                trail.facts.kind,
                tuple(trail.napi_ids),
                trail.facts.udp_gro,
                trail.facts.busy_poll_us,
            )
            for trail in self._trails.values()
        )
        sockets = tuple(
            SocketSeen(one.program, one.node, one.kind, one.napi_ids, one.udp_gro, one.busy_poll_us, count)
            for one, count in alike.items()
        )
        epolls = tuple(
            EpollSeen(epoll.program, epoll.node, tuple(sorted(self._fed(epoll.inodes))), epoll.prefer)
            for epoll in self._epolls.values()
        )
        napi_ids = {number for one in sockets for number in one.napi_ids}
        return Feeding(sockets, epolls, tuple(places(napi_ids, nodes)))

    def _fed(self, inodes: set[int]) -> set[int]:
        return {number for inode in inodes if inode in self._trails for number in self._trails[inode].napi_ids}


def places(napi_ids: set[int], nodes: Iterable[NodeHandle]) -> list[NapiPlace]:
    """Where these NAPIs are: looked for in the nodes' namespaces, then in this thread's own one, the host's.

    A device of another device (macvlan, ipvlan) hands on the packets of a NAPI that may be in another namespace.
    Empty before Linux 6.8, which lists no NAPIs.
    """
    out: list[NapiPlace] = []
    for node in nodes:
        if napi_ids:
            with in_netns(node.fd):
                out += _here(napi_ids - {place.napi_id for place in out}, node.name)
    return out + _here(napi_ids - {place.napi_id for place in out}, "")


def _here(napi_ids: set[int], node: str) -> list[NapiPlace]:
    """Those of the ids that this thread's namespace has."""
    out: list[NapiPlace] = []
    for ifindex in {napi.ifindex for napi in netdev.napis_of() or []} if napi_ids else ():
        with contextlib.suppress(OSError):  # the device went meanwhile
            own = {napi.napi_id for napi in netdev.napi_get(ifindex)} & napi_ids
            if own:
                device, queues = socket.if_indextoname(ifindex), netdev.rx_queues(ifindex)
                out += [NapiPlace(number, node, device, queues.get(number)) for number in sorted(own)]
    return out
