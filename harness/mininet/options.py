"""Mininet's options of hosts, switches and links in the words of our topology; what is not known is an error."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from harness.mininet.commands import effects

Options = Mapping[str, Any]
Shape = dict[str, Any]

_LINK = {"node1", "node2", "port1", "port2", "intfName1", "intfName2", "addr1", "addr2", "params1", "params2"}
_LINK |= {"cls", "cls1", "cls2", "intf", "fast", "key"}
_LINK_CLASSES = {"Link", "TCLink", "TCULink", "OVSLink"}
_INTF_CLASSES = {"Intf", "TCIntf", "OVSIntf"}
_HOST_CLASSES = {"Node", "Host", "CPULimitedHost"}
# Who forwards at layer 2; which of them Mininet would start makes no difference to a bridge.
_SWITCH_CLASSES = {
    "Switch",
    "OVSSwitch",
    "OVSKernelSwitch",
    "OVSBridge",
    "LinuxBridge",
    "UserSwitch",
    "IVSSwitch",
}
# An OpenFlow switch's conversation with its controller: a bridge has none.
_OPENFLOW = {"dpid", "listenPort", "protocols", "failMode", "datapath", "inband", "reconnectms", "batch"}
_OPENFLOW |= {"dpopts", "opts", "controlPort", "verbose"}
_HOST = {
    "ip",
    "mac",
    "defaultRoute",
    "lo",
    "inNamespace",
    "cpu",
    "cores",
    "sched",
    "period_us",
    "cls",
    "isSwitch",
}
_FOREIGN = "(of a class of its own)"
_HOST |= {_FOREIGN}
_SWITCH = {"stp", "prio", "cls", "isSwitch", "inNamespace"} | _OPENFLOW
_RATE = {"bw", "speedup", "use_htb", "use_tbf", "use_hfsc", "latency_ms", "enable_ecn", "enable_red"}
_NETEM = {"delay", "jitter", "loss", "max_queue_size"}
_PORT = {"port", "ip", "mac", "up"} | _RATE | _NETEM
_OFFLOADS = {"gro": "rx-gro", "disable_gro": "rx-gro", "txo": "tx checksums", "rxo": "rx checksums"}

_BW_MAX_MBIT = 1000  # Mininet ignores a higher one with a message; so it cannot be meant
_DELAY_US = {
    "": 1,
    "us": 1,
    "usec": 1,
    "usecs": 1,
    "ms": 1e3,
    "msec": 1e3,
    "msecs": 1e3,
    "s": 1e6,
    "sec": 1e6,
}
# Of mininet.link.TCIntf: the buckets, and where the RED queue lies between htb and netem.
_TBF_BURST, _HTB_BURST, _FIFO_PACKETS = 15_000, 15 * 1024, 1000


class BadOption(Exception):  # noqa: N818  # the caller makes the error, knowing the file
    """An option that cannot be taken: what is wrong, what to do, where in the user's own file ("": unknown)."""

    def __init__(self, got: str, todo: str = "", where: str = "") -> None:
        super().__init__(got)
        self.got, self.todo, self.where = got, todo, where


def _known(options: Options, known: set[str], what: str) -> None:
    for name in options:
        if name not in known:
            raise BadOption(
                f'option "{name}" of {what} is not known', f"known: {', '.join(sorted(known - {_FOREIGN}))}"
            )


def _class(value: Any, known: set[str], what: str) -> dict[str, Any]:
    """The keywords of a class given as an option; BadOption for one whose behaviour we cannot have."""
    if value is None:
        return {}
    name = value.get("class", value.get("object", "?")) if isinstance(value, dict) else str(value)
    if name not in known:
        todo = "take engine: mininet, which runs such classes"
        raise BadOption(f"{what} is of class {name}, which is not one of Mininet's own", todo)
    return dict(value.get("keywords", {}))


def without_unknown(graph: dict[str, Any]) -> dict[str, Any]:
    """A graph without the options, and the classes, that only Mininet understands."""

    def kept(options: Options, known: set[str]) -> dict[str, Any]:
        return {key: value for key, value in options.items() if key in known}

    ports = _PORT - {"up"}
    hosts, switches = _HOST - {"cls", "inNamespace", "sched", "cpu"}, _SWITCH
    ends = _LINK - {"cls", "cls1", "cls2", "intf", "params1", "params2"}
    links = []
    for link in graph["links"]:
        options = kept(link["opts"], ends | ports)
        for key in ("params1", "params2"):
            if isinstance(link["opts"].get(key), dict):
                options[key] = kept(link["opts"][key], ports)
        links.append(link | {"opts": options})
    out = {"hosts": graph["hosts"], "switches": graph["switches"]}
    for kind, known in (("hosts", hosts), ("switches", switches)):
        out[kind] = [item | {"opts": kept(item["opts"], known)} for item in out[kind]]
    for item in out["switches"]:
        if item["opts"].get("cls", {}).get("class") not in _SWITCH_CLASSES:
            item["opts"].pop("cls", None)
    strange = {
        item["name"]
        for item in graph["hosts"]
        if item["opts"].get("cls") and item["opts"]["cls"].get("class") not in _HOST_CLASSES
    }
    for item in out["hosts"]:
        if item["name"] in strange:
            item["opts"][_FOREIGN] = True
        if "via" not in str(item["opts"].get("defaultRoute") or "via"):
            item["opts"].pop("defaultRoute")
    return out | {"links": links}


def played(host: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(a host's options, what its class does besides, as keys of a node), its class tried if it is a user's own.

    What the class does not pass on to Mininet's configuration was for itself. BadOption for what we cannot do.
    """
    own, options = host.get("own"), dict(host["opts"])
    if own is None:
        return options, {}
    what = f"host {host['name']} is of class {options['cls'].get('class', '?')}"
    todo = "take engine: mininet, which runs such classes"
    try:
        done = effects(own["commands"])
    except ValueError as error:
        raise BadOption(f"{what}, which runs: {str(error)[:120]}", todo, own["where"]) from None
    if own["failed"]:
        raise BadOption(f"{what}, {own['failed']}", todo, own["where"])
    return {key: value for key, value in own["given"].items() if key in _HOST}, {"forwarding": False} | done


def host_node(name: str, options: Options) -> dict[str, Any]:
    """The node of a host (without its address, which its first link gets)."""
    what = f"host {name}"
    options = _class(options.get("cls"), _HOST_CLASSES, what) | dict(options)
    _known(options, _HOST, what)
    if options.get("inNamespace") is False:
        raise BadOption(f"{what} has inNamespace=False: it would be this host itself", "leave it out")
    if options.get("sched") == "rt":
        raise BadOption(f"{what} has sched='rt'", "take the knob `process` for scheduling policies")
    # What a class of somebody's own does, only Mininet knows: with several links, it may well route.
    node: dict[str, Any] = {} if options.get(_FOREIGN) else {"forwarding": False}
    route = _gateway(options.get("defaultRoute"), what)
    if route is not None:
        node["default_route"] = route
    if options.get("cores") is not None:
        cores = options["cores"]
        node["cpus"] = ",".join(map(str, cores)) if isinstance(cores, list) else str(cores)
    cpu = options.get("cpu")
    if cpu is not None and cpu != -1:
        if not isinstance(cpu, int | float) or not 0 < cpu <= 1:
            raise BadOption(f"{what} has cpu={cpu!r}", "expected a share of the machine from 0 to 1")
        node["cpu_share"] = f"{100 * cpu:.6g}%"
    return node


def switch_node(name: str, options: Options) -> dict[str, Any]:
    """The node of a switch: a bridge."""
    what = f"switch {name}"
    options = _class(options.get("cls"), _SWITCH_CLASSES, what) | dict(options)
    _known(options, _SWITCH, what)
    node: dict[str, Any] = {"switch": True}
    if options.get("prio") is not None:
        node["priority"] = int(options["prio"])
    return node


def has_stp(options: Options) -> bool:
    """Does a switch ask for the spanning tree protocol? As a keyword of its class too; stp=1 is common."""
    keywords = options["cls"].get("keywords", {}) if isinstance(options.get("cls"), dict) else {}
    return bool((keywords | dict(options)).get("stp"))


def link_ends(options: Options, what: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options of either end, as mininet.link.Link gives them out: what a link says itself goes over params1/2."""
    options = _class(options.get("cls"), _LINK_CLASSES, what) | dict(options)
    shared = {key: value for key, value in options.items() if key not in _LINK}
    ends = []
    for end in "12":
        _class(options.get(f"cls{end}"), _INTF_CLASSES, what)
        own = dict(options.get(f"params{end}") or {}) | shared
        _known(own, _PORT | set(_OFFLOADS), what)
        own |= {"device": options.get(f"intfName{end}") or None}
        own["mac"] = own.get("mac") or options.get(f"addr{end}")
        own["port"] = options.get(f"port{end}") if options.get(f"port{end}") is not None else own.get("port")
        _check_offloads(own, what)
        ends.append(own)
    _class(options.get("intf"), _INTF_CLASSES, what)
    return ends[0], ends[1]


def _check_offloads(own: Options, what: str) -> None:
    """Offloads as Mininet sets them by default are fine, except for GRO, which this testbed needs."""
    if own.get("up", True) is not True:
        raise BadOption(f"{what} has up={own['up']!r}", "links of a testbed are up")
    for name, feature in _OFFLOADS.items():
        if name in own and bool(own[name]) is (name == "disable_gro"):
            todo = "leave it out, and take the knob `offloads`"
            if "gro" in name:
                todo += ": without GRO a veth has no NAPI, and busy polling silently does nothing"
            raise BadOption(f"{what} switches {feature} off ({name})", todo)


def shape_of(own: Options, node: str, what: str) -> Shape | None:
    """The shaping that TCIntf does at one end, of what its node sends; None for none."""
    bw, size = _number(own, "bw", what), _number(own, "max_queue_size", what)
    shape: Shape = {}
    if bw is not None:
        if not 0 < bw <= _BW_MAX_MBIT:
            raise BadOption(
                f"{what} has bw={bw:g}", f"expected Mbit/s, more than 0 and at most {_BW_MAX_MBIT}"
            )
        speedup = _number(own, "speedup", what) or 0
        if speedup > 0 and node.startswith("s"):
            bw = speedup
        shape |= _rate(own, bw, what)
    shape |= _delays(own, what)
    if size is not None:
        if size < 1:
            raise BadOption(f"{what} has max_queue_size={size:g}", "expected a number of packets")
        if "delay" in shape or "loss" in shape:
            shape["limit"] = int(size)
        else:
            # netem without a delay is a queue that drops at its end, and that every kernel has.
            shape["qdisc"] = {"kind": "pfifo", "limit": int(size)}
    elif bw is not None and shape["method"] != "tbf" and "delay" not in shape and "loss" not in shape:
        shape.setdefault("qdisc", {"kind": "pfifo", "limit": _FIFO_PACKETS})
    return shape or None


def _rate(own: Options, bw: float, what: str) -> Shape:
    shape: Shape = {"rate": f"{round(bw * 1e6)}bit"}
    if own.get("use_hfsc"):
        shape["method"] = "hfsc"
    elif own.get("use_tbf"):
        latency = _number(own, "latency_ms", what)
        queue_ms = latency if latency is not None else 15.0 * 8 / bw
        shape |= {"method": "tbf", "burst": f"{_TBF_BURST}B", "queue": f"{max(1, round(queue_ms * 1e6))}ns"}
    else:
        shape |= {"method": "htb", "burst": f"{_HTB_BURST}B"}
    if own.get("enable_ecn") or own.get("enable_red"):
        shape["red"] = "ecn" if own.get("enable_ecn") else "drop"
    return shape


def _delays(own: Options, what: str) -> Shape:
    shape: Shape = {}
    for key in ("delay", "jitter"):
        if own.get(key) is not None:
            shape[key] = f"{_delay_ns(own[key], key, what)}ns"
    loss = _number(own, "loss", what)
    if loss:
        if not 0 <= loss <= 100:
            raise BadOption(f"{what} has loss={loss:g}", "expected a percentage from 0 to 100")
        shape["loss"] = f"{loss:.6g}%"
    if shape.get("delay") == "0ns":
        del shape["delay"]
    if shape.get("jitter") == "0ns":
        del shape["jitter"]
    if "jitter" in shape and "delay" not in shape:
        raise BadOption(f"{what} has a jitter without a delay", "tc refuses that")
    return shape


def _delay_ns(value: Any, key: str, what: str) -> int:
    """A time as tc reads it: "5ms", "100us", "1s", a bare number in us."""
    match = re.fullmatch(r"\s*([0-9.]+)\s*([a-z]*)\s*", str(value))
    try:
        assert match is not None
        return round(float(match[1]) * _DELAY_US[match[2]] * 1e3)
    except (AssertionError, KeyError, ValueError):
        raise BadOption(f"{what} has {key}={value!r}", 'expected a time such as "5ms" or "100us"') from None


def _number(own: Options, key: str, what: str) -> float | None:
    value = own.get(key)
    if value is None:
        return None
    try:
        if isinstance(value, bool):
            raise ValueError
        return float(value)
    except (TypeError, ValueError):
        raise BadOption(f"{what} has {key}={value!r}", "expected a number") from None


def _gateway(route: Any, what: str) -> str | None:
    """The gateway of a default route, "via 10.0.0.1"."""
    if not route:
        return None
    match = re.fullmatch(r"\s*via\s+([0-9a-fA-F.:]+)(\s+dev\s+\S+)?\s*", str(route))
    if match is None:
        raise BadOption(f"{what} has defaultRoute={route!r}", 'expected "via ADDRESS"')
    return match[1]
