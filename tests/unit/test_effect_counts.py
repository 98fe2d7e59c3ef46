"""What became of a knob in a run, of all its settings there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from harness.analysis.effects import answer
from harness.store.record import ALREADY_SO, NO_TRAFFIC

TOOK, NONE, UNSEEN, ALREADY = range(4)


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ([(True, "x"), (np.True_, "x")], TOOK),
        ([(True, "x"), (False, "x")], NONE),
        ([(pd.NA, "x"), (None, "")], UNSEEN),
        ([(True, "x"), (pd.NA, "x")], TOOK),
        ([(False, ALREADY_SO)], ALREADY),
        # What was so before, or had no traffic, is outvoted by what acted, and by what did not.
        ([(False, ALREADY_SO), (True, "x")], TOOK),
        ([(False, f"{NO_TRAFFIC}: 0 packets"), (False, ALREADY_SO)], ALREADY),
        ([(False, f"{NO_TRAFFIC}: 0 packets")], NONE),
        ([(False, f"{NO_TRAFFIC}: 0 packets"), (True, "x")], TOOK),
    ],
)
def test_the_answer_is_of_the_settings_that_had_something_to_change(
    settings: list[tuple[Any, str]], place: int
) -> None:
    assert answer(settings) == place
