#!/usr/bin/python
"""Ansible module: show, prepare or restore what a host is set to for measuring."""

from __future__ import annotations

DOCUMENTATION = """
module: pollbench_host
short_description: Show, prepare or restore what a host is set to for measuring
description:
  - Looks at the settings of a definition, sets those that differ, or puts back what was found before.
  - The values found are kept in a state file on the host, before anything is changed.
options:
  action:
    description: What to do.
    type: str
    choices: [show, prepare, restore]
    required: true
  settings:
    description: The settings, as in vars/good_host.yml.
    type: list
    elements: dict
    default: []
  wanted:
    description: The value of each setting by its name; those without one are left alone.
    type: dict
    default: {}
  cpus:
    description: The application's CPUs.
    type: list
    elements: int
    default: []
  devices:
    description: Network devices whose interrupts and queues are treated.
    type: list
    elements: str
    default: []
  state:
    description: Where the values found are kept.
    type: path
    default: /var/lib/pollbench/host.json
author: [pollbench]
"""

EXAMPLES = """
- name: Prepare
  pollbench_host:
    action: prepare
    settings: "{{ good_host_settings }}"
    wanted: {swappiness: "1"}
"""

RETURN = """
rows:
  description: One for every target, with the value found, the one wanted, and what was done.
  returned: always
  type: list
"""

from ansible.module_utils.basic import AnsibleModule  # noqa: E402
from ansible.module_utils.pollbench_host import STATE, Host, look, prepare, restore  # noqa: E402

_CHANGES = ("changed", "would change", "restored", "would restore")


def main() -> None:
    """Do what is asked; a value that was refused fails the task after all others have been tried."""
    module = AnsibleModule(
        argument_spec={
            "action": {"choices": ["show", "prepare", "restore"], "required": True},
            "settings": {"type": "list", "elements": "dict", "default": []},
            "wanted": {"type": "dict", "default": {}},
            "cpus": {"type": "list", "elements": "int", "default": []},
            "devices": {"type": "list", "elements": "str", "default": []},
            "state": {"type": "path", "default": STATE},
        },
        supports_check_mode=True,
    )
    given = module.params
    host = Host(cpus=given["cpus"], devices=given["devices"])
    wanted = {name: str(value) for name, value in given["wanted"].items()}
    try:
        if given["action"] != "restore" and host.absent():
            raise ValueError(host.absent())
        if given["action"] == "show":
            rows = look(host, given["settings"], wanted)
        elif given["action"] == "prepare":
            rows = prepare(host, given["settings"], wanted, given["state"], module.check_mode)
        else:
            rows = restore(host, given["state"], module.check_mode)
    except (OSError, ValueError, KeyError) as error:
        module.fail_json(msg=f"{given['action']}: {error}; nothing was changed", rows=[])
    changes = [row for row in rows if row["state"] in _CHANGES]
    failed = [row for row in rows if row["state"] == "failed"]
    result = {
        "changed": bool(changes),
        "rows": rows,
        "diff": {
            "before": "".join(f"{row['target']}: {row['found']}\n" for row in changes),
            "after": "".join(f"{row['target']}: {row['wanted']}\n" for row in changes),
        },
    }
    if failed:
        first = failed[0]
        module.fail_json(msg=f"{first['target']}: {first['reason']}", **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
