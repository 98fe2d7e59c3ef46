"""physical: two interfaces of this host, joined by a cable or by a switch outside of it."""

from __future__ import annotations

from harness.spec.links.base import HostNics

KIND = HostNics("physical")
