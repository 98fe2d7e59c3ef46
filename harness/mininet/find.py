"""In the child: from a name such as "fat_tree.py:FatTree" or "tree,2,3" to a built Topo, or what is wrong with it."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import re
import sys
import traceback
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from harness.mininet.graph import Options, Refused, TopoRequest

# What a user's file or module defines, by name.
Namespace = dict[str, Any]


def version_of(text: str) -> tuple[int, ...]:
    """A version's first three numbers: what Mininet, which compares versions of Open vSwitch, needs of distutils."""
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def prepare() -> None:
    """Put a stand-in for distutils.version in place where there is none. Call before the first import of mininet."""
    if importlib.util.find_spec("distutils") is not None:
        return
    package, version = types.ModuleType("distutils"), types.ModuleType("distutils.version")
    version.StrictVersion = version_of  # type: ignore[attr-defined]  # a module made at run time
    package.version = version  # type: ignore[attr-defined]  # likewise
    sys.modules |= {"distutils": package, "distutils.version": version}


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


def make_topo(request: TopoRequest) -> tuple[Any, Namespace]:
    """(the Topo that is asked for, built; what its file or module defines besides). Raises Refused.

    Its name: FILE.py, FILE.py:NAME, MODULE:NAME, or a name of `mn --topo`; ",4,k=2" after NAME are arguments, as `mn`
    has them. NAME is a Topo class, a key of the file's `topos`, or a function that returns a Topo.
    """
    from mininet.topo import Topo

    source, _, rest = request.name.partition(":")
    path, namespace = "", Namespace()
    if not rest and not source.split(",")[0].endswith(".py"):
        chosen, args, keywords = _arguments(source)
        known = built_in()
        if chosen not in known:
            todo = "FILE.py:CLASS, MODULE:CLASS, or one of " + ", ".join(known)
            raise Refused(f'Mininet has no topology "{chosen}"', f"expected {todo}")
        maker = known[chosen]
    else:
        chosen, args, keywords = _arguments(rest)
        if source.endswith(".py"):
            path = str(Path(request.directory, source))
            namespace = _executed(path)
        else:
            path, namespace = _module(source, request.directory)
        maker = _chosen(namespace, chosen, path or source, Topo)
    args, keywords = [*args, *request.args], {**keywords, **request.keywords}
    doing = f"building {chosen or getattr(maker, '__name__', 'it')}"
    topo = _guarded(lambda: maker(*args, **keywords), path, doing)
    if not isinstance(topo, Topo):
        raise Refused(f"{chosen or 'it'} makes {_kind(topo)}, not a mininet.topo.Topo", where=f"{path}:1:1")
    return topo, namespace


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


def _executed(path: str) -> Namespace:
    """What a file defines. The file runs as a module of its own name, its directory on the path."""
    try:
        source = Path(path).read_bytes()
    except OSError as error:
        raise Refused(f"cannot read {path}: {error.strerror}") from None
    module = types.ModuleType(Path(path).stem)
    module.__file__ = path
    sys.modules.setdefault(module.__name__, module)
    sys.path.insert(0, str(Path(path).resolve().parent))
    try:
        code = compile(source, path, "exec")
    except SyntaxError as error:
        where = f"{path}:{error.lineno or 1}:{error.offset or 1}"
        raise Refused(f"it is not Python: {error.msg}", where=where) from None
    except ValueError as error:
        raise Refused(f"it is not Python: {error}", where=f"{path}:1:1") from None
    _guarded(lambda: exec(code, module.__dict__), path, "reading it")  # noqa: S102  # the user's own file, by name
    return module.__dict__


def _module(name: str, directory: str) -> tuple[str, Namespace]:
    sys.path.insert(0, directory)
    module = _guarded(lambda: importlib.import_module(name), "", f"importing {name}")
    return str(getattr(module, "__file__", "") or ""), vars(module)


def _chosen(namespace: Namespace, name: str, path: str, topo: type) -> Callable[..., Any]:
    topos = namespace.get("topos")
    listed: Namespace = topos if isinstance(topos, dict) else {}
    own = {
        key: value
        for key, value in namespace.items()
        if isinstance(value, type) and issubclass(value, topo) and value.__module__ == namespace["__name__"]
    }
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
    if len(choices) != 1:
        names = ", ".join(listed or own) or "none"
        raise Refused("it does not say which topology", f"name one after a colon; in it: {names}", where)
    return choices[0]  # type: ignore[no-any-return]  # likewise


def _guarded(act: Callable[[], Any], path: str, doing: str) -> Any:
    """Run the user's code; whatever it raises, also SystemExit, becomes Refused with the place in the user's file."""
    try:
        return act()
    except Refused:
        raise
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else (error.code or 0)
        _refuse(error, path, f"{doing}: it called sys.exit({code})")
    except ModuleNotFoundError as error:
        _refuse(error, path, f"{doing}: {error}", "install the module it imports")
    except BaseException as error:  # noqa: BLE001  # foreign code may raise anything, KeyboardInterrupt too
        words = " ".join(str(error).split())[:300]
        _refuse(error, path, f"{doing}: {type(error).__name__}" + (f": {words}" if words else ""))


def _refuse(error: BaseException, path: str, got: str, todo: str = "") -> NoReturn:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == path]
    last = frames[-1] if frames else None
    column = (getattr(last, "colno", None) or 0) + 1
    place = f"{path}:{last.lineno}:{column}" if last else (f"{path}:1:1" if path else "")
    raise Refused(got, todo, place) from None


def _kind(value: Any) -> str:
    return f"a {type(value).__name__}" if value is not None else "nothing"
