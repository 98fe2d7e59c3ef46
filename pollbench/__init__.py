"""The package under the project's own name: `import pollbench` gives scripts what `harness` offers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import harness

if TYPE_CHECKING:
    from harness import Results, load

__all__ = ["Results", "load"]


def __getattr__(name: str) -> object:
    # On demand, as in harness: `python -m pollbench --help` must not wait for pandas.
    if name in __all__:
        return getattr(harness, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
