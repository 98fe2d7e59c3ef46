"""What changed underneath a run, in words."""

from __future__ import annotations

from harness.run.standing import StandingSetting, differences

GRO = StandingSetting("server", "eth0", "rx-gro")
SHAPER = StandingSetting("server", "eth0", "qdisc at parent ffffffff")
BUSY = StandingSetting("", "", "net.core.busy_read")


def test_nothing_changed_is_nothing_said() -> None:
    assert differences({GRO: "on"}, {GRO: "on"}) == ()


def test_a_feature_that_went_off_or_came_on() -> None:
    assert differences({GRO: "on"}, {}) == ("rx-gro of server/eth0 changed underneath, during the run: from on to off",)
    assert differences({}, {GRO: "on"})[0].endswith("from off to on")


def test_a_qdisc_that_was_deleted_and_a_host_that_polls_now() -> None:
    before = {SHAPER: "netem (delay 100)", BUSY: "0"}
    assert differences(before, {SHAPER: "noqueue", BUSY: "50"}) == (
        "qdisc at parent ffffffff of server/eth0 changed underneath, during the run: from netem (delay 100) to noqueue",
        "net.core.busy_read of the host changed underneath, during the run: from 0 to 50",
    )
    assert differences(before, {BUSY: "0"})[0].endswith("to not there")
