"""The probe tells what is so, quickly, for root and for others, and leaves nothing."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.kernel import ethtool, netns, probe
from harness.kernel.probe import probe_qdiscs

ROOT = Path(__file__).parents[2]
NOBODY = 65534


def test_what_root_is_told() -> None:
    before = (netns.names(), len(os.listdir("/proc/self/fd")), os.readlink("/proc/thread-self/ns/net"))
    found = probe.probe()
    assert set(found) == set(probe.keys())
    for key in ("netns", "veth", "veth-napi", "busy-poll", "qdisc:tbf", "qdisc:htb", "qdisc:pfifo"):
        assert found[key] == ""
    after = (netns.names(), len(os.listdir("/proc/self/fd")), os.readlink("/proc/thread-self/ns/net"))
    assert after == before


def test_what_others_are_told() -> None:
    """Nobody, in a child: the same where a user may try, and an honest "not tried" elsewhere."""
    code = (
        f"import os, json; from harness.kernel import probe; os.setgid({NOBODY}); os.setuid({NOBODY})\n"
        "print(json.dumps(probe.probe()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, timeout=120
    )
    found = json.loads(done.stdout)
    as_root = probe.probe()
    assert set(found) == set(probe.keys())
    for key, reason in found.items():
        assert reason == as_root[key] or reason.startswith("not tried: ")


def test_a_missing_kind_is_named_with_its_kernel_option() -> None:
    for kind, reason in probe_qdiscs().items():
        assert reason == "" or f"CONFIG_NET_SCH_{kind.upper()}" in reason


def test_a_device_that_is_not_there() -> None:
    with netns.throw_away():
        for device in ("eth7", "a-name-that-is-too-long"):
            with pytest.raises(OSError, match=device) as told:
                ethtool.features(device)
            assert told.value.errno == errno.ENODEV
