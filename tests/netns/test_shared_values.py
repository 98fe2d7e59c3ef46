"""Host-wide values that two hold at a time: whoever goes last leaves what there was before both."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.testbed import detached
from tests import command

THRESHOLDS = [Path(f"/proc/sys/net/ipv4/neigh/default/gc_thresh{level}") for level in (1, 2, 3)]
# Hosts behind one switch: so many ARP entries that the table has to be larger than it comes, for each another size.
SMALL, LARGE = ("single,65", f"small-{os.getpid()}"), ("single,68", f"large-{os.getpid()}")


def table() -> list[int]:
    """How large the host's one table of ARP entries is."""
    return [int(path.read_text()) for path in THRESHOLDS]


@pytest.fixture
def before() -> Iterator[list[int]]:
    """The table as it was found; whatever comes of the test, it is put back."""
    at_first = table()
    yield at_first
    for name in {bed.name for bed in detached.all_held()} & {SMALL[1], LARGE[1]}:
        command.run("down", name)
    for path, value in zip(THRESHOLDS, at_first, strict=True):
        path.write_text(str(value))


def up(topology: str, name: str) -> None:
    done = command.run("up", topology, "--name", name)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("first", "second"), itertools.permutations([SMALL, LARGE]), ids=["small-first", "large-first"]
)
@pytest.mark.parametrize("last", [0, 1], ids=["first-stays", "second-stays"])
def test_the_last_one_down_restores_what_the_first_found(
    before: list[int], first: tuple[str, str], second: tuple[str, str], last: int
) -> None:
    up(*first)
    alone = table()
    up(*second)
    both = table()
    assert before < alone <= both and (both > alone) == (second is LARGE)
    beds = [first, second]
    staying = beds.pop(last)
    assert command.run("down", beds[0][1]).returncode == 0
    remaining = table()
    # No smaller than the one that stays needs it; no larger than it would have made it.
    assert (remaining == max(alone, both)) == (staying is LARGE) and before < remaining
    assert command.run("down", staying[1]).returncode == 0
    assert table() == before


@pytest.mark.parametrize("dead", [0, 1], ids=["first-killed", "second-killed"])
@pytest.mark.parametrize("early", [True, False], ids=["clean-meanwhile", "clean-last"])
def test_one_that_was_killed_does_not_count(before: list[int], dead: int, early: bool) -> None:
    beds = [SMALL, LARGE]
    for topology, name in beds:
        up(topology, name)
    killed, living = beds[dead], beds[1 - dead]
    os.kill(detached.chosen(killed[1]).pid, signal.SIGKILL)
    if early:
        assert command.run("clean").returncode == 0
        assert before < table(), "the living one still needs it"
    assert command.run("down", living[1]).returncode == 0
    assert table() == before, "the dead one holds nothing, and what it found is known"
    if not early:
        assert command.run("clean").returncode == 0
    assert table() == before
