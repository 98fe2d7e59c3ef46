"""The time that interrupts and softirqs took over some processes, by a program at the kernel's own tracepoints.

A kernel that does not time interrupts charges them to the task that they interrupt: no clock of it tells the two apart.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterable
from contextlib import ExitStack

from harness.kernel import bpf
from harness.kernel.bpf import op, op_map
from harness.kernel.cpulists import parse_cpu_list
from harness.kernel.hostfiles import HOST

# What begins and ends with an interrupt or softirq. A kernel has those of its machine: x86's vectors, or IPIs.
_SPANS = (
    "softirq",
    "irq_handler",
    "local_timer",
    "reschedule",
    "call_function",
    "call_function_single",
    "irq_work",
    "ipi",
)
_LEAST = "softirq"
_FIRST_NAMESPACE = 0xEFFFFFFC  # linux/proc_ns.h, PROC_PID_INIT_INO
_MOST_PROCESSES = 4096
# Of every CPU: since when the outermost span goes on (0: none does), how deep they nest, and the sum, ns.
_STATE = struct.Struct("=QQQ")
_SINCE, _DEPTH, _SUM = 0, 8, 16
_LOOK_UP, _NOW, _WHO = 1, 5, 14
_LOAD, _STORE, _ADD, _IS, _IS_NOT, _CALL, _EXIT = 0x79, 0x7B, 0xDB, 0x15, 0x55, 0x85, 0x95
_STATE_AT, _WHO_AT = 6, 8
_DONE = op(0xB7, 0) + op(_EXIT)


class OverTasks(ExitStack):
    """Counts it from its making to its end. Each beginning and end costs some 0.1 us."""

    def __init__(self, pids: Iterable[int]) -> None:
        """pids: the processes, all of their threads. Raises OSError: no such programs in this kernel, or not for us."""
        super().__init__()
        if os.stat("/proc/self/ns/pid").st_ino != _FIRST_NAMESPACE:
            raise OSError(errno.EPERM, "programs know processes by their numbers in the first namespace, not in ours")
        self._cpus = len(parse_cpu_list(HOST.text("/sys/devices/system/cpu/possible") or "0"))
        with ExitStack() as undo:
            undo.callback(self.close)
            self._states = self._open(bpf.make_map(bpf.PER_CPU_ARRAY, _STATE.size, 1))
            ours = self._open(bpf.make_map(bpf.HASH, 4, _MOST_PROCESSES))
            for pid in pids:
                bpf.put(ours, pid, 1)
            for span in _SPANS:
                self._watch(span, ours)
            undo.pop_all()

    def read_ns(self) -> int:
        """The sum over all CPUs since it was made."""
        states = bpf.get(self._states, 0, _STATE.size * self._cpus)
        return sum(total for _, _, total in _STATE.iter_unpack(states))

    def _watch(self, span: str, ours: int) -> None:
        """A program of its own for each tracepoint: one that an interrupt finds at work is not run for that."""
        # The end first: one without its beginning does nothing, a beginning without its end would go on for ever.
        for edge, code in (("exit", _end(self._states)), ("entry", _begin(self._states, ours))):
            program = self._open(bpf.load(bpf.RAW_TRACEPOINT, code))
            try:
                self._open(bpf.on_tracepoint(f"{span}_{edge}", program))
            except FileNotFoundError:
                if span == _LEAST:
                    raise
                return

    def _open(self, fd: int) -> int:
        self.callback(os.close, fd)
        return fd


# An interrupt may come amid a program, and have its own ones run. So a state is whole after every store: a span goes on
# from the store of its beginning, the last one, to that of 0.


def _begin(states: int, ours: int) -> bytes:
    """A span begins: one more, or the first one, if the CPU is with one of our processes."""
    one_more = op(_LOAD, 1, _STATE_AT, _DEPTH) + op(0x07, 1, value=1) + op(_STORE, _STATE_AT, 1, _DEPTH) + _DONE
    first = op(_CALL, value=_NOW) + op(0xB7, 1, value=1) + op(_STORE, _STATE_AT, 1, _DEPTH)
    first += op(_STORE, _STATE_AT, 0, _SINCE) + _DONE
    is_first = op(_LOAD, 1, _STATE_AT, _SINCE) + _skip_if(_IS, 1, one_more)
    return _state(states) + is_first + one_more + op(0xBF, 0, _WHO_AT) + _entry_of(ours) + first


def _end(states: int) -> bytes:
    """A span ends: the outermost one's time is added."""
    begun = op(_LOAD, 7, _STATE_AT, _SINCE) + _skip_if(_IS_NOT, 7, _DONE) + _DONE
    inner = op(_STORE, _STATE_AT, 1, _DEPTH) + _DONE
    is_inner = op(_LOAD, 1, _STATE_AT, _DEPTH) + op(0x17, 1, value=1) + _skip_if(_IS, 1, inner)
    add = op(_CALL, value=_NOW) + op(0x1F, 0, 7) + op(0xB7, 1) + op(_STORE, _STATE_AT, 1, _SINCE)
    return _state(states) + begun + is_inner + inner + add + op(_ADD, _STATE_AT, 0, _SUM) + _DONE


def _state(states: int) -> bytes:
    """This CPU's state and its process, in registers that calls keep; the program ends where the CPU is idle."""
    who = op(_CALL, value=_WHO) + op(0x77, value=32)  # the process is in the upper half
    who += _skip_if(_IS_NOT, 0, op(_EXIT)) + op(_EXIT) + op(0xBF, _WHO_AT, 0)
    return who + op(0xB7, 0) + _entry_of(states) + op(0xBF, _STATE_AT, 0)


def _entry_of(fd: int) -> bytes:
    """The entry of a map whose key is in register 0; the program ends where there is none."""
    key = op(0x63, 10, 0, -4) + op(0xBF, 2, 10) + op(0x07, 2, value=-4)
    return key + op_map(1, fd) + op(_CALL, value=_LOOK_UP) + _skip_if(_IS_NOT, 0, op(_EXIT)) + op(_EXIT)


def _skip_if(jump: int, register: int, what: bytes) -> bytes:
    """Skip what follows where the register is, or is not, 0."""
    return op(jump, register, offset=len(what) // len(op(0)))
