"""What a tuning found as an experiment file: today's setting beside it, at every load, on blocks of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from harness.analysis.tune.course import Course
from harness.spec.overlay import merge_cell, split_key
from harness.spec.tune_settings import TODAY, longer_run

_REPEAT = 10


def experiment_of(course: Course, settings: Sequence[int]) -> str:
    """YAML of an experiment with the case `today` and these settings': `best` of one, by their names of several."""
    tuning, experiment = course.tuning, course.experiment
    tree = tuning.layers.base
    overrides = tuning.layers.overrides
    if course.longer > 1:
        overrides = (*overrides, longer_run(tuning.layers.base, course.longer))
    for override in overrides:
        tree = merge_cell(tree, override)
    document: dict[str, Any] = tree.plain()
    sweep = tuning.section.across
    for key in sweep:
        _take_out(document, split_key(key, ""))
    cases: dict[str, Any] = {TODAY: {"description": "as it is"} | tuning.settings[0].overlay.plain()}
    one = len(settings) == 1
    for setting in (tuning.settings[at] for at in settings if at):
        cases["best" if one else setting.name] = {"description": setting.label()} | setting.overlay.plain()
    asked = f"Is this better than today's setting: {tuning.settings[settings[0]].label()}?"
    whole = {
        "name": f"{experiment.name[:58]}-{'best' if one else 'front'}",
        "description": asked if one else "The settings of a front beside today's.",
        **document,
        "cases": cases,
        **({"sweep": sweep} if sweep else {}),
        "repeat": _REPEAT,
        "seed": course.seed,
    }
    return yaml.safe_dump(whole, sort_keys=False, width=100)


def _take_out(document: dict[str, Any], parts: list[str]) -> None:
    """What a sweep will set need not stand in the file, and may not, where it is none of the swept values."""
    for part in parts[:-1]:
        inner = document.get(part)
        if not isinstance(inner, dict):
            return
        document = inner
    document.pop(parts[-1], None)
