"""The front of a tuning in words: the settings that none beats in two columns, and how much of it is known."""

from __future__ import annotations

from collections.abc import Iterator

from harness import columns
from harness.analysis.tune.course import Course
from harness.analysis.tune.figures import Front, OnFront
from harness.report.words import bracket, percent, short


def lines(course: Course, front: Front) -> list[str]:
    """The front as a table, what is claimed of it, and how to take one setting of it."""
    section, names = course.tuning.section, front.columns
    over = f", {section.goal.over} of {len(course.tuning.loads)} loads" if len(course.tuning.loads) > 1 else ""
    some = f"{len(front.listed)} setting" + ("" if len(front.listed) == 1 else "s")
    out = [f"Front         {some} that none beats in both {' and '.join(names)}{over}:"]
    out += [f"                {row}" for row in _table(course, front)]
    within, asked = f"{100 * section.within:g} %", f"(asked: {100 * (1 - section.error):g} %)"
    if front.sure:
        recall, precision = (percent(100 * share) for share in (front.recall, front.precision))
        out += [
            f"Certainty     by the model, {recall} % of the true front has one of these within {within} in both "
            f"columns, and {precision} %",
            f"                of these are beaten by none by more than {within} in both {asked}: expected shares of the"
            " whole; of no single setting is it claimed",
        ]
    else:
        out.append(f"Certainty     none is claimed {asked}: {'; '.join(front.doubts)}")
    if any(not one.fresh for one in (*front.listed, front.today)):
        out.append(
            "                *: of the runs that chose it, which flatter; the other figures are of fresh blocks alone"
        )
    cost = names[1]
    sign = "<=" if columns.metric(cost).better == "lower" else ">="
    question = f'--goal {names[0]} --subject "{cost} {sign} N"'
    return [*out, f"Choose        the best under a limit, of the same runs: tune --judge DIR {question}"]


def _table(course: Course, front: Front) -> Iterator[str]:
    heads = [f"{name} [interval]" for name in front.columns]
    rows = [(_name(course, one), *(_value(one, at) for at in (0, 1)), _label(course, one)) for one in front.listed]
    if front.today.setting not in [one.setting for one in front.listed]:
        rows.append(("today", *(_value(front.today, at) for at in (0, 1)), _label(course, front.today)))
    rows.insert(0, ("setting", *heads, ""))
    widths = [max(len(row[at]) for row in rows) for at in range(3)]
    for row in rows:
        parts = [text.ljust(width) for text, width in zip(row, widths, strict=False)]
        yield "  ".join([*parts, row[3]]).rstrip()


def _name(course: Course, one: OnFront) -> str:
    return course.tuning.settings[one.setting].name


def _value(one: OnFront, which: int) -> str:
    value = one.values[which]
    return f"{short(value.median)} {bracket(value.interval)}".strip() + ("" if one.fresh else " *")


def _label(course: Course, one: OnFront) -> str:
    settings = course.tuning.settings
    beaten = "" if one.beaten_by is None else f"; {settings[one.beaten_by].name} beats it in both"
    return settings[one.setting].label() + beaten
