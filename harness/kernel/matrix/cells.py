"""Tries each kind of socket behind each kind of device, and says what gates it where nothing is polled."""

from __future__ import annotations

import os
import platform
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace

from harness.kernel import netdev, proc
from harness.kernel.hostfiles import HOST, sysctl_file
from harness.kernel.matrix import scenes, sockets
from harness.kernel.matrix.scenes import Scene
from harness.kernel.matrix.sockets import BUSY_POLL_US, Ends
from harness.kernel.netns import in_netns, unnamed

_SO_INCOMING_NAPI_ID = 56
_POLLED, _BUSY_POLL = "TcpExt:BusyPollRxPackets", sysctl_file("net.core.busy_poll")
# The first packets tell the socket its NAPI, and are not polled.
_BEFORE, _COUNTED, _GAP_S = 2, 10, 0.001
_NO_LINK, _NO_LINK_SOCKET = "none", "unix"


@dataclass(frozen=True)
class Cell:
    """What came of one kind of socket, which waits in one way, behind one kind of device.

    kernel: its release. napi: had the socket a NAPI id? packets: received while counted; polled: of them, by
    BusyPollRxPackets of the namespace of the NAPI's device; polled_beside: by that of the socket's, None where both are
    one. outcome: polled, unpolled (there is an id), "no id", refused (the kernel has no such socket there), or skipped
    (it could not be tried). gate: what stands in the way, or why it was skipped; beyond_gate: of as many packets those
    polled once that was out of the way, None where it was left.
    """

    kernel: str
    link: str
    socket: str
    wait: str
    outcome: str
    napi: bool = False
    packets: int = 0
    polled: int = 0
    polled_beside: int | None = None
    gate: str = ""
    beyond_gate: int | None = None


COLUMNS = tuple(field.name for field in fields(Cell))


def run(set_host: bool = False, nics: Mapping[str, Sequence[str]] | None = None) -> list[Cell]:
    """Every cell, tried in namespaces that go with this process, however it ends.

    set_host: poll and epoll that do not poll are tried once more with net.core.busy_poll set, which is the whole
    host's: in a guest. nics: of a guest's pairs of NICs the addresses, by model. Raises OSError: EPERM without root.
    """
    with unnamed() as here:
        nowhere = Scene(here, here, here)
        cells = [_attempt(nowhere, _NO_LINK, _NO_LINK_SOCKET, wait) for wait in sockets.waits_of(_NO_LINK_SOCKET)]
        cells = [replace(cell, gate="a packet between two Unix sockets passes no device") for cell in cells]
    for link, build in (scenes.KINDS | scenes.nic_kinds(nics or {})).items():
        try:
            with scenes.built(build) as scene:
                cells += _tried(scene, link, set_host)
        except OSError as error:
            cells += [_skipped(link, kind, wait, error) for kind, wait in _pairs(sockets.BY_LINK)]
    return cells


def _pairs(kinds: Iterable[str]) -> list[tuple[str, str]]:
    return [(kind, wait) for kind in kinds for wait in sockets.waits_of(kind)]


def _skipped(link: str, kind: str, wait: str, error: OSError) -> Cell:
    return Cell(platform.release(), link, kind, wait, "skipped", gate=str(error.strerror or error))


def _tried(scene: Scene, link: str, set_host: bool) -> list[Cell]:
    cells: list[Cell] = []
    # Last, since an AF_XDP socket's program takes the place of the device's own, and leaves none behind.
    for beside in (False, True):
        kinds = [kind for kind in sockets.BY_LINK if sockets.is_beside_the_stack(kind) == beside]
        cells += _group(scene, link, kinds, set_host, any(cell.napi for cell in cells))
    return cells


def _group(scene: Scene, link: str, kinds: Iterable[str], set_host: bool, seen: bool) -> list[Cell]:
    """The cells of these kinds; seen: has one of other kinds had a NAPI id?"""
    cells = [_attempt(scene, link, kind, wait) for kind, wait in _pairs(kinds)]
    # Whoever else wanted the CPU may have ended every poll: what may work, is tried again.
    again = (cell.outcome == "unpolled" and not _waits_for_host(cell) for cell in cells)
    cells = [
        _attempt(scene, link, cell.socket, cell.wait) if more else cell for cell, more in zip(cells, again, strict=True)
    ]
    with in_netns(scene.owner):
        napis = netdev.napis_of(socket.if_nametoindex(scene.lowest))
    if seen or any(cell.napi for cell in cells):
        why = "the kernel gives such a socket no NAPI id"
    elif napis is None:
        why = "no NAPI id comes with the packets"
    else:
        why = (
            "the kernel lists no NAPI of the device"
            if not napis
            else "the NAPI's id does not come through to any socket"
        )
    return [_gated(cell, scene, why, set_host) for cell in cells]


def _gated(cell: Cell, scene: Scene, why_no_id: str, set_host: bool) -> Cell:
    """The cell with what stands in its way; where that can be taken out of the way, it was."""
    if cell.outcome == "no id":
        return replace(cell, gate=why_no_id)
    if cell.outcome != "unpolled":
        return cell
    if cell.wait == "io_uring" and not sockets.has_uring_polling():
        return replace(cell, gate="IORING_REGISTER_NAPI comes with Linux 6.9")
    if cell.wait == "spin":
        return replace(cell, gate="a call polls once, and the interrupt comes between two")
    if not _waits_for_host(cell):
        return replace(cell, gate="unknown: it has an id, and nothing is polled")
    gate = "net.core.busy_poll is 0" + (", and EPIOCSPARAMS comes with Linux 6.9" if cell.wait == "epoll" else "")
    if set_host:
        HOST.write(_BUSY_POLL, BUSY_POLL_US)
        beyond = _attempt(scene, cell.link, cell.socket, cell.wait).polled
        HOST.write(_BUSY_POLL, 0)
        return replace(cell, gate=gate, beyond_gate=beyond)
    return replace(cell, gate=gate)


def _waits_for_host(cell: Cell) -> bool:
    """Can the cell poll only by net.core.busy_poll, and is that 0? Other namespaces than the host's do not show it."""
    asks = cell.wait == "poll" or (cell.wait == "epoll" and not sockets.has_epoll_parameters())
    return asks and HOST.text(_BUSY_POLL) in ("0", None)


def _attempt(scene: Scene, link: str, kind: str, wait: str) -> Cell:
    try:
        with sockets.opened(kind, scene) as ends:
            _exchange(ends, wait, _BEFORE)
            before = _polled(scene)
            packets = _exchange(ends, wait, _COUNTED)
            polled, beside = (after - was for after, was in zip(_polled(scene), before, strict=True))
            napi = bool(ends.receiver.getsockopt(socket.SOL_SOCKET, _SO_INCOMING_NAPI_ID))
    except OSError as error:
        return replace(_skipped(link, kind, wait, error), outcome="refused")
    outcome = "polled" if polled else "unpolled" if napi else "no id"
    apart = beside if scene.owner != scene.server else None
    cell = Cell(platform.release(), link, kind, wait, outcome, napi, packets, polled, apart)
    if packets < _COUNTED:
        return replace(cell, outcome="skipped", gate=f"only {packets} of {_COUNTED} packets came")
    return cell


def _polled(scene: Scene) -> tuple[int, int]:
    """Packets polled so far, by the namespace of the NAPI's device, and by the socket's."""
    counts = []
    for netns in (scene.owner, scene.server):
        with in_netns(netns):
            counts.append(proc.net_counters().get(_POLLED, 0))
    return counts[0], counts[1]


def _exchange(ends: Ends, wait: str, count: int) -> int:
    """Send so many packets with a pause before each, while another thread waits; how many it received. OSError."""
    near, far = sockets.spare_cpus()
    with ThreadPoolExecutor(2) as pool:
        receiving = pool.submit(_receive, ends, wait, count, far)
        sending = pool.submit(_send, ends, count, near)
        sending.result()
        return receiving.result()


def _alone_on(cpu: int) -> None:
    """Give this thread, which ends in some tens of ms, a CPU: anybody else who wants it would end its poll."""
    os.sched_setaffinity(0, {cpu})
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except OSError:  # a control group without real time
        os.setpriority(os.PRIO_PROCESS, 0, -20)


def _send(ends: Ends, count: int, cpu: int) -> None:
    _alone_on(cpu)
    for _ in range(count):
        time.sleep(_GAP_S)
        ends.send()


def _receive(ends: Ends, wait: str, count: int, cpu: int) -> int:
    _alone_on(cpu)
    return sockets.WAITS[wait](ends, count)
