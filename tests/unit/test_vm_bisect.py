"""`vm bisect` without a guest: git's part on real checkouts, builds that are kept, and what runs make of a commit."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from harness.analysis.compare.gate import parse_gate
from harness.cli.bisect import judged
from harness.errors import InputError, Interrupted, PollbenchError
from harness.places.vm.bisect import Builder, Called, Commit, Tree
from harness.places.vm.home import Home
from harness.signals import stop_on_signals
from tests import command
from tests.command import HANGS_AFTER_S
from tests.unit import synthetic

SAYS: dict[str, Called] = {"g": "good", "b": "bad", "?": "skip"}


def git(path: Path, *arguments: str) -> str:
    named = ("-c", "user.name=n", "-c", "user.email=n@localhost", "-c", "commit.gpgsign=false")
    return subprocess.run(["git", "-C", path, *named, *arguments], check=True, capture_output=True, text=True).stdout


def tree_of(path: Path, commits: str) -> Tree:
    """A checkout with a commit for each letter: g is good, b is bad, ? can be neither."""
    path.mkdir()
    git(path, "init", "-q", "-b", "main")
    for number, letter in enumerate(commits):
        (path / "state").write_text(f"{letter}\n{number}\n")
        git(path, "add", "state")
        git(path, "commit", "-q", "-m", f"commit {number}")
    return Tree(path)


def searched(tree: Tree, commits: str) -> tuple[list[str], list[str]]:
    """The commits that may be the first bad one, and those that were tried."""
    good, bad = tree.commit(f"HEAD~{len(commits) - 1}", "--good"), tree.commit("HEAD", "--bad")
    tried: list[str] = []

    def call(commit: Commit) -> Called:
        tried.append(commit.subject)
        return SAYS[(tree.path / "state").read_text()[0]]

    with tree.bisected(good, bad):
        found = tree.search(good, bad, call)
    assert git(tree.path, "branch", "--show-current").strip() == "main"
    return [one.subject for one in found.candidates], tried


@pytest.mark.parametrize(
    ("commits", "first"),
    [
        ("ggggbbbb", ["commit 4"]),
        ("gb", ["commit 1"]),
        ("gggg?bbb", ["commit 4", "commit 5"]),
        ("g?b", ["commit 1", "commit 2"]),
    ],
)
def test_the_first_bad_commit_or_all_that_may_be_it(tmp_path: Path, commits: str, first: list[str]) -> None:
    candidates, tried = searched(tree_of(tmp_path / "tree", commits), commits)
    assert sorted(candidates) == first and len(tried) < len(commits) - 1


def test_what_cannot_be_bisected_is_left_alone(tmp_path: Path) -> None:
    tree = tree_of(tmp_path / "tree", "gb")
    good, bad = tree.commit("HEAD~1", "--good"), tree.commit("HEAD", "--bad")
    with pytest.raises(InputError, match=r"--good: .* is not an ancestor of"), tree.bisected(bad, good):
        pass
    with pytest.raises(InputError, match=r"--bad: .*there is no revision 'v7'"):
        tree.commit("v7", "--bad")
    with pytest.raises(InputError, match=r"--bad: .*both ends are \w{12}; name two commits"), tree.bisected(bad, bad):
        pass
    with tree.bisected(good, bad), pytest.raises(InputError, match=r"it is being bisected already; git bisect reset"):
        Tree(tree.path)
    (tree.path / "state").write_text("mine")
    with pytest.raises(InputError, match=r"files are changed; commit them, or git stash"):
        Tree(tree.path)
    with pytest.raises(InputError, match=r"--tree: bisect on .*: fatal: not a git repository"):
        Tree(tmp_path)


def test_a_tree_is_built_once_for_each_content_and_command(tmp_path: Path) -> None:
    tree, home = tree_of(tmp_path / "tree", "gb"), Home(tmp_path / "home")

    def take() -> str:
        built = (tree.path / "built").read_text().split()
        name = f"own-{len(built)}"
        home.prepare()
        home.record(f"kernel {name}", {"release": "1"})
        return name

    builder = Builder(home, tree, "cat state >>built", take)
    assert builder.kernel() == ("own-2", False) and builder.kernel() == ("own-2", True)
    git(tree.path, "commit", "-q", "--allow-empty", "-m", "the same files")
    assert builder.kernel() == ("own-2", True)
    assert Builder(home, tree, "cat state state >>built", take).kernel() == ("own-6", False)
    with pytest.raises(PollbenchError, match=r"build the kernel on exit 3: exit code 3"):
        Builder(home, tree, "exit 3", take).kernel()


@pytest.mark.parametrize(
    ("scale", "condition", "called"),
    [(1.3, "rtt_p50_us > +5%", "bad"), (1.0, "rtt_p50_us > +5%", "good"), (1.0, "rtt_p50_us > +0.1%", "skip")],
)
def test_runs_decide_what_a_commit_is_called(scale: float, condition: str, called: str) -> None:
    good, other = synthetic.source("good", blocks=8), synthetic.source("other", blocks=8, scale=scale)
    assert judged(good, other, [parse_gate(condition)])[0] == called


def test_a_build_ends_with_who_asked_for_it(tmp_path: Path) -> None:
    tree = tree_of(tmp_path / "tree", "g")
    # The shell's child is what would go on for an hour.
    command = f"sleep 600 & echo $! >child; kill -TERM {os.getpid()}; wait"
    with stop_on_signals(), pytest.raises(Interrupted):
        Builder(Home(tmp_path / "home"), tree, command, str).kernel()
    child, deadline = Path("/proc", (tree.path / "child").read_text().strip()), time.monotonic() + HANGS_AFTER_S
    # It was asked to end in the same instant as the shell; who reaps it, and when, is not ours to say.
    while _is_asleep(child):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _is_asleep(process: Path) -> bool:
    try:
        return "sleep" in (process / "cmdline").read_text()
    except OSError:
        return False


def test_a_build_that_changes_files_of_git_ends_the_search_in_words(tmp_path: Path) -> None:
    tree = tree_of(tmp_path / "tree", "ggbb")
    good, bad = tree.commit("HEAD~3", "--good"), tree.commit("HEAD", "--bad")

    def call(commit: Commit) -> Called:
        (tree.path / "state").write_text(f"made from {commit.hash}")
        return "bad"

    told = r"check out what was there .*local changes.*git stash && git bisect"
    with pytest.raises(PollbenchError, match=told), tree.bisected(good, bad):
        tree.search(good, bad, call)
    assert "made from" in (tree.path / "state").read_text()


@pytest.mark.parametrize("words", [("suite", "--list"), ("vm", "bisect", "x.yaml", "--tree=.", "--good=a", "--bad=b")])
def test_a_metric_that_no_run_has_is_refused_before_anything_is_measured(words: tuple[str, ...]) -> None:
    done = command.call(*words, "--fail-if", "rtt_p99 > +5%")
    assert done.returncode == 2
    assert 'no run has a metric "rtt_p99"; did you mean "rtt_p99_us"?' in done.stderr
