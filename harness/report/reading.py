"""How the columns of CSV files were read, in as few lines as tell it, and how to change that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import PurePath

from harness.columns import BY_NAME, UNIT_SUFFIXES, UNSTATED
from harness.report import words
from harness.report.layout import Block, Gap, Para
from harness.report.words import Json
from harness.tables.reading.account import ColumnRead, Reading, Role

_MOST, _FEW = 8, 4
_TOLD: tuple[tuple[Role, str], ...] = (
    ("factor", "factor"), ("repetition", "repetition"), ("block", "block"), ("time", "time"), ("order", "order"),
    ("run", "run"), ("verdict", "verdict"), ("fact", "context"), ("constant", "constant"), ("ignored", "ignored"),
)  # fmt: skip
_ARTICLES = {"case": "the", "order": "an"}
_GUESSED: tuple[Role, ...] = ("case", "factor", "metric", "order", "verdict")


def blocks(readings: Sequence[Reading]) -> list[Block]:
    """What stands above everything else; nothing for files of our own writing."""
    paragraphs: list[Block] = [Para(text, "dim") for text in lines(readings)]
    return [*paragraphs, Gap()] if paragraphs else []


def lines(readings: Sequence[Reading], guessed_only: bool = False) -> list[str]:
    """One line a file, files that were read alike in one; then what was guessed, and how to change it.

    guessed_only: nothing where nothing was guessed.
    """
    shown = [reading for reading in readings if not reading.plain and (not guessed_only or any(_guesses(reading)))]
    alike: dict[str, list[Reading]] = {}
    for reading in shown:
        alike.setdefault(_columns(reading), []).append(reading)
    texts = [f"{', '.join(dict.fromkeys(map(_short, group)))}: {text}" for text, group in alike.items()]
    guesses = list(dict.fromkeys(text for reading in shown for text in _guesses(reading)))
    if guesses:
        texts.append(f"Guessed: {'; '.join(guesses)}.")
    vague = any(not column.unit and column.name not in BY_NAME for reading in shown for column in reading.of("metric"))
    if guesses or vague:
        texts.append(f"Change it by --case-column, --factor, --metric, --unit, --per or {_short(shown[0])}.yaml.")
    return texts


def as_data(readings: Sequence[Reading]) -> list[Json]:
    """The same for programs: every column with what it was taken for."""
    return [
        {
            "file": reading.label,
            "columns": [
                {
                    "name": one.name,
                    "role": one.role,
                    "here": one.here or None,
                    "unit": _unit(one),
                    "guess": one.guess or None,
                }
                for one in reading.columns
            ],
            "notes": list(reading.notes),
            "constants": dict(reading.constants),
        }
        for reading in readings
        if not reading.plain
    ]


def _short(reading: Reading) -> str:
    return PurePath(reading.label).name


def _unit(column: ColumnRead) -> str | None:
    if column.role != "metric":
        return None
    return column.unit if column.unit or column.name in BY_NAME else UNSTATED


def _columns(reading: Reading) -> str:
    case = next((column.name or "the first column" for column in reading.of("case")), "")
    if reading.ours:
        others = [one for one in reading.columns if one.name != one.here or one.name in ("", "set")]
        texts = [
            _named(label, columns) for role, label in _TOLD if (columns := [one for one in others if one.role == role])
        ]
        return "; ".join(["columns as pollbench writes them", *texts, *reading.notes])
    parts = ["no case column" if not case else "case" if case == "case" else f"case {case}"]
    parts += [_named(label, reading.of(role)) for role, label in _TOLD[:1] if reading.of(role)]
    parts += [_metrics(reading.of("metric"))]
    ours = [one for one in reading.of("time", "order", "run", "verdict", "fact") if one.name == one.here]
    for role, label in _TOLD[1:]:
        if columns := [one for one in reading.of(role) if one not in ours]:
            parts.append(_named(label, columns))
    if ours:
        parts.append(f"also {words.some((one.name for one in ours), _FEW)}")
    return "; ".join([*parts, *reading.notes])


def _named(label: str, columns: Sequence[ColumnRead]) -> str:
    names = [column.name or "the first column" for column in columns]
    return label if names == [label] else f"{label} {words.some(names, _MOST)}"


def _metrics(columns: Sequence[ColumnRead]) -> str:
    """The figures, gathered by unit; a unit that the name itself ends in is not said again."""
    groups: dict[str, list[str]] = {}
    for column in columns[:_MOST]:
        in_name = (
            column.name.endswith(tuple(UNIT_SUFFIXES)) or column.name in BY_NAME or column.name in ("qps", "rps", "tps")
        )
        unit = "" if in_name and (column.unit or column.name in BY_NAME) else f" in {column.unit}"
        groups.setdefault(unit if unit != " in " else f" ({UNSTATED})", []).append(column.name)
    more = f" and {len(columns) - _MOST} more" if len(columns) > _MOST else ""
    return "metric " + ", ".join(f"{', '.join(names)}{unit}" for unit, names in groups.items()) + more


def _guesses(reading: Reading) -> Iterator[str]:
    for column in reading.of(*_GUESSED):
        if column.guess:
            lead = f"{column.name or 'the first column'} is {_ARTICLES.get(column.role, 'a')} {column.role}"
            yield f"{lead} ({column.guess})"
