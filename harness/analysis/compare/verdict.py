"""What a comparison can and cannot mean, in sentences: what was alike, what was not, and what follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from harness import columns
from harness.analysis.compare.environment import (
    HOST,
    WORK,
    EnvironmentDifference,
    partly_blank,
    silent,
    texts_of,
)
from harness.columns import Column

MODEL_US = "model us"
"""The unit of times that an emulated CPU counted."""


def of_sets(
    tables: Sequence[pd.DataFrame], labels: Sequence[str], differences: Sequence[EnvironmentDifference]
) -> tuple[str, ...]:
    """The verdict on sources that were measured one after the other."""
    sentences = [_work(differences), _hosts(tables, labels, differences)]
    sentences.append(
        "Their runs were not interleaved: a drift of the host in between would look like an effect; "
        "to rule it out, measure both as cases of one experiment."
    )
    return tuple(text for text in (*sentences, _machine(tables)) if text)


def of_cases(runs: pd.DataFrame, paired: set[bool]) -> tuple[str, ...]:
    """The verdict on cases of one source. paired: whether its differences are; empty for none."""
    where = "" if silent(runs) else " on the same host"
    mixed = [name for name in HOST if len(texts_of(runs, name)) > 1]
    if mixed:
        first = f"The runs of this set differ in {_listed(mixed)}: an effect of that cannot be told apart."
    elif not paired:
        first = ""
    elif True in paired:
        first = (
            f"Cases were measured in the same blocks{where}: a difference is the doing of what the "
            "cases change, for this workload."
        )
    else:
        first = "The cases share too few blocks to be paired: what drifted between them counts as effect."
    return tuple(text for text in (first, _machine([runs])) if text)


def _work(differences: Sequence[EnvironmentDifference]) -> str:
    names = [item.column for item in differences if item.column in WORK]
    if not names:
        return ""
    return f"They did not do the same work ({_listed(names)}): the numbers answer different questions."


def _hosts(
    tables: Sequence[pd.DataFrame], labels: Sequence[str], differences: Sequence[EnvironmentDifference]
) -> str:
    unknown = [label for label, table in zip(labels, tables, strict=True) if silent(table)]
    names = [item.column for item in differences if item.column in HOST]
    if unknown:
        verb = "says" if len(unknown) == 1 else "say"
        return f"{_listed(unknown)} {verb} nothing about where runs were made: alike or not cannot be told."
    if not names and (blank := partly_blank(tables)):
        return f"Not every side tells its {_listed(blank)}: alike there or not cannot be told."
    if not names and any(item.column in WORK for item in differences):
        return "No difference of host, kernel or datapath is on record."
    if not names:
        return "No difference of host, kernel or datapath is on record: what was varied is what is compared."
    if len(names) == 1:
        return (
            f"On record they differ in {names[0]} alone: a difference is that one's doing, or of what changed "
            "with it unrecorded."
        )
    return f"They differ in {_listed(names)}: a difference cannot be laid to any one of these."


def _machine(tables: Sequence[pd.DataFrame]) -> str:
    accelerators = list(dict.fromkeys(text for table in tables for text in texts_of(table, "accelerator")))
    if model := model_time(accelerators):
        per_table = {texts_of(table, "accelerator") for table in tables}
        mixed = " Accelerators differ: their times are not comparable, only signs and orders are."
        return model + (mixed if len(per_table) > 1 or len(accelerators) > 1 else "")
    under = [text for table in tables for text in texts_of(table, "virtualisation") if text != "none"]
    if not under:
        return ""
    return (
        f"Measured in a virtual machine ({_listed(list(dict.fromkeys(under)))}): figures are for comparing with "
        "one another, not for what bare metal would show."
    )


def model_time(accelerators: Sequence[str]) -> str:
    """What has to be said of latencies under an emulated CPU; empty where none was."""
    emulated = [name for name in accelerators if name.startswith("tcg")]
    if not emulated:
        return ""
    if "tcg-smoke" in emulated:
        return "Latencies are of an emulator in a hurry (tcg-smoke): they prove that it runs, and measure nothing."
    return (
        f"Latencies are model time ({_listed(emulated)}): the guest's clock counts executed instructions, 1 ns each, "
        "on a CPU without caches; good for signs, orders and ratios, not for absolute times."
    )


def shown(names: Sequence[str], tables: Sequence[pd.DataFrame]) -> tuple[Column, ...]:
    """The metrics by name; times are in "model us" where any table's CPU was emulated."""
    emulated = model_time([text for table in tables for text in texts_of(table, "accelerator")])
    metrics = [columns.metric(name) for name in names]
    return tuple(
        replace(column, unit=MODEL_US) if emulated and column.unit == "us" else column for column in metrics
    )


def _listed(names: Sequence[str], most: int = 4) -> str:
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
