"""In the child: Mininet without shells, veths and daemons; what a script has it do is noted, in order, and not done."""

from __future__ import annotations

import builtins
import functools
import io
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from harness.mininet.places import Places

# Of Mininet's functions that run something on the host, wherever its modules have imported them: what they return here.
_HOSTS: dict[str, Any] = {
    "quietRun": "",
    "errRun": ("", "", 0),
    "errFail": ("", "", 0),
    "oldQuietRun": "",
    "checkRun": 0,
    "sh": "",
    "makeIntfPair": (None, None),
    "moveIntf": None,
    "moveIntfNoRetry": True,
    "fixLimits": None,
    "sysctlTestAndSet": None,
    "ensureRoot": None,
    "waitListening": True,
    "isShellBuiltin": False,
    "which": "",
    "mountCgroups": None,
    "pathCheck": None,
    "moduleDeps": None,
    "killprocs": None,
    "cleanup": None,
    "makeTerm": [],
    "makeTerms": [],
    "runX11": (None, None),
    "cleanUpScreens": None,
    "tunnelX11": (None, None),
}
# Methods of nodes, switches, controllers and interfaces that ask or change what is not there, and what they return.
_METHODS: dict[str, Any] = {
    "startShell": None,
    "mountPrivateDirs": None,
    "unmountPrivateDirs": None,
    "checkSetup": None,
    "setup": None,
    "terminate": None,
    "cleanup": None,
    "stop": None,
    "start": None,
    "attach": None,
    "detach": None,
    "connected": True,
    "checkListening": None,
    "isListening": True,
    "isAvailable": True,
    "isOldOVS": False,
    "waitOutput": "",
    "monitor": "",
    "read": "",
    "readline": "",
    "write": None,
    "sendInt": None,
    "waitReadable": [],
    "TCReapply": None,
    "batchStartup": [],
    "batchShutdown": [],
    "isUp": True,
    "status": "OK",
}
_NET: dict[str, Any] = {
    "ping": 0.0,
    "pingAll": 0.0,
    "pingPair": 0.0,
    "pingFull": [],
    "pingAllFull": [],
    "pingPairFull": [],
    "iperf": ["0 bits/sec", "0 bits/sec"],
    "runCpuLimitTest": [],
    "monitor": [],
    "configLinkStatus": None,
    "waitConnected": True,
    "startTerms": None,
    "stopXterms": None,
    "stop": None,
}
# Options of an interface that shapes, the first four as config() takes them by position.
SHAPING = ("bw", "delay", "jitter", "loss", "max_queue_size", "use_tbf", "use_hfsc", "enable_ecn", "enable_red")
# Of this host, what a script does to its files; and what it asks first: whether it is root.
_FILES = (
    "mkdir",
    "makedirs",
    "remove",
    "unlink",
    "rmdir",
    "removedirs",
    "rename",
    "replace",
    "chmod",
    "chown",
    "symlink",
)
_WRITING = re.compile("[wax+]")
# What older Mininets had by other names.
_OLDER = {"HostWithPrivateDirs": "Host", "OVSLegacyKernelSwitch": "OVSKernelSwitch"}
# Waiting costs nothing here; but a script that has waited so long, or so often, would do so for ever.
_LONGEST_S, _MOST_WAITS = 7 * 86400.0, 20_000
# What a command takes, so that a loop until some time has passed comes to its end.
_COMMAND_S, _MOST_STEPS = 0.01, 200_000
_NOTHING = object()
# A process number that nobody has: the kernel's largest, and one.
_NOBODYS_PID = 4_194_305
_LIMITS = ("sched", "period_us")
# The arguments of subprocess.Popen that have it speak text.
_TEXT = ("text", "universal_newlines", "encoding", "errors")


class Ended(BaseException):
    """The script has come to its end, or will never."""


@dataclass(frozen=True)
class Step:
    """What was to be done, in a node ("" for the net or this host); by: "mininet", "class" or "script"."""

    node: str
    command: str
    at: str
    by: str


class Silent:
    """A process that has said nothing and ended well; stands for subprocess.Popen."""

    def __init__(self, args: Any = (), text: bool = True, **_more: Any) -> None:
        """text: does it speak text?"""
        self.args, self.pid, self.returncode = args, _NOBODYS_PID, 0
        self._nothing: Any = "" if text else b""
        stream = io.StringIO if text else io.BytesIO
        self.stdin, self.stdout, self.stderr = stream(), stream(), stream()

    def communicate(self, *_: Any, **__: Any) -> tuple[Any, Any]:
        """Nothing, twice."""
        return self._nothing, self._nothing

    def wait(self, *_: Any, **__: Any) -> int:
        """It ended well."""
        return 0

    poll = send_signal = terminate = kill = wait

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class Stage:
    """Mininet as a script sees it, from here to `close`. steps: what was to be done; nets: every net that was made."""

    def __init__(self, places: Places) -> None:
        from mininet import clean, cli, link, moduledeps, net, node, nodelib, term, topolib, util

        self.places = places
        self.steps: list[Step] = []
        self.nets: list[Any] = []
        self.added: dict[int, tuple[Any, dict[str, Any], str]] = {}  # by id: class, options and place of a node or link
        self._keep: list[Any] = []  # what has an id there
        self._building = 0
        self._waits, self._waited_s = 0, 0.0
        self._undo: list[tuple[Any, str, Any]] = []
        modules = clean, cli, link, moduledeps, net, node, nodelib, term, topolib, util
        for module in modules:
            for name, value in _HOSTS.items():
                if callable(vars(module).get(name)):
                    self._set(module, name, _returning(value))
        self._set(clean.Cleanup, "cleanup", _returning(None))
        self._set(node, "findController", lambda *_, **__: node.Controller)
        self._nodes(node, nodelib, link)
        self._net(net)
        for name in ("__init__", "run"):
            self._set(cli.CLI, name, self._telling("CLI", None, its_arguments=False))
        self._python()

    def close(self) -> None:
        """Mininet and Python as they were."""
        for owner, name, value in reversed(self._undo):
            if value is _NOTHING:
                delattr(owner, name)
            else:
                setattr(owner, name, value)
        self._undo.clear()

    def _set(self, owner: Any, name: str, value: Any) -> None:
        self._undo.append((owner, name, vars(owner).get(name, _NOTHING)))
        setattr(owner, name, value)

    def _nodes(self, node: Any, nodelib: Any, link: Any) -> None:
        kinds = [kind for module in (node, nodelib, link) for kind in vars(module).values() if isinstance(kind, type)]
        ours = [kind for kind in kinds if issubclass(kind, (node.Node, link.Intf))]
        for kind in dict.fromkeys(ours):
            for name, value in _METHODS.items():
                if name in vars(kind):
                    self._set(kind, name, _returning(value))
        for older, newer in _OLDER.items():
            if not hasattr(node, older):
                self._set(node, older, getattr(node, newer))
        for kind in (node.Node, node.Switch):
            for name in ("cmd", "cmdPrint", "sendCmd"):
                self._set(kind, name, lambda node, *words, **_: self._note(node.name, words))
            self._set(kind, "popen", lambda node, *words, **_: self._process(node.name, words))
            self._set(kind, "pexec", lambda node, *words, **_: (self._note(node.name, words), "", 0))
        self._set(node.Node, "pid", property(lambda _: _NOBODYS_PID, lambda *_: None))
        limited = node.CPULimitedHost
        self._set(limited, "__init__", _plain_host(node.Host.__init__))
        self._set(limited, "config", _plain_host(node.Host.config))
        for name, option in (("setCPUFrac", "cpu"), ("setCPUs", "cores")):
            self._set(limited, name, lambda host, value, *_, _option=option, **__: host.params.update({_option: value}))
        self._set(link.TCIntf, "config", self._reshaped(link.TCIntf.config))
        self._set(link.Intf, "updateIP", lambda intf: intf.ip)
        self._set(link.Intf, "updateMAC", lambda intf: intf.mac)
        self._set(link.Intf, "updateAddr", lambda intf: (intf.ip, intf.mac))

    def _net(self, net: Any) -> None:
        kind = net.Mininet
        for name, value in _NET.items():
            noted = name not in ("stop", "waitConnected", "stopXterms", "startTerms")
            self._set(kind, name, self._telling(name, value) if noted else _returning(value))
        self._set(kind, "init", classmethod(lambda _cls: None))
        self._set(kind, "randMac", staticmethod(lambda: None))
        for name in ("addHost", "addSwitch", "addLink", "addController", "build"):
            self._set(kind, name, self._watched(getattr(kind, name), name))
        made = kind.__init__

        @functools.wraps(made)
        def start_of(itself: Any, *args: Any, **options: Any) -> None:
            self.nets.append(itself)
            made(itself, *args, **options)

        self._set(kind, "__init__", start_of)
        self._set(kind, "start", lambda itself: None if itself.built else itself.build())

    def _python(self) -> None:
        """What a script would wait for, or do to this host, besides Mininet."""
        clocks = {name: getattr(time, name) for name in ("time", "monotonic", "perf_counter")}
        for name, clock in clocks.items():
            self._set(time, name, lambda _clock=clock: _clock() + self._waited_s)
        self._set(time, "sleep", self._wait)
        self._set(builtins, "input", lambda *_: "")
        self._set(builtins, "open", self._opened(open))
        for name in _FILES:
            self._set(os, name, lambda *words, _name=name, **__: self._note("", (_name, *words)) and None)
        self._set(shutil, "rmtree", lambda *words, **__: self._note("", ("rmtree", *words)) and None)
        self._set(os, "geteuid", _returning(0))
        self._set(os, "getuid", _returning(0))
        self._set(os, "system", lambda command: len(self._note("", (command,))))
        self._set(os, "popen", lambda command, *_: self._process("", (command,)).stdout)
        self._set(os, "_exit", self._leave)

        stage = self

        class Popen(Silent):
            def __init__(self, args: Any = (), *_: Any, **more: Any) -> None:
                stage._note("", (args,))
                super().__init__(args, any(more.get(name) for name in _TEXT))

        self._set(subprocess, "Popen", Popen)

    def _reshaped(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Of an interface: what it is given before the net stands, it has from the start; the rest is told."""

        @functools.wraps(original)
        def config(intf: Any, *args: Any, **options: Any) -> Any:
            if self._building:
                return original(intf, *args, **options)
            given = dict(zip(SHAPING, args, strict=False)) | options
            if any(net.built for net in self.nets):
                self._note("", (intf.name, "config", *(f"{key}={value}" for key, value in given.items())))
            elif any(given.get(key) is not None for key in ("bw", "delay", "loss", "max_queue_size")):
                intf.params = {key: value for key, value in intf.params.items() if key not in SHAPING} | given
            return {}

        return config

    def _opened(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """To write is to write nowhere."""

        @functools.wraps(original)
        def opened(file: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
            if _WRITING.search(mode) and not isinstance(file, int):
                self._note("", ("writes", file))
                return original(os.devnull, mode.replace("x", "w").replace("r+", "w"), *args, **options)
            return original(file, mode, *args, **options)

        return opened

    def _leave(self, *_: Any) -> None:
        raise Ended("it ended its process")

    def _wait(self, seconds: float = 0.0) -> None:
        self._waits += 1
        self._waited_s += float(seconds)
        if self._waits > _MOST_WAITS or self._waited_s > _LONGEST_S:
            raise Ended("it waits for ever")

    def _telling(self, name: str, value: Any, its_arguments: bool = True) -> Callable[..., Any]:
        def told(_net: Any, *args: Any, **options: Any) -> Any:
            words = [*map(_word, args), *(f"{key}={_word(given)}" for key, given in options.items())]
            self._note("", (name, *words) if its_arguments else (name,))
            return value

        return told

    def _watched(self, original: Callable[..., Any], name: str) -> Callable[..., Any]:
        @functools.wraps(original)
        def watched(net: Any, *args: Any, **options: Any) -> Any:
            at = self.places.here()
            self._building += 1
            try:
                made = original(net, *args, **options)
            finally:
                self._building -= 1
            if made is not None and id(made) not in self.added:
                position = 4 if name == "addLink" else 1
                cls = options.get("cls") or (args[position] if len(args) > position else None)
                own = {key: value for key, value in options.items() if key not in ("cls", "node1", "node2")}
                self._keep.append(made)
                self.added[id(made)] = cls, own, at
            return made

        return watched

    def _note(self, node: str, words: tuple[Any, ...]) -> str:
        parts = words[0] if len(words) == 1 and isinstance(words[0], (list, tuple)) else words
        by = "script"
        if self._building:
            caller = str(sys._getframe(2).f_globals.get("__name__"))
            by = "mininet" if caller.startswith("mininet.") else "class"
        self._waited_s += _COMMAND_S
        if len(self.steps) >= _MOST_STEPS:
            raise Ended("it goes on for ever")
        self.steps.append(Step(node, " ".join(map(str, parts)), self.places.here(), by))
        return ""

    def _process(self, node: str, words: tuple[Any, ...], text: bool = True) -> Silent:
        self._note(node, words)
        return Silent(words, text)


def _plain_host(original: Callable[..., Any]) -> Callable[..., Any]:
    """A host's method without what a limit of CPU time would add to it."""

    def called(host: Any, *args: Any, **options: Any) -> Any:
        for name in _LIMITS:
            setattr(host, name, options.get(name))
        return original(host, *args, **{key: value for key, value in options.items() if key not in _LIMITS})

    return called


def _returning(value: Any) -> Callable[..., Any]:
    return lambda *_, **__: value


def _word(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(map(_word, value)) + "]"
    return str(getattr(value, "name", value))
