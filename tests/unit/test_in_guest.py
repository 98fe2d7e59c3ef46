"""Commands handed to a shell at the other end of two pipes, as tools do with a guest's."""

from __future__ import annotations

import subprocess

import pytest

from tools.in_guest import GuestShell


def test_a_shell_says_of_each_command_whether_it_succeeded() -> None:
    with subprocess.Popen(["sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        shell = GuestShell(process)
        # Prompts and what a console echoes stand before the answer.
        assert shell.send("printf '# echo ended-$((1 + 1000))-$?-\\n# '")
        assert not shell.send("base64 -d << END > /dev/null 2>&1\nnot whole\nEND")
        assert shell.send("base64 -d << END > /dev/null\nd2hvbGU=\nEND")
        shell.write("exit\n")
        with pytest.raises(SystemExit, match="gone"):
            shell.send("true")
