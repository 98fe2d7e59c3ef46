"""What a host class types into its node's shell, in the words of our topology; what has none is named."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from enum import Enum

from harness.mininet.graph import Section

_SEPARATOR = re.compile(r"\s*(?:;|&&|\|\||\n)\s*")
_SILENCED = re.compile(r"\s*(?:&>|\d?>)\s*(?:/dev/null|&\d)")
_WRITTEN = re.compile(r"""echo\s+["']?(\S+?)["']?\s*(?:>|\|\s*(?:sudo\s+)?tee)\s*/proc/sys/(\S+)""")
_NOTHING = re.compile(r"(?:ifconfig\s+\S+\s+up|ip\s+link\s+set\s+(?:dev\s+)?\S+\s+up|ip\s+route\s+del\s+default.*)")
_DEFAULT = re.compile(
    r"(?:ip\s+route\s+(?:add|replace)\s+default\s+via|route\s+add\s+default\s+gw)\s+([0-9a-fA-F.:]+)(?:\s.*)?"
)
_ROUTE = re.compile(r"ip\s+route\s+(?:add|replace)\s+([0-9.]+/\d+)\s+via\s+([0-9.]+)(?:\s+dev\s+\S+)?")
_NET_ROUTE = re.compile(r"route\s+add\s+-net\s+([0-9.]+)(?:(/\d+)|\s+netmask\s+([0-9.]+))\s+gw\s+([0-9.]+)(?:\s.*)?")
_FORWARDING = re.compile(r"net\.ipv4\.(?:ip_forward|conf\.\w+\.forwarding)")
# As every testbed of IPv4 has it anyway: no IPv6, and no check of the way back where a node has several links.
_ALREADY = re.compile(r"net\.ipv6\.conf\.\S+\.disable_ipv6=1|net\.ipv4\.conf\.\S+\.rp_filter=[02]")

# Of addresses: what gives one to a device, and what takes all of them away.
_IFCONFIG = re.compile(
    r"ifconfig\s+(\S+)\s+(?:inet\s+)?([0-9.]+)(/\d+)?(?:\s+netmask\s+([0-9.]+))?(?:\s+(?:up|broadcast\s+\S+))*"
)
_IP_ADD = re.compile(
    r"ip\s+(?:-4\s+)?a(?:ddr|ddress)?\s+(?:add|replace)\s+([0-9.]+)(/\d+)?(?:\s+(?:brd|broadcast)\s+\S+)?\s+dev\s+(\S+)"
)
_IP_FLUSH = re.compile(r"ip\s+(?:-4\s+)?a(?:ddr|ddress)?\s+flush\s+(?:dev\s+)?(\S+)")
_MAC = re.compile(
    r"ifconfig\s+(\S+)\s+hw\s+ether\s+([0-9A-Fa-f:]{17})|ip\s+link\s+set\s+(?:dev\s+)?(\S+)\s+address\s+([0-9A-Fa-f:]{17})"
)
_DOWN_UP = re.compile(r"(?:ifconfig\s+(\S+)|ip\s+link\s+set\s+(?:dev\s+)?(\S+))\s+(down|up)")
# What only looks, or sets what every testbed has anyway (neighbours that are known; a way to everybody on the link).
_LOOKS = re.compile(
    r"ifconfig(\s+-a|\s+\S+)?|route(\s+-\w+)?|arp(\s.*)?|netstat(\s.*)?|ethtool(\s.*)?|sysctl(\s.*)?|iptables\s+-L.*"
    r"|(ip|tc|brctl)(\s+-\S+)*(\s+\w+)?(\s+(show|ls|list|get)(\s.*)?)?|ip\s+neigh\s.*"
    r"|ip\s+route\s+(add|replace)\s+default\s+dev\s+\S+|route\s+add\s+default(\s+dev)?\s+[^\s.]+"
)
_NETWORKING = {
    "ip",
    "ifconfig",
    "route",
    "tc",
    "iptables",
    "ip6tables",
    "nft",
    "ebtables",
    "brctl",
    "vconfig",
    "dhclient",
}


class Kind(Enum):
    """What a command is to a topology: UNKNOWN changes the network in a way that we have no words for."""

    ADDRESS = "address"
    EFFECT = "effect"
    NOTHING = "nothing"
    UNKNOWN = "unknown"
    PROGRAM = "program"


def kind_of(command: str) -> Kind:
    """Of a single command; of a pipe, what its first part does."""
    if address_of(command) is not None or mac_of(command) is not None:
        return Kind.ADDRESS
    try:
        return Kind.EFFECT if effects([command]) else Kind.NOTHING
    except ValueError:
        first = _without_ampersand(command.split("|")[0].split(">")[0])
        name = first.partition(" ")[0].rpartition("/")[2]
        network = name in _NETWORKING and not _LOOKS.fullmatch(first)
        return Kind.UNKNOWN if network else Kind.PROGRAM


def address_of(command: str) -> tuple[str, str | None] | None:
    """(device, the address that it gets, None for none at all) of a command that sets one."""
    command = _without_ampersand(command)
    if match := _IFCONFIG.fullmatch(command):
        device, address, prefix, mask = match.groups()
        return device, None if address in ("0", "0.0.0.0") else _interface(address, prefix, mask)
    if match := _IP_ADD.fullmatch(command):
        return match[3], _interface(match[1], match[2] or "/32", None)
    if match := _IP_FLUSH.fullmatch(command):
        return match[1], None
    return None


def mac_of(command: str) -> tuple[str, str] | None:
    """(device, the hardware address that it gets) of a command that sets one."""
    match = _MAC.fullmatch(_without_ampersand(command))
    return (match[1] or match[3], match[2] or match[4]) if match else None


def put(command: str) -> tuple[str, bool] | None:
    """(device, whether it is put up) of a command that puts one up or down."""
    match = _DOWN_UP.fullmatch(_without_ampersand(command))
    return (match[1] or match[2], match[3] == "up") if match else None


def _without_ampersand(command: str) -> str:
    return command.strip().rstrip("&").strip()


def _interface(address: str, prefix: str | None, mask: str | None) -> str:
    """With its prefix, which is that of its class where none is given."""
    if prefix is None and mask is not None:
        prefix = f"/{ipaddress.ip_network(f'0.0.0.0/{mask}').prefixlen}"
    first = int(address.split(".")[0])
    return address + (prefix or ("/8" if first < 128 else "/16" if first < 192 else "/24"))


def effects(commands: Iterable[str]) -> Section:
    """The keys of a node that have these effects: forwarding, default_route, routes. ValueError: the command."""
    node: Section = {}
    for command in [_without_ampersand(one) for line in commands for one in singles(line)]:
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


def singles(line: str) -> list[str]:
    """The commands of a line of shell, one by one, without what silences them."""
    parts = (part.strip().removeprefix("sudo ").strip() for part in _SEPARATOR.split(_SILENCED.sub("", line)))
    return [part for part in parts if part]


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
