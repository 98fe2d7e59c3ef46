"""In the child: spanning trees of Mininet's switches, hurried to the shortest times that the protocol allows."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

_PATIENCE_S, _LOOK_S = 60.0, 0.2
# Seconds. A port that is to forward listens for one forward delay and learns for another; 15 is what bridges come with.
_BRIDGE_DELAY, _OVS_DELAY, _OVS_MAX_AGE, _HELLO = 2, 4, 6, 1


def settle(switches: list[Any]) -> None:
    """Wait until every tree has settled; or for a minute, which Mininet's own files never wait either."""
    bridges = [switch for switch in switches if getattr(switch, "stp", False) and hasattr(switch, "prio")]
    others = [switch for switch in switches if getattr(switch, "stp", False) and hasattr(switch, "vsctl")]
    # Their times, then down and up again, all together: the timers that run have the old times.
    times = f"brctl setfd {{0}} {_BRIDGE_DELAY}; brctl sethello {{0}} {_HELLO}"
    for command in (times, "ifconfig {0} down", "ifconfig {0} up"):
        for bridge in bridges:
            bridge.cmd(command.format(bridge))
    for switch in others:
        switch.vsctl(
            f"set bridge {switch} other_config:stp-forward-delay={_OVS_DELAY} other_config:stp-hello-time={_HELLO} "
            f"other_config:stp-max-age={_OVS_MAX_AGE}"
        )
    deadline = time.monotonic() + _PATIENCE_S
    _wait(bridges, lambda bridge: str(bridge.cmd("brctl showstp", bridge)), deadline)
    _wait(others, lambda switch: str(switch.vsctl("--columns=status list port")), deadline)


def _wait(switches: list[Any], state_of: Callable[[Any], str], deadline: float) -> None:
    """Wait until no port of theirs listens or learns any more, or the deadline has come."""
    for switch in switches:
        while any(word in state_of(switch).lower() for word in ("listen", "learn")):
            if time.monotonic() >= deadline:
                return
            time.sleep(_LOOK_S)
