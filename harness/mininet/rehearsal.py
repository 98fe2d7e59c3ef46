"""In the child: host classes of a user's own, tried on a node that has no shell and notes what it would be told."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import Any

from harness.mininet.graph import Options, Rehearsal

# Number to name and address of each interface of a host.
Ports = dict[int, tuple[str, Any]]

_OWN_MODULES = ("mininet.node", "mininet.nodelib")
_MININETS = ("Node", "Host", "CPULimitedHost")
# What a rehearsal may not do, so that it leaves the host as it is. Names of Python's audit events.
_EFFECTS = ("subprocess.Popen", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn", "os.kill")
_TOUCHES = ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.chmod", "os.chown", "os.link", "os.symlink")
_REACHES = ("socket.bind", "socket.connect", "socket.sendto", "shutil.")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


class _ForbiddenError(PermissionError):
    """What the class was about to do to this host."""


class Stage:
    """Mininet's Node without a shell, for the rest of this process. done: the commands of the node on stage."""

    def __init__(self, plain: Callable[[Any], Any]) -> None:
        from mininet import node

        self._plain = plain
        self.done: list[str] = []
        self.given: Options = {}
        self._playing, self._caught = False, ""
        kinds = node.Node, node.CPULimitedHost
        for kind in kinds:
            for name in ("cmd", "cmdPrint", "sendCmd", "popen", "pexec"):
                setattr(kind, name, lambda _node, *words, **_more: self._noted(words))
            kind.config = lambda _node, **params: self._configured(params)
        node.Node.checkSetup = node.Node.startShell = node.Node.mountPrivateDirs = lambda *_, **__: None
        node.CPULimitedHost.__init__ = lambda host, name, **more: node.Host.__init__(host, name, **more)
        sys.dont_write_bytecode = True
        sys.addaudithook(self._watch)

    def play(self, name: str, cls: Any, params: Options, ports: Ports) -> Rehearsal:
        """What a host's class does. ports: number to name and address of each interface of it."""
        self.done, self.given, self._caught = [], {}, ""
        self._playing = True
        try:
            failed = self._played(name, cls, params, ports)
        finally:
            self._playing = False
        if not failed and not self.given:
            failed = "whose config() does not call that of its base class"
        return Rehearsal(self.done, self._plain(self.given), _where(cls), self._caught or failed)

    def _played(self, name: str, cls: Any, params: Options, ports: Ports) -> str:
        try:
            host = cls(name, **params)
            for number, (device, address) in ports.items():
                _interface(host, number, device, address)
            host.configDefault()
        except SystemExit as error:
            return f"which calls sys.exit({error.code})"
        except BaseException as error:  # noqa: BLE001  # foreign code may raise anything
            return f"whose configuration raises {type(error).__name__}: {' '.join(str(error).split())[:200]}"
        return ""

    def _noted(self, words: tuple[Any, ...]) -> str:
        parts = words[0] if len(words) == 1 and isinstance(words[0], (list, tuple)) else words
        self.done.append(" ".join(map(str, parts)))
        return ""

    def _configured(self, params: Options) -> Options:
        self.given = params
        return {}

    def _watch(self, event: str, args: tuple[Any, ...]) -> None:
        if not self._playing:
            return
        writes = event == "open" and isinstance(args[2], int) and args[2] & _WRITING
        if writes or event.startswith((*_EFFECTS, *_TOUCHES, *_REACHES)):
            action = f"writes {args[0]}" if writes else f"does {event} {' '.join(map(str, args[:2]))}"
            self._caught = f"which {action[:200]} on this host"
            raise _ForbiddenError(1, action)


def rehearse(topo: Any, plain: Callable[[Any], Any]) -> dict[str, Rehearsal]:
    """The rehearsal of every host whose class is not one of Mininet's plain ones. plain: makes JSON data of options."""
    from mininet.util import ipAdd, ipParse

    rehearsals: dict[str, Rehearsal] = {}
    stage: Stage | None = None
    for number, name in enumerate(topo.hosts(), 1):
        params = dict(topo.nodeInfo(name))
        cls = params.pop("cls", None)
        if cls is None or _is_mininets(cls):
            continue
        stage = stage or Stage(plain)
        params.pop("isSwitch", None)
        params.setdefault("ip", f"{ipAdd(number, 8, ipParse('10.0.0.0'))}/8")
        rehearsals[name] = stage.play(name, cls, params, _ports(topo, name, params["ip"]))
    return rehearsals


def _bare(cls: Any) -> Any:
    """The class or function itself, without functools.partial around it."""
    while isinstance(cls, functools.partial):
        cls = cls.func
    return cls


def _is_mininets(cls: Any) -> bool:
    inner = _bare(cls)
    return getattr(inner, "__module__", "") in _OWN_MODULES and getattr(inner, "__name__", "") in _MININETS


def _where(cls: Any) -> str:
    """file:line:column of a class's own config(), or of a function that stands for a class; "" if unknown."""
    inner = _bare(cls)
    code = getattr(getattr(inner, "config", inner), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}:1" if code is not None else ""


def _ports(topo: Any, name: str, default: str) -> Ports:
    """Number, name and address of the interfaces that Mininet would make for a host."""
    ports: Ports = {}
    for first, second, _, opts in topo.links(sort=True, withKeys=True, withInfo=True):
        for end, node in (("1", opts.get("node1", first)), ("2", opts.get("node2", second))):
            if node == name:
                port = opts.get(f"port{end}", len(ports))
                device = opts.get(f"intfName{end}") or f"{name}-eth{port}"
                ports[port] = device, (opts.get(f"params{end}") or {}).get("ip")
    return {port: (device, default if port == min(ports) else own) for port, (device, own) in ports.items()}


def _interface(host: Any, number: int, device: str, address: Any) -> None:
    """An interface that nothing is behind, as the node's own methods look it up."""
    from mininet.link import Intf

    made = Intf.__new__(Intf)
    ip, _, prefix = str(address or "").partition("/")
    made.node, made.name, made.link, made.mac, made.params = host, device, None, None, {}
    made.ip, made.prefixLen = ip or None, prefix or None  # type: ignore[bad-assignment]  # as Mininet itself does
    host.intfs[number], host.ports[made], host.nameToIntf[device] = made, number, made
