"""Filters: which rows pass, and what is said of conditions that cannot be read."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import InputError
from harness.tables.filters import filtered

RUNS = pd.DataFrame(
    {
        "case": ["base", "busypoll50", "busypoll200", "base"],
        "contention.load": ["0%", "50%", "100%", ""],
        "rtt_p50_us": [60.0, 7.5, float("nan"), 61.0],
        "block": [1.0, 1.0, 2.0, 2.0],
    }
)


@pytest.mark.parametrize(
    ("expressions", "rows"),
    [
        ([], [0, 1, 2, 3]),
        (["case=base"], [0, 3]),
        (["case == base"], [0, 3]),
        (["case!=base"], [1, 2]),
        (["case=busypoll*"], [1, 2]),
        (["case=busypoll[5]*"], []),
        (["contention.load=100%"], [2]),
        (["contention.load="], [3]),
        (["contention.load>0"], [1, 2]),
        (["contention.load<=50%"], [0, 1]),
        (["rtt_p50_us<60.5"], [0, 1]),
        (["rtt_p50_us!=60"], [1, 2, 3]),
        (["rtt_p50_us="], [2]),
        (["block=2", "case=base"], [3]),
    ],
)
def test_rows_that_pass(expressions: list[str], rows: list[int]) -> None:
    kept = filtered(RUNS.assign(at=range(len(RUNS))), expressions).frame()
    assert kept["at"].tolist() == rows
    assert kept.index.tolist() == list(range(len(rows)))


def test_a_whole_number_passes_however_it_is_written() -> None:
    runs = pd.DataFrame({"case": "a", "depth": ["1", "2.0", "10"]})
    kept = [filtered(runs, [text]).frame()["depth"].tolist() for text in ("depth=1.0", "depth=2", "depth!=1.0")]
    assert kept == [["1"], ["2.0"], ["2.0", "10"]]


@given(st.text(max_size=12) | st.text(alphabet="case=!<>blok12*[ ", max_size=20))
def test_no_text_gives_a_traceback(text: str) -> None:
    try:
        assert len(filtered(RUNS, [text])) <= len(RUNS)
    except InputError:
        pass


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("base", "'base' is no condition"),
        ("=base", "no condition"),
        ("cas=base", "did you mean 'case'"),
        ("case>base", "'base' is no number"),
        ("block=two", "'two' is no number"),
    ],
)
def test_conditions_that_cannot_be_read(expression: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        filtered(RUNS, [expression])
