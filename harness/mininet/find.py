"""In the child: from a name such as "fat_tree.py:FatTree" or "tree,2,3" to a built Topo, or what is wrong with it."""

from __future__ import annotations

import contextlib
import difflib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import re
import sys
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from harness.mininet.graph import Options, Refused, TopoRequest
from harness.mininet.guarded import convert_hint, guarded, place_of, python_2
from harness.mininet.ipmininet import stand_in
from harness.mininet.places import Places
from harness.mininet.scripts import Recorded
from harness.mininet.stage import Ended, Stage

# What a user's file or module defines, by name.
Namespace = dict[str, Any]
# A file that imports one of these may make a net, and not only describe one.
_MAKES_NETS = re.compile(rb"\bmininet\.(?:net|cli|clean)\b|\bipmininet\.(?:ipnet|cli)\b|\bfrom\s+mininet\s+import\b")
_GUARD = re.compile(rb"^if\s*\(?\s*__name__\s*==", re.M)
_MAIN = "__main__"


def version_of(text: str) -> tuple[int, ...]:
    """A version's first three numbers: what Mininet, which compares versions of Open vSwitch, needs of distutils."""
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


class _StandIn(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds a distutils.version of ours."""

    NAMES = ("distutils", "distutils.version")

    def find_spec(
        self, name: str, _path: Sequence[str] | None = None, _target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in self.NAMES:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=name == "distutils")

    def exec_module(self, module: types.ModuleType) -> None:
        module.__dict__["StrictVersion"] = version_of


def prepare() -> None:
    """Load what of Mininet wants distutils.version, with a stand-in for it. Call before the first import of mininet.

    It stays as the last resort: some Pythons have none, and where it is setuptools', that takes a tenth of a second.
    """
    finder = _StandIn()
    sys.meta_path.insert(0, finder)
    with contextlib.suppress(ImportError):
        importlib.import_module("mininet.node")
    sys.meta_path.remove(finder)
    for name in _StandIn.NAMES:
        sys.modules.pop(name, None)
    sys.meta_path.append(finder)


def built_in() -> dict[str, Callable[..., Any]]:
    """The topologies that `mn --topo` knows."""
    from mininet.topo import LinearTopo, MinimalTopo, SingleSwitchReversedTopo, SingleSwitchTopo
    from mininet.topolib import TorusTopo, TreeTopo

    return {
        "minimal": MinimalTopo,
        "linear": LinearTopo,
        "reversed": SingleSwitchReversedTopo,
        "single": SingleSwitchTopo,
        "tree": TreeTopo,
        "torus": TorusTopo,
    }


def make_topo(request: TopoRequest, places: Places) -> tuple[Any, Namespace]:
    """(what is asked for: a built Topo, or a Recorded net; what its file or module defines besides). Raises Refused.

    Its name: FILE.py, FILE.py:NAME, MODULE:NAME, or a name of `mn --topo`; ",4,k=2" after NAME are arguments, as `mn`
    has them. NAME is a Topo class, a key of the file's `topos`, or a function that returns a Topo or makes a net;
    `__main__` is the file itself, run as a program.
    """
    stand_in()
    source, _, rest = request.name.partition(":")
    sys.argv = [source, *request.argv]
    if not rest and not source.split(",")[0].endswith(".py"):
        chosen, args, keywords = _arguments(source)
        known = built_in()
        if chosen not in known:
            todo = "FILE.py:CLASS, MODULE:CLASS, or one of " + ", ".join(known)
            raise Refused(f'Mininet has no topology "{chosen}"', f"expected {todo}")
        return _made(known[chosen], "", chosen, [*args, *request.args], {**keywords, **request.keywords}), {}
    return _File(request, source, _arguments(rest), places).made()


class _File:
    """A file or module of the user's, and what in it is asked for."""

    def __init__(self, request: TopoRequest, source: str, rest: tuple[str, list[Any], Options], places: Places) -> None:
        self._chosen, args, keywords = rest
        self._args, self._keywords = [*args, *request.args], {**keywords, **request.keywords}
        self._source, self._directory = source, request.directory
        is_file = source.endswith(".py")
        self._path = str(Path(request.directory, source)) if is_file else _file_of(source, request.directory)
        self._text = _content(self._path) if self._path else b""
        self._stage = Stage(places) if _MAKES_NETS.search(self._text) else None
        self._is_file = is_file

    def made(self) -> tuple[Any, Namespace]:
        """The Topo or net, and the namespace. Raises Refused. Only a net's stage stays."""
        made: tuple[Any, Namespace] = None, {}
        try:
            made = self._made()
        finally:
            if self._stage is not None and not isinstance(made[0], Recorded):
                self._stage.close()
        return made

    def _made(self) -> tuple[Any, Namespace]:
        from mininet.topo import Topo

        if self._chosen == _MAIN:
            return self._run_as_program()
        ended = ""
        namespace = Namespace()
        try:
            namespace = _executed(self._path, self._text) if self._is_file else _module(self._source, self._directory)
        except (Refused, Ended) as error:
            ended = self._how_it_ended(error)
        if self._net() is not None and not (self._chosen and namespace):
            return self._recorded(ended), namespace
        maker = _chosen(
            namespace, self._chosen, self._path or self._source, Topo, _GUARD.search(self._text) is not None
        )
        if maker is None:
            return self._run_as_program()
        call = f"{self._source}:{self._chosen or maker.__name__}"
        try:
            topo = _made(maker, self._path, call, self._args, self._keywords)
        except (Refused, Ended) as error:
            return self._recorded(self._how_it_ended(error)), namespace
        if isinstance(topo, Topo):
            return topo, namespace
        if self._net() is None:
            words = f"{self._chosen or 'it'} makes {_kind(topo)}, not a mininet.topo.Topo, and no Mininet"
            raise Refused(words, where=f"{self._path}:1:1")
        return self._recorded(), namespace

    def _run_as_program(self) -> tuple[Any, Namespace]:
        """The file as `python FILE.py` runs it."""
        ended, namespace = "", Namespace()
        self._stage = self._stage or Stage(Places(self._directory))
        try:
            namespace = _executed(self._path, self._text, _MAIN)
        except (Refused, Ended) as error:
            ended = self._how_it_ended(error)
        if self._net() is None:
            raise Refused(
                "run as a program, it makes no Mininet", "name a Topo class of it, or a function", f"{self._path}:1:1"
            )
        return self._recorded(ended), namespace

    def _net(self) -> Any:
        """The net that the file has made: the first that has nodes."""
        nets = self._stage.nets if self._stage is not None else []
        return next(
            (net for net in nets if getattr(net, "hosts", None) or getattr(net, "topo", None) is not None), None
        )

    def _recorded(self, ended: str = "") -> Recorded:
        assert self._stage is not None
        count = sum(bool(getattr(net, "hosts", None)) for net in self._stage.nets)
        more = f"it makes {count} nets, of which this is the first" if count > 1 else ""
        return Recorded(self._net(), self._stage, "; ".join(filter(None, (more, ended))))

    def _how_it_ended(self, error: Refused | Ended) -> str:
        """In words, where its net stood by then; raises the error again where it did not."""
        if isinstance(error, Ended):
            if self._net() is None:
                raise Refused(f"{error}, and has made no Mininet", where=place_of(error, self._path)) from None
            return "" if "ended" in str(error) else f"it goes no further here: {error}"
        net = self._net()
        if net is None or not net.built:
            raise error
        return "" if "sys.exit" in error.got else f"it goes no further here: {error.got} ({error.where})"


def _made(maker: Callable[..., Any], path: str, call: str, args: list[Any], keywords: Options) -> Any:
    name = call.rpartition(":")[2]
    return _guarded(lambda: maker(*args, **keywords), path, f"building {name}", call)


def _guarded(act: Callable[[], Any], path: str, doing: str, call: str = "") -> Any:
    """As guarded, but that a script which will never end is told from one that fails."""
    ended: list[Ended] = []

    def acted() -> Any:
        try:
            return act()
        except Ended as error:
            ended.append(error)
            return None

    result = guarded(acted, path, doing, call)
    if ended:
        raise ended[0]
    return result


def _file_of(module: str, directory: str) -> str:
    """The file that a module is in; "" where that cannot be known."""
    sys.path.insert(0, directory)
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return ""
    return str(spec.origin) if spec is not None and spec.origin and spec.origin.endswith(".py") else ""


def _content(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise Refused(f"cannot read {path}: {error.strerror}") from None


def _arguments(text: str) -> tuple[str, list[Any], Options]:
    """ "tree,2,fanout=3" taken apart as `mn` does: name, positional and named arguments."""
    name, *parts = text.split(",")
    named = (part.partition("=") for part in parts if "=" in part)
    by_position = [_value(part) for part in parts if "=" not in part]
    return name, by_position, {key: _value(value) for key, _, value in named}


def _value(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"True": True, "False": False, "None": None}.get(text, text)


def _executed(path: str, source: bytes, name: str = "") -> Namespace:
    """What a file defines. The file runs as a module of its own name (or `name`), its directory on the path."""
    module = types.ModuleType(name or Path(path).stem)
    module.__file__ = path
    if name:
        sys.modules[name] = module
    sys.modules.setdefault(module.__name__, module)
    sys.path.insert(0, str(Path(path).resolve().parent))
    try:
        code = compile(source, path, "exec")
    except SyntaxError as error:
        where = f"{path}:{error.lineno or 1}:{error.offset or 1}"
        if older := python_2(source):
            raise Refused(f"it is Python 2 ({older})", convert_hint(path), where) from None
        raise Refused(f"it is not Python: {error.msg}", where=where) from None
    except ValueError as error:
        raise Refused(f"it is not Python: {error}", where=f"{path}:1:1") from None
    _guarded(lambda: exec(code, module.__dict__), path, "running it" if name else "reading it")  # noqa: S102  # the user's own file, by name
    return module.__dict__


def _module(name: str, directory: str) -> Namespace:
    sys.path.insert(0, directory)
    return vars(_guarded(lambda: importlib.import_module(name), "", f"importing {name}"))


def _chosen(namespace: Namespace, name: str, path: str, topo: type, runs: bool) -> Callable[..., Any] | None:
    """What makes the topology; None for the file itself. runs: is there something that it does as a program?"""
    topos = namespace.get("topos")
    listed: Namespace = topos if isinstance(topos, dict) else {}
    defined = {
        key: value for key, value in namespace.items() if getattr(value, "__module__", "") == namespace["__name__"]
    }
    own = {key: value for key, value in defined.items() if isinstance(value, type) and issubclass(value, topo)}
    where = f"{path}:1:1"
    if name:
        maker = listed.get(name, namespace.get(name))
        if maker is None:
            near = difflib.get_close_matches(name, [*own, *listed], 1)
            offers = ", ".join([*own, *(key for key in listed if key not in own)]) or "none"
            todo = f'did you mean "{near[0]}"?' if near else f"topologies in it: {offers}"
            raise Refused(f'there is no "{name}" in it', todo, where)
        if not callable(maker):
            raise Refused(f"{name} is {_kind(maker)}, not a Topo class", where=where)
        return maker  # type: ignore[no-any-return]  # a user's class or function
    choices = list(listed.values()) or list(own.values())
    if len(choices) == 1:
        return choices[0]  # type: ignore[no-any-return]  # likewise
    if runs:
        return None
    functions = [key for key, value in defined.items() if inspect.isfunction(value) and not key.startswith("_")]
    names = ", ".join(listed or own or functions) or "none"
    raise Refused("it does not say which topology", f"name one after a colon; in it: {names}", where)


def _kind(value: Any) -> str:
    return f"a {type(value).__name__}" if value is not None else "nothing"
