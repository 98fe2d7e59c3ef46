"""What a host class types into its node's shell, in the words of our topology; what has none is named."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from harness.mininet.graph import Section

_SEPARATOR = re.compile(r"\s*(?:;|&&|\|\||\n)\s*")
_SILENCED = re.compile(r"\s*(?:&>|\d?>)\s*(?:/dev/null|&\d)")
_WRITTEN = re.compile(r"""echo\s+["']?(\S+?)["']?\s*>\s*/proc/sys/(\S+)""")
_NOTHING = re.compile(r"(?:ifconfig\s+\S+\s+up|ip\s+link\s+set\s+(?:dev\s+)?\S+\s+up|ip\s+route\s+del\s+default.*)")
_DEFAULT = re.compile(
    r"(?:ip\s+route\s+(?:add|replace)\s+default\s+via|route\s+add\s+default\s+gw)\s+([0-9a-fA-F.:]+)(?:\s.*)?"
)
_ROUTE = re.compile(r"ip\s+route\s+(?:add|replace)\s+([0-9.]+/\d+)\s+via\s+([0-9.]+)(?:\s+dev\s+\S+)?")
_NET_ROUTE = re.compile(r"route\s+add\s+-net\s+([0-9.]+)(?:(/\d+)|\s+netmask\s+([0-9.]+))\s+gw\s+([0-9.]+)(?:\s.*)?")
_FORWARDING = re.compile(r"net\.ipv4\.(?:ip_forward|conf\.\w+\.forwarding)")
# As every testbed of IPv4 has it anyway: no IPv6, and no check of the way back where a node has several links.
_ALREADY = re.compile(r"net\.ipv6\.conf\.\S+\.disable_ipv6=1|net\.ipv4\.conf\.\S+\.rp_filter=[02]")


def effects(commands: Iterable[str]) -> Section:
    """The keys of a node that have these effects: forwarding, default_route, routes. ValueError: the command."""
    node: Section = {}
    for command in _single(commands):
        if (settings := _sysctls(command)) is not None:
            for key, value in settings:
                if _FORWARDING.fullmatch(key) and value in ("0", "1"):
                    node["forwarding"] = value == "1"
                elif not _ALREADY.fullmatch(f"{key}={value}"):
                    raise ValueError(command)
        elif match := _DEFAULT.fullmatch(command):
            node["default_route"] = match[1]
        elif match := _ROUTE.fullmatch(command):
            node.setdefault("routes", {})[match[1]] = match[2]
        elif match := _NET_ROUTE.fullmatch(command):
            network = match[1] + (match[2] or f"/{match[3]}")
            node.setdefault("routes", {})[network] = match[4]
        elif not _NOTHING.fullmatch(command):
            raise ValueError(command)
    return node


def _single(commands: Iterable[str]) -> Iterator[str]:
    for line in commands:
        for command in _SEPARATOR.split(_SILENCED.sub("", line)):
            bare = command.strip().removeprefix("sudo ").strip()
            if bare:
                yield bare


def _sysctls(command: str) -> list[tuple[str, str]] | None:
    """(key, value) of every setting that a command writes; None: it is no such command."""
    if match := _WRITTEN.fullmatch(command):
        return [(match[2].replace("/", "."), match[1])]
    name, *words = command.split()
    if name.rpartition("/")[2] != "sysctl":
        return None
    text = re.sub(r"\s*=\s*", "=", " ".join(word for word in words if not word.startswith("-")))
    pairs = (word.partition("=") for word in text.split() if "=" in word)
    return [(key.replace("/", "."), value.strip("\"'")) for key, _, value in pairs]
