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
    bridges = [each for each in switches if getattr(each, "stp", False) and hasattr(each, "prio")]
    others = [each for each in switches if getattr(each, "stp", False) and hasattr(each, "vsctl")]
    _hurry_bridges(bridges)
    for each in others:
        each.vsctl(
            f"set bridge {each} other_config:stp-forward-delay={_OVS_DELAY} other_config:stp-hello-time={_HELLO} "
            f"other_config:stp-max-age={_OVS_MAX_AGE}"
        )
    deadline = time.monotonic() + _PATIENCE_S
    _wait(bridges, lambda each: str(each.cmd("brctl showstp", each)), deadline)
    _wait(others, lambda each: str(each.vsctl("--columns=status list port")), deadline)


def _hurry_bridges(bridges: list[Any]) -> None:
    """Their times, then down and up again, all together: the timers that run have the old times."""
    commands = (
        f"brctl setfd {{}} {_BRIDGE_DELAY}; brctl sethello {{}} {_HELLO}",
        "ifconfig {} down",
        "ifconfig {} up",
    )
    for command in commands:
        for each in bridges:
            each.cmd(command.replace("{}", str(each)))


def _wait(switches: list[Any], told: Callable[[Any], str], deadline: float) -> None:
    for each in switches:
        while any(word in told(each).lower() for word in ("listen", "learn")) and time.monotonic() < deadline:
            time.sleep(_LOOK_S)
