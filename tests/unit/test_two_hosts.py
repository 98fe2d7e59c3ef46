"""Two ends that wait for each other: when one looks whether the other is still there, and when it keeps quiet."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from harness import testbed
from harness.errors import Interrupted, LostError, PollbenchError
from harness.run import two_hosts
from harness.signals import Stopper


@pytest.fixture
def both() -> Iterator[tuple[two_hosts.OneOfTwo, two_hosts.OneOfTwo]]:
    """Two ends that have joined, over the loopback device."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        lines = [stack.enter_context(socket.create_connection(listener.getsockname()))]
        lines.append(stack.enter_context(listener.accept()[0]))
        made = []
        for here, there, line in (("client", "server", lines[0]), ("server", "client", lines[1])):
            stopper = Stopper()
            stack.callback(stopper.close)
            end = two_hosts.OneOfTwo(here, two_hosts.Far(there, there), "token", {}, stopper)
            two_hosts.set_up(line)
            end._line = line
            made.append(end)
        yield made[0], made[1]


def looks(end: two_hosts.OneOfTwo) -> tuple[bool, int]:
    """Does it look whether the other is there, and for how many ms may that be unheard?"""
    assert end._line is not None
    return (
        bool(end._line.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)),
        end._line.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
    )


def test_the_wire_is_quiet_in_the_window_and_the_other_looked_for_when_it_should_be_over(
    both: tuple[two_hosts.OneOfTwo, two_hosts.OneOfTwo],
) -> None:
    client, server = both
    assert looks(server) == looks(client) == (True, 10_000)
    seen: list[tuple[bool, int]] = []

    def serve() -> None:
        server.meet(two_hosts.GO, {})
        seen.append(looks(server))
        server.meet(two_hosts.DONE, {}, 30, quiet_s=0.2)
        seen.append(looks(server))

    thread = threading.Thread(target=serve)
    thread.start()
    client.meet(two_hosts.GO, {})
    assert looks(client)[0] is False
    deadline = time.monotonic() + 20
    while looks(server) != (True, 10_200):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    client.meet(two_hosts.DONE, {}, quiet_s=20)
    thread.join(20)
    assert seen == [(False, 10_000), (True, 10_000)]
    assert looks(client) == (True, 10_000)


def test_an_end_that_hangs_up_is_lost_at_once(both: tuple[two_hosts.OneOfTwo, two_hosts.OneOfTwo]) -> None:
    client, server = both
    server._hang_up()
    with pytest.raises(LostError, match="measure with the other end on server"):
        client.meet("read", {})


def leave(end: two_hosts.OneOfTwo, why: BaseException, after: threading.Event | None = None) -> BaseException:
    """Open this end, break in it, and what that comes to."""
    spec: Any = SimpleNamespace(workload=SimpleNamespace(life_ns=lambda: 10**9))
    none: Any = None
    try:
        with end.open(spec, none):
            if after is not None:
                assert after.wait(20)
            raise why
    except BaseException as error:  # noqa: BLE001  # it is what is asked for
        return error


@pytest.mark.parametrize(
    ("there", "here"),
    [
        (Interrupted("interrupted", got="SIGTERM"), LostError),
        (PollbenchError("set a knob", "eth1", "refused"), PollbenchError),
        (KeyboardInterrupt(), LostError),
    ],
)
def test_an_end_that_breaks_hears_whether_it_is_because_the_other_has_gone(
    both: tuple[two_hosts.OneOfTwo, two_hosts.OneOfTwo],
    monkeypatch: pytest.MonkeyPatch,
    there: BaseException,
    here: type[PollbenchError],
) -> None:
    none: Any = None
    made = testbed.Testbed("token", {}, none, [])
    lines = {id(end): end._line for end in both}
    monkeypatch.setattr(two_hosts.OneOfTwo, "_set_up", lambda *_: made)
    monkeypatch.setattr(two_hosts.OneOfTwo, "_join", lambda self, *_: lines[id(self)])
    for name in ("hardware_address", "described", "know"):
        monkeypatch.setattr(two_hosts, name, lambda *_: "")
    client, server = both
    # Its program breaks, since the other end's has been ended; only then does it hear why.
    broken = threading.Event()
    found: list[BaseException] = []
    thread = threading.Thread(target=lambda: found.append(leave(server, there, broken)))
    thread.start()
    threading.Timer(0.2, broken.set).start()
    error = leave(client, PollbenchError("measure", "the client", "Connection refused"))
    thread.join(20)
    assert found == [there]
    assert type(error) is here, error
