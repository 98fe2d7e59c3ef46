"""A tuning as one self-contained page: the answer, latency against its price, the race, and what each knob does."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from harness import columns
from harness.analysis.curves import marks
from harness.analysis.tune.answer import Answer, cost_of
from harness.analysis.tune.course import Course
from harness.analysis.tune.figures import Charted, charted
from harness.report import words
from harness.report.charts import Chart, Dot, Polyline, Series
from harness.report.charts.kinds import value_scale
from harness.report.charts.scale import linear_scale
from harness.report.html.markup import Child, Markup, figure, scroller, section, table, tag, text, trusted
from harness.report.html.page import assembled
from harness.report.html.style import Look, legend, times
from harness.report.html.svg import drawn

_TODAY, _BEST, _GOOD, _OTHER, _OUT = "today", "best", "as good", "measured", "ruled out"
_ROLES = (_TODAY, _BEST, _GOOD, _OTHER, _OUT)
_FRONT = "on the front"
_LEAD = (
    "A marker of the first chart is a setting: medians of all its runs that count, over all loads; the stepped line "
    "joins those that no other beats in both. Settings that left early have few runs, and runs that chose a setting "
    "flatter it: what is claimed stands in the answer. The second has a marker after every step until the fresh "
    "blocks, which choose nothing."
)
_MOST_LEADERS, _MOST_NAMED = 6, 16


def tuning_page(course: Course, result: Answer, answer_text: str, effects: Sequence[tuple[str, str, str]]) -> str:
    """The page. answer_text: the answer in words; effects: knob and change, what it does, why it left the race."""
    leaders = _leaders(course)
    roles = [_FRONT if role == _GOOD and result.front else role for role in _ROLES]
    look = Look(marks([*roles, *(name for name in leaders if name not in roles)], _TODAY))
    experiment = course.experiment
    top = tag(
        "header",
        tag("h1", experiment.name, tag("span", "tuning", class_="label")),
        tag("p", experiment.description, class_="description") if experiment.description else None,
    )
    warnings = [tag("p", f"{edge}: the best may lie beyond.", class_="caution") for edge in result.edges]
    content: list[Child] = [section("answer", "Answer", *warnings, _verbatim(answer_text))]
    charts = [chart for chart in (_price(look, course, result), _race(look, course, result, leaders)) if chart]
    if charts:
        shown = legend(look, roles, "")
        pictures = tag("div", shown, tag("div", *charts, class_="grid2"), class_="charts")
        content.append(section("race", "Price and race", pictures, lead=_LEAD, short="Race"))
    if effects:
        rows: list[list[Child]] = [[knob, times(change), left] for knob, change, left in effects]
        lead = "The goal where the best setting has another value of one knob, by the model; intervals of 90 %."
        content.append(section("knobs", "What each knob does", _effects(result, rows), lead=lead, short="Knobs"))
    return assembled(f"{experiment.name} – pollbench tune", look.css(), top, content, command="tune")


def _verbatim(answer: str) -> Markup:
    lines = [text(line) for line in answer.splitlines()]
    code = tag("code", *(part for line in lines for part in (line, trusted("\n"))))
    return scroller(tag("pre", code), "the answer")


def _price(look: Look, course: Course, result: Answer) -> Markup | None:
    """Every setting that ran: its goal against its price, and the line of those that none beats in both."""
    goal, cost = course.tuning.section.goal.metric, cost_of(course)
    seen = charted(course, goal, cost) if cost != goal else []
    if not seen:
        return None
    first, second = columns.metric(goal), columns.metric(cost)
    x, y = value_scale(second, (spot.second for spot in seen)), value_scale(first, (spot.first for spot in seen))
    series = [Series("", [Polyline(_steps(course, goal, cost, seen), "frontier")])]
    named = 0
    for spot in seen:
        setting = course.tuning.settings[spot.setting]
        role = _role(result, course, spot.setting)
        tip = (
            f"{setting.name}, {setting.label()}: {first.label} {words.short(spot.first)}, {second.label} "
            f"{words.short(spot.second)}, {spot.runs} runs"
        )
        dot = Dot((spot.second, spot.first), tip=tip, size=5.0 if role in (_TODAY, _BEST) else 3.2, runs=spot.runs)
        shown = role in (_TODAY, _BEST) or (role == _FRONT and named < _MOST_NAMED)
        named += shown
        series.append(Series(role, [dot], [dot.at] if shown else (), setting.name))
    label = f"{first.label} against {second.label}"
    rows: list[list[Child]] = [
        [
            course.tuning.settings[spot.setting].name,
            course.tuning.settings[spot.setting].label(),
            words.short(spot.first),
            words.short(spot.second),
            str(spot.runs),
        ]
        for spot in sorted(seen, key=lambda spot: spot.first)
    ]
    heads = ["setting", "sets", words.named(first), words.named(second), "runs"]
    return figure(label, drawn(look, Chart(x, y, series, label, "points")), table=table(heads, rows, texts=2))


def _role(result: Answer, course: Course, at: int) -> str:
    front = [one.setting for one in result.front.listed] if result.front else []
    if at == 0:
        return _TODAY
    if at == result.best:
        return _BEST
    if at in front:
        return _FRONT
    if at in result.alike:
        return _GOOD
    return _OUT if at in course.race.out else _OTHER


def _steps(course: Course, goal: str, cost: str, seen: Sequence[Charted]) -> list[tuple[float, float]]:
    """The stepped line of those that none beats in both, of settings that did not leave the race."""
    signs = [1 if columns.metric(name).better != "higher" else -1 for name in (cost, goal)]
    best: list[tuple[float, float]] = []
    kept = [spot for spot in seen if spot.setting not in course.race.out]
    for spot in sorted(kept, key=lambda spot: (signs[0] * spot.second, signs[1] * spot.first)):
        if not best or signs[1] * spot.first < signs[1] * best[-1][1]:
            best.append((spot.second, spot.first))
    steps = best[:1]
    for before, after in pairwise(best):
        steps += [(after[0], before[1]), after]
    return steps


def _leaders(course: Course) -> list[str]:
    """Who led, the last of them first."""
    names = [str(noted["leader"]) for noted in course.trail if noted.get("leader")]
    return list(dict.fromkeys(reversed(names)))[:_MOST_LEADERS]


def _race(look: Look, course: Course, result: Answer, leaders: Sequence[str]) -> Markup | None:
    """Who led when, and the chance that it was not the answer, over the runs made; of a front what was not known."""
    made, points = 0, []
    for (step, runs), noted in zip(course.steps, course.trail, strict=True):
        if step.kind in ("start", "race", "confirm") and "risk" in noted and not (points and step.kind == "confirm"):
            points.append((made, 100 * float(str(noted["risk"])), str(noted["leader"] or _FRONT), noted))
        made += len(runs)
    if not points:
        return None
    label = "Who led, and the chance that it was not the answer"
    if result.best is None and result.front:
        label = "What is missing of the front, or wrong on it, as was expected"
    most = max(risk for _, risk, _, _ in points)
    x, y = linear_scale([0.0, float(made)], "runs made"), linear_scale([0.0, most], "%", air=0.04)
    line = [(float(at), risk) for at, risk, _, _ in points]
    series = [Series("", [Polyline(line, "thin")])]
    rows: list[list[Child]] = []
    before = ""
    for at, risk, name, noted in points:
        case = name if name in look.marks else _OTHER
        tip = f"after {at:,} runs: {name}, {words.percent(risk)} %, {noted['left']} settings left"
        anchors = [(float(at), risk)] if name != before and name in leaders else ()
        series.append(Series(case, [Dot((float(at), risk), tip=tip)], anchors, name))
        rows.append([name, f"{at:,}", words.percent(risk), str(noted["left"])])
        before = name
    heads = ["leader", "runs made", "chance, %", "settings left"]
    return figure(label, drawn(look, Chart(x, y, series, label, "points")), table=table(heads, rows))


def _effects(result: Answer, rows: Sequence[Sequence[Child]]) -> Markup:
    parts = [table(["knob", "the goal", "left the race"], rows, texts=3)]
    counters: list[list[Child]] = [
        [figures.metric, words.estimate(figures.best), words.estimate(figures.today)] for figures in result.counters
    ]
    if counters:
        caption = "By which way: counters of the best setting and of today's"
        parts.append(table(["counter", "best", "today"], counters, caption=caption))
    return tag("div", *parts)
