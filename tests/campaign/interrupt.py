"""Every command under Ctrl-C at a random moment: answered at once, exit code 130, no traceback, nothing left."""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import time
from collections import Counter
from pathlib import Path

from tests.campaign import beds
from tests.campaign.host import JAILED, Host, foreign_things, in_words
from tests.campaign.jail import HOME, ROOT
from tests.campaign.nursery import Child, Nursery

PATIENCE_S = 180.0
# A second, and what a busy host lets it wait for a CPU.
_ANSWER_S = 5.0
_STOPPING = "pollbench: stopping; Ctrl-C again ends at once"
_WORK = HOME / "work"
# A traceback without it is of Python's own start, before our first line (docs/reliability.md).
_OURS = "/harness/"


def _commands() -> dict[str, list[str]]:
    """Each command's words. {out}: a directory of the scene's own; {set}, {other}: result sets; {bed}: a file."""
    golden = ROOT / "tests" / "golden"
    return {
        "run": ["run", "{bed}", "-o", "{out}"],
        "resume": ["run", "{bed}", "-o", "{sets}", "--resume"],
        "plan": ["plan", "{bed}"],
        "validate": ["validate", "{bed}", str(ROOT / "experiments" / "load-curve.yaml")],
        "doctor": ["doctor", "{bed}"],
        "show": ["show", "{set}"],
        "compare": ["compare", "{set}", "{set}"],
        "trend": ["trend", "{set}", "-o", "{out}/trend.html"],
        "export": ["export", "--format", "parquet", "{set}", "-o", "{out}/dataset"],
        "suite": ["suite", "--no-run", "-o", "{suite}"],
        "tune": ["tune", str(ROOT / "experiments" / "tune-quickstart.yaml"), "--budget", "5s", "-o", "{out}"],
        "explain": ["run", "{bed}", "-o", "{out}", "--explain"],
        "report": ["report", "{set}", "-o", "{out}/page.html"],
        "plot": ["plot", "{set}", "--kind", "ecdf", "-o", "{out}/figure.svg"],
        "import": ["import", "auto", str(golden / "import"), "-o", "{out}"],
        "topology": ["topology", "{bed}"],
        "mininet": ["topology", "tree,2,3"],
        "up": ["up", "{bed}", "--name", "held", "--pingall"],
        "host": ["host", "show"],
        "prepare": ["host", "prepare", "--check", "--state", "{out}/state.json"],
        "gallery": ["gallery", "--list"],
        "calibrate": ["calibrate", "{bed}", "-o", "{out}"],
        "clean": ["clean"],
        "schema": ["schema"],
        "completion": ["completion", "bash"],
        "fleet": ["fleet", "run", "{bed}", "-i", "{inventory}", "-o", "{out}"],
    }


def interrupt(arguments: argparse.Namespace) -> int:
    """Interrupt commands in turn; print the table; exit code 1 if one did not end as it should."""
    tried: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    early: Counter[str] = Counter()
    answered_s: dict[str, list[float]] = {}
    began = time.monotonic()
    with foreign_things(), Nursery(HOME / "said") as nursery:
        places, takes_s = _prepared(nursery, {text.partition(":")[0] for text in arguments.only or []})
        host = Host("/proc/sys" if arguments.hosts_network else JAILED)
        before = host.look()
        for name, seed in _chosen(arguments, takes_s):
            if arguments.minutes and time.monotonic() - began > 60 * arguments.minutes:
                break
            out = _WORK / "out"
            out.mkdir()
            words = [word.format(out=out, **places) for word in _commands()[name]]
            chance = random.Random(f"{name}:{seed}")
            child = nursery.start(*words, fresh=True)
            child.ended_within(chance.uniform(0.02, 1.1 * takes_s[name]))
            sent = child.end(signal.SIGINT, group=True)
            answered_s.setdefault(name, []).append(_answered_s(child))
            fault = _judged(child, sent, answered_s[name][-1])
            if "take it down: " in child.said():
                nursery.start("down", "held", fresh=True).wait(PATIENCE_S)
            left = host.difference(before)
            tried[name] += sent
            if fault == "early":
                early[name] += 1
                fault = ""
            if fault or left:
                failed[name] += 1
                print(f"{name}:{seed}: {in_words(fault, left)}", flush=True)
                nursery.start("clean", fresh=True).wait(PATIENCE_S)
                before = host.look()
            shutil.rmtree(out)
    print(f"\n{'command':<12}{'tried':>7}{'survived':>10}{'failed':>8}{'before our first line':>24}{'answer, s':>12}")
    for name in sorted(tried):
        line = f"{name:<12}{tried[name]:>7}{tried[name] - failed[name]:>10}{failed[name]:>8}{early[name]:>24}"
        print(f"{line}{max(answered_s[name]):>12.1f}")
    print(f"{tried.total()} interrupted, {failed.total()} failed, in {time.monotonic() - began:.0f} s")
    print("one alone: python -m tests.campaign interrupt --only COMMAND:SEED")
    return 1 if failed else 0


def _answered_s(child: Child) -> float:
    """How long it takes from now until it has ended, or has said that it will."""
    asked = time.monotonic()
    while not child.ended_within(0.05) and _STOPPING not in child.said():
        if time.monotonic() - asked > PATIENCE_S:
            break
    return time.monotonic() - asked


def _judged(child: Child, sent: bool, answered_s: float) -> str:
    """What is wrong with its end; "early" for one that had not come to our first line."""
    code = child.wait(PATIENCE_S)
    said = child.said()
    last = (said.strip().splitlines() or ["nothing"])[-1][:200]
    if code is None:
        return f"hang: {last}"
    if not sent:
        # 130: it came, and was answered before we looked.
        return f"exit code {code} without a signal: {last}" if code not in (0, 1, 2, 3, 130) else ""
    if "Traceback" in said or code == -signal.SIGINT:
        return f"traceback: {said[-600:]}" if _OURS in said else "early"
    if code not in (130, 0, 1, 3) or (code != 130 and "pollbench: interrupted" in said):
        return f"exit code {code}: {last}"
    return f"answered after {answered_s:.1f} s: {last}" if answered_s > _ANSWER_S else ""


def _prepared(nursery: Nursery, only: set[str]) -> tuple[dict[str, str | Path], dict[str, float]]:
    """Result sets, an inventory and a file, and how long each command takes when nobody interrupts it."""
    _WORK.mkdir()
    bed, inventory = beds.write(_WORK, "pair"), _WORK / "inventory.yaml"
    inventory.write_text(beds.FLEET.format(python=sys.executable, command=f"{sys.executable} -m harness"))
    places: dict[str, str | Path] = {"bed": bed, "inventory": inventory, "sets": _WORK / "sets"}
    places["suite"] = shutil.copytree(ROOT / "results" / "reference" / "suite", _WORK / "suite")
    assert nursery.start("run", str(bed), "-o", str(_WORK / "sets"), fresh=True).wait(PATIENCE_S) in (0, 1)
    places["set"] = next((_WORK / "sets" / "pair").iterdir())
    takes_s = {}
    for name, command in _commands().items():
        if only and name not in only:
            continue
        out = _WORK / "out"
        out.mkdir()
        begun = time.monotonic()
        child = nursery.start(*(word.format(out=out, **places) for word in command), fresh=True)
        code = child.wait(PATIENCE_S)
        takes_s[name] = time.monotonic() - begun
        print(f"  {name}: {takes_s[name]:.1f} s undisturbed, exit code {code}", file=sys.stderr, flush=True)
        if name == "up":
            nursery.start("down", "held", fresh=True).wait(PATIENCE_S)
        shutil.rmtree(out)
    return places, takes_s


def _chosen(arguments: argparse.Namespace, names: dict[str, float]) -> list[tuple[str, int]]:
    if arguments.only:
        return [(name, int(seed)) for name, _, seed in (text.partition(":") for text in arguments.only)]
    seeds = range(arguments.seed, arguments.seed + -(-arguments.count // len(names)))
    return [(name, seed) for seed in seeds for name in names][: arguments.count]
