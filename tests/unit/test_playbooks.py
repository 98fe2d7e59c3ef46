"""The playbooks: clean under ansible-lint and runnable by old Pythons where they are sent."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PLAYBOOKS = ROOT / "playbooks"


def environment(home: Path) -> dict[str, str]:
    programs = os.path.dirname(sys.executable)
    return os.environ | {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HOME": str(home),
        "ANSIBLE_HOME": str(home / "ansible"),
    }


@pytest.mark.slow
def test_ansible_lint_is_content(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ansiblelint", "--offline", "--nocolor", "--strict"],
        cwd=PLAYBOOKS,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "path",
    [*sorted((PLAYBOOKS / "module_utils").rglob("*.py")), *sorted((PLAYBOOKS / "library").glob("*.py"))],
    ids=str,
)
def test_what_is_sent_to_hosts_is_plain_old_python(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=(3, 8))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    beside = {node.module for node in imports if isinstance(node, ast.ImportFrom) and node.level}
    assert beside <= {sent.stem for sent in path.parent.glob("*.py")}
    imported = {
        (node.module or "") if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in imports
        if isinstance(node, ast.Import) or not node.level
    }
    assert {name.split(".")[0] for name in imported} - {"ansible"} <= set(sys.stdlib_module_names)
