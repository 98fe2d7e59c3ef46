"""The testbeds that commands are killed in: short runs of every kind of thing that pollbench makes on a host."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import yaml

Document = dict[str, Any]
RUNS = 3
"""How many runs an experiment has."""

_ENDS = {"client": {"cpus": "0"}, "server": {"cpus": "1"}}
_PING = {"kind": "ping-pong", "from": "client", "to": "server", "warmup": "10ms", "duration": "60ms"}
_LOAD = {"kind": "load", "from": "client", "to": "server", "rate": 2000, "warmup": "10ms", "duration": "60ms"}
_BUSY = {"busy_read": 50, "busy_poll": 50}


def _pair(**link: Any) -> Document:
    return {"nodes": _ENDS, "links": [{"between": ["client", "server"], **link}]}


def _row(*names: str, **middle: Any) -> Document:
    """Nodes in a row, client and server at its ends."""
    links = [{"between": list(two)} for two in itertools.pairwise(names)]
    return {"nodes": _ENDS | dict.fromkeys(names[1:-1], middle), "links": links}


def _star(clients: int) -> Document:
    names = [f"client{number}" for number in range(clients)]
    nodes = {"hub": {"switch": "on"}, "server": {"cpus": "1"}} | {name: {"cpus": "0"} for name in names}
    return {"nodes": nodes, "links": [{"between": ["hub", name]} for name in ("server", *names)]}


BEDS: dict[str, Document] = {
    "pair": {"topology": _pair(), "workload": _PING},
    "busy poll": {
        "topology": _pair() | {"datapath": "napi"},
        "workload": _LOAD | {"wait": "epoll", "protocol": "tcp", "connections": 4},
        "settings": {"*": {"coalesce": {"napi_defer_hard_irqs": 100, "gro_flush_timeout": "20us"}}},
    },
    "switch": {"topology": _row("client", "bridge", "server", switch="on"), "workload": _PING},
    "two switches": {
        "topology": _row("client", "left", "right", "server", switch="on") | {"stp": "on"},
        "workload": _PING,
    },
    "router": {"topology": _row("client", "first", "second", "server"), "workload": _PING | {"protocol": "tcp"}},
    "ipv6": {"topology": _row("client", "router", "server") | {"family": "ipv6"}, "workload": _PING},
    "shaped": {"topology": _pair(shape={"rate": "100mbit"}, queues=2), "workload": _LOAD},
    "clients": {
        "topology": _star(3),
        "workloads": [_LOAD | {"from": f"client{number}", "measured": not number} for number in range(3)],
    },
    "hogs": {
        "topology": _pair(),
        "workload": _LOAD,
        "contention": {"on": "server.cpus", "kind": "spin", "threads": 2, "load": "30%"},
    },
    "network hogs": {
        "topology": _pair(),
        "workload": _PING,
        "contention": {"on": "server.cpus", "kind": "network", "threads": 1, "load": "20%"},
    },
    "threaded": {
        "topology": _pair() | {"datapath": "napi"},
        "workload": _PING,
        "settings": {"*": {"threaded_napi": {"mode": "on", "cpus": "1"}}},
    },
    "policies": {
        "topology": _pair() | {"datapath": "napi"},
        "workload": _PING,
        "settings": {"*": {"rps": {"cpus": "1"}, "process": {"nice": -5}, "offloads": {"gro": "off"}}},
    },
    "cpu share": {
        "topology": {"nodes": {name: node | {"cpu_share": "40%"} for name, node in _ENDS.items()}}
        | {"links": [{"between": ["client", "server"]}]},
        "workload": _PING,
    },
    "command": {
        "topology": _pair(),
        "workload": {
            "kind": "command",
            "from": "client",
            "to": "server",
            "server": "sh -c 'setsid sleep 60 & echo ready; exec sleep 60'",
            "ready": "ready",
            "client": "sh -c 'setsid sleep 60 & sleep 0.05; echo 5 us'",
            "figures": {"rtt_p50_us": {"regex": "([0-9]+) us"}},
        },
    },
    "mininet": {
        "topology": {"mininet": "linear,3", "engine": "mininet", "nodes": {"h1": {"cpus": "0"}, "h3": {"cpus": "1"}}},
        "workload": _PING | {"from": "h1", "to": "h3"},
    },
    "open vswitch": {
        "topology": {"mininet": "single,3", "engine": "mininet", "emulator": {"switch": "OVSBridge"}},
        "workload": _PING | {"from": "h1", "to": "h3"},
    },
    "sysctls": {"topology": _pair(), "workload": _PING, "settings": {"*": {"host_busy_poll": _BUSY}}},
}
"""By name, without what all have in common."""
HOSTS_NETWORK = ("sysctls",)
"""Those that change what only the host's own network namespace has."""
FLEET = """\
all:
  hosts:
    here: {{ansible_connection: local, ansible_python_interpreter: {python}, pollbench_command: "{command}"}}
"""


def write(directory: Path, bed: str, **changes: Any) -> Path:
    """The experiment file of a testbed."""
    common: Document = {
        "name": bed.replace(" ", "-"),
        "checks": {"max_foreign_share": "100%", "max_steal_share": "100%"},
        "repeat": RUNS,
    }
    path = directory / f"{common['name']}.yaml"
    path.write_text(yaml.safe_dump(common | BEDS[bed] | changes, sort_keys=False))
    return path
