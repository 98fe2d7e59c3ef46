"""git bisect over a tree of kernels: each commit that git chooses is built, once, and called good, bad or neither."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.errors import InputError, Interrupted, PollbenchError
from harness.places.vm.home import Home
from harness.signals import await_readable
from harness.store.atomic import write_file

Called = Literal["good", "bad", "skip"]
_FIRST = re.compile(r"^([0-9a-f]{40}) is the first bad commit", re.MULTILINE)
_BUILDS = "builds.json"
# What git bisect skip ends with where there is no other commit left.
_ALL_SKIPPED = 2
_GRACE_S = 10.0


@dataclass(frozen=True)
class Commit:
    """A commit by its hash, and what its message begins with."""

    hash: str
    subject: str

    @property
    def short(self) -> str:
        """As much of the hash as names it."""
        return self.hash[:12]


@dataclass(frozen=True)
class Found:
    """What a bisection came to: the first bad commit, or, where too many were skipped, all that may be it."""

    candidates: tuple[Commit, ...]


class Tree:
    """A checkout of git, bisected in place, as `git bisect` does: so that builds go on from one another."""

    def __init__(self, path: Path) -> None:
        """Raises InputError for a directory that is no checkout, is changed, or is being bisected already."""
        self.path = path.resolve()
        try:
            top = self._git("rev-parse", "--show-toplevel")
        except PollbenchError as error:
            raise InputError("bisect", str(path), error.got or "it is no checkout of git", where="--tree") from None
        if Path(top) != self.path:
            raise InputError("bisect", str(path), f"the checkout is {top}", "name that", "--tree")
        if self._git("status", "--porcelain", "--untracked-files=no"):
            raise InputError("bisect", str(path), "files are changed", "commit them, or git stash", "--tree")
        if (self.path / self._git("rev-parse", "--git-path", "BISECT_START")).exists():
            raise InputError("bisect", str(path), "it is being bisected already", "git bisect reset", "--tree")

    def commit(self, revision: str, option: str) -> Commit:
        """The commit that a revision names. InputError where it names none."""
        try:
            name = self._git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
        except PollbenchError:
            raise InputError("bisect", str(self.path), f"there is no revision {revision!r}", where=option) from None
        return Commit(name, self._git("log", "-1", "--format=%s", name))

    @contextmanager
    def bisected(self, good: Commit, bad: Commit) -> Iterator[None]:
        """For the block git bisects, and `checkout` may be used; after it what was checked out before is so again.

        InputError where the good commit is not before the bad one; PollbenchError where files that the block changed
        are in the way of going back: whose they are is not known here, so they stay.
        """
        if good == bad:
            raise InputError("bisect", str(self.path), f"both ends are {good.short}", "name two commits", "--bad")
        try:
            self._git("merge-base", "--is-ancestor", good.hash, bad.hash)
        except PollbenchError:
            got = f"{good.short} is not an ancestor of {bad.short}"
            raise InputError("bisect", str(self.path), got, "swap them, or name a common ancestor", "--good") from None
        self._git("bisect", "start")
        try:
            yield
        finally:
            try:
                self._git("bisect", "reset")
            except PollbenchError as error:
                todo = "put aside what the build changed, then go back: git stash && git bisect reset"
                raise PollbenchError("check out what was there before", str(self.path), error.got, todo) from None

    def checkout(self, commit: Commit) -> None:
        """Check a commit out, within a bisection."""
        self._git("checkout", "--quiet", "--detach", commit.hash)

    def search(self, good: Commit, bad: Commit, call: Callable[[Commit], Called]) -> Found:
        """The first bad commit after `good`, by what `call` says of each that git checks out. Within `bisected`."""
        self._git("bisect", "bad", bad.hash)
        said = self._git("bisect", "good", good.hash)
        while not (found := self._found(said)):
            commit = self.commit("HEAD", "--tree")
            said = self._git("bisect", call(commit), commit.hash, fine=_ALL_SKIPPED)
        return found

    def _found(self, said: str) -> Found | None:
        if match := _FIRST.search(said):
            return Found((self.commit(match[1], "--bad"),))
        if "only 'skip'ped commits left" in said:
            names = re.findall(r"^[0-9a-f]{40}$", said, re.MULTILINE)
            return Found(tuple(self.commit(name, "--bad") for name in names))
        return None

    def content(self) -> str:
        """The hash of the files that are checked out: commits with the same files have the same."""
        return self._git("rev-parse", "HEAD^{tree}")

    def _git(self, *arguments: str, fine: int = 0) -> str:
        # What a user's settings make of messages, hooks and colours is not to be read here.
        plain = ("-c", "core.hooksPath=/dev/null", "-c", "color.ui=never", "-c", "core.fsmonitor=false")
        try:
            done = subprocess.run(
                ["git", "-C", str(self.path), *plain, *arguments],
                capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C", "GIT_PAGER": "cat"},
            )  # fmt: skip
        except OSError as error:
            raise PollbenchError("run git", got=str(error), todo="install git") from None
        if done.returncode not in (0, fine):
            got = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[0]
            raise PollbenchError(f"git {arguments[0]}", str(self.path), got)
        return done.stdout.strip()


@dataclass(frozen=True)
class Builder:
    """Makes the kernel set of what is checked out. command: for sh, in the tree; take: makes a set of what it left.

    built: what of that is taken, as it was typed.
    """

    home: Home
    tree: Tree
    command: str
    take: Callable[[], str]
    built: str = ""

    def kernel(self) -> tuple[str, bool]:
        """The kernel set, and whether it was built before. PollbenchError where the build fails; Interrupted."""
        key = hashlib.sha256("\0".join((self.tree.content(), self.command, self.built)).encode()).hexdigest()
        builds = self._builds()
        if f"kernel {builds.get(key)}" in self.home.index():
            return builds[key], True
        if code := self._build():
            raise PollbenchError("build the kernel", self.command, f"exit code {code}", "--build says how it is built")
        name = self.take()
        self.home.prepare()
        document = json.dumps(self._builds() | {key: name}, indent=1)
        write_file(self.home.path / _BUILDS, document.encode())
        return name, False

    def _build(self) -> int:
        """Run the command; its exit code. Interrupted: it, and all that it started, was ended first."""
        # What it prints is for the user to see, and never mixed with our tables, which are on 1.
        with subprocess.Popen(
            ["sh", "-c", self.command], cwd=self.tree.path, stdin=subprocess.DEVNULL, stdout=2, process_group=0
        ) as process:
            ended = os.pidfd_open(process.pid)
            try:
                await_readable(ended)
            except Interrupted:
                os.killpg(process.pid, signal.SIGTERM)
                try:
                    process.wait(_GRACE_S)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                raise
            finally:
                os.close(ended)
        return process.returncode

    def _builds(self) -> dict[str, str]:
        try:
            document = json.loads((self.home.path / _BUILDS).read_text())
        except (OSError, ValueError):
            return {}
        return document if isinstance(document, dict) else {}
