"""Channels and RSS: what is asked of a driver by ioctl, what is read back, and what a driver lacks."""

from __future__ import annotations

import contextlib
import errno
import struct
from dataclasses import dataclass, field
from typing import Any

import pytest

from harness.errors import MissingError, PollbenchError
from harness.kernel import ethtool
from harness.knobs import KNOBS
from harness.run import knobs as apply
from harness.testbed import NodeHandle
from harness.topology.layout import NO_ADDRESS, PortLayout

PORT = PortLayout("client", "eth0", 2, NO_ADDRESS, bytes(6), 0, 0, "server", (), "igb")
NODE = NodeHandle("client", "ns", "/ns", -1, (PORT,))
KEY = ":".join(["6d"] * 4)


@dataclass
class FakeNic:
    """A driver behind SIOCETHTOOL: two combined channels at most, a table of 8 entries, perhaps a key."""

    most: int = 2
    used: int = 2
    entries: int = 8
    key: bytes = bytes(4)
    deaf: bool = False
    table: list[int] = field(default_factory=lambda: [0, 1] * 4)
    downs: int = 0

    def request(self, device: str, data: bytearray) -> int:
        assert device == PORT.device
        command = struct.unpack_from("=I", data)[0]
        if command == 0x3C:
            data[:] = struct.pack("=9I", command, 0, 0, 1, self.most, 0, 0, 1, self.used)
        elif command == 0x3D:
            self.used = struct.unpack_from("=8I", data, 4)[7]
            self.downs += 1
        elif command in (0x46, 0x47) and not self.entries:
            raise OSError(errno.EOPNOTSUPP, "Operation not supported", device)
        elif command == 0x46:
            body = struct.pack(f"={self.entries}I", *self.table) + self.key
            room = len(data) - 24
            data[:24] = struct.pack("=IIIIB7x", command, 0, self.entries, len(self.key), 1)
            data[24:] = body[:room]
        else:
            self._set(device, data)
        return 0

    def _set(self, device: str, data: bytearray) -> None:
        entries, key_bytes = struct.unpack_from("=II", data, 8)
        if entries != 0xFFFFFFFF:
            table = list(struct.unpack_from(f"={entries}I", data, 24))
            if max(table) >= self.used:
                raise OSError(errno.EINVAL, "Invalid argument", device)
            self.table = self.table if self.deaf else table
        elif key_bytes:
            self.key = bytes(data[24 : 24 + key_bytes])


@pytest.fixture
def nic(monkeypatch: pytest.MonkeyPatch) -> FakeNic:
    fake = FakeNic()
    monkeypatch.setattr(ethtool, "request", fake.request)
    monkeypatch.setattr(ethtool, "link_detected", lambda device: True)
    monkeypatch.setattr(apply, "in_netns", lambda fd: contextlib.nullcontext())
    return fake


def applied(**knobs: dict[str, Any]) -> list[tuple[str, Any, Any, Any]]:
    models = {name: KNOBS[name](**fields) for name, fields in knobs.items()}
    rows = apply.NodeApplier(NODE).apply(models)
    return [(row.setting, row.found, row.requested, row.applied) for row in rows]


def test_channels_are_set_and_read_back_before_what_hangs_on_them(nic: FakeNic) -> None:
    names = list(KNOBS)
    assert names.index("channels") < names.index("rss") < names.index("threaded_napi")
    assert applied(channels={"combined": 1}) == [("eth0 combined", 2, 1, 1)]
    assert nic.used == 1


def test_channels_that_are_so_already_are_left_alone(nic: FakeNic) -> None:
    assert applied(channels={"combined": 2}) == [("eth0 combined", 2, 2, 2)]
    assert nic.downs == 0


@pytest.mark.parametrize(("kind", "most"), [("combined", 2), ("rx", 0)])
def test_more_channels_than_the_device_has_are_a_skip(nic: FakeNic, kind: str, most: int) -> None:
    with pytest.raises(MissingError, match=f"on client/eth0: the device has at most {most} {kind} channels"):
        applied(channels={kind: 3})


def test_a_link_that_stays_down_after_a_change_fails(nic: FakeNic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ethtool, "link_detected", lambda device: nic.downs == 0)
    monkeypatch.setattr(apply, "_CARRIER_S", 0.0)
    with pytest.raises(PollbenchError, match="no carrier within 0 s of the change"):
        applied(channels={"combined": 1})


def test_whatever_setting_restarts_a_device_its_link_is_awaited(nic: FakeNic, monkeypatch: pytest.MonkeyPatch) -> None:
    carrier = iter([True, False, False, True])
    monkeypatch.setattr(ethtool, "link_detected", lambda device: next(carrier))
    applied(rss={"weights": [0, 1]})
    assert next(carrier, None) is None


def test_a_link_that_takes_its_time_is_not_asked_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver's two seconds; one that is there at once is not waited for."""
    clock, asked = [0.0], [0]

    def link_detected(_device: str) -> bool:
        asked[0] += 1
        return clock[0] >= up_s

    monkeypatch.setattr(ethtool, "link_detected", link_detected)
    monkeypatch.setattr(ethtool.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(ethtool.time, "sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds))
    for up_s, most in ((0.0, 1), (0.0003, 4), (2.0, 120), (99.0, 520)):
        clock[0], asked[0] = 0.0, 0
        assert ethtool.await_carrier("eth0", 10.0) == (up_s < 10)
        assert asked[0] <= most
        assert clock[0] <= min(2 * up_s, up_s + 0.02, 10.03)


def test_the_table_is_spread_as_ethtool_does(nic: FakeNic) -> None:
    assert applied(rss={"weights": [1, 3]}) == [("eth0 rss weights", [4, 4], [1, 3], [1, 3])]
    assert nic.table == [0, 0, 1, 1, 1, 1, 1, 1]
    assert applied(rss={"weights": [0, 1]}) == [("eth0 rss weights", [2, 6], [0, 1], [0, 1])]
    assert nic.table == [1] * 8
    assert applied(rss={"equal": 2}) == [("eth0 rss equal", [0, 8], 2, 2)]
    assert nic.table == [0, 1] * 4


def test_weights_leave_no_hash_value_without_a_queue() -> None:
    assert ethtool.weighted_spread(5, [1, 1, 1]) == [0, 1, 1, 2, 2]
    assert ethtool.weighted_spread(128, [7, 0, 0, 2])[-1] == 3


def test_a_table_that_reads_back_otherwise_is_no_result(nic: FakeNic) -> None:
    nic.deaf = True
    with pytest.raises(PollbenchError, match=r"accepted, but it reads back \[4, 4\]"):
        applied(rss={"weights": [1, 0]})


def test_a_queue_that_is_not_in_use_is_named(nic: FakeNic) -> None:
    nic.used = 1
    with pytest.raises(PollbenchError, match="fewer than 2 receive queues; give it more by the knob channels"):
        applied(rss={"weights": [0, 1]})


def test_the_key_is_set_and_read_back(nic: FakeNic) -> None:
    assert applied(rss={"key": KEY.replace(":", "")}) == [("eth0 hash key", "00:00:00:00", KEY, KEY)]
    with pytest.raises(PollbenchError, match="the key has 3 bytes, the device wants 4"):
        applied(rss={"key": "01:02:03"})


def test_without_a_table_or_a_key_it_is_a_skip(nic: FakeNic) -> None:
    nic.key = b""
    with pytest.raises(MissingError, match="lets nobody see or set the key"):
        applied(rss={"key": KEY})
    nic.entries = 0
    with pytest.raises(MissingError, match="Operation not supported"):
        applied(rss={"equal": 1})


@pytest.mark.parametrize(
    ("knob", "fields", "message"),
    [
        ("channels", {}, "nothing is set; expected combined, rx or tx"),
        ("channels", {"combined": 0}, "greater than or equal to 1"),
        ("rss", {}, "nothing is set; expected equal, weights or key"),
        ("rss", {"equal": 2, "weights": [1, 1]}, "expected equal or weights, not both"),
        ("rss", {"weights": [0, 0]}, "leave no queue for a packet"),
        ("rss", {"key": "xyz"}, '"xyz" is no hash key; expected bytes such as'),
    ],
)
def test_what_cannot_be_meant_is_refused(knob: str, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        KNOBS[knob](**fields)
