"""The one definition of a good measuring host, and what a profile, or a user's file, wants of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from harness.errors import InputError, MissingError
from harness.kernel.host_settings import LEAVE, Setting
from harness.spec.messages import did_you_mean
from harness.spec.yaml_tree import Tree, read_file
from harness.units import parse_cpus

_KEYS = ("extends", "cpus", "devices", "settings")


@dataclass(frozen=True)
class Definition:
    """playbooks/vars/good_host.yml. profiles: name to words; settings, boot, packages: as the file says."""

    profiles: dict[str, str]
    settings: list[Setting]
    boot: list[dict[str, str]]
    packages: dict[str, str]


@dataclass(frozen=True)
class Wish:
    """What is wanted of a host: a value for each setting (or "leave"), the application's CPUs, devices to treat."""

    profile: str
    values: dict[str, str]
    cpus: tuple[int, ...] = ()
    devices: tuple[str, ...] = ()


def playbooks_dir() -> Path:
    """Where the playbooks are: in the installed package, or beside it in a checkout. Raises MissingError."""
    package = Path(__file__).parents[1]
    for place in (package / "playbooks", package.parent / "playbooks"):
        if (place / "host.yml").is_file():
            return place
    raise MissingError("find the playbooks", str(package), "they are not there", "install pollbench again")


@cache
def load_definition() -> Definition:
    """The definition that the playbooks, `host` and `doctor` share. Raises MissingError, InputError."""
    data = read_file(playbooks_dir() / "vars" / "good_host.yml")[1].plain()
    return Definition(*(data[f"good_host_{name}"] for name in ("profiles", "settings", "boot", "packages")))


def wish_of(profile: str = "latency", cpus: str | None = None, devices: Sequence[str] = ()) -> Wish:
    """What a profile, named or in a file, wants; the options count more than the file.

    Raises InputError for an unknown profile, setting or key (with file:line:column), or a bad CPU list.
    """
    definition = load_definition()
    if profile in definition.profiles:
        wish = Wish(profile, _values(definition, profile))
    elif Path(profile).exists() or "/" in profile or profile.endswith((".yml", ".yaml")):
        wish = _of_file(profile, definition)
    else:
        todo = did_you_mean(profile, definition.profiles, "profiles") + ", or name a file"
        raise InputError(f'there is no profile "{profile}"', todo=todo, where="--profile")
    if cpus is not None:
        wish = Wish(profile, wish.values, _cpus(cpus, "--cpus"), wish.devices)
    return Wish(wish.profile, wish.values, wish.cpus, tuple(dict.fromkeys([*wish.devices, *devices])))


def _values(definition: Definition, profile: str) -> dict[str, str]:
    return {setting["name"]: str(setting[profile]) for setting in definition.settings}


def _of_file(path: str, definition: Definition) -> Wish:
    tree = read_file(path)[1]
    if not isinstance(tree.value, dict):
        raise InputError("read a profile", got="it is no mapping", todo=f"keys: {', '.join(_KEYS)}", where=tree.at)
    for key, child in tree.value.items():
        if key not in _KEYS:
            raise InputError(f'unknown key "{key}"', todo=did_you_mean(key, _KEYS, "keys"), where=child.key_at)
    base = _plain(tree, "extends", "latency")
    if base not in definition.profiles:
        todo = did_you_mean(str(base), definition.profiles, "profiles")
        raise InputError(f'there is no profile "{base}"', todo=todo, where=_at(tree, "extends"))
    values = _values(definition, str(base))
    settings = tree.child("settings")
    for name, child in (settings.value if settings and isinstance(settings.value, dict) else {}).items():
        if name not in values:
            raise InputError(
                f'unknown setting "{name}"', todo=did_you_mean(name, values, "settings"), where=child.key_at
            )
        if isinstance(child.value, (dict, tuple)) or child.value is None:
            raise InputError(
                f"settings.{name}", got="not one value", todo=f"a text or number, or {LEAVE}", where=child.at
            )
        values[name] = str(child.value)
    devices = _plain(tree, "devices", [])
    if not isinstance(devices, list) or not all(isinstance(name, str) and name for name in devices):
        raise InputError("devices", got="not a list of names", todo="devices: [eth1]", where=_at(tree, "devices"))
    cpus = _plain(tree, "cpus", None)
    return Wish(path, values, () if cpus is None else _cpus(str(cpus), _at(tree, "cpus")), tuple(devices))


def _plain(tree: Tree, key: str, default: Any) -> Any:
    child = tree.child(key)
    return default if child is None else child.plain()


def _at(tree: Tree, key: str) -> str:
    child = tree.child(key)
    return tree.at if child is None else child.at


def _cpus(text: str, where: str) -> tuple[int, ...]:
    try:
        return tuple(parse_cpus(text))
    except ValueError as error:
        raise InputError("CPUs", got=str(error), where=where) from None
