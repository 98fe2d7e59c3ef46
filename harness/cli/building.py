"""Makes the programs of an experiment before its first run: the `build` of its workloads, where its file is."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

from harness.cli.terminal import owner_of_results, say
from harness.errors import InputError, MissingError, PollbenchError
from harness.plan import Plan
from harness.workloads.command import Command

_LIMIT_S = 600
_made: set[tuple[str, tuple[str, ...]]] = set()


def build_programs(plan: Plan) -> None:
    """Run each `build` of the plan's workloads once, as who typed sudo.

    Raises MissingError where there is no such program, PollbenchError where it fails, with its last lines.
    """
    missing = {
        (workload.home, workload.build): None
        for cell in plan.cells
        for workload in cell.spec.workloads()
        if isinstance(workload, Command) and workload.build
    }
    for home, words in missing:
        if (home, words) in _made:
            continue
        _made.add((home, words))
        if not Path(home).is_dir():
            raise InputError("build", home, "there is no such directory", "run it from the experiment file")
        say(f"pollbench: {shlex.join(words)} in {home}")
        _build(list(words), home)


def _build(words: list[str], home: str) -> None:
    # What it makes belongs to whoever typed sudo, as its sources do.
    user, group = owner_of_results() or (None, None)
    if Path(home).stat().st_uid == 0:
        user = group = None
    try:
        done = subprocess.run(
            words, cwd=home, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=_LIMIT_S, check=False, user=user, group=group,
        )  # fmt: skip
    except FileNotFoundError:
        raise MissingError("build", home, f"there is no program {words[0]}", "install it") from None
    except subprocess.TimeoutExpired:
        raise PollbenchError("build", home, f"it takes longer than {_LIMIT_S} s") from None
    except OSError as error:
        raise PollbenchError("build", home, f"{shlex.join(words)}: {error.strerror}") from None
    if done.returncode:
        last = " | ".join((done.stderr or done.stdout).strip().splitlines()[-4:])
        raise PollbenchError("build", home, f"{shlex.join(words)} ended with {done.returncode}: {last}")
