"""What cannot be declared of netem: settings that mean nothing without another, or contradict each other."""

from __future__ import annotations

from collections.abc import Iterator

from harness.spec.shape import Shape

Mistake = tuple[str, str, str]
"""Dotted key, what is wrong with it, what to do."""
_THRESHOLD = ("fq", "codel", "fq_codel", "dualpi2")
_LEAST_BURST = 1e-9


def netem_mistakes(shape: Shape) -> Iterator[Mistake]:
    """Everything of the kind in one direction of a link."""
    if shape.distribution is not None and not shape.jitter_ns:
        yield "distribution", "a distribution means nothing without a jitter", 'add e.g. "jitter: 1ms"'
    if shape.gap > 1 and not shape.reorder:
        yield "gap", "gap means nothing without a reorder", 'add e.g. "reorder: 25%"'
    if shape.ecn and not shape.mean_loss and not any(state.loss for state in shape.states()):
        yield "ecn", "ecn marks what would be lost, and nothing would be", 'add e.g. "loss: 1%"'
    if shape.seed is not None and not shape.by_chance and shape.slots is None:
        yield "seed", "nothing here is left to chance", 'leave it out, or add e.g. "loss: 1%"'
    if shape.seed is not None and shape.changes is not None:
        yield "seed", "with every change netem would begin its draws anew", "leave out the seed, or the changes"
    for name, correlation in shape.correlation or ():
        drawn = "jitter" if name == "delay" else name
        if correlation and not (shape.jitter_ns if name == "delay" else getattr(shape, name)):
            got = f"a correlation of {name} means nothing without {drawn}"
            yield f"correlation.{name}", got, f"add {drawn}, or leave it out"
    yield from _losses(shape)
    if (slots := shape.slots) is not None and slots.most_ns is not None and slots.most_ns < slots.least_ns:
        yield "slots.most", "most is less than least", "give it at least that"
    yield from _leaf(shape)


def _losses(shape: Shape) -> Iterator[Mistake]:
    """Two models of loss, or one that is none."""
    models = [key for key in ("gilbert_elliott", "four_states") if getattr(shape, key) is not None]
    if len(models) > 1:
        yield models[1], f"{' and '.join(models)} are both models of loss", "keep one of them"
    for key in models:
        if shape.loss or any(state.loss for state in shape.states()):
            yield key, f"{key} takes the place of loss, by changes too", "keep one of them"
    if (four := shape.four_states) is not None and max(four.p13 + four.p14, four.p31 + four.p32) > 1 + _LEAST_BURST:
        yield "four_states", "the chances of leaving a state add up to over 100%", "lower p13 and p14, or p31 and p32"


def _leaf(shape: Shape) -> Iterator[Mistake]:
    """What a leaf cannot have."""
    leaf = shape.leaf
    if leaf is None:
        return
    if leaf.kind == "cake" and leaf.limit is not None:
        yield "qdisc.limit", "cake has no packet limit", "leave out the limit of cake"
    if leaf.ce_threshold_ns is not None and leaf.kind not in _THRESHOLD:
        yield "qdisc.ce_threshold", f"{leaf.kind} has no ce_threshold", f"take one of: {', '.join(_THRESHOLD)}"
    if leaf.ecn is not None and leaf.kind not in ("codel", "fq_codel"):
        yield "qdisc.ecn", f"{leaf.kind} has no switch for ECN", "leave it out, or take codel or fq_codel"
