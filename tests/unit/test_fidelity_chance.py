"""Is a share of lost frames what was declared, is it another, or are they too few to tell?"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.run.link_checks.direction import Direction
from harness.run.link_checks.netem import SIGMAS, _enough, _share_row
from harness.spec.shape import Shape
from harness.store import LinkCheck
from harness.tables.frames import links_text


def direction(**shape: Any) -> Direction:
    return Direction("a -> b", Shape.model_validate(shape), 1500, None, None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("share", "lost", "frames", "ok"),
    [
        (0.01, 25, 2500, True),
        (0.01, 0, 2500, False),
        (0.01, 60, 2500, False),
        (0.0001, 0, 3000, None),
        (0.0001, 50, 3000, False),
    ],
)
def test_a_share_is_told_from_none_and_from_another(share: float, lost: int, frames: int, ok: bool | None) -> None:
    assert _share_row(direction(loss=f"{100 * share:g}%"), "loss", share, lost, frames).ok is ok


@pytest.mark.parametrize("share", [0.0007, 0.001, 0.01, 0.2])
def test_frames_are_enough_to_tell_a_loss_from_none(share: float) -> None:
    count, _ = _enough(direction(loss=f"{100 * share:g}%"), share, 40_000, 1)
    assert count * share > SIGMAS * (count * share) ** 0.5 + 1


def test_what_is_under_way_fits_into_netem_s_own_queue() -> None:
    count, pause_s = _enough(direction(loss="1%", delay="100ms"), 0.01, 40_000, 1)
    assert 50 / pause_s * 0.1 <= 500
    assert count >= 2500


def test_a_slow_link_is_given_the_time_to_send_each_batch() -> None:
    """Fifty frames of 64 bytes take 25.6 ms at 1 Mbit/s, and a tenth more is waited; a fast link is not waited for."""
    _, slow_s = _enough(direction(loss="1%", rate="1mbit"), 0.01, 40_000, 1)
    assert slow_s == pytest.approx(1.1 * 0.0256)
    assert _enough(direction(loss="1%"), 0.01, 40_000, 1)[1] == 0.001


def test_links_are_told_in_a_line() -> None:
    row = LinkCheck("a -> b", "delay", "1ms", "1.02ms", "0.55ms", True)
    assert links_text([row]) == "a -> b: delay 1.02ms (1ms declared +-0.55ms)"
    assert links_text([replace(row, ok=False)]).endswith("BREACH")
    many = [replace(row, link=f"{n} -> b") for n in range(9)] + [replace(row, link="x -> b", ok=None)]
    assert links_text(many) == "10 properties of 10 directions: 9 as declared, 0 not, 1 not known"
    assert links_text([]) == ""
