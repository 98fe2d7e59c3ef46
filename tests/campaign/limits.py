"""Full disks, no inodes, no descriptors, no memory, refused system calls, another user: an error in words, no harm."""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from tests.campaign import beds
from tests.campaign.host import JAILED, Host, foreign_things, in_words
from tests.campaign.jail import HOME, ROOT, TEMPORARY
from tests.campaign.kinds import traced_set
from tests.campaign.nursery import Nursery
from tests.campaign.refuse import CALLS

PATIENCE_S = 120.0
_WORK = HOME / "limited"
_STATE = Path("/run/pollbench")
_MEMORY = (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes")
_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
Prefix = tuple[str, ...]


@contextmanager
def _filesystem(where: Path, options: str) -> Iterator[None]:
    """A small file system of memory in a directory's place; what is there is copied as far as it goes."""
    where.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "campaign", str(where)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(where)], check=True)


@contextmanager
def disk_full(chance: random.Random, out: Path) -> Iterator[Prefix]:
    """Results' disk has a few pages."""
    with _filesystem(out, f"size={chance.randint(1, 160) * 4096}"):
        yield ()


@contextmanager
def inodes_full(chance: random.Random, out: Path) -> Iterator[Prefix]:
    """Results' disk has a few inodes."""
    with _filesystem(out, f"nr_inodes={chance.randint(2, 60)}"):
        yield ()


@contextmanager
def state_full(chance: random.Random, out: Path) -> Iterator[Prefix]:
    """/run has next to no room: the journal cannot be written."""
    with _filesystem(_STATE, f"size={chance.randint(1, 4) * 4096},nr_inodes={chance.randint(2, 9)}"):
        yield ()


@contextmanager
def temporary_full(chance: random.Random, out: Path) -> Iterator[Prefix]:
    """No room for temporary files."""
    with _filesystem(TEMPORARY, f"size=4096,nr_inodes={chance.randint(1, 4)}"):
        yield ()


@contextmanager
def read_only(chance: random.Random, out: Path) -> Iterator[Prefix]:
    """Results' disk, or the one of the state, is read-only."""
    with _filesystem(chance.choice((out, _STATE, TEMPORARY)), "ro"):
        yield ()


@contextmanager
def no_descriptors(chance: random.Random, out: Path) -> Iterator[Prefix]:
    """RLIMIT_NOFILE."""
    yield ("prlimit", f"--nofile={chance.randint(4, 70)}")


@contextmanager
def no_processes(chance: random.Random, out: Path) -> Iterator[Prefix]:
    """A control group that allows few processes: fork and threads fail."""
    with _group(Path("/sys/fs/cgroup/pids"), "pids.max", str(chance.randint(1, 12))) as prefix:
        yield prefix


@contextmanager
def no_memory(chance: random.Random, out: Path) -> Iterator[Prefix]:
    """A control group with little memory: the kernel kills somebody in it."""
    with _group(*_MEMORY, str(chance.randint(8, 160) << 20)) as prefix:
        yield prefix


@contextmanager
def no_address_space(chance: random.Random, out: Path) -> Iterator[Prefix]:
    """RLIMIT_AS: malloc fails, nobody is killed."""
    yield ("prlimit", f"--as={chance.randint(40, 900) << 20}")


@contextmanager
def small_files(chance: random.Random, out: Path) -> Iterator[Prefix]:
    """RLIMIT_FSIZE."""
    yield ("prlimit", f"--fsize={chance.randint(0, 40) * 1000}")


@contextmanager
def refused(chance: random.Random, out: Path) -> Iterator[Prefix]:
    """seccomp: one call, or some, are unknown or forbidden."""
    calls = [name for name in CALLS if name != "socket"] + ["socket:16", "socket:16", "setns", "mount", "unshare"]
    some = chance.sample(calls, chance.choice((1, 1, 1, 2, 3)))
    yield (sys.executable, "-m", "tests.campaign.refuse", chance.choice(("ENOSYS", "EPERM")), *some, "--")


@contextmanager
def another_user(chance: random.Random, out: Path) -> Iterator[Prefix]:
    """Who has no privilege, in a directory of root's or of their own."""
    out.mkdir()
    if chance.random() < 0.5:
        os.chown(out, 65534, 65534)
    yield _NOBODY


@contextmanager
def _group(top: Path, file: str, value: str) -> Iterator[Prefix]:
    group = top / f"campaign-{os.getpid()}"
    if not (top / "cgroup.procs").exists():
        yield ()
        return
    group.mkdir()
    try:
        (group / file).write_text(value)
        yield ("sh", "-c", f'echo 0 >{group}/cgroup.procs; exec "$@"', "sh")
    finally:
        for _ in range(100):
            try:
                group.rmdir()
                break
            except OSError:
                for pid in (group / "cgroup.procs").read_text().split():
                    os.kill(int(pid), 9)
                time.sleep(0.02)


LIMITS: dict[str, Callable[[random.Random, Path], AbstractContextManager[Prefix]]] = {
    name.__name__: name
    for name in (
        disk_full,
        inodes_full,
        state_full,
        temporary_full,
        read_only,
        no_descriptors,
        no_processes,
        no_memory,
        no_address_space,
        small_files,
        refused,
        another_user,
    )
}
COMMANDS = {
    "run": ["run", "{bed}", "-o", "{out}"],
    "up": ["up", "{bed}", "--name", "limited"],
    "clean": ["clean"],
    "topology": ["topology", "tree,2,3"],
    "report": ["report", "{set}", "-o", "{out}/page.html"],
    "show": ["show", "{set}"],
    "import": ["import", "auto", str(ROOT / "tests" / "golden" / "import"), "-o", "{out}"],
    "plan": ["plan", "{bed}"],
    "doctor": ["doctor", "{bed}"],
    "host": ["host", "show"],
    "plot": ["plot", "{set}", "--kind", "ecdf", "-o", "{out}/figure.svg"],
    "compare": ["compare", "{set}", "{set}"],
    "suite": ["suite", "--no-run", "-o", "{suite}", "--junit", "{out}/junit.xml"],
    "trend": ["trend", "{set}", "-o", "{out}/page.html"],
    "tune": ["tune", str(ROOT / "experiments" / "tune-quickstart.yaml"), "--quick", "--budget", "3s", "-o", "{out}"],
    "tune plan": ["tune", str(ROOT / "experiments" / "tune-quickstart.yaml"), "--plan"],
    "explain": ["explain", "{traced}", "--worst", "2"],
    "traced": ["run", "{bed}", "-o", "{out}", "--explain"],
    "openmetrics": ["export", "--format", "openmetrics", "{set}", "-o", "{out}/metrics.txt"],
    "parquet": ["export", "--format", "parquet", "{set}", "-o", "{out}/dataset"],
    "merge": ["merge", "{set}", "-o", "{out}"],
    "bisect": [
        *("vm", "bisect", "{bed}", "--tree", "{tree}", "--good", "HEAD~2", "--bad", "HEAD", "-o", "{out}"),
        *("--build", "exit 1", "--fail-if", "rtt_p99_us > +5%"),
    ],
}
_WEIGHTS = [10, 4, 3, 2, 2, 1, 2, 1, 2, 1, 1, 1, 1, 2, 2, 1, 1, 2, 2, 2, 2, 2]
# How what a command writes ends when it is whole.
_ENDS = {"page.html": b"</html>", "figure.svg": b"</svg>", "metrics.txt": b"# EOF", "junit.xml": b"</testsuites>"}
# What the kernel or Python makes of a process before our first line, or for want of memory.
_KILLED = (-9, 137)


def limits(arguments: argparse.Namespace) -> int:
    """Commands under limits; print the table; exit code 1 if one failed otherwise than in words."""
    tried: Counter[str] = Counter()
    failed: Counter[str] = Counter()
    began = time.monotonic()
    with foreign_things(), Nursery(HOME / "said") as nursery:
        _WORK.mkdir()
        HOME.chmod(0o755)
        names = [name for name in beds.BEDS if name not in beds.HOSTS_NETWORK]
        places = {name: beds.write(_WORK, name) for name in names}
        assert nursery.start("run", str(places["pair"]), "-o", str(_WORK / "sets"), fresh=True).wait(PATIENCE_S) == 0
        some = next((_WORK / "sets" / "pair").iterdir())
        kept = shutil.copytree(ROOT / "results" / "reference" / "suite", _WORK / "suite")
        more = {"suite": kept, "traced": traced_set(_WORK / "traced")}
        more |= {"set": some, "tree": _tree(_WORK / "tree"), "out": _WORK / "out"}
        host = Host("/proc/sys" if arguments.hosts_network else JAILED)
        before = host.look()
        for limit, seed in _chosen(arguments):
            if arguments.minutes and time.monotonic() - began > 60 * arguments.minutes:
                break
            chance = random.Random(f"{limit}:{seed}")
            command = chance.choices(list(COMMANDS), _WEIGHTS)[0]
            words = [word.format(bed=places[chance.choice(names)], **more) for word in COMMANDS[command]]
            fault = _tried(nursery, limit, chance, words)
            left = host.difference(before)
            tried[limit] += 1
            if fault or left:
                failed[limit] += 1
                print(f"{limit}:{seed} ({command}): {in_words(fault, left)}", flush=True)
                before = host.look()
            shutil.rmtree(_WORK / "out", ignore_errors=True)
    print(f"\n{'limit':<18}{'tried':>7}{'survived':>10}{'failed':>8}")
    for name in sorted(tried):
        print(f"{name:<18}{tried[name]:>7}{tried[name] - failed[name]:>10}{failed[name]:>8}")
    print(f"{tried.total()} commands, {failed.total()} failed, in {time.monotonic() - began:.0f} s")
    print("one alone: python -m tests.campaign limits --only LIMIT:SEED")
    return 1 if failed else 0


def _tried(nursery: Nursery, limit: str, chance: random.Random, words: list[str]) -> str:
    """Run a command under a limit, then take down and clean without it; what is wrong, or ""."""
    out = _WORK / "out"
    with ExitStack() as stack:
        prefix = stack.enter_context(LIMITS[limit](chance, out))
        child = nursery.start(*words, fresh=True, prefix=prefix)
        code, said = child.wait(PATIENCE_S), child.said()
        fault = _judged(code, said) or _half_made(out)
        if words[0] == "up":
            nursery.start("down", "limited", fresh=True).wait(PATIENCE_S)
        if limit != "state_full":
            cleaned = nursery.start("clean", fresh=True)
            cleaned_code, cleaned_said = cleaned.wait(PATIENCE_S), cleaned.said()
            if not fault and (cleaned_code not in (0,) or "failed" in cleaned_said) and limit != "read_only":
                fault = f"clean afterwards: {cleaned_code} {cleaned_said[-300:]}"
    return fault


def _half_made(out: Path) -> str:
    """What lies there that is not whole, or ""; of what was not finished there is to be nothing."""
    files = [path for path in out.rglob("*") if path.is_file()] if out.is_dir() else []
    cut = [path for path in files if not path.read_bytes().rstrip().endswith(_ENDS.get(path.name, b""))]
    return f"half-made: {', '.join(path.name for path in cut)}" if cut else ""


def _tree(path: Path) -> Path:
    """A checkout with a few commits, for `vm bisect`."""
    path.mkdir()
    git = ["git", "-C", str(path), "-c", "user.name=campaign", "-c", "user.email=campaign"]
    subprocess.run([*git, "init", "-q"], check=True)
    for number in range(4):
        subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", f"commit {number}"], check=True)
    return path


def _judged(code: int | None, said: str) -> str:
    last = " | ".join(said.strip().splitlines()[-2:])[-400:] or "nothing"
    if code is None:
        return f"hang: {last}"
    if code in _KILLED:
        return ""
    if code == 130 and "blas_thread_init" in said:
        return ""  # OpenBLAS sends its own process SIGINT where it cannot start threads
    if "Traceback" in said and "harness/" not in said and "harness." not in said:
        return ""  # Python itself could not start
    if "Traceback" in said or code == 5:
        return f"traceback: {said[-900:]}"
    if code not in (0, 1, 2, 3, 4, 6, 130):
        return f"exit code {code}: {last}"
    return ""


def _chosen(arguments: argparse.Namespace) -> list[tuple[str, int]]:
    if arguments.only:
        return [(name, int(seed)) for name, _, seed in (text.partition(":") for text in arguments.only)]
    names = arguments.limit or list(LIMITS)
    seeds = range(arguments.seed, arguments.seed + -(-arguments.count // len(names)))
    return [(name, seed) for seed in seeds for name in names][: arguments.count]
