"""What the models cannot say about links that change: their order in time, and what has to be there to be changed."""

from __future__ import annotations

from collections.abc import Iterator

from harness.errors import InputError
from harness.spec.link_changes import MOST_CHANGES, Changes
from harness.spec.messages import Path, problem
from harness.spec.shape import Shape
from harness.spec.topology import Topology
from harness.spec.trace_file import LEAST_BPS
from harness.spec.yaml_tree import Tree
from harness.units import format_duration, format_rate

# Of turn after turn; a change takes the kernel some us, and all links have one thread.
_LEAST_APART_NS = 100_000
_LONGEST_NS = 30 * 24 * 3600 * 10**9
# Above that the bucket of a rate has more bytes than kernels count.
_MOST_BPS = 10**14
_KINDS = ("steps", "on_off", "trace")


def change_mistakes(topology: Topology, shape: Shape, tree: Tree, path: Path) -> Iterator[InputError]:
    """Everything in the changes of a direction that cannot be done. path: of its shape."""
    changes = shape.changes
    if changes is None:
        return
    where: Path = (*path, "changes")
    given = [kind for kind in _KINDS if getattr(changes, kind) is not None]
    if len(given) != 1:
        got = f"{' and '.join(given)} stand side by side" if given else "it says nothing of what changes"
        yield problem(tree, where, got, f"give one of {', '.join(_KINDS)}", key=True)
        return
    if topology.engine == "mininet":
        got = "the shaping is Mininet's own, and cannot be changed"
        yield problem(tree, where, got, "take engine: netlink", key=True)
    if shape.method not in (None, "htb", "netem"):
        got = f"{shape.method} does not change as it runs"
        yield problem(tree, (*path, "method"), got, "leave it out (htb does), or take netem")
    if changes.on_off is not None and changes.every_ns is None:
        yield problem(tree, (*where, "on_off"), "it says not for how long to draw", 'add e.g. "every: 60s"', key=True)
    yield from _steps(changes, tree, where)
    yield from _needs(shape, tree, where)


def _steps(changes: Changes, tree: Tree, where: Path) -> Iterator[InputError]:
    """Steps that overlap, or say nothing."""
    before_ns: int = 0
    for number, step in enumerate(changes.steps or ()):
        here: Path = (*where, "steps", number)
        values = (step.rate_bps, step.delay_ns, step.loss)
        if step.at_ns < before_ns or (number and step.at_ns == before_ns and not _lasts(changes, number - 1)):
            got = f"the step before it is over at {format_duration(before_ns)}"
            yield problem(tree, (*here, "at"), got, "steps stand in the order of time, and do not overlap")
        if all(value is None for value in (*values, step.down_ns)):
            yield problem(tree, here, "a step that changes nothing", "give it rate, delay, loss or down")
        for key, value in (("over", step.over_ns), ("down", step.down_ns)):
            if value == 0:
                yield problem(tree, (*here, key), f"{key} of 0 is no time", "leave it out")
        if step.over_ns and all(value is None for value in values):
            yield problem(tree, (*here, "over"), "a ramp to nothing", "give the step a rate, delay or loss", key=True)
        if step.over_ns and step.down_ns:
            yield problem(tree, (*here, "over"), "over and down exclude each other", "make two steps of it", key=True)
        if step.rate_bps is not None and step.rate_bps < LEAST_BPS:
            yield problem(tree, (*here, "rate"), "a frame would take over 12 s", "take 1kbit at least, or down")
        before_ns = max(before_ns, step.end_ns)
    if changes.steps and changes.every_ns is not None and changes.every_ns <= before_ns:
        got = f"its steps last until {format_duration(before_ns)}"
        yield problem(tree, (*where, "every"), got, "take a longer time")


def _lasts(changes: Changes, number: int) -> bool:
    """Does the step take time, so that the next may begin at its end?"""
    step = (changes.steps or ())[number]
    return step.end_ns > step.at_ns


def _needs(shape: Shape, tree: Tree, where: Path) -> Iterator[InputError]:
    """Changes of what is not there to be changed, and too many of them."""
    course, states = shape.course, shape.states()
    assert course is not None
    if shape.method == "netem" and any(state.down for state in states):
        got = "a queue of netem cannot be taken down"
        yield problem(tree, where, got, 'leave out method: netem, or take "loss: 100%"', key=True)
    if shape.rate_bps is None:
        if any(state.rate_bps is not None for state in states):
            got, todo = "the rate changes, and there is none before that", 'add e.g. "rate: 10mbit" beside it'
            yield problem(tree, where, got, todo, key=True)
        elif any(state.down for state in states):
            got = "what goes down is the queue of a rate, and there is none"
            yield problem(tree, where, got, 'add e.g. "rate: 10gbit" beside it', key=True)
    if len(course.moments) > MOST_CHANGES:
        got = f"more than {MOST_CHANGES:,} changes in a turn"
        yield problem(tree, where, got, "take a shorter part of it", key=True)
    elif course.period_ns and course.period_ns < len(course.moments) * _LEAST_APART_NS:
        got = f"{len(course.moments):,} changes every {format_duration(course.period_ns)}"
        yield problem(tree, where, got, f"leave {format_duration(_LEAST_APART_NS)} for each on average", key=True)
    if max(course.period_ns, course.moments[-1].at_ns) > _LONGEST_NS:
        yield problem(tree, where, "it takes more than 30 days", "take a shorter time", key=True)
    if any((state.rate_bps or 0) > _MOST_BPS for state in states):
        yield problem(tree, where, f"a rate over {format_rate(_MOST_BPS)}", "take a lower one", key=True)
