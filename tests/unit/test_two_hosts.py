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
from harness.errors import Interrupted, LostError, MissingError, PollbenchError
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


def test_nothing_is_sent_for_as_long_as_was_agreed(both: tuple[two_hosts.OneOfTwo, two_hosts.OneOfTwo]) -> None:
    client, server = both
    for end in both:
        assert end._line is not None
        end._line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 0)
    thread = threading.Thread(target=server.meet, args=(two_hosts.DONE, {}, 60), kwargs={"quiet_s": 50.0})
    thread.start()
    time.sleep(0.3)
    assert looks(server) == (False, 10_000)
    client.meet(two_hosts.DONE, {}, 60, quiet_s=50.0)
    thread.join(20)
    assert not thread.is_alive() and looks(server) == looks(client) == (True, 10_000)


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


# -- what is said over the line ------------------------------------------------------------------------------


def meeting(end: two_hosts.OneOfTwo, step: str = "read", limit_s: float = 20.0) -> BaseException | dict[str, Any]:
    """What comes of waiting for the other end."""
    try:
        return end.meet(step, {}, limit_s)
    except PollbenchError as error:
        return error


def test_what_each_tells_is_what_the_other_hears(both: tuple[two_hosts.OneOfTwo, two_hosts.OneOfTwo]) -> None:
    client, server = both
    heard: list[dict[str, Any]] = []
    # More than one reading of the socket takes, and text beyond ASCII.
    long = {"files": "x" * (3 << 20), "name": "Zürich"}
    thread = threading.Thread(target=lambda: heard.append(server.meet("read", {"port": 7})))
    thread.start()
    assert client.meet("read", long) == {"port": 7}
    thread.join(20)
    assert heard == [long]
    assert client.holds("client") and client.holds("") and not client.holds("server")
    assert two_hosts.Ends().holds("anything") and two_hosts.Ends().meet("read", {"x": 1}) == {}


def test_ends_that_are_at_different_steps_have_lost_each_other(
    both: tuple[two_hosts.OneOfTwo, two_hosts.OneOfTwo],
) -> None:
    client, server = both
    thread = threading.Thread(target=meeting, args=(server, "warm"))
    thread.start()
    error = meeting(client, "read")
    thread.join(20)
    assert isinstance(error, LostError)
    assert (error.on, error.got) == ("server", "it is at warm, this end at read")


def test_an_end_that_says_nothing_is_lost_after_its_time(both: tuple[two_hosts.OneOfTwo, two_hosts.OneOfTwo]) -> None:
    error = meeting(both[0], "warm", 0.3)
    assert isinstance(error, LostError) and error.got == "nothing heard of it within 0 s (warm)"


@pytest.mark.parametrize("said", [b"\0\0\0\2{]", b"\0\0\0\2[]", b"\0\0\0\2\xff\xfe", b"\x10\0\0\1", b"\0\0\0\0"])
def test_what_is_no_message_is_none(both: tuple[two_hosts.OneOfTwo, two_hosts.OneOfTwo], said: bytes) -> None:
    client, server = both
    assert server._line is not None
    server._line.sendall(said)
    error = meeting(client)
    assert isinstance(error, LostError) and error.got == "what it says is no message"


def test_the_longest_message_is_waited_for(both: tuple[two_hosts.OneOfTwo, two_hosts.OneOfTwo]) -> None:
    client, server = both
    assert server._line is not None
    server._line.sendall(b"\x0f\xff\xff\xfcshort")
    error = meeting(client, limit_s=0.3)
    assert isinstance(error, LostError) and error.got.startswith("nothing heard of it")


@pytest.mark.parametrize(
    ("cause", "kind", "line"),
    [
        (MissingError("shape", "eth1", "none", "load it"), MissingError, "shape on server: eth1: none; load it"),
        (PollbenchError("shape", "", "refused"), PollbenchError, "shape on server: refused"),
        (OSError(5, "Input/output error"), PollbenchError, "run on server: [Errno 5] Input/output error"),
        (Interrupted("interrupted", got="SIGINT"), LostError, "measure with the other end on server: SIGINT"),
    ],
)
def test_why_the_other_end_leaves_is_this_end_s_error(
    both: tuple[two_hosts.OneOfTwo, two_hosts.OneOfTwo],
    cause: PollbenchError | OSError,
    kind: type[PollbenchError],
    line: str,
) -> None:
    client, server = both
    server._tell(cause)
    error = meeting(client)
    assert type(error) is kind and isinstance(error, PollbenchError)
    assert error.line().startswith(line)


def test_ends_that_have_hung_up_tell_nobody(both: tuple[two_hosts.OneOfTwo, two_hosts.OneOfTwo]) -> None:
    client, _ = both
    client._hang_up()
    client._hang_up()
    client._tell(PollbenchError("shape"))


def opened(end: two_hosts.OneOfTwo, found: dict[str, Any]) -> None:
    spec: Any = SimpleNamespace(workload=SimpleNamespace(life_ns=lambda: 10**9))
    none: Any = None
    with end.open(spec, none) as bed:
        found[end.here] = bed.hosts


def test_each_end_knows_both_hosts_and_the_other_s_hardware_address(
    both: tuple[two_hosts.OneOfTwo, two_hosts.OneOfTwo], monkeypatch: pytest.MonkeyPatch
) -> None:
    none: Any = None
    lines, known = {id(end): end._line for end in both}, []
    monkeypatch.setattr(two_hosts.OneOfTwo, "_set_up", lambda self, *_: testbed.Testbed(self.here, {}, none, []))
    monkeypatch.setattr(two_hosts.OneOfTwo, "_join", lambda self, *_: lines[id(self)])
    monkeypatch.setattr(two_hosts, "hardware_address", lambda bed: f"mac of {bed.token}")
    monkeypatch.setattr(two_hosts, "described", lambda bed: f"nic of {bed.token}")
    monkeypatch.setattr(two_hosts, "know", lambda bed, mac: known.append((bed.token, mac)))
    found: dict[str, Any] = {}
    for end in both:
        end._facts = {"kernel": f"of {end.here}"}
    thread = threading.Thread(target=opened, args=(both[1], found))
    thread.start()
    opened(both[0], found)
    thread.join(20)
    hosts = {name: {"kernel": f"of {name}", "interface": f"nic of {name}"} for name in ("client", "server")}
    assert found == {"client": hosts, "server": hosts}
    assert sorted(known) == [("client", "mac of server"), ("server", "mac of client")]
    assert both[0]._line is None is both[1]._line


def test_an_interface_that_is_not_to_be_had_ends_all_runs_of_the_pair(
    both: tuple[two_hosts.OneOfTwo, two_hosts.OneOfTwo], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise MissingError("lend the interface", "eth1", "it is gone", "plug it in")

    monkeypatch.setattr(two_hosts, "open_end", refuse)
    spec: Any = SimpleNamespace(topology=None, napi=False, workload=None)
    none: Any = None
    for joined, todo in ((False, "plug it in"), (True, "it was there for the run before")):
        both[0]._joined = joined
        with pytest.raises(LostError) as caught, both[0].open(spec, none):
            pass
        assert caught.value.line() == f"lend the interface on eth1: it is gone; {todo}"


# -- on the wire ---------------------------------------------------------------------------------------------


class Wired:
    """A testbed of one node, whose namespace is this one and whose peer is at the loopback address."""

    def __init__(self, here: str) -> None:
        self.nodes = {here: SimpleNamespace(fd=-1)}

    def address(self, node: str, seen_from: str) -> str:
        assert (node, seen_from) == ("server", "client")
        return "127.0.0.1"


def joining(end: two_hosts.OneOfTwo, cell: str, found: dict[str, Any]) -> None:
    spec: Any = SimpleNamespace(workload=SimpleNamespace(nodes=lambda: ("client", "server")), identity=lambda: cell)
    bed: Any = Wired(end.here)
    try:
        found[end.here] = end._join(spec, bed)
    except PollbenchError as error:
        found[end.here] = error


@pytest.fixture
def on_loopback(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        monkeypatch.setattr(two_hosts, "PORT", free.getsockname()[1])
    monkeypatch.setattr(two_hosts, "in_netns", lambda _fd: contextlib.nullcontext())
    monkeypatch.setattr(two_hosts, "_FIRST_S", 20.0)
    monkeypatch.setattr(two_hosts, "_LATER_S", 0.5)
    yield


@pytest.mark.usefixtures("on_loopback")
@pytest.mark.parametrize("first", ["client", "server"])
def test_ends_find_each_other_whoever_comes_first(
    both: tuple[two_hosts.OneOfTwo, two_hosts.OneOfTwo], first: str
) -> None:
    found: dict[str, Any] = {}
    ends = both if first == "client" else both[::-1]
    thread = threading.Thread(target=joining, args=(ends[0], "cell", found))
    thread.start()
    time.sleep(0.1)
    joining(ends[1], "cell", found)
    thread.join(30)
    lines = [found["client"], found["server"]]
    try:
        assert lines[0].getpeername() == lines[1].getsockname() == ("127.0.0.1", two_hosts.PORT)
        assert all(line.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for line in lines)
    finally:
        for line in lines:
            line.close()


@pytest.mark.usefixtures("on_loopback")
def test_who_does_not_know_the_token_is_not_listened_to(both: tuple[two_hosts.OneOfTwo, two_hosts.OneOfTwo]) -> None:
    found: dict[str, Any] = {}
    both[0]._token, both[0]._joined, both[1]._joined = "another", True, True
    thread = threading.Thread(target=joining, args=(both[1], "cell", found))
    thread.start()
    joining(both[0], "cell", found)
    thread.join(30)
    for name, other in (("client", "server"), ("server", "client")):
        assert isinstance(found[name], LostError)
        assert found[name].on == other and found[name].got.startswith("it did not come to the wire within ")


@pytest.mark.usefixtures("on_loopback")
def test_an_end_that_has_gone_on_to_another_run_is_not_joined(
    both: tuple[two_hosts.OneOfTwo, two_hosts.OneOfTwo],
) -> None:
    found: dict[str, Any] = {}
    both[0]._joined = True
    thread = threading.Thread(target=joining, args=(both[1], "one", found))
    thread.start()
    joining(both[0], "two", found)
    thread.join(30)
    assert isinstance(found["server"], PollbenchError) and found["server"].got == "it is at another run"
    assert isinstance(found["client"], LostError)
