"""The engine `dask` over real SSH: hosts that are killed, late, slow or unfit cost nobody a run."""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from harness.store import ResultSet
from tests.netns import sshhosts

pytestmark = pytest.mark.skipif(bool(sshhosts.available()), reason=sshhosts.available())
pytest.importorskip("distributed", reason="needs dask: pip install 'pollbench[dask]'")

FILE = """\
name: quickstart
topology:
  nodes: {client: {}, server: {}}
  links: [{between: [client, server]}]
workload: {kind: ping-pong, from: client, to: server, protocol: udp, size: 64B, warmup: 20ms, duration: 300ms}
cases: {base: {}, busy: {settings: {"*": {busy_poll: {usecs: 50}}}}}
checks: {redo: 0}
repeat: 8
seed: 1
"""
MADE = (0, 1)


class Heard:
    """A command, and the lines that it has said."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process, self.lines = process, list[str]()

    def until(self, pattern: str) -> None:
        """Wait for a line that has the pattern."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.rstrip())
            if re.search(pattern, line):
                return
        pytest.fail(f"no line has {pattern}:\n{self}")

    def __str__(self) -> str:
        return "\n".join(self.lines)


@contextlib.contextmanager
def hogged(bed: sshhosts.Bed, host: sshhosts.SshHost) -> Iterator[IO[bytes]]:
    """Somebody else measures on a host, until what is yielded is closed."""
    options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR"]
    words = ["ssh", "-i", str(bed.home / "key"), *(word for option in options for word in ("-o", option))]
    hog = "exec flock /run/pollbench/lock sh -c 'echo taken; exec cat'"
    given = bed.command([*words, f"root@{host.address}", hog])
    with subprocess.Popen(given, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.readline() == b"taken\n"
        with process.stdin as end:
            yield end


def test_a_host_killed_one_late_one_slow_and_one_unfit_cost_nobody_a_run(tmp_path: Path) -> None:
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "quickstart.yaml").write_text(FILE)
    section = (sshhosts.ROOT / "docs" / "fleet.md").read_text().partition("## Without anybody watching\n")[2]
    typed = section.partition("```sh\npollbench ")[2].partition("\n")[0]
    names, small = ["slow", "killed", "late", "full"], {"full": 100}
    with sshhosts.open_bed(tmp_path, names, small, fresh=True) as bed, hogged(bed, bed.hosts["slow"]) as hog:
        late = bed.hosts.pop("late")
        bed.inventory().rename(tmp_path / "fleet.ini")
        heard = Heard(bed.start(*typed.split(), "--interval", "0.1"))
        try:
            heard.until(r"^dask +dashboard: http://127\.0\.0\.1:\d+/status")
            heard.until("^slow +pollbench: waiting for this host")
            heard.until("^killed +.* of 8 slices are made")
            heard.until("^killed +1/2")
            bed.hosts["killed"].kill()
            bed.hosts["late"] = late
            bed.inventory().rename(tmp_path / "fleet.ini")
            # All but what the slow one has at hand, which waits for the hog.
            heard.until("^late +7 of 8 slices are made")
            hog.close()
            heard.lines += heard.process.communicate(timeout=300)[1].splitlines()
        finally:
            heard.process.kill()
    assert heard.process.returncode in MADE, str(heard)
    assert re.search("^killed +failed: it is gone", str(heard), re.MULTILINE), str(heard)
    assert re.search("^full +failed: drained: .*No space left", str(heard), re.MULTILINE), str(heard)
    results = ResultSet.latest(tmp_path / "results", "quickstart")
    assert results is not None
    hosts: dict[str, list[int]] = {}
    for record in results.records():
        hosts.setdefault(str(record.environment["host"]), []).append(record.block)
    # Nothing is lost, what was brought before the host was killed least of all, and no block is of two hosts.
    assert sorted(block for blocks in hosts.values() for block in blocks) == sorted([*range(1, 9)] * 2), str(heard)
    assert {host: len(blocks) for host, blocks in hosts.items()}["slow"] == 2, str(heard)
    assert all(blocks.count(block) == 2 for blocks in hosts.values() for block in blocks), str(heard)
    assert set(hosts) == {"slow", "killed", "late"}
    # The key that opens a worker is on no disk any more, nor in what is kept of the plays.
    assert not list(tmp_path.glob("*/fleet/*/*/key"))
    kept = [path for path in (results.path / "fleet").rglob("*") if path.is_file()]
    assert len(kept) > 10 and not [path for path in kept if b"PRIVATE KEY" in path.read_bytes()]
