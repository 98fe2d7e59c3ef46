"""A routing daemon of a node: which, its configuration, and when its routes are all there."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from harness.spec.section import Section
from harness.spec.trace_file import unpacked
from harness.units import DurationNs

DAEMONS: tuple[Literal["bird", "frr"], ...] = ("bird", "frr")
"""The keys of Routing that name a configuration."""


def _data(data: str) -> str:
    """The packed text of a file, if it is one. Raises ValueError."""
    unpacked(data)
    return data


def _network(text: str) -> str:
    """The network of a route, "10.1.0.0/24"; normalised."""
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise ValueError(f'"{text[:60]}" is no network: {error}; expected one such as "10.1.0.0/24"') from None


NetworkAddress = Annotated[str, AfterValidator(_network), Field(json_schema_extra={"examples": ["10.1.0.0/24"]})]
_FileData = Annotated[str, AfterValidator(_data)]


class Routing(Section):
    """A routing daemon in the node's namespace, from before a run until after it; no other routes are computed."""

    bird: str | None = Field(None, min_length=1, description="configuration of BIRD: a file, or its text (of lines)")
    frr: str | None = Field(None, min_length=1, description="configuration of FRR, all of its daemons' in one, as bird")
    bird_data: _FileData | None = Field(None, description="what that file holds; filled in")
    frr_data: _FileData | None = Field(None, description="what that file holds; filled in")
    until: tuple[NetworkAddress, ...] | None = Field(
        None, description="networks to which it has routes when a run begins; all subnets of the topology if absent"
    )
    within_ns: DurationNs = Field(
        60_000_000_000, alias="within", gt=0, le=600_000_000_000, description="after which they have to be there"
    )

    @property
    def daemon(self) -> Literal["bird", "frr"]:
        """Which of them it is."""
        return "bird" if self.bird is not None else "frr"

    @property
    def text(self) -> str:
        """The configuration."""
        given, data = getattr(self, self.daemon), getattr(self, f"{self.daemon}_data")
        return unpacked(data) if data is not None else given

    @property
    def file_name(self) -> str:
        """What messages call the configuration: its file's own name."""
        given: str = getattr(self, self.daemon)
        return f"{self.daemon}.conf" if "\n" in given else given.rsplit("/", 1)[-1]
