"""The language of conditions: what an interval shows of each, at and around its bounds, and how each is said."""

from __future__ import annotations

import math

import pytest

from harness.spec.claims import Expect
from harness.stats import Interval
from harness.stats.condition import Condition
from harness.stats.stopping_rule import Adaptive

BELOW = Condition("m", "level", high=10.0)
ABOVE = Condition("m", "level", low=10.0)
WITHIN = Condition("m", "ratio", 0.8, 1.25, closed=True)


@pytest.mark.parametrize(
    ("condition", "low", "high", "judgement"),
    [
        (BELOW, 8, 9.9, "met"),
        (BELOW, 9, 11, "unclear"),
        (BELOW, 9, 10, "unclear"),
        (BELOW, 10, 11, "refuted"),
        (ABOVE, 10.1, 12, "met"),
        (ABOVE, 9, 11, "unclear"),
        (ABOVE, 10, 12, "unclear"),
        (ABOVE, 8, 10, "refuted"),
        (ABOVE, 12, math.inf, "met"),
        (ABOVE, math.inf, math.inf, "met"),
        (WITHIN, 0.8, 1.25, "met"),
        (WITHIN, 0.7, 1.0, "unclear"),
        (WITHIN, 1.25, 1.3, "unclear"),
        (WITHIN, 1.26, 1.3, "refuted"),
        (WITHIN, 0.1, 0.79, "refuted"),
    ],
)
def test_the_whole_interval_decides(condition: Condition, low: float, high: float, judgement: str) -> None:
    assert condition.judge(Interval(low, high, 0.95)) == judgement
    assert condition.judge(Interval(low, high, 0.875)) == "unclear", "four runs show nothing"
    assert condition.judge(None) == "unclear"


def test_a_single_value_meets_a_condition_or_not() -> None:
    assert [BELOW.allows(value) for value in (9.9, 10.0, 10.1)] == [True, False, False]
    assert [ABOVE.allows(value) for value in (9.9, 10.0, 10.1)] == [False, False, True]
    assert [WITHIN.allows(value) for value in (0.79, 0.8, 1.25, 1.26)] == [False, True, True, False]


@pytest.mark.parametrize(
    ("expect", "said"),
    [
        ({"direction": "lower"}, "lower than base by 5 % or more"),
        ({"direction": "higher", "by": "50%"}, "higher than base by 50 % or more"),
        ({"direction": "same", "by": "7%"}, "the same as base within 7 %"),
        ({"direction": "not-lower"}, "no lower than base within 5 %"),
        ({"direction": "not-higher"}, "no higher than base within 5 %"),
        ({"direction": "lower", "by": 0}, "lower than base by 0 % or more"),
        ({"below": 90}, "below 90 us"),
        ({"above": 0.5}, "above 0.5 us"),
    ],
)
def test_what_a_claim_expects_in_words(expect: dict[str, object], said: str) -> None:
    condition = Expect.model_validate({"case": "a"} | expect).condition
    assert condition.words("us", "base") == said


@pytest.mark.parametrize(
    ("direction", "low", "high", "opposite"),
    [
        ("lower", 1.06, 1.2, "met"),
        ("higher", 0.8, 0.94, "met"),
        ("not-lower", 0.8, 0.95, "met"),
        ("not-higher", 1.06, 1.2, "met"),
        ("lower", 0.99, 1.2, "unclear"),
    ],
)
def test_the_opposite_of_a_direction(direction: str, low: float, high: float, opposite: str) -> None:
    other = Expect.model_validate({"case": "a", "direction": direction}).opposite
    assert other is not None
    assert other.judge(Interval(low, high, 0.95)) == opposite
    assert Expect.model_validate({"case": "a", "direction": "same"}).opposite is None


def test_when_repetitions_suffice_in_words() -> None:
    rule = Adaptive(5, 20, "rtt_p99_us", 0.05, 60.0)
    assert rule.words() == "until rtt_p99_us is known within +-5 % in every cell, in 60 s at most"
    assert [rule.until.allows(width) for width in (0.0, 0.05, 0.051, math.inf)] == [True, True, False, False]
