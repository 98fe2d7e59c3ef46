"""What `study_tail` does to requests beside what a file can say: signals, interrupts between CPUs, page faults."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench.tail_truth import LOG

Pids = Mapping[str, Sequence[int]]

# Each reading of an event of another CPU is an interrupt there. 2 ms of every 20 ms, at the priority of any program: so
# it runs where the client sleeps, and the client's wake-up takes the CPU from it at once.
_STORM = """
import ctypes, json, os, signal, struct, sys, time
os.sched_setaffinity(0, {0})
libc = ctypes.CDLL(None, use_errno=True)
attributes = struct.pack("IIQ", 1, 112, 0).ljust(112, b"\\0")  # a software event: cpu-clock
fd = libc.syscall(298, attributes, -1, 1, -1, 0)
if fd < 0:
    sys.exit(os.strerror(ctypes.get_errno()))
moments, over = [], []
signal.signal(signal.SIGTERM, lambda *_: over.append(True))
while not over:
    now = time.monotonic_ns()
    if now % 20_000_000 < 2_000_000:
        os.read(fd, 8)
        moments.append(now)
    else:
        time.sleep(0.001)
json.dump(moments, sys.stdout)
"""
# In the server's thread, where it would read the clock until its stall is over, it touches memory it never had.
_FAULTS = r"""
#define _GNU_SOURCE
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { EVERY_NS = 50000000, FOR_NS = 2000000, BYTES = 32 * 4096 };

int clock_gettime(clockid_t clock, struct timespec *now)
{
    static __thread int server = -1;
    char name[16] = "", *fresh;
    const long failed = syscall(SYS_clock_gettime, clock, now);

    if (server < 0)
        server = prctl(PR_GET_NAME, name) == 0 && strncmp(name, "server", 6) == 0;
    if (!server || clock != CLOCK_MONOTONIC || now->tv_nsec % EVERY_NS >= FOR_NS)
        return (int)failed;
    fresh = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (fresh != MAP_FAILED) {
        for (int at = 0; at < BYTES; at += 4096)
            fresh[at] = 1;
        munmap(fresh, BYTES);
    }
    return (int)failed;
}
"""


@contextmanager
def stopping(pids: Pids, place: Path) -> Iterator[None]:
    """SIGSTOP for 3 ms, again and again."""
    (pid,), over = pids["server"], threading.Event()
    stretches: list[tuple[int, int]] = []

    def stop() -> None:
        while not over.wait(0.05):
            begin = time.monotonic_ns()
            os.kill(pid, signal.SIGSTOP)
            over.wait(0.003)
            os.kill(pid, signal.SIGCONT)
            stretches.append((begin, time.monotonic_ns()))

    with _beside(stop, over):
        yield
    (place / LOG).write_text(json.dumps(stretches))


@contextmanager
def _beside(work: Any, over: threading.Event) -> Iterator[None]:
    """The work in a thread of higher priority than both ends, until the block ends."""

    def run() -> None:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(30))
        work()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def interrupting(_pids: Pids, place: Path) -> Iterator[None]:
    """A storm of interrupts from the client's CPU to the server's."""
    with (place / LOG).open("w") as log, subprocess.Popen([sys.executable, "-c", _STORM], stdout=log) as storm:
        try:
            yield
            assert storm.poll() is None, "the storm ended by itself"
        finally:
            storm.terminate()


@contextmanager
def faulting(place: Path) -> Iterator[None]:
    """Programs that begin in the block have a server whose stalls are page faults."""
    library = place / "faults.so"
    compiler = ["cc", "-O2", "-shared", "-fPIC", "-x", "c", "-", "-o", str(library)]
    subprocess.run(compiler, input=_FAULTS, text=True, check=True)
    os.environ["LD_PRELOAD"] = str(library)
    try:
        yield
    finally:
        del os.environ["LD_PRELOAD"]
