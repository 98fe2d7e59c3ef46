"""Programs that nobody modified: seen to be ready, heard, ended with all that descends from them."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from harness.errors import MissingError, PollbenchError
from harness.run.external_process import ExternalProcess, install_hint, require_program
from harness.signals import Stopper, stop_on_signals

WAITS = "import time; print('up', flush=True); time.sleep(600)"
HARD_TO_END = (
    "import signal, time; signal.signal(signal.SIGTERM, lambda *_: print('no', flush=True)); "
    "print('up', flush=True); exec('while True: time.sleep(1)')"
)


@pytest.fixture
def stopper() -> Iterator[Stopper]:
    with stop_on_signals() as made:
        yield made


def program(code: str, stopper: Stopper, label: str = "toy") -> ExternalProcess:
    return ExternalProcess(label, [sys.executable, "-u", "-c", code], stopper)


def up(child: ExternalProcess) -> ExternalProcess:
    child.wait_until(lambda: child.says("^up$"), "the word up", 60)
    return child


def gone(pid: int) -> bool:
    """Whether a process has ended: it is not there, or a zombie that waits for its parent."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def soon(met: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 30
    while not met() and time.monotonic() < deadline:
        time.sleep(0.01)
    return met()


def test_a_program_that_is_not_there_is_a_skip_with_its_remedy() -> None:
    require_program("sh", "the client", "")
    with pytest.raises(MissingError) as caught:
        require_program("no-such-program", "the client", "that-package")
    assert caught.value.line() == (
        "start on the client: there is no program no-such-program; install it: apt install that-package"
    )
    assert install_hint("") == "install it, or name its path"


def test_one_that_cannot_be_started_says_so(stopper: Stopper) -> None:
    with pytest.raises(PollbenchError, match="start on the toy"):
        ExternalProcess("toy", ["/nonexistent/program"], stopper)


def test_what_it_wrote_is_kept_by_stream_and_nothing_where_it_wrote_nothing(stopper: Stopper) -> None:
    with program("import sys; print('one'); print('two', file=sys.stderr)", stopper) as child:
        child.wait_end(60)
        assert child.files() == {"toy.stdout.txt": b"one\n", "toy.stderr.txt": b"two\n"}
        assert (child.output(), child.errors()) == ("one\n", "two\n")
        # What went wrong is mostly said on the standard error.
        assert child.said() == "it said: two"
        assert child.says("^two") and child.says("^one") and not child.says("^ne")
        assert child.usage.cpu_ns > 0
    with program("print('alone')", stopper) as child:
        child.wait_end(60)
        assert child.files() == {"toy.stdout.txt": b"alone\n"}
        assert child.said() == "it said: alone"
    with program("pass", stopper) as child:
        child.wait_end(60)
        assert (child.files(), child.said()) == ({}, "")


def test_bytes_that_are_no_text_are_no_error(stopper: Stopper) -> None:
    with program(r"import sys; sys.stdout.buffer.write(b'a\xffb')", stopper) as child:
        child.wait_end(60)
        assert child.output() == "a\ufffdb"


def test_it_reads_no_input_of_ours(stopper: Stopper) -> None:
    with program("import sys; print(repr(sys.stdin.read()))", stopper) as child:
        child.wait_end(60)
        assert child.output() == "''\n"


def test_a_descriptor_is_handed_on_where_it_is_named(stopper: Stopper) -> None:
    reading, writing = os.pipe()
    code = f"import os; os.write({writing}, b'hello')"
    try:
        with ExternalProcess("toy", [sys.executable, "-c", code], stopper, pass_fds=(writing,)) as child:
            child.wait_end(60)
        assert os.read(reading, 10) == b"hello"
    finally:
        os.close(reading)
        os.close(writing)


def test_readiness_that_does_not_come_is_told_with_what_it_said(stopper: Stopper) -> None:
    with up(program(WAITS, stopper)) as child, pytest.raises(PollbenchError) as caught:
        child.wait_until(lambda: False, "port 7 to listen", 0.2)
    assert caught.value.line() == "wait for port 7 to listen on the toy: nothing within 0.2 s; it said: up"


def test_one_that_ends_before_it_is_ready_is_a_failure_at_once(stopper: Stopper) -> None:
    with program("raise SystemExit('no room')", stopper) as child, pytest.raises(PollbenchError) as caught:
        child.wait_until(lambda: False, "port 7 to listen", 600)
    assert caught.value.line() == "run on the toy: it ended with exit code 1, saying: no room"


def test_another_program_that_ends_meanwhile_is_what_went_wrong(stopper: Stopper) -> None:
    with program("raise SystemExit('I was first')", stopper, "server") as server, up(program(WAITS, stopper)) as child:
        with pytest.raises(PollbenchError, match=r"run on the server.*I was first"):
            child.wait_until(lambda: False, "anything", 600, [server])
        with pytest.raises(PollbenchError, match=r"run on the server.*I was first"):
            child.wait_end(600, [server])


def test_the_other_that_died_is_blamed_for_a_failure_that_followed(stopper: Stopper) -> None:
    """A server dies, and a moment later its client fails for want of it: the server is named."""
    with program("raise SystemExit('out of memory')", stopper, "server") as server:
        server.wait(time.monotonic() + 60)
        with (
            program("raise SystemExit('connection reset')", stopper, "client") as client,
            pytest.raises(PollbenchError, match=r"run on the server.*out of memory"),
        ):
            client.wait(time.monotonic() + 60)
            client.wait_end(60, [server])


def test_its_end_is_waited_for_and_judged(stopper: Stopper) -> None:
    with up(program(WAITS, stopper)) as child, pytest.raises(PollbenchError) as caught:
        child.wait_end(0.2)
    assert caught.value.line() == "wait for the end on the toy: still there after 0.2 s; it said: up"
    with program("raise SystemExit(3)", stopper) as child, pytest.raises(PollbenchError, match="exit code 3"):
        child.wait_end(60)


def test_a_signal_ends_it_and_what_it_wrote_counts(stopper: Stopper) -> None:
    code = "import signal, sys, time; signal.signal(signal.SIGINT, lambda *_: sys.exit(print('bye'))); print('up'); "
    with up(program(code + "time.sleep(600)", stopper)) as child:
        child.stop(signal.SIGINT, 60)
        assert child.ended() == 0
        assert child.output() == "up\nbye\n"
    with up(program(WAITS, stopper)) as child:
        child.stop()
        assert child.ended() == -signal.SIGTERM


def test_one_that_does_not_heed_the_signal_is_killed(stopper: Stopper) -> None:
    with up(program(HARD_TO_END, stopper)) as child:
        child.stop(timeout_s=0.3)
        assert child.ended() == -signal.SIGKILL
        assert "no" in child.output()


def test_its_family_ends_with_it_even_one_that_left_its_group(stopper: Stopper) -> None:
    code = (
        "import os, subprocess, sys, time\n"
        "waits = [sys.executable, '-c', 'import time; time.sleep(600)']\n"
        "near = subprocess.Popen(waits)\n"
        "far = subprocess.Popen(waits, start_new_session=True)\n"
        "print(near.pid, far.pid); print('up'); time.sleep(600)\n"
    )
    with up(program(code, stopper)) as child:
        near, far = map(int, child.output().split()[:2])
        assert child.family()[0] == child.pid and set(child.family()) == {child.pid, near, far}
    assert soon(lambda: gone(near) and gone(far))
    assert child.family() == []
