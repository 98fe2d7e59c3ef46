"""Tables whose cases stand side by side, as spreadsheets and pivots have them, turned into a row a run."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence

from harness.columns import BY_NAME
from harness.columns.names import COUNTED, plain_unit, understood
from harness.tables.reading.numbers import PLAIN, form_of
from harness.tables.reading.vocabulary import REPEATS, TIMES, is_setting, rank, words_of

_BRACKETED = re.compile(r"\s*[(\[]([^()\[\]]+)[)\]]$")
_LEVELS = {"percentile", "percentiles", "quantile", "quantiles", "pct", "pctl"}
_UNITS = {"unit", "units", "uom"}
_NAMES_OF_VALUES = {"value", "values", "val", "result", "reading", "measured"}

_DERIVED = {"delta", "diff", "difference", "change", "ratio", "speedup", "improvement"}
_OF_ROWS = {
    "average", "avg", "mean", "median", "total", "sum", "overall", "mittel", "mittelwert", "durchschnitt", "summe",
    "gesamt", "moyenne", "promedio", "media",
}  # fmt: skip
_CASES = {
    "base", "baseline", "before", "after", "control", "default", "vanilla", "stock", "original", "patched", "old",
    "new", "off", "on", "without", "with", "reference", "ref", "a", "b", "poll", "polling", "busypoll", "napi", "irq",
}  # fmt: skip
"""Words that name cases even where nothing says what of them was measured."""

_BASES = {
    "base", "baseline", "before", "control", "default", "vanilla", "stock", "original", "patched", "reference",
}  # fmt: skip
"""Of these, those that hardly name anything else: `off`, `poll` and `new` may be columns of settings."""

Rows = Sequence[Sequence[str]]
Turned = tuple[list[str], list[list[str]], str]


def turned(names: Sequence[str], rows: Rows) -> Turned | None:
    """Names, rows and what was done, in words, of a table whose first column names figures and whose others are cases.

    Of one whose corner names the figure, and whose rows are runs, as well. None for any other table.
    """
    names = [name.strip() for name in names]
    if len(names) < 2 or not rows or any(len(row) != len(names) for row in rows):
        return None
    if of_settings := _of_settings(names, rows):
        return of_settings
    units = next((at for at, name in enumerate(names) if at and name.lower() in _UNITS), 0)
    cases = _that_may_be_cases(names, [at for at in range(1, len(names)) if at != units])
    called = [names[at] for at in cases]
    bare = [_BRACKETED.sub("", name) for name in called] if _unit_of(called) else called
    if not bare or not all(map(_says_nothing, bare)):
        return None
    left_out = [names[at] for at in range(1, len(names)) if at not in (units, *cases)]
    without = f", without {', '.join(left_out)}" if left_out else ""
    if len(cases) > 1 and not units and _are_runs([row[0].strip() for row in rows]):
        return _of_runs(names, rows, cases, bare, without)
    labels = _labels(names[0], [row[0].strip() for row in rows])
    if len(set(labels)) < len(labels) or not all(labels):
        return None
    if units:
        stated = [row[units].strip() for row in rows]
        labels = [f"{label} ({unit})" if unit else label for label, unit in zip(labels, stated, strict=True)]
    elif unit := _unit_of(called):
        labels = [label if understood(label).unit else f"{label} ({unit})" for label in labels]
    if 2 * sum(map(_is_figure, labels)) >= len(labels) and any(map(_is_sure, labels)) and not understood(names[0]).stat:
        made = [[name, *(row[at] for row in rows)] for name, at in zip(bare, cases, strict=True)]
        return ["case", *labels], made, f"its columns are cases{without} and its rows figures"
    return None


def _of_runs(
    names: Sequence[str], rows: Rows, cases: Sequence[int], called: Sequence[str], without: str
) -> Turned | None:
    """A row a run: the corner names the figure, or numbers the runs of cases whose names say that they are cases."""
    figure = names[0]
    if not _is_sure(figure):
        known = any(_CASES.issuperset(words_of(name)) for name in called)
        if not known or not words_of(figure) or not REPEATS.issuperset(words_of(figure)):
            return None
        if any(_is_swept(name, [row[at] for row in rows]) for name, at in zip(called, cases, strict=True)):
            return None
        figure = "value"
    elif not understood(figure).stat and all(row[0].strip().isdecimal() for row in rows[:-1]):
        # 0 us, 1 us, 2 us are the bins of a histogram, and what is below the cases is how often.
        return None
    made = [[name, row[0], row[at]] for row in rows for name, at in zip(called, cases, strict=True)]
    of = figure if figure == names[0] else "a figure that it does not name"
    return ["case", "run", figure], made, f"its columns are cases{without} and its rows runs of {of}"


def _of_settings(names: Sequence[str], rows: Rows) -> Turned | None:
    """A row for values of settings (`threads,base,busypoll`), of cases one of which is called as only cases are."""
    lead = 0
    while lead < len(names) and (is_setting(names[lead]) or REPEATS.issuperset(words_of(names[lead]))):
        lead += 1
    cases = _that_may_be_cases(names, range(lead, len(names)))
    called = [names[at] for at in cases]
    unit = _unit_of(called)
    bare = [_BRACKETED.sub("", name) for name in called] if unit else called
    known = any(_BASES.issuperset(words_of(name)) for name in bare)
    if not known or len(bare) < 2 or not any(map(is_setting, names[:lead])) or not all(map(_says_nothing, bare)):
        return None
    columns = {name: [row[at].strip() for row in rows] for name, at in zip(bare, cases, strict=True)}
    if any(_is_swept(name, cells) or not any(map(form_of, cells)) for name, cells in columns.items()):
        return None
    figure = f"value ({unit})" if unit else "value"
    made = [[name, *row[:lead], row[at]] for row in rows for name, at in zip(bare, cases, strict=True)]
    said = f"its columns after {names[lead - 1]} are cases, and the figure that they hold is not named"
    return ["case", *names[:lead], figure], made, said


def _that_may_be_cases(names: Sequence[str], places: Sequence[int]) -> list[int]:
    """Of the columns at these places those that neither compare cases nor sum them up beside others."""
    cases = [at for at in places if not _DERIVED.intersection(words_of(names[at]))]
    own = [at for at in cases if not _OF_ROWS.issuperset(words_of(_BRACKETED.sub("", names[at])))]
    return own or cases


def _is_swept(name: str, cells: Sequence[str]) -> bool:
    """Is it a setting of the runs, as `size` beside `off` and `on`, and no case?"""
    words = [word for word in words_of(name) if word not in _CASES]
    whole = all(cell.strip().isdecimal() for cell in cells[:-1])
    return whole and any(is_setting(word) or is_setting(f"{word}s") for word in words)


def text_of(names: Sequence[str], rows: Rows, delimiter: str, line: int) -> bytes:
    """The table as CSV, its header on this line."""
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows([names, *rows])
    return b"\n" * (line - 1) + text.getvalue().encode()


def pivoted(names: Sequence[str]) -> bool:
    """Are some of these names numbers, and text before them, as where a setting's values were spread over columns?"""
    numeric = [bool(PLAIN.fullmatch(name.strip())) for name in names]
    first = numeric.index(True) if True in numeric else 0
    return 0 < first < len(names) - 1 and all(numeric[first:]) and all(name.strip() for name in names[:first])


def _labels(corner: str, labels: list[str]) -> list[str]:
    """What the rows are called: of levels of quantiles p99, and of those below `Latency (us)` that with each."""
    levels = [float(label.rstrip("%")) if PLAIN.fullmatch(label.rstrip("%")) else -1.0 for label in labels]
    if _LEVELS.intersection(words_of(corner)) and all(0 < level <= 100 for level in levels):
        size = 100 if max(levels) <= 1 else 1
        labels = [f"p{size * level:g}" for level in levels]
    says = understood(corner)
    return [f"{corner} {label}" for label in labels] if says.subject and not says.stat else labels


def _unit_of(names: Sequence[str]) -> str:
    """The unit that all of these have in brackets, the same one; else ""."""
    stated = {match[1] if (match := _BRACKETED.search(name)) else "" for name in names}
    return stated.pop() if len(stated) == 1 and all(map(plain_unit, stated)) else ""


def _says_nothing(name: str) -> bool:
    """May this be the name of a case, and is it that of no figure, repetition or time?"""
    says, words = understood(name), set(words_of(name))
    numbered = set(words_of("".join(char for char in name if not char.isdigit())))
    return not (
        not words
        or PLAIN.fullmatch(name)
        or says.stat
        or says.unit
        or says.subject
        or name in BY_NAME
        or words & (COUNTED | _NAMES_OF_VALUES | TIMES)
        or numbered <= REPEATS
        or rank(name) == 0
    )


def _is_figure(label: str) -> bool:
    says = understood(label)
    return bool(_is_sure(label) or says.unit or label in BY_NAME or COUNTED.intersection(words_of(label)))


def _is_sure(label: str) -> bool:
    """Does it name a latency, a rate or a statistic?"""
    says = understood(label)
    whole = bool(says.stat) and not says.words
    return not form_of(label) and not plain_unit(label) and bool(says.subject or whole)


def _are_runs(labels: Sequence[str]) -> bool:
    """Do all but perhaps the last, which may sum the others up, number repetitions: 1, run1, rep 2?"""
    numbers = [int(label) for label in labels if label.isdecimal()]
    # 64 and 128 are sizes.
    if len(numbers) > 1 and len(numbers) >= len(labels) - 1 and numbers[0] in (0, 1):
        return numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    called = [set(words_of("".join(char for char in label if not char.isdigit()))) for label in labels[:-1]]
    return bool(called) and all(words and words <= REPEATS for words in called)
