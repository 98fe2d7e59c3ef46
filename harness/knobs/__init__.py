"""The knobs of an experiment file, one class a file, found by being here."""

from __future__ import annotations

import importlib
import pkgutil
from typing import get_args

from harness.knobs.base import GroupUse, Knob, KnobEffect, Phase, Seen, Setting


def _discovered() -> dict[str, type[Knob]]:
    """Name to class, in the order of application: by phase, then by name. TypeError for a class that is incomplete."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    knobs: dict[str, type[Knob]] = {}
    for knob in Knob.__subclasses__():
        missing = [key for key in ("name", "scope", "phase") if not hasattr(knob, key)]
        if missing:
            raise TypeError(f"{knob.__module__}: {knob.__name__} has no {' and no '.join(missing)}")
        other = knobs.setdefault(knob.name, knob)
        if other is not knob:
            raise TypeError(f"{knob.__module__} and {other.__module__} both name a knob {knob.name!r}")
    phases = get_args(Phase)
    return dict(sorted(knobs.items(), key=lambda item: (phases.index(item[1].phase), item[0])))


KNOBS: dict[str, type[Knob]] = _discovered()

__all__ = ["KNOBS", "GroupUse", "Knob", "KnobEffect", "Seen", "Setting"]
