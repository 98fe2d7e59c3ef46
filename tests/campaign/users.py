"""Two users at one moment: whoever comes second waits or is refused in words, nobody's results or host are harmed."""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import signal
import time
from collections import Counter
from pathlib import Path

from harness.store import ResultSet
from tests.campaign import beds
from tests.campaign.host import JAILED, Host, foreign_things, in_words
from tests.campaign.jail import HOME
from tests.campaign.nursery import Child, Nursery

_PATIENCE_S = 300.0
_CODES = (0, 1, 2, 3, 130)
_FINISHED = re.compile(r"^\d+/\d+ .*: (valid|inert|suspect|failed|skipped)", re.MULTILINE)
_USERS = {"root": 0, "alice": 65501, "bob": 65502, "carol": 65503}
"""carol has no rights at all; alice and bob have sudo."""
_COMMANDS = {
    "run": ["run", "{bed}", "-o", "{home}/out"],
    "wait": ["run", "{bed}", "-o", "{home}/out", "--wait"],
    "up": ["up", "{bed}", "--name", "{user}"],
    "clean": ["clean"],
    "plan": ["plan", "{bed}"],
    "doctor": ["doctor", "{bed}"],
}
_WEIGHTS = (8, 6, 3, 4, 1, 1)
_BEDS = ("pair", "switch", "hogs", "busy poll")


def users(arguments: argparse.Namespace) -> int:
    """Have two users type commands in the same second; print the table; exit code 1 if either came to harm."""
    tried: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    began = time.monotonic()
    HOME.chmod(0o755)
    with foreign_things(), Nursery(HOME / "said") as nursery:
        path = beds.write(HOME, "pair")
        assert nursery.start("run", str(path), "-o", str(HOME / "first"), fresh=True).wait(_PATIENCE_S) in (0, 1)
        host = Host("/proc/sys" if arguments.hosts_network else JAILED)
        before = host.look()
        for seed in _chosen(arguments):
            if arguments.minutes and time.monotonic() - began > 60 * arguments.minutes:
                break
            scene = Scene(nursery, seed)
            faults = scene.played()
            left = host.difference(before)
            tried[scene.name] += 1
            if faults or left:
                failed[scene.name] += 1
                print(f"pair:{seed} ({scene.name}): {in_words('; '.join(faults), left)}", flush=True)
                before = host.look()
            shutil.rmtree(scene.home)
    print(f"\n{'commands':<14}{'tried':>7}{'survived':>10}{'failed':>8}")
    for name in sorted(tried):
        print(f"{name:<14}{tried[name]:>7}{tried[name] - failed[name]:>10}{failed[name]:>8}")
    print(f"{tried.total()} pairs of users, {failed.total()} failed, in {time.monotonic() - began:.0f} s")
    print("one alone: python -m tests.campaign users --only pair:SEED")
    return 1 if failed else 0


def _chosen(arguments: argparse.Namespace) -> list[int]:
    if arguments.only:
        return [int(text.partition(":")[2]) for text in arguments.only]
    return list(range(arguments.seed, arguments.seed + arguments.count))


class Scene:
    """Two users, a command each, and what becomes of them."""

    def __init__(self, nursery: Nursery, seed: int) -> None:
        self._nursery = nursery
        self._chance = random.Random(f"users:{seed}")
        self.home = HOME / "homes"
        self._who = self._chance.sample(list(_USERS), 2)
        self._commands = self._chance.choices(list(_COMMANDS), _WEIGHTS, k=2)
        self.name = "+".join(sorted(self._commands))

    def played(self) -> list[str]:
        """What went wrong, in words."""
        children = [self._started(user, command) for user, command in zip(self._who, self._commands, strict=True)]
        faults = []
        if self._chance.random() < 0.3:
            victim, number = self._chance.choice(children), self._chance.choice((signal.SIGKILL, signal.SIGINT))
            victim.ended_within(self._chance.uniform(0, 3.0))
            victim.end(number, group=True)
        for child, user in zip(children, self._who, strict=True):
            faults += [f"{user}: {fault}" for fault in [_judged(child)] if fault]
        for user, command in zip(self._who, self._commands, strict=True):
            if command == "up":
                self._nursery.start("down", user, fresh=True).wait(_PATIENCE_S)
        cleaned = self._nursery.start("clean", fresh=True)
        if cleaned.wait(_PATIENCE_S) != 0 or "failed" in cleaned.said():
            faults.append(f"clean: {cleaned.said()[-200:]}")
        for child, user in zip(children, self._who, strict=True):
            faults += [f"{user}: {fault}" for fault in self.harmed(child, user)]
        return faults

    def _started(self, user: str, command: str) -> Child:
        home, uid = self.home / user, _USERS[user]
        home.mkdir(parents=True, mode=0o755)
        os.chown(home, uid, uid)
        bed = beds.write(home, self._chance.choice(_BEDS))
        words = [word.format(bed=bed, home=home, user=user) for word in _COMMANDS[command]]
        by_sudo = ("env", f"SUDO_UID={uid}", f"SUDO_GID={uid}", f"SUDO_USER={user}", f"HOME={home}")
        no_rights = ("setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups")
        prefix = {"root": (), "carol": no_rights}.get(user, by_sudo)
        child = self._nursery.start(*words, fresh=True, prefix=prefix)
        child.ended_within(self._chance.choice((0.0, self._chance.uniform(0, 2.5))))
        return child

    def harmed(self, child: Child, user: str) -> list[str]:
        """Whose are the files, and are the runs there that were said to be finished?"""
        faults, out = [], self.home / user / "out"
        for directory, folders, names in os.walk(out):
            for name in (*folders, *names):
                owner = os.lstat(Path(directory) / name).st_uid
                if owner != _USERS[user]:
                    faults.append(f"{directory}/{name} belongs to {owner}")
        finished = len(_FINISHED.findall(child.err.read_text(errors="replace")))
        records = 0
        for base in out.glob("*"):
            results = ResultSet.latest(out, base.name)
            records += len(results.records()) if results else 0
        if records < finished:
            faults.append(f"lost: {finished} said, {records} on disk")
        return faults[:3]


def _judged(child: Child) -> str:
    code, said = child.wait(_PATIENCE_S), child.said()
    last = (said.strip().splitlines() or ["nothing"])[-1][:200]
    if code is None:
        return f"hang: {last}"
    if code in (-signal.SIGKILL, -signal.SIGINT):
        return ""
    if "Traceback" in said or code == 5:
        return "" if "/harness/" not in said and code == 1 else f"traceback: {said[-600:]}"
    return f"exit code {code}: {last}" if code not in _CODES else ""
