"""A tuning in words: its plan, its progress, its answer, and the files by which the answer is used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from harness.analysis.tune.answer import Answer, KnobEffect, goal_of
from harness.analysis.tune.best import experiment_of
from harness.analysis.tune.course import Course
from harness.analysis.tune.figures import Figures
from harness.analysis.tune.front import FrontBelief
from harness.report.apply import apply_script, persist_script, undo_script
from harness.report.html.tuning import tuning_page
from harness.report.tuning_front import lines as front_lines
from harness.report.words import bracket, short
from harness.stats import Estimate, Interval

_MOST = 6


def plan(course: Course, runs: Mapping[str, int], run_s: float, in_words: Callable[[float], str]) -> str:
    """What a tuning would do: settings, what was left out, runs and time beside the full grid."""
    tuning, section = course.tuning, course.tuning.section
    loads = len(tuning.loads)
    aim = f"least {section.goal.least}" if section.goal.least else f"most {section.goal.most}"
    if section.goal.beside:
        aim = f"front of {section.goal.metric} and {section.goal.beside}"
    lines = [
        f"{course.experiment.name}: {aim}" + "".join(f", {text}" for text in section.subject),
        f"{len(tuning.settings)} settings x {loads} load{'s' if loads > 1 else ''}; within {100 * section.within:g} %, "
        f"error {100 * section.error:g} %, seed {course.seed}",
        *(f"  left out: {count} ({reason})" for reason, count in tuning.dropped.items()),
        f"full grid x 10: {runs['grid']:,} runs, {in_words(runs['grid'] * run_s)}",
        f"expected: {runs['few']:,} to {runs['many']:,} runs, usually {runs['usual']:,}, "
        f"{in_words(runs['few'] * run_s)} to {in_words(runs['many'] * run_s)}"
        + (f"; the budget ends it after {in_words(course.budget_s)}" if course.budget_s else ""),
        "",
        *(f"  {one.name:<6} {one.label()}" for one in tuning.settings[:40]),
    ]
    more = len(tuning.settings) - 40
    return "\n".join([*lines, *([f"  and {more} more"] if more > 0 else [])])


def progress(course: Course) -> str:
    """One line after a step: who leads, how many are left, how sure, how long."""
    step, belief = course.steps[-1][0], course.race.belief
    head = f"tune: step {step.number} ({step.kind}), {len(course.records)} runs, {course.spent_s:.0f} s"
    if course.budget_s:
        head += f" of {course.budget_s:.0f} s"
    if isinstance(belief, FrontBelief) and belief.listed:
        known = f"{100 * belief.recall:.0f} % of it known, {100 * belief.precision:.0f} % of that right, as expected"
        return f"{head}; a front of {len(belief.listed)}, {known}"
    if belief is None or belief.leader is None:
        return f"{head}; {len(course.race.out)} of {course.race.settings} settings ruled out"
    left = int((belief.best > 0.001).sum())
    leader = course.tuning.settings[belief.leader]
    return f"{head}; {leader.name} leads ({leader.label()}), {left} left, risk {100 * belief.risk:.1f} %"


def text(course: Course, result: Answer, path: Path | None) -> str:
    """The answer as it is printed. path: of the set that has the answer's files; None where they are of another."""
    tuning = course.tuning
    settings, loads, made = len(tuning.settings), len(tuning.loads), len(course.records)
    grid = settings * loads * 10
    lines = [
        f"{settings} settings x {loads} load{'s' if loads > 1 else ''}. Full grid x 10: {grid:,} runs. "
        f"Here: {made:,} runs (1/{grid / max(1, made):.1f}), {course.spent_s:.0f} s",
        "",
    ]
    if course.out_of_reach and not (result.certificate and result.certificate.sure):
        spread = course.spreads[-1]
        lines.append(
            f"Noise         one run's goal varies by {100 * spread:.0f} %, so settings that differ by "
            f"{100 * tuning.section.within:g} % are out of reach; longer runs would help"
        )
    if result.front is not None:
        lines += [*front_lines(course, result.front), *_ruled_out(course, result), *_held_out(course)]
        return "\n".join([*lines, *_files(path, [("Paste it", "front.yaml")])])
    if result.best is None:
        lines += [f"Best          none: {_why_none(course, result)}", *_left(course, result)]
        return "\n".join(lines)
    lines += [*_best(course, result), *_certainty(course, result)]
    lines += [*_others(course, result), *_why(course, result)]
    lines += _ruled_out(course, result)
    lines += [f"Edge          {edge}: the best may lie beyond" for edge in result.edges]
    lines += _held_out(course)
    lines += _files(
        path, [("Paste it", "best.yaml"), ("Apply it", "apply.sh, undone by undo.sh; for good: persist.sh")]
    )
    return "\n".join(lines)


def _files(path: Path | None, named: Sequence[tuple[str, str]]) -> list[str]:
    """What to do with the answer's files."""
    every = [*named, ("Look at it", "tune.html")]
    return ["", *(f"{todo:<14}{path / name}" for todo, name in every)] if path else []


def _ruled_out(course: Course, result: Answer) -> list[str]:
    ruled = [f"{count} {reason}" for reason, count in (result.ruled_out | course.tuning.dropped).items()]
    return [f"Ruled out     {'; '.join(ruled)}"] if ruled else []


def _held_out(course: Course) -> list[str]:
    if not course.guesses:
        return []
    right = sum(guess.right for guess in course.guesses)
    return [
        f"Held out      {len(course.guesses)} settings predicted before they were measured: {right} inside their "
        "90 % interval"
    ]


def _why_none(course: Course, result: Answer) -> str:
    """Why there is no answer: too few runs that count, no setting within the limits, or too little time."""
    records = course.records.values()
    bad = [record for record in records if record.verdict != "valid"]
    if 2 * len(bad) > len(records):
        reasons = Counter((record.reasons or ("it has no such figure",))[0] for record in bad)
        return f"{len(bad)} of {len(records)} runs do not count, most often: {reasons.most_common(1)[0][0]}"
    return "no setting keeps the limits" if result.outcome == "nothing allowed" else "the budget was spent"


def _best(course: Course, result: Answer) -> list[str]:
    assert result.best is not None
    best = course.tuning.settings[result.best]
    lines = [f"Best          {best.name}: {best.label()}"]
    for figures in result.figures:
        limit = f"  limit: {figures.limit}" if figures.limit else ""
        today = "" if result.best == 0 else f", today {_estimate(figures.today)}"
        lines.append(
            f"                {figures.metric} {_estimate(figures.best)}{today}{limit}" + _load(course, figures.load)
        )
    against = result.against_today
    if result.best == 0:
        lines.append("                it is today's setting: nothing is to be changed")
    elif against is not None and against.shown is not None:
        ratio = against.shown
        blocks = max((figures.best.n for figures in result.figures), default=0)
        lines.append(
            f"                {factor(ratio.value, ratio.interval)} against today's, "
            f"on {blocks} new blocks (rank test p {against.p:.2g}, by Holm)"
        )
    return lines


def _certainty(course: Course, result: Answer) -> list[str]:
    certificate, section = result.certificate, course.tuning.section
    assert certificate is not None
    asked = f"(asked: {100 * (1 - section.error):g} %)"
    if certificate.sure:
        return [
            f"Certainty     {100 * (1 - certificate.risk):.1f} %: no setting within the limits is more than "
            f"{100 * section.within:g} % better {asked}"
        ]
    return [f"Certainty     none is claimed {asked}: {'; '.join(certificate.doubts)}", *_left(course, result)]


def _left(course: Course, result: Answer) -> list[str]:
    """The settings among which the best is, with the chance that was asked for."""
    lines, total = [], 0.0
    for at, chance in result.chance_left.items():
        if total >= 1 - course.tuning.section.error or len(lines) == 12:
            break
        total += chance
        setting = course.tuning.settings[at]
        lines.append(f"                {setting.name} ({100 * chance:.0f} %): {setting.label()}")
    return [f"  the best is, by {100 * total:.0f} %, one of", *lines] if lines else []


def _others(course: Course, result: Answer) -> list[str]:
    settings = course.tuning.settings
    lines = []
    if result.alike:
        names = [f"{settings[at].name}: {settings[at].label()}" for at in result.alike[:_MOST]]
        more = len(result.alike) - _MOST
        lines = [f"As good       within {100 * course.tuning.section.within:g} %, as far as is known:"]
        lines += [f"                {name}" for name in names] + (
            [f"                and {more} more"] if more > 0 else []
        )
    for word, at in (("Cheapest", result.cheapest), ("Simplest", result.simplest)):
        if at is not None and at != result.best:
            lines.append(f"{word:<14}{settings[at].name}: {settings[at].label()}")
    return [*lines, *_at_times(course, result)]


def _at_times(course: Course, result: Answer) -> list[str]:
    """Settings that are better than the best in one of their two states: it is the mean of their runs that counts."""
    lines = []
    for (at, load), states in result.at_times.items():
        setting = course.tuning.settings[at]
        better, other = (short(goal_of(course, value)) for value in (states.low, states.high))
        lines += [
            f"{'At times':<14}{setting.name}: {setting.label()}",
            f"{'':<16}{better} in {states.better} of {states.runs} runs, {other} in the others; their mean counts"
            + _load(course, load),
        ]
    return lines


def _load(course: Course, load: int) -> str:
    """At which load, where there are several."""
    where = " ".join(f"{key}={value}" for key, value in course.tuning.loads[load].items())
    return f"  at {where}" if where else ""


def _effects(course: Course, result: Answer) -> list[tuple[str, str, str]]:
    """(which value instead of which, the change, why it left the race) of every knob of the best setting."""
    short_name = course.tuning.settings[result.best or 0].short
    return [
        (f"{short_name(one.knob)} {one.other} instead of {one.value}", _change(one), one.left)
        for one in sorted(result.effects, key=lambda effect: (effect.knob, effect.other))
    ]


def _why(course: Course, result: Answer) -> list[str]:
    lines = []
    for knob, change, left in _effects(course, result):
        lines.append(f"{'Why' if not lines else '':<14}{knob}: {change}" + (f"; {left}" if left else ""))
    for figures in result.counters:
        lines.append(f"{'':<14}{figures.metric} {_counter(figures)}")
    return lines


def _change(one: KnobEffect) -> str:
    if one.low <= 1 <= one.high:
        return f"no difference shown [{_times(one.low)}..{_times(one.high)}]"
    return factor(one.factor, Interval(one.low, one.high, 0.9))


def _counter(figures: Figures) -> str:
    return f"{short(figures.best.median)}, today {short(figures.today.median)}"


def factor(value: float, interval: Interval | None) -> str:
    """A ratio as people say it: 2.10x lower [2.00x..2.30x]."""
    lower = value < 1
    size = 1 / value if lower else value
    ends = ""
    if interval is not None:
        low, high = (1 / interval.high, 1 / interval.low) if lower else (interval.low, interval.high)
        ends = f" [{_times(low)}..{_times(high)}]"
    return f"{_times(size)} {'lower' if lower else 'higher'}{ends}"


def _times(size: float) -> str:
    return f"{size:.2f}x" if size < 10 else f"{size:.0f}x"


def _estimate(value: Estimate) -> str:
    return f"{short(value.median)} {bracket(value.interval)}".strip()


def files(course: Course, result: Answer, path: Path) -> dict[str, str]:
    """The page, and the files by which an answer is used: name to content."""
    page = {"tune.html": tuning_page(course, result, text(course, result, path), _effects(course, result))}
    if result.front is not None:
        return page | {"front.yaml": experiment_of(course, [one.setting for one in result.front.listed])}
    if result.best is None:
        return page
    spec = course.cells[result.best, 0].spec
    return page | {
        "best.yaml": experiment_of(course, [result.best]),
        "apply.sh": apply_script(course.experiment.name, spec),
        "undo.sh": undo_script(course.experiment.name),
        "persist.sh": persist_script(course.experiment.name),
    }
