"""RSS: which receive queue of a NIC gets which share of the flows, as `ethtool -X` sets it."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from harness.knobs.base import Knob
from harness.units import Count


def _hash_key(text: str) -> str:
    """Bytes in hexadecimal, with colons between or without; in ethtool's form."""
    try:
        key = bytes.fromhex(text.replace(":", " "))
    except ValueError:
        raise ValueError(f'"{text[:40]}" is no hash key; expected bytes such as "6d:5a:56:da"') from None
    return key.hex(":")


HashKey = Annotated[str, AfterValidator(_hash_key), Field(max_length=1024, min_length=2)]


class Rss(Knob):
    """The indirection table, by which the hash of a packet's addresses chooses its queue, and the hash's key.

    Source: ethtool(8), Documentation/networking/scaling.rst, "RSS". With one queue, or veth, there is none.
    """

    name = "rss"
    scope = "device"
    phase = "queues"
    target = "rss"

    # The key first: a driver may lay its table out anew for it.
    key: HashKey | None = Field(
        None,
        description="hash key in hexadecimal, so that a flow takes the same queue in every boot; else the kernel's, "
        "which is random",
    )
    equal: Count | None = Field(
        None, ge=1, le=4096, description="spread the flows evenly over so many queues, from the first on"
    )
    weights: tuple[Count, ...] | None = Field(
        None, min_length=1, max_length=4096, description="share of each queue: [0, 1] gives all to the second"
    )

    @model_validator(mode="after")
    def _one_spread(self) -> Rss:
        if self.equal is not None and self.weights is not None:
            raise ValueError("expected equal or weights, not both")
        if self.equal is None and self.weights is None and self.key is None:
            raise ValueError("nothing is set; expected equal, weights or key")
        if self.weights is not None and not any(self.weights):
            raise ValueError("weights that are all 0 leave no queue for a packet")
        return self
