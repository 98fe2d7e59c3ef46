"""Rings: how many packets wait in a NIC's queues, as `ethtool -G` sets them."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from harness.knobs.base import Knob
from harness.units import Count

_SIZE = Annotated[Count, Field(ge=1, le=2**31 - 1)]


class Rings(Knob):
    """Source: ethtool(8), struct ethtool_ringparam. A veth has none.

    A driver makes its queues anew for it, and takes the link down and up. Many drivers round: a size that reads back
    otherwise fails the run.
    """

    name = "rings"
    scope = "device"
    phase = "queues"
    target = "rings"

    rx: _SIZE | None = Field(None, description="packets that a receive queue holds until they are polled")
    tx: _SIZE | None = Field(None, description="packets that a transmit queue holds until they are sent")
