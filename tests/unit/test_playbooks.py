"""The playbooks: clean under ansible-lint, runnable by old Pythons where they are sent, and in the wheel."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import zipfile
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


@pytest.mark.slow
def test_the_wheel_has_the_playbooks(tmp_path: Path) -> None:
    wheel = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), "."]
    # Elsewhere, so that the checkout's build directory does not come in.
    copy = tmp_path / "source"
    copy.mkdir()
    parts = [str(ROOT / name) for name in ("harness", "playbooks", "pyproject.toml", "setup.py")]
    subprocess.run(["cp", "-a", "-t", str(copy), *parts], check=True)
    for name in ("README.md", "LICENSE", "MANIFEST.in"):
        (copy / name).write_bytes((ROOT / name).read_bytes())
    subprocess.run(wheel, cwd=copy, check=True, capture_output=True)
    (made,) = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(made).namelist())
    for path in PLAYBOOKS.rglob("*"):
        inside = path.relative_to(PLAYBOOKS)
        if path.is_file() and not {"__pycache__", ".ansible"} & set(inside.parts):
            assert f"harness/playbooks/{inside}" in packed
    assert (
        zipfile.ZipFile(made).read("harness/playbooks/module_utils/pollbench_host/__init__.py")
        == (ROOT / "harness" / "kernel" / "host_settings.py").read_bytes()
    )
