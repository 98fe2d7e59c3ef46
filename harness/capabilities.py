"""What a cell needs of its host against what the host has, tried for real; for `plan` and `doctor`."""

from __future__ import annotations

from functools import cache

from harness.kernel import probe, rtnl
from harness.knobs import KNOBS
from harness.shaping import kinds_of
from harness.spec.cells import CellSpec


@cache
def of_this_host() -> dict[str, str]:
    """Capability to "" where it works, else the reason, else "not tried: ..."; tried once per process."""
    return probe.probe()


def needs(spec: CellSpec) -> list[str]:
    """The capabilities a cell needs, without repetition, in the order in which a run would miss them."""
    keys = ["netns", "veth", *(f"qdisc:{kind}" for kind in sorted(kinds_of(spec.topology)))]
    if spec.topology.family == "ipv6":
        keys.append("ipv6")
    if spec.napi:
        keys.append("veth-napi")
    for knobs in spec.settings.values():
        for name, model in knobs.items():
            keys += KNOBS[name].capabilities(model)
    return list(dict.fromkeys(keys))


def lacks(spec: CellSpec) -> list[str]:
    """Why this host would skip the cell, one reason each; empty when it would not, as far as could be tried."""
    able = of_this_host()
    found = ((key, able.get(key, "")) for key in needs(spec))
    return [_explained(key, reason) for key, reason in found if reason and not probe.is_untried(reason)]


def _explained(key: str, reason: str) -> str:
    """The reason, with the remedy where there is one."""
    group, _, kind = key.partition(":")
    return f"{reason}; {rtnl.missing_remedy(kind)}" if group == "qdisc" else f"{key}: {reason}"
