"""pollbench: does this busy-poll or interrupt-coalescing setting help, at what CPU cost, and did it take effect?"""

from __future__ import annotations

# Not from typing: nothing is loaded before `__main__` has seen to signals.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from harness.analysis.api import Results, load

__all__ = ["Results", "load"]


def __getattr__(name: str) -> object:
    # On demand: whoever imports harness.cli passes through here, and must not wait for pandas.
    if name in __all__:
        from importlib import import_module

        return getattr(import_module("harness.analysis.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
