"""The limit on how long CPUs take to wake: held, seen by what they enter when idle, and gone with its descriptor."""

from __future__ import annotations

import struct
import time
from pathlib import Path

import pytest

from harness.kernel import facts
from harness.kernel.idle_states import idle_states, limited_latency

HELD_S = 0.05


def limit() -> int:
    """As anybody else reads it."""
    return int(struct.unpack("=i", Path("/dev/cpu_dma_latency").read_bytes())[0])


def test_while_it_is_held_no_deep_state_is_entered() -> None:
    cpus = facts.online_cpus()
    deep = [state.name for state in idle_states(cpus) if state.exit_us > 0]
    if not deep:
        pytest.skip("no driver of idle states here")
    before = limit()
    with limited_latency(0) as (found, now):
        assert (found, now, limit()) == (before, 0, 0)
        time.sleep(HELD_S / 10)  # a CPU that is idle already is woken for it
        was = idle_states(cpus)
        time.sleep(HELD_S)
        entered = {state.name: state.entries - old.entries for state, old in zip(idle_states(cpus), was, strict=True)}
        with limited_latency(1000) as (_, least):
            assert least == 0, "the least of all that are held counts"
    assert limit() == before
    assert not any(entered[name] for name in deep), entered
    if not any(entered.values()):
        pytest.skip("no CPU was idle meanwhile")
