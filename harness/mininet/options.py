"""Mininet's options of hosts, switches and links in the words of our topology; what is not known is an error."""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Any

from harness.mininet.commands import effects
from harness.mininet.graph import Graph, GraphLink, GraphNode, Options, Refused, Section

_LINK = {"node1", "node2", "port1", "port2", "intfName1", "intfName2", "addr1", "addr2", "params1", "params2"}
_LINK |= {"cls", "cls1", "cls2", "intf", "fast", "key"}
_LINK_CLASSES = {"Link", "TCLink", "TCULink", "OVSLink"}
_SHAPING_LINKS = {"TCLink", "TCULink"}
_INTF_CLASSES = {"Intf", "TCIntf", "OVSIntf"}
_HOST_CLASSES = {"Node", "Host", "CPULimitedHost"}
# Who forwards at layer 2; which of them Mininet would start makes no difference to a bridge.
_SWITCH_CLASSES = {"Switch", "OVSSwitch", "OVSKernelSwitch", "OVSBridge", "LinuxBridge", "UserSwitch"}
_SWITCH_CLASSES |= {"IVSSwitch"}
# An OpenFlow switch's conversation with its controller: a bridge has none.
_OPENFLOW = {"dpid", "listenPort", "protocols", "failMode", "datapath", "inband", "reconnectms", "batch"}
_OPENFLOW |= {"dpopts", "opts", "controlPort", "verbose"}
# Marks a host of which only Mininet knows what it does.
FOREIGN = "(of a class of its own)"
_HOST = {"ip", "mac", "defaultRoute", "lo", "inNamespace", "cpu", "cores", "sched", "period_us", "cls"}
_HOST |= {"isSwitch", "isRouter", FOREIGN}
_SWITCH = {"stp", "prio", "cls", "isSwitch", "inNamespace"} | _OPENFLOW
HOST_OPTIONS, SWITCH_OPTIONS = frozenset(_HOST - {FOREIGN}), frozenset(_SWITCH)
_RATE = {"bw", "speedup", "use_htb", "use_tbf", "use_hfsc", "latency_ms", "enable_ecn", "enable_red"}
_NETEM = {"delay", "jitter", "loss", "max_queue_size"}
_PORT = {"port", "ip", "mac", "up"} | _RATE | _NETEM
LINK_OPTIONS = frozenset(_LINK | _PORT)
_OFFLOADS = {"gro": "rx-gro", "disable_gro": "rx-gro", "txo": "tx checksums", "rxo": "rx checksums"}
# What of these Mininet can be left to: it runs the classes, and sets the rest as it will.
_LEFT_TO_MININET = {"cls", "cls1", "cls2", "intf", "params1", "params2", "up", "inNamespace", "sched", "cpu"}

_BW_MAX_MBIT = 1000  # Mininet ignores a higher one with a message; so it cannot be meant
# A time as tc reads it: a bare number is in us. (Of iproute2 6.1: no ns, no minutes.)
_TIME = re.compile(r"\s*([0-9.]+(?:e[+-]?[0-9]+)?)\s*(|us|usecs?|ms|msecs?|s|secs?)\s*", re.IGNORECASE)
_UNIT_US = {"": 1.0, "u": 1.0, "m": 1e3, "s": 1e6}
# Of mininet.link.TCIntf: the buckets, and where the RED queue lies between htb and netem.
_TBF_BURST, _HTB_BURST, _FIFO_PACKETS = 15_000, 15 * 1024, 1000
_ELSEWHERE = "take engine: mininet, which runs such classes"


@dataclass
class LinkEnd:
    """One end of a link: what Mininet gives its interface. link: the link in words, for messages."""

    link: str
    node: str
    device: str
    port: Any
    ip: Any
    mac: str | None
    options: Options


def _check_known(options: Options, known: AbstractSet[str], owner: str) -> None:
    for name in options:
        if name not in known:
            todo = f"known: {', '.join(sorted(known - {FOREIGN}))}"
            raise Refused(f'option "{name}" of {owner} is not known', todo)


def _class(value: Any, known: AbstractSet[str], owner: str) -> Options:
    """The keywords of a class given as an option. Refused for one whose behaviour we cannot have."""
    if value is None:
        return {}
    name = value.get("class", value.get("object", "?")) if isinstance(value, dict) else str(value)
    if name not in known:
        raise Refused(f"{owner} is of class {name}, which is not one of Mininet's own", _ELSEWHERE)
    return dict(value.get("keywords", {}))


def without_unknown(graph: Graph) -> Graph:
    """A graph without the options, and the classes, that only Mininet understands."""

    def kept(options: Options, known: AbstractSet[str]) -> Section:
        return {key: value for key, value in options.items() if key in known - _LEFT_TO_MININET}

    def host(node: GraphNode) -> GraphNode:
        options, cls = kept(node.options, _HOST), node.options.get("cls")
        if cls and cls.get("class") not in _HOST_CLASSES:
            options[FOREIGN] = True
        if "via" not in str(options.get("defaultRoute") or "via"):
            del options["defaultRoute"]
        return replace(node, options=options)

    def switch(node: GraphNode) -> GraphNode:
        cls = node.options.get("cls") or {}
        own = {"cls": cls} if cls.get("class") in _SWITCH_CLASSES else {}
        return replace(node, options=kept(node.options, _SWITCH) | own)

    def link(item: GraphLink) -> GraphLink:
        ends = {key: item.options.get(key) for key in ("params1", "params2")}
        ends = {key: kept(value, _PORT) for key, value in ends.items() if isinstance(value, dict)}
        return replace(item, options=kept(item.options, _LINK | _PORT) | ends)

    return Graph([*map(host, graph.hosts)], [*map(switch, graph.switches)], [*map(link, graph.links)])


def played(host: GraphNode) -> tuple[Options, Section]:
    """(a host's options, what its class does besides, as keys of a node), its class tried if it is a user's own.

    What the class does not pass on to Mininet's configuration was for itself. Refused for what we cannot do.
    """
    own = host.own
    if own is None:
        return host.options, {}
    owner = f"host {host.name} is of class {host.options['cls'].get('class', '?')}"
    try:
        done = effects(own.commands)
    except ValueError as error:
        raise Refused(f"{owner}, which runs: {str(error)[:120]}", _ELSEWHERE, own.where) from None
    if own.failed:
        raise Refused(f"{owner}, {own.failed}", _ELSEWHERE, own.where)
    return {key: value for key, value in own.given.items() if key in _HOST}, {"forwarding": False, **done}


def host_node(name: str, options: Options) -> Section:
    """The node of a host (without its address, which its first link gets)."""
    owner = f"host {name}"
    options = {**_class(options.get("cls"), _HOST_CLASSES, owner), **options}
    _check_known(options, _HOST, owner)
    if options.get("inNamespace") is False:
        raise Refused(f"{owner} has inNamespace=False: it would be this host itself", "leave it out")
    if options.get("sched") == "rt":
        raise Refused(f"{owner} has sched='rt'", "take the knob `process` for scheduling policies")
    # What a class of somebody's own does, only Mininet knows: with several links, it may well route.
    node: Section = {} if options.get(FOREIGN) else {"forwarding": bool(options.get("isRouter"))}
    route = _gateway(options.get("defaultRoute"), owner)
    if route is not None:
        node["default_route"] = route
    if options.get("cores") is not None:
        cores = options["cores"]
        node["cpus"] = ",".join(map(str, cores)) if isinstance(cores, list) else str(cores)
    cpu = options.get("cpu")
    if cpu is not None and cpu != -1:
        if not isinstance(cpu, int | float) or not 0 < cpu <= 1:
            raise Refused(f"{owner} has cpu={cpu!r}", "expected a share of the machine from 0 to 1")
        node["cpu_share"] = f"{100 * cpu:.6g}%"
    return node


def switch_node(name: str, options: Options) -> Section:
    """The node of a switch: a bridge."""
    owner = f"switch {name}"
    options = {**_class(options.get("cls"), _SWITCH_CLASSES, owner), **options}
    _check_known(options, _SWITCH, owner)
    node: Section = {"switch": True}
    if options.get("prio") is not None:
        node["priority"] = int(options["prio"])
    return node


def has_stp(options: Options) -> bool:
    """Does a switch ask for the spanning tree protocol? As a keyword of its class too; stp=1 is common."""
    keywords = options["cls"].get("keywords", {}) if isinstance(options.get("cls"), dict) else {}
    return bool((keywords | dict(options)).get("stp"))


def link_ends(options: Options, link: str, nodes: tuple[str, str]) -> tuple[LinkEnd, LinkEnd]:
    """Both ends, as mininet.link.Link gives the options out: what a link says itself goes over params1 and params2."""
    options = {**_class(options.get("cls"), _LINK_CLASSES, link), **options}
    shared = {key: value for key, value in options.items() if key not in _LINK}

    def end(number: str, node: str) -> LinkEnd:
        _class(options.get(f"cls{number}"), _INTF_CLASSES, link)
        own = dict(options.get(f"params{number}") or {}) | shared
        _check_known(own, _PORT | set(_OFFLOADS), link)
        _check_offloads(own, link)
        if not _shapes(options, number):
            own = {key: value for key, value in own.items() if key not in _RATE | _NETEM}
        port = options.get(f"port{number}")
        port = own.get("port") if port is None else port
        device = str(options.get(f"intfName{number}") or f"{node}-eth{port}")
        mac = own.get("mac") or options.get(f"addr{number}")
        return LinkEnd(link, node, device, port, own.get("ip"), mac, own)

    ends = end("1", nodes[0]), end("2", nodes[1])
    _class(options.get("intf"), _INTF_CLASSES, link)
    return ends


def _shapes(options: Options, number: str) -> bool:
    """Is the interface at this end one that shapes? As mn --link tc has it, where the link names no class."""

    def named(key: str) -> str:
        value = options.get(key)
        return str(value.get("class", "")) if isinstance(value, dict) else ""

    if end := named(f"cls{number}"):
        return end == "TCIntf"
    return (named("cls") or "TCLink") in _SHAPING_LINKS or named("intf") == "TCIntf"


def _check_offloads(own: Options, link: str) -> None:
    """Offloads as Mininet sets them by default are fine, except for GRO, which this testbed needs."""
    if own.get("up", True) is not True:
        raise Refused(f"{link} has up={own['up']!r}", "links of a testbed are up")
    for name, feature in _OFFLOADS.items():
        if name in own and bool(own[name]) is (name == "disable_gro"):
            todo = "leave it out, and take the knob `offloads`"
            if "gro" in name:
                todo += ": without GRO a veth has no NAPI, and busy polling silently does nothing"
            raise Refused(f"{link} switches {feature} off ({name})", todo)


def shape_of(end: LinkEnd) -> Section | None:
    """The shaping that TCIntf does at one end, of what its node sends; None for none."""
    own, link = end.options, end.link
    bw, size = _number(own, "bw", link), _number(own, "max_queue_size", link)
    shape: Section = {}
    if bw is not None:
        if not 0 < bw <= _BW_MAX_MBIT:
            raise Refused(f"{link} has bw={bw:g}", f"expected Mbit/s, more than 0 and at most {_BW_MAX_MBIT}")
        speedup = _number(own, "speedup", link) or 0
        shape = _rate(own, speedup if speedup > 0 and end.node.startswith("s") else bw, link)
    shape |= _delays(own, link)
    delayed = "delay" in shape or "loss" in shape
    if size is not None and size < 1:
        raise Refused(f"{link} has max_queue_size={size:g}", "expected a number of packets")
    if size is not None and delayed:
        shape["limit"] = int(size)
    elif size is not None:
        # netem without a delay is a queue that drops at its end, and that every kernel has.
        shape["qdisc"] = {"kind": "pfifo", "limit": int(size)}
    elif bw is not None and shape["method"] != "tbf" and not delayed:
        shape["qdisc"] = {"kind": "pfifo", "limit": _FIFO_PACKETS}
    return shape or None


def _rate(own: Options, bw: float, owner: str) -> Section:
    shape: Section = {"rate": f"{round(bw * 1e6)}bit"}
    if own.get("use_hfsc"):
        shape["method"] = "hfsc"
    elif own.get("use_tbf"):
        latency = _number(own, "latency_ms", owner)
        queue_ms = latency if latency is not None else 15.0 * 8 / bw
        shape |= {"method": "tbf", "burst": f"{_TBF_BURST}B", "queue": f"{max(1, round(queue_ms * 1e6))}ns"}
    else:
        shape |= {"method": "htb", "burst": f"{_HTB_BURST}B"}
    if own.get("enable_ecn") or own.get("enable_red"):
        shape["red"] = "ecn" if own.get("enable_ecn") else "drop"
    return shape


def _delays(own: Options, owner: str) -> Section:
    shape: Section = {}
    if delay_ns := _delay_ns(own, "delay", owner):
        shape["delay"] = f"{delay_ns}ns"
    if jitter_ns := _delay_ns(own, "jitter", owner):
        if own.get("delay") is None:
            raise Refused(f"{owner} has a jitter without a delay", "tc refuses that; delay='0ms' is one")
        shape |= {"delay": f"{delay_ns}ns", "jitter": f"{jitter_ns}ns"}
    if loss := _number(own, "loss", owner):
        if not 0 <= loss <= 100:
            raise Refused(f"{owner} has loss={loss:g}", "expected a percentage from 0 to 100")
        shape["loss"] = f"{loss:.6g}%"
    return shape


def _delay_ns(own: Options, key: str, owner: str) -> int:
    """A time in nanoseconds, 0 where none is given."""
    value = own.get(key)
    match = _TIME.fullmatch("0" if value is None else str(value))
    try:
        return round(float(match[1]) * _UNIT_US[match[2][:1].lower()] * 1e3) if match else int("")
    except ValueError:
        raise Refused(f"{owner} has {key}={value!r}", 'expected a time such as "5ms" or "100us"') from None


def _number(own: Options, key: str, owner: str) -> float | None:
    value = own.get(key)
    if value is None:
        return None
    try:
        if isinstance(value, bool):
            raise ValueError
        return float(value)
    except (TypeError, ValueError):
        raise Refused(f"{owner} has {key}={value!r}", "expected a number") from None


def _gateway(route: Any, owner: str) -> str | None:
    """The gateway of a default route, "via 10.0.0.1"."""
    if not route:
        return None
    match = re.fullmatch(r"\s*via\s+([0-9a-fA-F.:]+)(\s+dev\s+\S+)?\s*", str(route))
    if match is None:
        raise Refused(f"{owner} has defaultRoute={route!r}", 'expected "via ADDRESS"')
    return match[1]
