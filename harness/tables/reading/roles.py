"""What each column of a table is, by its name and, where that leaves it open, by its values."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping as Lookup
from collections.abc import Sequence
from dataclasses import replace

from harness import columns
from harness.columns.names import COUNTED, Name, canonical, subject_of, understood
from harness.tables.reading.account import ColumnRead, Mapping, Role
from harness.tables.reading.seen import Seen
from harness.tables.reading.verdicts import counting
from harness.tables.reading.vocabulary import (
    ACTORS,
    CASES,
    ELAPSED,
    FACTS,
    INDEX,
    NOTES,
    PARTS,
    REPEATS,
    RUN_IDS,
    SEQUENCE,
    SPANS,
    TIMES,
    TOTALS,
    is_setting,
    rank,
    words_of,
)

OF_CASE = "of case"
"""The factor that holds what was the case, where another column tells cases apart."""

_SOME, _MANY = 10, 30
_LASTING = {"elapsed", "duration", "runtime", "length", "wall"}
_ROUND = (1, 1.2, 1.5, 1.8, 2, 2.4, 2.5, 3, 3.6, 4, 4.5, 5, 6, 7, 7.2, 7.5, 8, 9)
_COUNTS = "it counts rows"


def roles_of(seen: Sequence[Seen], mapping: Mapping, units: Lookup[str, str]) -> list[ColumnRead]:
    """What every column is, in the file's order. units: of columns whose cells carry one."""
    names = {one.name: _named(one.name, mapping, units) for one in seen}
    # In a table of ours what begins with a workload's name is measured, however few values it has.
    from_us = {"run_id", "verdict", "workload_kind"} <= names.keys()
    quantiles = any(name.timed and name.stat.startswith("p") for name in names.values())
    read = []
    for one in seen:
        name = names[one.name]
        if quantiles and name.stat and not name.words and not name.subject and not name.unit:
            # A mean beside quantiles of a latency is that latency's.
            name = names[one.name] = replace(name, subject="latency")
        known = _declared(one, mapping, name) or _part_of_time(one, names) or _known(one, from_us)
        read.append(known or _guessed(one, name))
    read = _with_case(read, seen, mapping)
    if not any(column.role == "metric" for column in read):
        read = [_rescued(column, one, names[one.name]) for column, one in zip(read, seen, strict=True)]
    return _one_each(_without_lengths(read, seen, mapping))


def _without_lengths(read: list[ColumnRead], seen: Sequence[Seen], mapping: Mapping) -> list[ColumnRead]:
    """Beside latencies or rates, how long runs took, if all took as long as was chosen, is no figure."""
    if {"run_id", "verdict"} <= {one.name for one in seen}:
        return read  # a table of ours
    lengths = {one.name for one in seen if one.name not in mapping.roles and one.numeric and _is_length(one)}
    constant = {one.name for one in seen if one.constant}
    measured = [one for one in read if one.role == "metric" and one.name not in lengths | constant]
    if not any(_is_of_network(one) for one in measured):
        return read
    return [
        ColumnRead(column.name, "ignored", guess="how long runs were")
        if column.role == "metric" and column.name in lengths
        else column
        for column in read
    ]


def _is_length(one: Seen) -> bool:
    name, (low, high) = understood(one.name), one.ends
    words = set(name.words)
    lasting = bool(words & _LASTING) and words <= _LASTING | REPEATS | {"test", "total", "wall", "time", "actual"}
    timed = lasting and name.unit in ("", *columns.TO_US) and not name.stat
    # What is chosen is round: 10 s, 30, 90 or 120; what was measured instead would be so by chance alone.
    return timed and any(0.999 * whole <= low and high <= 1.02 * whole for whole in _chosen(low))


def _chosen(low: float) -> list[float]:
    """The round lengths of no more digits than this."""
    size = 10.0 ** math.floor(math.log10(1.001 * low)) if low > 0 else 0.0
    return [lead * size for lead in _ROUND if size]


def _is_of_network(column: ColumnRead) -> bool:
    says = understood(column.name)
    return says.timed or says.subject in ("rate", "throughput") or column.here in columns.BY_NAME


def _named(text: str, mapping: Mapping, units: Lookup[str, str]) -> Name:
    """The name as understood, with the unit that the user, or the cells, state."""
    name = understood(text)
    typed = mapping.units.get(text, "") or units.get(text, "")
    if not typed and not name.unit and (name.timed or name.stat or text in mapping.metrics.values()):
        typed = mapping.units.get("", "")
    if not typed:
        return name
    subject = name.subject or ("latency" if name.stat and not name.words else subject_of(name, typed))
    return replace(name, unit=typed, scale=1.0, subject=subject)


def _metric(text: str, name: Name, here: str = "", guess: str = "") -> ColumnRead:
    """A measured column, under the name it has here and in the unit that goes with it."""
    here = here or canonical(text, name)
    scale = name.scale
    target = columns.unit_of(here)
    if name.is_time and target in columns.TO_US:
        scale *= columns.TO_US[name.unit] / columns.TO_US[target]
    unit = name.unit or ("count" if COUNTED.intersection(name.words) else "")
    return ColumnRead(text, "metric", here, unit, scale, guess)


def _declared(one: Seen, mapping: Mapping, name: Name) -> ColumnRead | None:
    role = mapping.roles.get(one.name)
    if role is None:
        return None
    if role != "metric":
        here = {"case": "case", "block": "block", "time": "started_utc", "factor": one.name}.get(role, "")
        return ColumnRead(one.name, role, here)
    called = next(metric for metric, column in mapping.metrics.items() if column == one.name)
    if called == one.name:
        return _metric(one.name, name, one.name if one.name in columns.BY_NAME else "")
    meant = understood(called)
    if not meant.unit:
        meant = replace(meant, unit=name.unit, scale=name.scale)
    elif name.unit and name.is_time and meant.is_time:
        # p99_us=lat_ms: what the column holds is in ms, whatever it is to be called.
        meant = replace(meant, unit=name.unit, scale=1.0)
    here = called if called in columns.BY_NAME else canonical(called, meant)
    return _metric(one.name, meant, here)


def _part_of_time(one: Seen, names: Lookup[str, Name]) -> ColumnRead | None:
    """The microseconds of a time whose seconds are another column, as pgbench logs them: no latency."""
    lead = one.name.removesuffix("_us")
    part = lead != one.name and f"{lead}_epoch" in names
    return ColumnRead(one.name, "ignored", guess="it is part of a time") if part else None


def _known(one: Seen, from_us: bool) -> ColumnRead | None:
    """A column by the list of ours, or one with a dot, as our factors have. from_us: is the table ours?"""
    if from_us and columns.of_workload(one.name)[0]:
        return ColumnRead(one.name, "metric", one.name, columns.unit_of(one.name) or "")
    known = columns.BY_NAME.get(one.name)
    if known is None:
        if "." not in one.name or not is_ours(one.name) or words_of(one.name)[-1:] == ["ci"]:
            return None
        measured = one.numeric and not (one.repeated or one.round or one.constant)
        return None if measured else ColumnRead(one.name, "factor", one.name)
    if known in columns.METRICS:
        return ColumnRead(one.name, "metric", one.name, known.unit)
    ours: dict[str, Role] = {"case": "case", "run_id": "run", "block": "block", "order": "order", "verdict": "verdict"}
    ours["started_utc"] = "time"
    return ColumnRead(one.name, ours.get(one.name, "fact"), one.name)


def is_ours(name: str) -> bool:
    """Is this name of our list, or of the form that our factors have: contention.load?"""
    dotted = re.fullmatch(r"[A-Za-z_]\w*(\.[\w*\-\[\]]+)+", name)
    says = understood(name)
    return name in columns.BY_NAME or bool(dotted and not says.timed and not says.stat)


def _guessed(one: Seen, name: Name) -> ColumnRead:
    words = words_of(one.name)
    if INDEX.fullmatch(one.name) and (one.numeric or one.blank):
        return ColumnRead(one.name, "ignored", guess="an index")
    if one.blank:
        return ColumnRead(one.name, "ignored", guess="it is empty")
    if words[-1:] == ["ci"]:
        return ColumnRead(one.name, "ignored", guess="an interval of another column")
    if counting(one):
        return ColumnRead(one.name, "verdict", "verdict", guess="it says which runs count")
    if (time := _time(one, words)) is not None:
        return time
    return _number(one, name, words) if one.numeric else _text(one, name, words)


def _time(one: Seen, words: list[str]) -> ColumnRead | None:
    if one.dated or (one.epoch and (TIMES.intersection(words) or words in (["seconds"], ["sec"]))):
        return ColumnRead(one.name, "time", "started_utc")
    if one.clock:
        role: Role = "order" if one.passes else "ignored"
        return ColumnRead(one.name, role, "order" if one.passes else "", guess="a time of day, without its date")
    return None


def _number(one: Seen, name: Name, words: list[str]) -> ColumnRead:
    last = words[-1] if words else ""
    if words and REPEATS.issuperset(words) and one.whole:
        return ColumnRead(one.name, "repetition")
    if words == ["block"] and one.whole:
        return ColumnRead(one.name, "block", "block")
    if words and SEQUENCE.issuperset(words) and one.whole:
        if one.unique or one.rising or one.distinct > _MANY:
            return ColumnRead(one.name, "ignored", guess=_COUNTS)
        # 64 and 1024 number no repetitions: n is a size as well.
        low, high = one.ends
        return ColumnRead(one.name, "repetition") if high - low < 2 * one.distinct + 1 else _varied(one)
    if words and TOTALS.issuperset(words) and one.whole:
        return ColumnRead(one.name, "ignored", guess="how many there were")
    if words and ELAPSED.issuperset(words) and one.rising and one.rows >= _SOME:
        return ColumnRead(one.name, "order", "order", guess="it rises from row to row")
    if name.stat or name.timed or name.subject == "throughput" or COUNTED.intersection(words):
        return _metric(one.name, name)
    if SPANS.intersection(words) or "".join(words) in PARTS:
        return _metric(one.name, name)
    setting = is_setting(one.name) and last not in ("count", "share", "n")
    if setting and name.unit != "%" and (one.repeated or one.round or one.constant):
        return _varied(one)
    if one.repeated and one.round and (setting or not name.unit or (name.unit != "%" and _coarse(one))):
        return _varied(one)
    if one.constant and one.rows > 1 and not name.subject and name.unit in ("", *columns.TO_US):
        return ColumnRead(one.name, "constant")
    if name.subject == "rate" and one.round and one.rising and one.distinct > 2 and _coarse(one):
        return ColumnRead(one.name, "factor", one.name, guess="round values that rise from row to row")
    if name.unit or name.subject:
        return _metric(one.name, name)
    return _metric(one.name, name, guess="its values differ from row to row")


def _coarse(one: Seen) -> bool:
    """Are the values far apart, as those of a setting are, and not neighbours, as what a coarse clock measures?"""
    low, high = one.ends
    return one.round and (low == 0 or high >= 2 * low) and high >= 10


def _varied(one: Seen) -> ColumnRead:
    many = f"{one.distinct} round values that repeat" if one.round else f"{one.distinct} values that repeat"
    return ColumnRead(one.name, "factor", one.name, guess="" if one.constant else many)


def _text(one: Seen, name: Name, words: list[str]) -> ColumnRead:
    rows = one.rows
    if one.name == "set" and not one.constant:
        return ColumnRead(one.name, "factor", one.name)
    for here, known in FACTS.items():
        if words and known.intersection(words) and len(words) <= 2:
            return ColumnRead(one.name, "fact", here)
    if words and REPEATS.issuperset(words):
        return ColumnRead(one.name, "repetition")
    if RUN_IDS.intersection(words) or words in (["run", "id"], ["runid"], ["trial", "id"], ["job", "id"]):
        return ColumnRead(one.name, "run", "run_id")
    if words and (NOTES.intersection(words) or (ACTORS.intersection(words) and one.name != "threads")):
        return ColumnRead(one.name, "ignored")
    if (name.unit or name.stat) and not is_setting(one.name):
        # Said to be measured: what is no number there is a fault, which the conversion names by its line.
        return _metric(one.name, name)
    if one.constant:
        return _varied(one) if is_setting(one.name) else ColumnRead(one.name, "constant")
    if rows > 3 and one.distinct > rows / 2 and not set(CASES).intersection(words):
        return ColumnRead(one.name, "ignored", guess="almost every row has another")
    return ColumnRead(one.name, "factor", one.name, guess=f"{one.distinct} texts that repeat")


def _with_case(read: list[ColumnRead], seen: Sequence[Seen], mapping: Mapping) -> list[ColumnRead]:
    """The columns with that of them which tells cases apart, if there is one."""
    if mapping.case:
        # What was the case is swept then, under a name that is free.
        other = (column.role == "case" and column.name != mapping.case for column in read)
        return [
            replace(one, role="factor", here=OF_CASE) if is_other else one
            for one, is_other in zip(read, other, strict=True)
        ]
    if any(column.role == "case" for column in read):
        return read
    texts = {
        column.name: one
        for column, one in zip(read, seen, strict=True)
        if not one.numeric
        and not one.blank
        and column.name not in mapping.roles
        and (column.role in ("factor", "constant") or (column.role == "ignored" and column.guess.startswith("almost")))
        and column.name not in columns.BY_NAME
        and column.name != "set"
        and "." not in column.name
        and not (column.role == "ignored" and SEQUENCE.intersection(words_of(column.name)))
    }
    ranked = sorted(texts, key=lambda name: (texts[name].constant, rank(name), texts[name].distinct > seen[0].rows / 2))
    named = [name for name in ranked if rank(name) < len(CASES)]
    varied = [name for name in ranked if not texts[name].constant]
    chosen: str | None = next(iter(varied if varied and (not named or texts[named[0]].constant) else named), None)
    if chosen is None:
        kernels = [at for at, one in enumerate(seen) if read[at].here == "kernel" and not one.constant]
        for at in kernels:
            # Runs of several kernels are compared, where nothing else is: as one case they would be pooled.
            read[at] = ColumnRead(seen[at].name, "case", "case", guess="nothing else tells cases apart")
        return read
    guess = "" if rank(chosen) < len(CASES) else "the text that varies"
    return [ColumnRead(chosen, "case", "case", guess=guess) if one.name == chosen else one for one in read]


def _rescued(column: ColumnRead, one: Seen, name: Name) -> ColumnRead:
    """Where nothing is measured, a column that was taken for a setting though its name has a unit is a figure."""
    if one.numeric and column.role in ("factor", "constant", "order") and name.unit and not is_setting(one.name):
        return _metric(one.name, name)
    return column


def _one_each(read: list[ColumnRead]) -> list[ColumnRead]:
    """Of several columns that would have one name here the first has it; figures keep their own names."""
    taken: set[str] = {column.here for column in read if column.here == column.name}
    once = []
    for column in read:
        if column.here and column.here != column.name:
            if column.here in taken:
                own = (
                    canonical(column.name, replace(understood(column.name), subject=""))
                    if column.role == "metric"
                    else ""
                )
                role: Role = column.role if own else "constant" if column.role == "fact" else "ignored"
                guess = f"{column.here} is another column" if not own else ""
                column = replace(column, here=own, role=role, guess=guess, scale=1.0)
            taken.add(column.here)
        once.append(column)
    return once
