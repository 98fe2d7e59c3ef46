"""`pollbench calibrate`: an A/A experiment on this host, what it says about its noise, and keeping that."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from harness import columns
from harness.analysis.calibration.aa import aa_experiment
from harness.analysis.calibration.known import entry_of
from harness.analysis.calibration.noise import Noise, noise_of
from harness.analysis.compare import DEFAULT_METRICS
from harness.cli.calibrations import keep
from harness.cli.carry_out import carry_out, open_set
from harness.cli.plan import overrides_of, print_plan, refuse_inventory_hosts
from harness.cli.progress import Progress
from harness.cli.terminal import need_root, owner_of_results, print_styled, say, width_and_color
from harness.errors import EXIT_NOT_VALID, EXIT_OK
from harness.kernel import facts
from harness.places.local import this_host
from harness.plan import make_plan
from harness.report import words
from harness.report.layout import Block, Col, Para, Table, Text, to_text
from harness.run.limits import refuse_beyond
from harness.signals import stop_on_signals
from harness.spec.load import check_cpus, load_experiment
from harness.tables import load_source

DEFAULT_REPEAT = 40
_MOST_SIZE = 10


def calibrate(arguments: argparse.Namespace) -> int:
    """Run the same case under two names, tell how often a difference is claimed, and what could be seen."""
    experiment = load_experiment(arguments.file, overrides_of(arguments.set))
    check_cpus(experiment, facts.online_cpus())
    least = experiment.adaptive.least if experiment.adaptive else experiment.repeat
    doubled = aa_experiment(experiment, arguments.case)
    plan = make_plan(doubled, repeat=arguments.repeat or DEFAULT_REPEAT, seed=arguments.seed)
    if arguments.dry_run:
        return print_plan(doubled, plan, as_json=arguments.json)
    refuse_inventory_hosts(plan)
    refuse_beyond(doubled, plan)
    need_root("calibrate")
    with stop_on_signals() as stopper, this_host(stopper, say, wait=arguments.wait, redo=arguments.redo) as place:
        results = open_set(place, plan, doubled.data, arguments)
        interrupted = carry_out(place, plan, results, Progress(plan=plan, made=results.records()))
    if interrupted is not None:
        raise interrupted
    source = load_source(results.path)
    noise = noise_of(source.runs, DEFAULT_METRICS, max(5, min(least, _MOST_SIZE)))
    _print(noise, source.label, as_json=arguments.json)
    say(f"results: {results.path}")
    if arguments.store:
        label = f"{experiment.name}, {arguments.case or next(iter(experiment.case_descriptions))}"
        made = datetime.now(UTC).isoformat(timespec="seconds")
        keep(entry_of(source.runs, label, made, noise), owner_of_results())
    return EXIT_OK if noise and int((source.runs["verdict"] == "valid").sum()) == len(plan.runs) else EXIT_NOT_VALID


def _print(noise: Sequence[Noise], label: str, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"label": label, "noise": [asdict(metric) for metric in noise]}, indent=1))
        return
    cols = (
        Col("metric", right=False),
        Col("runs\nvary by"),
        Col("claims of a difference\nwhere there is none", right=False),
        Col("smallest effect\nshown 4 times in 5"),
    )
    blocks: list[Block] = [Para(f"{label}: too few valid runs to say anything", "warn")]
    if noise:
        legend = (
            f"Each comparison is of {noise[0].size} blocks, each block used once; [..] holds the true rate with 95 %, "
            "taking comparisons as independent. An effect this size is shown by 4 of 5 experiments of that many "
            "blocks; a smaller one needs more of them, or a quieter host."
        )
        heading = Para(f"{label}: the same case under two names", "bold")
        blocks = [heading, Table(cols, tuple(map(_row, noise))), Para(legend, "dim", bullet=True)]
    print_styled(to_text(blocks, *width_and_color()).rstrip("\n"))


def _row(noise: Noise) -> tuple[Text, ...]:
    hits = f"{noise.hits} of {noise.comparisons}"
    if noise.rate is not None:
        hits += f" [{100 * noise.rate.low:.0f}..{100 * noise.rate.high:.0f} %]"
    label, effect = Text(columns.metric(noise.metric).label), Text(_percent(noise.least_effect), "bold")
    return label, Text(_percent(noise.spread)), Text(hits), effect


def _percent(share: float | None) -> str:
    return words.BLANK if share is None else f"{words.short(100 * share)} %"
