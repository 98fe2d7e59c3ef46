"""One experiment of many short runs: the memory, descriptors and threads of the command stay as they are."""

from __future__ import annotations

import argparse
import os
import re
import signal
import statistics
import time
from pathlib import Path

from tests.campaign import beds
from tests.campaign.host import JAILED, Host
from tests.campaign.jail import HOME
from tests.campaign.nursery import Nursery

_LOOK_S = 0.5
_SHORT = {"warmup": "1ms", "duration": "10ms"}
"""A run leaks when it is made and taken down, not while it measures."""
_GROWTH_KB = 8_000
"""More memory in the last quarter than in the second one is a leak; a record of a run is kept on the disk alone."""


def soak(arguments: argparse.Namespace) -> int:
    """Run it, look at the process meanwhile, print the quarters; exit code 1 if it grows, or leaves anything."""
    directory = HOME / "soak"
    directory.mkdir()
    path = beds.write(directory, "pair", repeat=arguments.count, workload=beds.BEDS["pair"]["workload"] | _SHORT)
    looks: list[tuple[float, int, int, int]] = []
    with Nursery(HOME / "said") as nursery:
        assert nursery.start("run", str(path), "-o", str(HOME), "--repeat", "1", fresh=True).wait(60) in (0, 1)
        host = Host("/proc/sys" if arguments.hosts_network else JAILED)
        before, began = host.look(), time.monotonic()
        child = nursery.start("run", str(path), "-o", str(directory / "out"), fresh=True)
        asked = False
        while not child.ended_within(_LOOK_S):
            if arguments.minutes and not asked and time.monotonic() - began > 60 * arguments.minutes:
                asked = True  # once: who is asked again leaves at once
                child.end(signal.SIGINT)
            if (look := _look(child.pid)) is not None:
                looks.append((time.monotonic() - began, *look))
        code = child.wait(60)
        left = host.difference(before)
        done = len(re.findall(r"^\d+/\d+ .*: \w", child.err.read_text(), re.MULTILINE))
    quarter = max(1, len(looks) // 4)
    print(f"{'':<10}{'memory kB':>12}{'descriptors':>13}{'threads':>9}")
    means = []
    for number in range(4):
        part = looks[number * quarter : (number + 1) * quarter]
        means.append([statistics.median(look[column] for look in part) for column in (1, 2, 3)])
        print(f"quarter {number + 1} {means[-1][0]:>12.0f}{means[-1][1]:>13.0f}{means[-1][2]:>9.0f}")
    grown = [means[3][0] - means[1][0] > _GROWTH_KB, means[3][1] > means[1][1] + 1, means[3][2] > means[1][2]]
    print(f"{done} runs in {time.monotonic() - began:.0f} s, exit code {code}, {'grows' if any(grown) else 'flat'}")
    for text in left:
        print(text)
    return 1 if any(grown) or left or code not in (0, 1, 130) else 0


def _look(pid: int) -> tuple[int, int, int] | None:
    """Resident kB, open descriptors, threads; None once it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        resident, threads = (re.search(rf"^{key}:\s+(\d+)", status, re.MULTILINE) for key in ("VmRSS", "Threads"))
        return (
            None
            if resident is None or threads is None
            else (int(resident[1]), len(os.listdir(f"/proc/{pid}/fd")), int(threads[1]))
        )
    except OSError:
        return None
