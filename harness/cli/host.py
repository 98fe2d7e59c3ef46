"""`pollbench host show`, `prepare` and `restore`: a host set up for measuring, and put back."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from harness.cli.terminal import need_root
from harness.errors import EXIT_NOT_VALID, EXIT_OK, InputError
from harness.host import Wish, boot_rows, change_host, host_rows, load_definition, package_rows, wish_of
from harness.host.ansible import load
from harness.kernel import journal
from harness.kernel.host_settings import STATE, Host, SettingRow
from harness.signals import stop_on_signals

_QUIET = ("ok", "not applicable")


def host(arguments: argparse.Namespace) -> int:
    """Show, prepare or restore this host; see `pollbench host --help`."""
    action, missing, wish = arguments.action, [], Wish("", {})
    if action == "show":
        return _show(arguments)
    if action == "prepare":
        wish = _wish(arguments)
    if not arguments.check:
        need_root(f"{action} this host")
    if action == "prepare" and arguments.packages:
        missing = [row["package"] for row in package_rows() if not row["there"]]
    load()
    # No setting changes while something is measured.
    with stop_on_signals("sudo pollbench host restore") as stopper, journal.host_lock():
        rows = change_host(
            action,
            wish,
            check=arguments.check,
            state=arguments.state or STATE,
            packages=missing,
            stopping=lambda: stopper.requested,
        )
    if arguments.json:
        print(json.dumps(rows, indent=2))
    else:
        _print_changes(arguments, rows)
    return EXIT_NOT_VALID if any(row["state"] in ("failed", "left") for row in rows) else EXIT_OK


def _wish(arguments: argparse.Namespace) -> Wish:
    """What the options want of this host. Raises InputError where it has no such CPU or device."""
    wish = wish_of(arguments.profile, arguments.cpus, arguments.device)
    if absent := Host(cpus=wish.cpus, devices=wish.devices).absent():
        where = "--cpus" if "CPU" in absent and arguments.cpus else "--device" if arguments.device else wish.profile
        raise InputError(f"{arguments.action} this host", got=absent, where=where)
    return wish


def _show(arguments: argparse.Namespace) -> int:
    wish = _wish(arguments)
    rows, boot, packages = host_rows(wish), boot_rows(wish), package_rows()
    if arguments.json:
        print(json.dumps({"settings": rows, "boot": boot, "packages": packages}, indent=2))
        return EXIT_OK
    words = load_definition().profiles.get(wish.profile, "")
    print(f"profile {wish.profile}" + (f": {words}" if words else ""))
    for row, alike in _gathered(rows):
        mark = {"ok": "ok ", "differs": "-> ", "not applicable": "   "}[row["state"]]
        more = f" and {alike - 1} more like it" if alike > 1 else ""
        print(f"  {mark} {row['what']}: {_state(row)}{more}")
    print("\nwhat only a boot can change (never edited for you):")
    for option in boot:
        state = f"{option['parameter']}={option['found']}" if option["there"] else f"add {option['line']}"
        print(f"  {'ok ' if option['there'] else '-> '} {state}\n        {option['why']}")
    missing = [row["package"] for row in packages if not row["there"]]
    here = [row["program"] for row in packages if row["there"]]
    print(f"\noptional programs: {', '.join(here) or 'none'} here")
    if missing:
        print(f"  -> missing: sudo apt install {' '.join(missing)}, or pollbench host prepare --packages")
    return EXIT_OK


def _gathered(rows: Sequence[SettingRow]) -> list[tuple[SettingRow, int]]:
    """Groups targets that are alike (every CPU, every kernel thread): the first of each group, and the group's size."""
    groups: dict[tuple[str, ...], list[SettingRow]] = {}
    for row in rows:
        groups.setdefault((row["name"], row["state"], row["found"], row["wanted"]), []).append(row)
    return [(group[0], len(group)) for group in groups.values()]


def _state(row: SettingRow) -> str:
    if row["state"] == "not applicable":
        return f"not applicable, {row['reason']}"
    if row["state"] == "ok":
        return f"{row['found']}  ({row['target']})"
    return f"{row['found']}, wanted {row['wanted']}  ({row['target']})"


def _print_changes(arguments: argparse.Namespace, rows: Sequence[SettingRow]) -> None:
    """A line for every target that was not left as it was, then how many were."""
    for row, alike in _gathered(rows):
        more = f" and {alike - 1} more like it" if alike > 1 else ""
        if row["state"] in ("changed", "would change", "restored", "would restore"):
            print(f"{row['state']}: {row['what']}: {row['found']} -> {row['wanted']}  ({row['target']}){more}")
        elif row["state"] not in _QUIET:
            print(f"{row['state']}: {row['what']}: {row['target']}: {row['reason']}")
    for row in rows:
        if row["state"] == "not applicable":
            print(f"not applicable: {row['what']}: {row['reason']}")
    changed = sum(row["state"] not in (*_QUIET, "gone", "left", "failed") for row in rows)
    quiet = sum(row["state"] == "ok" for row in rows)
    if arguments.action == "restore" and not rows:
        print("nothing to restore: this host is not prepared")
        return
    verb = "would change" if arguments.check else "changed" if arguments.action == "prepare" else "put back"
    print(f"{verb}: {changed}; as wanted already: {quiet}")
    if arguments.action == "prepare" and changed and not arguments.check:
        print("back with: sudo pollbench host restore")
