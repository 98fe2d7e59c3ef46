"""Interrupts that take longer than their handlers: seen where many come, and never where work is just long."""

from __future__ import annotations

from itertools import pairwise

import pytest

from harness.analysis.tail.interrupts import beyond_handlers, charged
from harness.analysis.tail.trace import Cause, Piece

WORK, CALL = Cause("work", "server", 7), Cause("irq", "call_function_single", 0, 1)


def way(own_ns: int, interrupts: int, handler_ns: int = 1000) -> list[Piece]:
    """A request whose work is cut by so many interrupts into equal parts."""
    pieces, at = [Piece(0, 500, "request_send", Cause("own"))], 500
    for number in range(interrupts + 1):
        if number:
            pieces.append(Piece(at, at := at + handler_ns, "work", CALL))
        pieces.append(Piece(at, at := at + own_ns // (interrupts + 1), "work", WORK))
    return pieces


ORDINARY = [way(300_000, 0)] * 20


def of(pieces: list[Piece], kind: str) -> int:
    return sum(piece.end - piece.begin for piece in pieces if piece.cause.kind == kind)


def test_a_storm_is_charged_to_the_interrupts_and_leaves_the_work_as_it_is() -> None:
    """8 us each, as a storm on a virtual machine took them, of which the handler is 1 us."""
    slow = [way(300_000 + 8_000 * count, count) for count in (20, 31, 40, 52, 60, 64)]
    ns = beyond_handlers(ORDINARY, slow)
    assert ns == pytest.approx(8_000, rel=0.02)
    for pieces in slow:
        cut = charged(pieces, ns)
        assert of(cut, "work") == pytest.approx(300_000, rel=0.03)
        assert sum(piece.end - piece.begin for piece in cut) == pieces[-1].end
        assert all(one.end == other.begin for one, other in pairwise(cut))
        assert {piece.cause.who for piece in cut if piece.cause.kind == "interrupted"} == {CALL.who}


@pytest.mark.parametrize(
    "slow",
    [
        [way(2_300_000, count) for count in (6, 7, 8, 9, 10, 11)],  # stalls of 2 ms, during which some came
        [way(300_000, count) for count in (20, 30, 40, 50, 60)],  # nothing but their handlers
        [way(300_000 + 20_000 * count, 60) for count in range(6)],  # as many, and never as long
        [way(300_000 + 8_000 * count, count) for count in (20, 30, 40)],  # too few requests to tell
    ],
)
def test_work_that_is_long_of_itself_stays_work(slow: list[list[Piece]]) -> None:
    assert beyond_handlers(ORDINARY, slow) == 0
    assert charged(slow[0], 0) == slow[0]


def test_without_ordinary_requests_nothing_is_known() -> None:
    assert beyond_handlers([], [way(1_000_000, 60)] * 9) == 0
