"""What a comparison can and cannot mean, in sentences: what was alike, what was not, and what follows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from harness import columns
from harness.analysis.compare.environment import HOST, WORK, EnvironmentDifference, partly_blank, silent, texts_of
from harness.analysis.compare.experiments import Experiments
from harness.analysis.compare.pairing import Interleaving
from harness.columns import Column
from harness.tables.columnar import Table
from harness.tables.reading.account import Reading

MODEL_US = "model us"
"""The unit of times that an emulated CPU counted."""

_BLAME = "what drifted between them counts as effect"
NOT_INTERLEAVED = f"The runs of the cases were not interleaved, so they are not paired: {_BLAME}"


def of_sets(
    tables: Sequence[Table],
    labels: Sequence[str],
    differences: Sequence[EnvironmentDifference],
    measured: Experiments,
    pooled: Sequence[dict[str, tuple[str, ...]]],
) -> tuple[str, ...]:
    """The verdict on sources that were measured one after the other.

    pooled: what of the host is not the same within a cell, of each source, with its values.
    """
    sentences = [
        other_work(differences, measured),
        _hosts(tables, labels, differences, measured, pooled),
        _unknown(labels, measured),
    ]
    sentences.append(
        "Their runs were not interleaved: a drift of the host in between would look like an effect; "
        "to rule it out, measure both as cases of one experiment."
    )
    return tuple(text for text in (*sentences, _machine(tables)) if text)


def of_cases(runs: Table, ways: set[Interleaving], mixed: Sequence[str], drifted: bool = False) -> tuple[str, ...]:
    """The verdict on cases of one source.

    ways: how its cases share blocks with the baseline, empty where no difference was computed; mixed: what of the host
    is not the same within a cell, or between a case and its baseline; drifted: whether anything moves with the order.
    """
    on_one = f", both on one machine (they differ in {_listed(mixed)})" if mixed else " on the same host"
    where = "" if silent(runs) else on_one
    of_each = f" and machines (they differ in {_listed(mixed)})" if mixed else ""
    if mixed and not (ways and ways <= {"shown", "declared"}):
        first = f"The runs of this set differ in {_listed(mixed)}: an effect of that cannot be told apart."
    elif not ways:
        first = ""
    elif "apart" in ways:
        first = f"{NOT_INTERLEAVED}."
    elif "elsewhere" in ways:
        first = f"The cases were not measured on one and the same machine, so they are not paired: {_BLAME}."
    elif "declared" in ways:
        first = (
            f"Cases are paired by the table's blocks{of_each}; that they were measured in the same blocks, in turns, "
            f"is not on record (it has no order and no times): if they were not, {_BLAME}."
        )
    elif "shown" in ways:
        first = (
            f"Cases were measured in the same blocks{where}: a difference is the doing of what the "
            "cases change, for this workload."
        )
    elif "block" in runs:
        first = f"The cases share too few blocks on record to be paired: {_BLAME}."
    else:
        first = f"That the cases were measured in turns is not on record, so they are not paired: {_BLAME}."
    if drifted and first and ways != {"shown"}:
        first = first.removesuffix(".") + ", and something did drift (see below)."
    varied = [name for name in HOST if len(texts_of(runs, name)) > 1 and name not in mixed]
    apart = f"The runs of this set differ in {_listed(varied)}, but not within a row of the tables." if varied else ""
    return tuple(text for text in (apart if first else "", first, _machine([runs])) if text)


_ANOTHER = ("topology", "workload", "workloads", "contention")
"""The sections of an experiment file that say what was measured; the others say how."""


def other_work(differences: Sequence[EnvironmentDifference], measured: Experiments) -> str:
    """That the sources did not do the same work; empty where nothing says so."""
    names = [item.column for item in differences if item.column in WORK]
    sections = [re.split(r"[.\[]", item.key)[0] for item in measured.differences]
    names += [name for name in dict.fromkeys(sections) if name in _ANOTHER]
    if not names:
        return ""
    return f"They did not do the same work ({_listed(names)}): the numbers answer different questions."


def _unknown(labels: Sequence[str], measured: Experiments) -> str:
    silent_ones = [labels[at] for at in measured.unknown]
    if silent_ones:
        verb = "does" if len(silent_ones) == 1 else "do"
        return (
            f"{_listed(silent_ones)} {verb} not say what was measured (topology, settings, checks, order): "
            "whether anything else differed is unknown."
        )
    if not measured.shared:
        return "No cell is on more than one side: what else differs was not compared."
    return ""


def _hosts(
    tables: Sequence[Table],
    labels: Sequence[str],
    differences: Sequence[EnvironmentDifference],
    measured: Experiments,
    pooled: Sequence[dict[str, tuple[str, ...]]],
) -> str:
    unknown = [label for label, table in zip(labels, tables, strict=True) if silent(table)]
    hosts = [item.column for item in differences if item.column in HOST]
    mixed = [
        f"{label} mixes {_listed([f'{name} {_listed(texts)}' for name, texts in mixes.items()])}"
        for label, mixes in zip(labels, pooled, strict=True)
        if mixes
    ]
    if mixed:
        tail = "runs of different ones stand in one cell, and an effect of that cannot be told apart."
        return f"{'; '.join(mixed)}: {tail}"
    names = hosts + _brief([item.key for item in measured.differences])
    if unknown:
        verb = "says" if len(unknown) == 1 else "say"
        return f"{_listed(unknown)} {verb} nothing about where runs were made: alike or not cannot be told."
    if not hosts and (blank := partly_blank(tables)):
        return f"Not every side tells its {_listed(blank)}: alike there or not cannot be told."
    if len(names) > 1:
        return f"They differ in {_listed(names)}: a difference cannot be laid to any one of these."
    if measured.unknown or not measured.shared:
        return f"On record they differ in {names[0]}." if names else ""
    if not names and any(item.column in WORK for item in differences):
        return "No difference of host, kernel or datapath is on record."
    if not names:
        alike = "No difference of host, kernel, datapath or experiment is on record"
        return f"{alike}: what was varied is what is compared."
    return (
        f"On record they differ in {names[0]} alone: a difference is that one's doing, or of what changed "
        "with it unrecorded."
    )


def _brief(keys: Sequence[str]) -> list[str]:
    """Keys of experiment files; of a knob, or of a link, one for all of its fields."""
    return list(
        dict.fromkeys(re.sub(r"^(settings\.[^.]+\.[^.]+|topology\.links\[[^]]*\]).*", r"\1", key) for key in keys)
    )


def _machine(tables: Sequence[Table]) -> str:
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


def shown(names: Sequence[str], tables: Sequence[Table], readings: Sequence[Reading | None] = ()) -> tuple[Column, ...]:
    """The metrics by name; times are in "model us" where any table's CPU was emulated.

    Where a file does not say that its latencies are round trips, they are called latencies.
    """
    emulated = model_time([text for table in tables for text in texts_of(table, "accelerator")])
    metrics = [columns.metric(name) for name in names]
    if any(reading is not None and not reading.basis for reading in readings):
        metrics = [replace(column, label=column.label.replace("RTT", "latency")) for column in metrics]
    return tuple(replace(column, unit=MODEL_US) if emulated and column.unit == "us" else column for column in metrics)


def _listed(names: Sequence[str], most: int = 4) -> str:
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
