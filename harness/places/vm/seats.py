"""How many guests run side by side, and on which CPU each: reserved, so that no two share one by chance."""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import cycle
from typing import TypeAlias

from harness.errors import InputError
from harness.kernel.cpulock import CpuLock
from harness.kernel.proc import cpu_ticks
from harness.run.limits import available_bytes, in_units

_IDLE_S = 0.1
# Of the ticks in which we looked at it, so many must a CPU have been idle to be taken for free.
_IDLE_SHARE = 0.6
# QEMU itself beside the guest's memory: translated code, a gigabyte at most and seldom a fifth of it.
_QEMU_BYTES = 256 << 20


class Seat:
    """Where guests run, one after the other: on the idlest CPU that nobody has reserved, reserved in turn.

    Where all CPUs are reserved it is shared with somebody, on the idlest of them. lock: the CPU that was reserved just
    now; shared: the one to share.
    """

    def __init__(self, lock: CpuLock | None = None, shared: int | None = None) -> None:
        # Chosen just now, so that the first guest need not look again.
        self._lock, self._fresh = lock, shared if lock is None else lock.cpu

    def cpu(self) -> int:
        """The CPU for the next guest: the one we have, unless a free one is idler.

        A guest whose time is counted has a single one, so that no two threads of QEMU run at once: each timer of the
        guest wakes QEMU's main loop too, and on a CPU of its own that now and then gets in between the turns of the
        virtual CPUs; what follows is another chance. On one CPU it does so only where the scheduler changes over amid
        one.
        """
        if self._fresh is not None:
            chosen, self._fresh = self._fresh, None
            return chosen
        order = [cpu for cpu, _ in _by_idleness(idle_shares())]
        for cpu in order:
            if self._lock is not None and cpu == self._lock.cpu:
                return cpu
            if (lock := CpuLock.take(cpu)) is not None:
                self.leave()
                self._lock = lock
                return cpu
        return order[0]

    def leave(self) -> None:
        """Let others have the CPU."""
        if self._lock is not None:
            self._lock.release()
        self._lock = None


@contextlib.contextmanager
def seats(asked: int | None, useful: int, guest_bytes: int) -> Iterator[list[Seat]]:
    """Seats for guests side by side, for the block: as many as asked for, by default one for each CPU that is idle.

    useful: how many there is work for; guest_bytes: memory of the largest guest. InputError: more asked for than the
    memory allows.
    """
    refuse_beyond(asked, useful, guest_bytes)
    room, most = _fit(guest_bytes), max(useful, 1)
    taken: list[Seat] = []
    try:
        order = _by_idleness(idle_shares())
        for cpu, share in order:
            if len(taken) >= (min(asked, most) if asked is not None else min(most, max(room, 1))):
                break
            if (asked is not None or share >= _IDLE_SHARE) and (lock := CpuLock.take(cpu)) is not None:
                taken.append(Seat(lock))
        # The others share, each another CPU.
        apart = cycle(order)
        while len(taken) < (1 if asked is None else min(asked, most)):
            taken.append(Seat(shared=next(apart)[0]))
        yield taken
    finally:
        for seat in taken:
            seat.leave()


def refuse_beyond(asked: int | None, useful: int, guest_bytes: int) -> None:
    """InputError where more guests are asked for than memory has room for; as in `seats`."""
    room, most = _fit(guest_bytes), max(useful, 1)
    if asked is not None and min(asked, most) > max(room, 1):
        need = in_units(min(asked, most) * (guest_bytes + _QEMU_BYTES))
        todo = f"--jobs {max(room, 1)} at most, or give the guests less by vm.memory"
        got = f"{min(asked, most)} need {need}, {_free()}"
        raise InputError("run guests side by side", got=got, todo=todo, where="--jobs")


def most_seats(asked: int | None, accelerator: str) -> int:
    """How many guests may run side by side, on an idle machine with memory enough. Under kvm one: its time is real."""
    return 1 if accelerator == "kvm" else asked or len(os.sched_getaffinity(0))


def idle_shares() -> dict[int, float]:
    """Of each CPU that this process may use, for which share of the moment that it takes to look it was idle."""
    allowed, before = os.sched_getaffinity(0), cpu_ticks()
    time.sleep(_IDLE_S)
    after = cpu_ticks()
    shares = dict.fromkeys(allowed, 0.0)
    for cpu in allowed & before.keys() & after.keys():
        passed = sum(after[cpu].values()) - sum(before[cpu].values())
        shares[cpu] = (after[cpu]["idle"] - before[cpu]["idle"]) / passed if passed else 1.0
    return shares


def _by_idleness(idle: dict[int, float]) -> list[tuple[int, float]]:
    """The idlest first; of several alike any."""
    return sorted(idle.items(), key=lambda item: (-item[1], random.random()))


def _fit(guest_bytes: int) -> int:
    """How many such guests the memory that is free has room for."""
    free = available_bytes()
    return free // (guest_bytes + _QEMU_BYTES) if free is not None else 1 << 20


def _free() -> str:
    free = available_bytes()
    return f"{in_units(free)} are free" if free is not None else "how much is free is not known"


Work: TypeAlias = Callable[[Seat], None]


def do_all(works: Iterable[Work | None], taken: Sequence[Seat]) -> None:
    """Do every piece of work in its order on a seat, as many at a time as there are seats.

    None among them: what comes before is to be done before the next is asked for. Raises what a piece of work raised;
    nothing is begun after that, and what was going on elsewhere comes to its end first.
    """
    if len(taken) == 1:
        for work in works:
            if work is not None:
                work(taken[0])
        return
    free, going = list(taken), dict[Future[None], Seat]()

    def await_some(most: int) -> None:
        while len(going) > most:
            # QEMU is to end with the thread that started it; so a thread stays until all is done.
            for done in wait(going, return_when=FIRST_COMPLETED).done:
                free.append(going.pop(done))
                done.result()

    with ThreadPoolExecutor(len(taken), "guests") as pool:
        for work in works:
            if work is None:
                await_some(0)
                continue
            seat = free.pop(0)
            going[pool.submit(work, seat)] = seat
            await_some(len(taken) - 1)
        await_some(0)
