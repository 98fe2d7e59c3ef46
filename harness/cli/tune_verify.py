"""`pollbench tune --verify`: new runs only: does the best of a tuning still beat what was today's setting, here?"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from harness.cli.building import build_programs
from harness.cli.carry_out import carry_out, new_set
from harness.cli.plan import overrides_of
from harness.cli.terminal import say
from harness.cli.tune_places import place_of
from harness.errors import EXIT_INTERRUPTED, EXIT_NOT_VALID, EXIT_OK, InputError
from harness.plan import load_experiment, make_plan
from harness.report.tuning import factor
from harness.signals import stop_on_signals
from harness.stats import effect
from harness.store import ResultSet, RunRecord


def verify(arguments: argparse.Namespace) -> int:
    """Run best.yaml of a tuned set in a set of its own, and say whether its lead is shown again."""
    tuned = ResultSet.open(arguments.verify)
    path = Path(arguments.verify) / "best.yaml"
    document = tuned.plan.get("document") or {}
    goal = (document.get("tune") or {}).get("goal") or {}
    if goal.get("beside"):
        got, todo = "it looked for a front, which has no best setting", "measure the front anew: run its front.yaml"
        raise InputError("verify a tuning", str(tuned.path), got, todo)
    if not path.is_file() or not goal:
        raise InputError("verify a tuning", str(tuned.path), "it has no best.yaml", "name a tuning that has ended")
    where = place_of(arguments, tuned)
    experiment = load_experiment(path, [*overrides_of(arguments.set), *where.overrides()], guest=where.guest)
    if len(experiment.case_descriptions) < 2:
        say("pollbench: the best is today's setting: there is nothing to verify")
        return EXIT_OK
    plan = make_plan(experiment, seed=arguments.seed)
    where.check(experiment, plan)
    with stop_on_signals() as stopper, where.opened(stopper) as place:
        build_programs(plan)
        results = new_set(place, plan, experiment.data, arguments.output)
        interrupted = carry_out(place, plan, results, where.progress(place, plan, results))
        if interrupted is not None:
            say(f"pollbench: {interrupted.line()}")
            return EXIT_INTERRUPTED
    metric, least = str(goal.get("least") or goal.get("most")), bool(goal.get("least"))
    today, best = (_by_block(results.records(), case, metric) for case in ("today", "best"))
    shared = sorted(today.keys() & best.keys())
    ratio = effect([today[block] for block in shared], [best[block] for block in shared], paired=True).ratio
    say(f"results: {results.path}")
    if ratio is None or ratio.interval is None:
        print(f"verify: too few valid blocks ({len(shared)}) to tell")
        return EXIT_NOT_VALID
    holds = ratio.interval.high < 1 if least else ratio.interval.low > 1
    verdict = "the best is still better" if holds else "that the best is better is not shown here"
    print(
        f"verify: {metric} {factor(ratio.value, ratio.interval)} than today's, on {len(shared)} new blocks: {verdict}"
    )
    return EXIT_OK if holds else EXIT_NOT_VALID


def _by_block(records: list[RunRecord], case: str, metric: str) -> dict[int, float]:
    """Block to the geometric mean of a column over all loads, of blocks whose runs all count."""
    loads = {repr(sorted(record.factors.items())) for record in records}
    values: dict[int, list[float]] = {}
    for record in records:
        value = record.metrics.get(metric)
        if record.case == case and record.verdict == "valid" and value is not None and value > 0:
            values.setdefault(record.block, []).append(float(value))
    return {block: float(np.exp(np.mean(np.log(own)))) for block, own in values.items() if len(own) == len(loads)}
