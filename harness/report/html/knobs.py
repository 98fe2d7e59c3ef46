"""What became of every knob, in words and units: a row for each setting, its sockets and NAPIs summed up."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Sequence

import pandas as pd

from harness.report import words
from harness.report.charts.scale import time_text
from harness.report.html.markup import Child, Markup, grid, join, tag, td, th
from harness.report.html.style import Look
from harness.tables.columnar import objects

_HEADS = ("case", "setting", "node", "requested", "found before", "applied", "took effect", "evidence")
_NUMERIC = _HEADS[3:6]
# A setting of a program's socket or epoll instance, one or several alike; of a NAPI of a device.
_DESCRIPTOR = re.compile(r"(\S+) (.+?)(?:\[\d+\]|:)(?: \d+ sockets like)? fd \d+ \((.+?)\)(?: napi \d+)?")
_NAPI = re.compile(r"(\S+) napi \d+ (\S+)")
_DICT, _LIST = re.compile(r"\{'[^{}]*\}"), re.compile(r"\[(\d+(?:, ?\d+)*)\]")
_DETAIL = re.compile(r"\d+(\.\d+)?")
# Settings in another unit than words have it; the kernel's names.
_NS = ("gro_flush_timeout", "irq_suspend_timeout")
_US = ("SO_BUSY_POLL", "net.core.busy_poll", "net.core.busy_read", "busy_poll", "busy_read")
_US_ENDS = ("usecs", "usecs_irq", "usecs-irq", "usecs_low", "usecs_high")
_FLAGS = {"true": "on", "false": "off"}
_THREADED = {"0": "off", "1": "on", "2": "busy-poll"}


def knob_table(look: Look, knobs: pd.DataFrame) -> Markup:
    """A row per case, setting and requested value; nodes of which all the same is known share one."""
    knobs = knobs.assign(setting=knobs["setting"].astype(str).map(setting_words))
    rows: dict[tuple[str, ...], list[Child]] = {}
    nodes: dict[tuple[str, ...], list[str]] = {}
    for key, group in knobs.groupby(["case", "knob", "setting", "node", "requested"], sort=False):
        case, knob, setting, node, requested = map(str, key)
        if case not in look.marks:
            continue
        asked, before, applied = (
            value_words(setting, requested),
            _values(setting, group["found"]),
            _values(setting, group["applied"]),
        )
        took = _took(group)
        alike = (case, knob, setting, asked, before, applied, took)
        nodes.setdefault(alike, []).append(node)
        rows.setdefault(alike, [_applied(applied, asked), tag("td", took), _evidence(group["evidence"])])
    return grid(
        [th(name, numeric=name in _NUMERIC) for name in _HEADS],
        [_row(look, alike, nodes[alike], rest) for alike, rest in rows.items()],
        label="what was requested, applied, and took effect",
        caption=tag("caption", "Knobs by case", class_="sr"),
    )


def setting_words(setting: str) -> str:
    """A setting's name without the numbers of one process, descriptor or NAPI, which differ in every run."""
    if match := _DESCRIPTOR.fullmatch(setting):
        return f"{match[1]} on the {match[3].removesuffix(' listener')} of {match[2]}"
    if match := _NAPI.fullmatch(setting):
        return f"{match[1]} {match[2]}, per NAPI"
    return setting


def value_words(setting: str, value: str) -> str:
    """A value as the kernel has it in words with its unit: 20 µs for gro_flush_timeout 20000."""
    first = setting.split()[0] if setting else ""
    name = next((word.rstrip(",") for word in reversed(setting.split(", per NAPI")[0].split())), "")
    if first == "EPIOCSPARAMS" and (numbers := _numbers(value)) and len(numbers) == 3:
        usecs, budget, prefer = numbers
        return f"{time_text(usecs)}, budget {budget:g}, prefer {'on' if prefer else 'off'}" if any(numbers) else "off"
    if first == "cpu.max" and (match := re.fullmatch(r"(\d+) (\d+)", value)):
        return f"{time_text(float(match[1]))} of every {time_text(float(match[2]))}"
    if name == "threaded":
        return _THREADED.get(value, value)
    if value in _FLAGS:
        return _FLAGS[value]
    if value.isdecimal() and int(value):
        if name in _NS:
            return time_text(int(value) / 1e3)
        if name in _US or first in _US or name.endswith(_US_ENDS):
            return time_text(int(value))
        return f"{int(value):,}" if int(value) > 9999 else value
    return ", ".join(f"{number:g}" for number in numbers) if (numbers := _numbers(value)) else value


def _numbers(value: str) -> list[float]:
    """The numbers of a JSON list of numbers; none for anything else."""
    try:
        parts = json.loads(value) if value.startswith("[") else []
    except json.JSONDecodeError:
        return []
    return [float(part) for part in parts] if all(isinstance(part, int | float) for part in parts) else []


def evidence_words(text: str) -> str:
    """Evidence without the marks of a programming language: settings with their units, lists as words."""

    def settings(match: re.Match[str]) -> str:
        try:
            pairs = ast.literal_eval(match[0]).items()
        except (ValueError, SyntaxError):
            return match[0]
        return ", ".join(f"{name} {value_words(str(name), str(value))}" for name, value in pairs)

    return _LIST.sub(r"\1", _DICT.sub(settings, text)).replace("`", "")


def _row(look: Look, alike: tuple[str, ...], nodes: list[str], rest: list[Child]) -> Markup:
    case, knob, setting, requested, before = alike[:5]
    fields = (td(join((setting, tag("span", f" {knob}", class_="quiet")))), td(", ".join(dict.fromkeys(nodes))))
    values = (td(requested, "num"), td(before, "num quiet"))
    case_head = tag("th", look.dotted(case), scope="row")
    return tag("tr", case_head, *fields, *values, *rest, class_="k", data_k=look.marks[case].slot)


def _applied(applied: str, requested: str) -> Markup:
    doubtful = requested != "" and applied not in ("", requested)
    return td(applied or "not shown", "num short" if doubtful else "num" if applied else "num quiet")


def _values(setting: str, column: pd.Series) -> str:
    return words.some((value_words(setting, str(value)) for value in column.unique() if str(value)), 3)


def _took(rows: pd.DataFrame) -> Markup:
    """In how many runs it took effect, took none, and could not be seen to; none where any of its sockets took none."""
    runs = objects(rows["run_id"]) if "run_id" in rows.columns else range(len(rows))
    by_run: dict[object, list[object]] = {}
    for run_id, took in zip(runs, objects(rows["took_effect"]), strict=True):
        by_run.setdefault(run_id, []).append(took)
    answers = [_answer(of_run) for of_run in by_run.values()]
    kinds = (("✓ yes", True, "valid"), ("○ no", False, "inert"), ("not observable", None, "none"))
    counted = [(text, sum(answer is kind for answer in answers), badge) for text, kind, badge in kinds]
    return join(tag("span", f"{text}, {words.runs(n)}", class_=f"badge {badge}") for text, n, badge in counted if n)


def _answer(took: Sequence[object]) -> bool | None:
    seen = [bool(value) for value in took if not pd.isna(value)]  # type: ignore[call-overload]
    return all(seen) if seen else None


def _evidence(column: pd.Series) -> Markup:
    """The first run's words; others that differ in more than numbers are counted."""
    texts = [evidence_words(str(value)) for value in column.unique() if str(value)]
    kinds = dict.fromkeys(_DETAIL.sub("#", value) for value in texts)
    more = f" (and {len(kinds) - 1} other findings)" if len(kinds) > 1 else ""
    return tag("td", (texts[0] if texts else "") + more, class_="why")
