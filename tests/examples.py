"""How many examples a property is tried with: few and always the same with the tests, ten times as many by `make fuzz`.

`--hypothesis-profile thorough` asks for the latter, drawn anew each time. A property without settings of its own has a
hundred examples, or a thousand.
"""

from __future__ import annotations

from hypothesis import settings

_FEW, _MANY = 100, 1000


def register() -> None:
    """Make the two profiles known and choose the one of the tests; before any test file is imported."""
    # A database of examples in the checkout would be written by root; and a test must not depend on its past.
    common = settings(database=None, deadline=None, print_blob=True)
    settings.register_profile("pollbench", common, max_examples=_FEW, derandomize=True)
    settings.register_profile("thorough", common, max_examples=_MANY)
    settings.load_profile("pollbench")


def examples(few: int) -> int:
    """The `max_examples` of a property that is tried so often with the tests."""
    return few * (settings().max_examples // _FEW)
