"""What became of the knobs of a cell, over its runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.store.record import ALREADY_SO, NO_TRAFFIC
from harness.tables.columnar import objects

if TYPE_CHECKING:
    import pandas as pd

Setting = tuple[Any, str]
"""Did it take effect (a flag, or a blank where that is not known), and the evidence."""
Settings = dict[str, dict[str, list[Setting]]]
"""The settings of every run, by its id and the name of their knob."""


@dataclass(frozen=True)
class EffectCount:
    """What became of one knob in a cell, over its runs: took effect, took none, or nothing could be seen.

    already: runs in which all of its settings were so before.
    """

    knob: str
    took: int
    not_taken: int
    unseen: int
    already: int = 0


def settings_of(knobs: pd.DataFrame | None) -> Settings:
    """The rows of a table of knobs by run; grouped by pandas they would take most of the time of a large set."""
    settings: Settings = {}
    if knobs is None or not len(knobs):
        return settings
    evidence = objects(knobs["evidence"].astype(str)) if "evidence" in knobs else [""] * len(knobs)
    told = (objects(knobs[name]) for name in ("run_id", "knob", "took_effect"))
    for run_id, knob, effect, proof in zip(*told, evidence, strict=True):
        settings.setdefault(run_id, {}).setdefault(str(knob), []).append((effect, proof))
    return settings


def effects_of(settings: Settings, run_ids: Iterable[str]) -> tuple[EffectCount, ...]:
    """Per knob: a run counts as "took none" when any of its settings did not take where it had something to change."""
    counts: dict[str, list[int]] = {}
    for run_id in run_ids:
        for knob, of_run in settings.get(run_id, {}).items():
            counts.setdefault(knob, [0, 0, 0, 0])[answer(of_run)] += 1
    return tuple(EffectCount(knob, *four) for knob, four in counts.items())


def answer(settings: Sequence[Setting]) -> int:
    """What became of one knob in one run: its place among the fields of EffectCount.

    What was so before, and what had no traffic, is no failure where another setting or node of the knob acted.
    """
    rest = [effect for effect, proof in settings if proof != ALREADY_SO and not proof.startswith(NO_TRAFFIC)]
    if rest:
        seen = [bool(effect) for effect in rest if isinstance(effect, bool | np.bool_)]
        return 2 if not seen else 0 if all(seen) else 1
    return 3 if any(proof == ALREADY_SO for _, proof in settings) else 1
