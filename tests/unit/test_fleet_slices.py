"""The engine `dask` without hosts: who may speak to its scheduler, which hosts are unfit, and what is not cut."""

from __future__ import annotations

import json
import socket
import ssl
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("distributed", reason="needs dask: pip install 'pollbench[dask]'")

from distributed import Security

from harness.cli.progress import HostBoard
from harness.errors import InputError, MissingError
from harness.places.fleet.crew import Crew
from harness.places.fleet.service import Service, UnmadeError, secured, serve
from harness.places.fleet.slices import Slicing, _own_address, _scheduler
from harness.places.fleet.split import Allotment
from harness.plan import make_plan
from harness.signals import Stopper
from harness.spec.load import load_experiment
from harness.store import ResultSet
from tests import command, experiment

PAIR = """\
name: pair
topology:
  nodes: {client: {host: a, interface: eth1}, server: {host: b, interface: eth1}}
  links: [{between: [client, server]}]
workload: {kind: ping-pong, from: client, to: server, protocol: udp, size: 64B, duration: 1s}
cases: {base: {}}
"""


def word_of_dask(port: int, context: ssl.SSLContext | None) -> bytes:
    """The first byte that a scheduler says to whoever connects so; nothing where it hangs up."""
    try:
        with socket.create_connection(("127.0.0.1", port), 10) as plain:
            connection = context.wrap_socket(plain) if context else plain
            connection.sendall(b"\x01" + b"\0" * 15)
            return connection.recv(1)
    except OSError:
        return b""


def test_a_stranger_gets_no_further_than_the_handshake(tmp_path: Path) -> None:
    with _scheduler("127.0.0.1", tmp_path, 1.0) as (scheduler, client, key):
        port = int(scheduler.address.rpartition(":")[2])
        assert scheduler.address.startswith("tls://127.0.0.1:")
        assert str(client.dashboard_link).startswith("http://127.0.0.1:")
        assert (key.parent.stat().st_mode & 0o777, key.stat().st_mode & 0o777) == (0o700, 0o600)
        nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        nobody.check_hostname, nobody.verify_mode = False, ssl.CERT_NONE
        holder = secured(key).get_connection_args("worker")["ssl_context"]
        assert word_of_dask(port, holder)
        assert word_of_dask(port, nobody) == b""
        other = Security.temporary().get_connection_args("worker")["ssl_context"]
        assert other is not None
        other.verify_mode = ssl.CERT_NONE
        assert word_of_dask(port, other) == b""
        assert word_of_dask(port, None) in (b"", b"\x15")  # an alert of TLS, and no word of dask's
    assert not key.exists()


def test_it_listens_where_hosts_are_reached() -> None:
    assert _own_address({"a": {"ansible_host": "127.0.0.1"}, "b": {"ansible_host": "127.0.0.2"}}) == "127.0.0.1"
    assert _own_address({"a": {"ansible_host": "127.0.0.1"}, "b": {"ansible_host": "::1"}}) == "0.0.0.0"
    assert _own_address({"a": {"ansible_host": "no such host"}}) == "0.0.0.0"
    # Of a name that ssh alone knows, and where hosts are told to come by another address, it is not known.
    assert _own_address({"a": {"ansible_host": "127.0.0.1"}, "b": {"ansible_host": "no such host"}}) == "0.0.0.0"
    assert _own_address({"a": {"ansible_host": "127.0.0.1", "pollbench_controller": "192.0.2.1"}}) == "0.0.0.0"
    assert _own_address({"here": {"ansible_connection": "local"}}) == "127.0.0.1"


def test_what_cannot_be_cut_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pair.yaml").write_text(PAIR)
    words = ("fleet", "run", str(tmp_path / "pair.yaml"), "-i", "a,b,", "--engine", "dask", "--dry-run")
    refused = command.call(*words)
    assert refused.returncode == 2
    assert "--engine: cut into slices: two hosts make every run together; leave it out" in refused.stderr
    (tmp_path / "x.yaml").write_text(
        PAIR.replace("{host: a, interface: eth1}", "{}").replace("{host: b, interface: eth1}", "{}")
    )
    refused = command.call(*words[:2], str(tmp_path / "x.yaml"), *words[3:], "--split", "none")
    assert refused.returncode == 2
    assert "with --split none each host makes all of it" in refused.stderr
    shown = command.call(*words[:2], str(tmp_path / "x.yaml"), *words[3:], "--repeat", "3")
    assert (shown.returncode, shown.stdout) == (0, "".join(f"slice-000{n}: 1 runs\n" for n in (1, 2, 3)))


def of_no_hosts(tmp_path: Path) -> Slicing:
    plan = make_plan(load_experiment(experiment.write(tmp_path)))
    results = ResultSet.create(tmp_path, plan.name, "20260101T000000Z", b"", plan, {})
    crew = Crew([], {}, tmp_path, "x", HostBoard([]), lambda: False, 1)
    return Slicing(crew, results, plan, Allotment({}), {}, "attempt-1", dict, lambda _: [])


def test_the_odd_host_is_unfit_and_not_the_fleet(tmp_path: Path) -> None:
    slicing = of_no_hosts(tmp_path)
    slicing._lacks["old"] = {"busy": "needs Linux 6.12"}
    assert slicing._unfit("old") == ""  # as long as nobody is known to have it
    slicing._lacks["new"] = {}
    assert slicing._unfit("old") == ""
    slicing._lacks["newer"] = {}
    assert slicing._unfit("old") == "it lacks what most others have: busy: needs Linux 6.12"
    assert slicing._unfit("new") == ""
    slicing._spoilt["new"] = 5
    assert slicing._unfit("new") == ""
    slicing._spoilt["new"] = 6
    assert slicing._unfit("new").startswith("none of its last 6 runs is to be believed")


def test_a_slice_that_comes_to_nothing_is_given_up_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slicing = of_no_hosts(tmp_path)
    with _scheduler("127.0.0.1", tmp_path, 1.0) as (_, client, _):
        future: Any = client.submit(int, key="slice-0001")
        future._state.set_error(UnmadeError("full", "its disk is full"), None)
        assert [slicing._take(future, None) for _ in range(3)] == [True, True, False]
    assert "slice-0001 is given up: it came to nothing 3 times, on full at last: its disk is full\n" in (
        capsys.readouterr().err
    )


def test_a_slice_without_runs_is_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    slicing = of_no_hosts(tmp_path)
    slicing.slices, slicing._left = {"slice-0001": slicing.plan.runs[:2]}, {"slice-0001"}
    with _scheduler("127.0.0.1", tmp_path, 1.0) as (_, client, _):
        future: Any = client.submit(int, key="slice-0001")
        future._state.finish()
        brought = {"host": "one", "runs": {}, "reason": "the budget is spent"}
        assert [slicing._take(future, brought) for _ in range(2)] == [False, False]
    assert capsys.readouterr().err == "one  the budget is spent\n"
    assert slicing._left == {"slice-0001"}


def test_a_host_without_dask_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text("{}")
    for name in ("dask", "distributed"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingError, match="the package distributed is not installed"):
        serve(Service(1, "a", "1.0", {}), tmp_path / "key", Stopper(), print)


def test_a_host_with_another_dask_says_so(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("{}")
    document = {"service": {"port": 1, "name": "a", "version": "1.0", "plan": {}}}
    (tmp_path / "share.json").write_text(json.dumps(document))
    service = Service.read(str(tmp_path / "share.json"))
    assert service is not None
    with pytest.raises(MissingError, match=r"1\.0 here"):
        serve(service, tmp_path / "key", Stopper(), print)
    assert not (tmp_path / "key").exists()
    (tmp_path / "share.json").write_text('{"service": {"port": 1}}')
    with pytest.raises(InputError, match="read a share"):
        Service.read(str(tmp_path / "share.json"))
