"""The kinds of links that a topology can have: the KIND of every module of this package, by its name in a file."""

from __future__ import annotations

import importlib
import pkgutil

from harness.spec.links.base import TUNNELS, DevicePair, EmulatedNic, HostNics, LinkKind, Overlay, Part


def _discovered() -> dict[str, LinkKind]:
    """Name to kind: pairs of devices, what is on top of one, NICs. TypeError for a name that stands twice."""
    modules = [importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
    described: list[LinkKind] = [module.KIND for module in modules if hasattr(module, "KIND")]
    kinds = {
        kind.name: kind
        for kind in sorted(
            described,
            key=lambda kind: (kind.needs_guest, isinstance(kind, HostNics), isinstance(kind, Overlay), kind.name),
        )
    }
    if len(kinds) < len(described):
        raise TypeError(f"{__name__}: a name stands twice: {', '.join(sorted(kind.name for kind in described))}")
    return kinds


LINK_KINDS: dict[str, LinkKind] = _discovered()


def emulated(name: str) -> EmulatedNic:
    """The model of NIC of this name. KeyError for none."""
    return {kind.name: kind for kind in LINK_KINDS.values() if isinstance(kind, EmulatedNic)}[name]


__all__ = ["LINK_KINDS", "TUNNELS", "DevicePair", "EmulatedNic", "HostNics", "LinkKind", "Overlay", "Part", "emulated"]
