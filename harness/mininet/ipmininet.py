"""In the child: a stand-in for ipmininet where it is not installed, so that the graph of an IPTopo can be read."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import ipaddress
import sys
import types
from collections.abc import Iterator, Sequence
from typing import Any, Self

from harness.mininet.graph import AUTOMATIC
from harness.mininet.options import HOST_OPTIONS, LINK_OPTIONS, SWITCH_OPTIONS

_PACKAGE = "ipmininet"


class Anything:
    """What of ipmininet is no graph: it takes every argument, has every method, and nothing comes of it."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything()

    def __call__(self, *_: Any, **__: Any) -> Any:
        return Anything()

    def __getitem__(self, _key: Any) -> Any:
        return Anything()

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __str__(self) -> str:
        return ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass


class Name(str):
    """A node's name, which takes a node's daemons. said: where they are told."""

    said: list[str]

    def addDaemon(self, daemon: Any, *_: Any, **__: Any) -> None:  # noqa: N802  # ipmininet's own name
        """A routing daemon is not started: a testbed computes its routes."""
        self.said.append(f"{self}: daemon {getattr(daemon, '__name__', daemon)}")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything()


class Ends:
    """A link, which takes parameters by its ends."""

    def __init__(self, info: dict[str, Any]) -> None:
        """info: the options of the link, as its Topo has them."""
        self._info = info

    def __getitem__(self, node: Any) -> Any:
        key = "params1" if node in (0, self._info["node1"]) else "params2"
        return types.SimpleNamespace(
            addParams=lambda **given: self._info.update({key: self._info.get(key, {}) | _known(given)})
        )

    def __iter__(self) -> Iterator[Any]:
        return iter((self[self._info["node1"]], self[self._info["node2"]]))


def topo_class() -> type:
    """IPTopo: routers besides hosts and switches, addresses that are given out by whoever builds it."""
    from mininet.topo import Topo

    class IPTopo(Topo):  # type: ignore[misc, valid-type]  # Mininet has no types
        foreign = "an IPTopo is ipmininet's: Mininet alone cannot build it"

        def __init__(self, *args: Any, **options: Any) -> None:
            self.said: list[str] = []
            super().__init__(*args, **options)

        def addRouter(self, name: str, *_: Any, **options: Any) -> Any:  # noqa: N802
            return self._named(
                super().addNode(name, isRouter=True, ip=AUTOMATIC, **self._kept(name, options, HOST_OPTIONS))
            )

        def addHost(self, name: str, *_: Any, **options: Any) -> Any:  # noqa: N802
            return self._named(super().addNode(name, **{"ip": AUTOMATIC, **self._kept(name, options, HOST_OPTIONS)}))

        def addSwitch(self, name: str, *_: Any, **options: Any) -> Any:  # noqa: N802
            kept = {"stp": True, **self._kept(name, options, SWITCH_OPTIONS)}
            return self._named(super().addNode(name, isSwitch=True, **kept))

        def addHub(self, name: str, *_: Any, **options: Any) -> Any:  # noqa: N802
            return self.addSwitch(name, stp=False, **options)

        def addRouters(self, *names: str, **options: Any) -> list[Any]:  # noqa: N802
            return [self.addRouter(name, **options) for name in names]

        def addLinks(self, *links: Any, **options: Any) -> list[Any]:  # noqa: N802
            shared = [{**options, **(link[2] if len(link) > 2 else {})} for link in links]
            return [self.addLink(*link[:2], **own) for link, own in zip(links, shared, strict=True)]

        def addLink(self, node1: Any, node2: Any, *args: Any, **options: Any) -> Any:  # noqa: N802
            ends = {key: _known(options.pop(key) or {}) for key in ("params1", "params2") if key in options}
            if lost := sorted(set(options) - LINK_OPTIONS):
                self.said.append(f"{node1}-{node2}: {', '.join(lost)}")
            key = super().addLink(node1, node2, *args, **_known(options), **ends)
            return Ends(self.linkInfo(node1, node2, key))

        def _named(self, name: str) -> Any:
            named = Name(name)
            named.said = self.said
            return named

        def _kept(self, name: str, options: dict[str, Any], known: frozenset[str]) -> dict[str, Any]:
            lost = sorted(set(options) - known - {"config", "cls"})
            if lost:
                self.said.append(f"{name}: {', '.join(lost)}")
            return {key: value for key, value in options.items() if key in known and key != "cls"}

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_") or not name.startswith("add"):
                raise AttributeError(name)
            self.said.append(name)
            return Anything()

    IPTopo.__module__ = f"{_PACKAGE}.iptopo"
    return IPTopo


def _known(options: dict[str, Any]) -> dict[str, Any]:
    """What a link of ours can have of these; of several addresses, the first of IPv4."""
    known = {key: value for key, value in options.items() if key in LINK_OPTIONS and key != "cls"}
    given = known.pop("ip", None)
    several = given if isinstance(given, (list, tuple)) else [given]
    for address in several:
        if address and ipaddress.ip_interface(str(address)).version == 4:
            return known | {"ip": str(address)}
    return known


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(
        self, name: str, _path: Sequence[str] | None = None, _target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name.partition(".")[0] != _PACKAGE:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        module = types.ModuleType(spec.name)
        own = {"IPTopo": topo_class()} if spec.name == f"{_PACKAGE}.iptopo" else {}

        def attribute(name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            return own.setdefault(name, type(name, (Anything,), {}))

        module.__getattr__ = attribute  # type: ignore[method-assign]  # PEP 562
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        module.__path__ = []


def stand_in() -> None:
    """Have ipmininet be importable, unless it is."""
    if importlib.util.find_spec(_PACKAGE) is None:
        sys.meta_path.append(_Finder())
