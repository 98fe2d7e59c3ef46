"""`pollbench trend`: many result sets over time, and where a figure moves to another level; any OS, no root."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.analysis.trend import History, Trend
from harness.analysis.trend import trend as judged
from harness.analysis.trend.gather import COMMIT, Asked, Member
from harness.cli.columns import mapping_of, metrics_asked, with_columns
from harness.cli.terminal import owner_of_results, print_styled, say, width_and_color
from harness.errors import EXIT_GATE, EXIT_OK, InputError
from harness.report import trend as wording
from harness.store.atomic import explained, write_file
from harness.tables.source import load_runs_of, sets_below

_TIME = re.compile(r"\d{4}(-\d\d(-\d\d([T ]\d\d(:\d\d(:\d\d.*)?)?)?)?)?")


def trend(arguments: argparse.Namespace) -> int:
    """Print the histories. Exit code 6 when one changes in a way that --fail-on-change names."""
    members = list(members_of(arguments))
    sources = [member.source for member in members]
    asked = Asked(
        metrics=metrics_asked(arguments, sources),
        by=arguments.by,
        label=arguments.label,
        filters=tuple(with_columns(arguments.filter, sources)),
        include=arguments.include,
    )
    view = judged(members, asked)
    if not view.histories:
        raise nothing_counts(members)
    since = _since(view, arguments.since)
    width, color = width_and_color()
    text = wording.trend(view, arguments.format, width, color).rstrip("\n")
    (print_styled if arguments.format == "text" else print)(text)
    if arguments.output:
        _page(view, Path(arguments.output))
    return _judged(view, arguments.fail_on_change, since)


def nothing_counts(members: Sequence[Member]) -> InputError:
    """No history could be made of these sets."""
    got = f"of {len(members)} sets none has a run that counts and that was asked for"
    return InputError("look for a history", got=got, todo="--include suspect counts those too")


def members_of(arguments: argparse.Namespace) -> Iterator[Member]:
    """Every set of every input, each once, with the label that was typed."""
    typed, known = mapping_of(arguments), set[Path]()
    commits = getattr(arguments, "label", None) == COMMIT
    for text in arguments.input:
        name, path = _parted(text)
        for place in sets_below(path):
            if (real := place.resolve()) in known:
                continue
            known.add(real)
            yield Member(load_runs_of(place, typed), name, _manifest(place) if commits else None)


def _parted(text: str) -> tuple[str, Path]:
    """The label of LABEL=DIR, and the directory; of what is there as it stands the name is no label."""
    label, _, path = text.rpartition("=")
    return (label, Path(path)) if label and not Path(text).exists() else ("", Path(text))


def _manifest(place: Path) -> dict[str, object] | None:
    from harness.store.regular import read_regular  # a history of dates needs none of it

    try:
        document = json.loads(read_regular(place / "manifest.json"))
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def _since(view: Trend, text: str | None) -> dict[int, int]:
    """Of each history that has it the place from which on changes fail. InputError where none has."""
    if text is None:
        return dict.fromkeys(range(len(view.histories)), 0)
    places = {at: place for at, history in enumerate(view.histories) if (place := _place(history, text)) is not None}
    if not places:
        labels = list(dict.fromkeys(moment.label for history in view.histories for moment in history.moments))
        todo = f"there is {', '.join(labels[:3])} to {labels[-1]}, or give a time: 2026-11-30"
        raise InputError("look for changes", repr(text), "no set is called so, or later than that", todo, "--since")
    return places


def _place(history: History, text: str) -> int | None:
    labels = [moment.label for moment in history.moments]
    if text in labels:
        return labels.index(text)
    # A commit may begin with four digits, too.
    if not _TIME.fullmatch(text):
        return None
    time = text.replace(" ", "T")
    return next((at for at, moment in enumerate(history.moments) if moment.begun >= time), None)


def _judged(view: Trend, fails: str | None, since: dict[int, int]) -> int:
    """The exit code, and a line that says why."""
    if fails is None:
        return EXIT_OK
    counted = [
        (history, shift)
        for at, history in enumerate(view.histories)
        for shift in history.shifts
        # What may have changed then or later, has.
        if at in since and shift.latest >= since[at] and (fails == "any" or shift.judged == "worse")
    ]
    for text, _ in wording.sentences(view, counted):
        say(f"pollbench: --fail-on-change {fails}: {text}")
    if not counted:
        say(f"pollbench: --fail-on-change {fails}: passed")
    return EXIT_GATE if counted else EXIT_OK


def _page(view: Trend, target: Path) -> None:
    from harness.report.html.trend import trend_page

    data = trend_page(view).encode("utf-8", "backslashreplace")
    with explained("write the page", target, keep="nothing was changed"):
        write_file(target, data, owner_of_results())
    say(f"page: {target} ({len(data) / 1e6:.2f} MB)")
