"""The hosts of an Ansible inventory, as Ansible itself reads it: INI, YAML, dynamic, with host_vars and limits."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from harness.errors import InputError, MissingError
from harness.host.ansible import environment, load, refuse_foreign_config
from harness.kernel import keeper
from harness.kernel.scratch import aside

Hosts = dict[str, dict[str, Any]]
_PATIENCE_S = 60.0
_MOST_HOSTS = 10_000


def hosts_in(
    inventories: Sequence[str], limit: str | None = None, patience_s: float = _PATIENCE_S, most: int = _MOST_HOSTS
) -> Hosts:
    """Every host with its variables, in the inventory's order. Raises InputError when there is none, or more than most.

    An inventory may be a program, or a short text that means a million hosts: it has `patience_s` and 4 GiB.
    """
    for path in (path for path in inventories if not path.endswith(",")):
        if not os.path.isfile(path) and not os.path.isdir(path):
            got = "it is neither a file nor a directory" if os.path.exists(path) else "no such file"
            raise InputError("read the inventory", path, got, "name one with -i", "-i")
    program = os.path.join(os.path.dirname(sys.executable), "ansible-inventory")
    words = [program if os.path.exists(program) else "ansible-inventory", "--list"]
    refuse_foreign_config()
    words += [word for path in inventories for word in ("-i", path)]
    words += ["--limit", limit] if limit else []
    code, listing, errors = _listed(words, patience_s)
    where = ", ".join(inventories)
    if code == keeper.LATE:
        todo = "name fewer hosts, or see what its program waits for"
        raise InputError("read the inventory", where, f"not listed after {patience_s:g} s", todo, "-i")
    complaints = [line for line in errors.splitlines() if "ERROR" in line or "WARNING" in line]
    complaint = " ".join(complaints)[:500]
    if code:
        raise InputError("read the inventory", where, complaint or errors[-300:] or f"status {code}", where="-i")
    try:
        document = json.loads(listing)
        names = _names(document, "all", set())
        variables = dict(document.get("_meta", {}).get("hostvars", {}))
    except (ValueError, RecursionError, AttributeError, TypeError) as error:
        got = f"ansible-inventory printed no list of hosts ({error})"
        raise InputError("read the inventory", where, got, where="-i") from None
    if not names:
        reason = f"no host fits --limit {limit}" if limit else complaint or "it names no host"
        raise InputError("read the inventory", where, reason, where="--limit" if limit else "-i")
    if len(names) > most:
        got, todo = f"it names {len(names)} hosts", f"at most {most}; choose some with --limit"
        raise InputError("read the inventory", where, got, todo, "-i")
    return {name: variables.get(name, {}) for name in names}


def _listed(words: Sequence[str], patience_s: float) -> tuple[int, str, str]:
    """(exit code, output, errors) of ansible-inventory, kept. Raises MissingError where there is none."""
    if shutil.which(words[0]) is None:
        got, todo = "there is no ansible-inventory", "install pollbench again"
        raise MissingError("read the inventory", got=got, todo=todo)
    # Files, not pipes: what an inventory's program started, and outlives it, would hold a pipe open.
    with aside() as scratch, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        with subprocess.Popen(
            keeper.kept(words, patience_s),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=errors,
            env=os.environ | environment(scratch),
            start_new_session=True,
        ) as child:
            try:
                load()
                child.wait()
            finally:
                child.terminate()
                child.wait()  # which Popen would not, after a Ctrl-C
        for file in (out, errors):
            file.seek(0)
        return child.returncode, out.read().decode(errors="replace"), errors.read().decode(errors="replace")


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
