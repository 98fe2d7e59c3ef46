"""The hosts of an Ansible inventory, as Ansible itself reads it: INI, YAML, dynamic, with host_vars and limits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from harness.errors import InputError, MissingError
from harness.host.ansible import environment

Hosts = dict[str, dict[str, Any]]


def hosts_in(inventories: Sequence[str], limit: str | None = None) -> Hosts:
    """Every host with its variables, in the inventory's order. Raises InputError when there is none."""
    for path in inventories:
        if not path.endswith(",") and not os.path.exists(path):
            raise InputError("read the inventory", path, "no such file", "name one with -i", "-i")
    program = os.path.join(os.path.dirname(sys.executable), "ansible-inventory")
    words = [program if os.path.exists(program) else "ansible-inventory", "--list"]
    # Ansible takes an ansible.cfg of the current directory, and the plugins that it names: its plays are started
    # elsewhere, and so is this.
    words += [word for path in inventories for word in ("-i", path if path.endswith(",") else os.path.abspath(path))]
    words += ["--limit", limit] if limit else []
    env, nothing = os.environ | environment(), subprocess.DEVNULL
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, env=env, stdin=nothing, cwd="/")
    except FileNotFoundError:
        got, todo = "there is no ansible-inventory", "install pollbench again"
        raise MissingError("read the inventory", got=got, todo=todo) from None
    where = ", ".join(inventories)
    complaints = [line for line in done.stderr.splitlines() if "ERROR" in line or "WARNING" in line]
    complaint = " ".join(complaints)[:500]
    if done.returncode:
        raise InputError("read the inventory", where, complaint or done.stderr[-300:], where="-i")
    document = json.loads(done.stdout)
    variables = document.get("_meta", {}).get("hostvars", {})
    names = _names(document, "all", set())
    if not names:
        reason = f"no host fits --limit {limit}" if limit else complaint or "it names no host"
        raise InputError("read the inventory", where, reason, where="--limit" if limit else "-i")
    return {name: variables.get(name, {}) for name in names}


def _names(document: Mapping[str, Any], group: str, seen: set[str]) -> list[str]:
    """The hosts of a group and of all below it, each once."""
    if group in seen:
        return []
    seen.add(group)
    entry = document.get(group, {})
    hosts = list(entry.get("hosts", []))
    for child in entry.get("children", []):
        hosts += _names(document, child, seen)
    return list(dict.fromkeys(hosts))
