"""Ansible callback: the play ends with the pollbench that started it, has memory again, and its forks are light."""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import signal
from typing import Any

from ansible import constants
from ansible.plugins.callback import CallbackBase
from ansible.plugins.loader import connection_loader, shell_loader
from ansible.template import Templar

try:
    from ansible.template import trust_as_template
except ImportError:  # before ansible-core 2.19, which compiles whatever looks like a template
    trust_as_template = str

DOCUMENTATION = """
name: pollbench_tied
type: aggregate
short_description: End the play when its starter has ended
description:
  - Without it a pollbench that is killed leaves ansible-playbook behind, which follows hosts for nobody.
"""

_PR_SET_PDEATHSIG = 1
_POLL_S = 0.01


def _tie() -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class CallbackModule(CallbackBase):
    """Asks the kernel, once, to be killed when the parent is gone, and lifts the limit that the parent set.

    Plays that others start are left alone.
    """

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "pollbench_tied"
    CALLBACK_NEEDS_ENABLED = False

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        parent = os.environ.get("POLLBENCH_PARENT")
        if parent:
            _tie()
            os.register_at_fork(after_in_child=_tie)  # workers, which lead sessions of their own
            if os.getppid() != int(parent):
                os.kill(os.getpid(), signal.SIGKILL)
            # It would ask a thousand times a second whether anything has come: 5 % of a CPU while hosts measure.
            constants.DEFAULT_INTERNAL_POLL_INTERVAL = max(constants.DEFAULT_INTERNAL_POLL_INTERVAL, _POLL_S)
            # Limited while the inventory was read; from here on it is our own playbook that runs.
            _, most = resource.getrlimit(resource.RLIMIT_AS)
            resource.setrlimit(resource.RLIMIT_AS, (most, most))

    def v2_playbook_on_play_start(self, play: Any) -> None:  # noqa: ARG002  # Ansible's own name and argument
        """Load what every fork would load and parse anew for each task, and let none look through it for garbage."""
        if os.environ.get("POLLBENCH_PARENT"):
            for loader, name in ((connection_loader, constants.DEFAULT_TRANSPORT), (shell_loader, "sh")):
                loader.get(name, class_only=True)
            Templar(None).template(trust_as_template("{{ 1 }}"))
            gc.freeze()
