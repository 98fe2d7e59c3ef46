"""What a host answers, read off a stream that others print on too: whole, or known to be damaged."""

from __future__ import annotations

import importlib.util
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PLUGIN = Path(__file__).parents[2] / "playbooks" / "action_plugins" / "pollbench_share.py"
_spec = importlib.util.spec_from_file_location("pollbench_share", PLUGIN)
assert _spec is not None and _spec.loader is not None
share = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(share)


def action(line: Callable[[str], str] = str, before: str = "") -> Any:
    """The action on a host that is a shell here. line: what becomes of its output on its way; before: typed first."""
    made = object.__new__(share.ActionModule)

    def execute(command: str, **_: Any) -> dict[str, Any]:
        done = subprocess.run(["bash", "-c", f"{before}\n{command}"], capture_output=True, check=False)
        out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        return {"rc": done.returncode, "stdout": line(out), "stderr": err}

    made._low_level_execute_command = execute
    return made


NOISE = "echo '@@ 0'; echo '{\"a\": 1}'; echo QUJD; echo 'setlocale: cannot' >&2; trap 'echo bye; echo \"@@ 7\"' EXIT"


@pytest.mark.parametrize("before", ["", NOISE])
@pytest.mark.parametrize("line", [str, lambda text: text.replace("\n", "\r\n")], ids=["pipe", "terminal"])
def test_what_a_command_prints_comes_as_it_is(before: str, line: Callable[[str], str], tmp_path: Path) -> None:
    data = os.urandom(200_000) + b"\n\n"
    (tmp_path / "data").write_bytes(data)
    made = action(line, before)
    assert made._bytes(f"cat {tmp_path}/data; echo no >&2; exit 3") == (3, data, "no")
    assert made._shell("printf 'a\\nb'") == (0, "a\nb", "")
    assert made._shell("exit 0") == (0, "", "")
    assert made._shell("no-such-program")[0] == 127


@pytest.mark.parametrize(
    "harm",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace("<\n", "<\nBroadcast message\n", 1),
        lambda text: text[:-600] + text[-599:],
    ],
    ids=["cut", "written into", "a character lost"],
)
def test_what_comes_damaged_is_asked_for_again_and_never_taken(harm: Callable[[str], str]) -> None:
    asked = []

    def once(text: str) -> str:
        asked.append(text)
        return harm(text) if len(asked) == 1 else text

    assert action(once)._shell("seq 1000")[1].splitlines()[-1] == "1000"
    assert len(asked) == 2
    with pytest.raises(share.Damaged, match="3 times"):
        action(harm)._shell("seq 1000")
    asked.clear()
    with pytest.raises(share.Damaged):
        action(once)._shell("seq 1000", tries=1)


def test_where_no_shell_ran_its_words_are_the_reason() -> None:
    def refused(_: str) -> str:
        return "This account is currently not available.\n"

    assert action(refused)._shell("true") == (127, "", "This account is currently not available.\n")


def test_what_goes_on_in_the_background_holds_no_answer(tmp_path: Path) -> None:
    text = f"{{ setsid sh -c 'sleep 60' </dev/null >/dev/null 2>&1 & }}; echo $! >{tmp_path}/pid; echo begun"
    assert action()._shell(text) == (0, "begun\n", "")
    os.kill(int((tmp_path / "pid").read_text()), 15)


def test_a_run_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    for content in (b"old", b"new"):
        share.keep(str(tmp_path), "run", {"run.json": content})
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert (tmp_path / "run" / "run.json").read_bytes() == b"new"
