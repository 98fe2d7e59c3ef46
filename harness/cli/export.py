"""`pollbench export`: result sets for those who have a database: OpenMetrics text, or a Parquet dataset."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.analysis.compare.choose import metrics_measured
from harness.analysis.trend.gather import PLACE, Asked, Member, histories
from harness.cli.columns import metrics_asked
from harness.cli.terminal import owner_of_results, say
from harness.cli.trend import members_of, nothing_counts
from harness.columns import main_of
from harness.errors import EXIT_OK, InputError
from harness.store.atomic import explained, write_file


def export(arguments: argparse.Namespace) -> int:
    """Write every set in and below the directories."""
    members = list(members_of(arguments))
    if arguments.format == "parquet":
        return _parquet(members, arguments.output)
    asked = metrics_asked(arguments, [member.source for member in members])
    there = {name for member in members for name in metrics_measured(member.source.table)}
    main = tuple(main_of(sorted(there)))
    by = (*PLACE, *(["kernel"] if any("kernel" in member.source.table for member in members) else ()))
    made, common, _ = histories(members, Asked(metrics=asked or main or None, by=by, include=arguments.include))
    if not made:
        raise nothing_counts(members)
    # Imported here: the dataset needs none of it.
    from harness.report.openmetrics import openmetrics

    text = openmetrics(made, common)
    if arguments.output is None:
        print(text, end="")
        return EXIT_OK
    target = Path(arguments.output)
    with explained("write the metrics", target, keep="nothing was changed"):
        write_file(target, text.encode("utf-8", "backslashreplace"), owner_of_results())
    say(f"metrics: {target} ({len(made)} histories of {len(members)} sets)")
    return EXIT_OK


def _parquet(members: list[Member], output: str | None) -> int:
    if output is None:
        raise InputError("write a dataset", got="it is a directory of files", todo="name it with -o DIR", where="-o")
    from harness.tables.dataset import write_dataset

    files = write_dataset([member.source for member in members], Path(output), owner_of_results())
    say(f"dataset: {output} ({len(files)} sets)")
    return EXIT_OK
