"""Every supported Python that this host has reads our sources and Mininet's topologies, distutils or not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import mininet
import pytest

from harness.mininet.graph import TopoRequest
from harness.mininet.interpreter import isolated
from harness.mininet.load import load_graph

ROOT = Path(__file__).parents[2]
VERSIONS = ("3.11", "3.12", "3.13", "3.14")
COMPILE = "import pathlib, sys\nfor p in pathlib.Path(sys.argv[1]).rglob('*.py'): compile(p.read_bytes(), p, 'exec')"


def interpreter(version: str) -> str:
    """The path of a Python of this version; skips where there is none."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions")
    places = [shutil.which(f"python{version}"), *map(str, pyenv.glob(f"{version}.*/bin/python{version}"))]
    for place in filter(None, places):
        # pyenv's stand-ins exist for versions that are not selected, and then fail.
        asked = subprocess.run([place, "--version"], capture_output=True, text=True, check=False)
        if asked.returncode == 0 and asked.stdout.startswith(f"Python {version}."):
            return place
    pytest.skip(f"no Python {version} here")


@pytest.mark.parametrize("version", VERSIONS)
def test_this_python_reads_topologies(version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = interpreter(version)
    subprocess.run([python, "-W", "error", "-c", COMPILE, str(ROOT / "harness")], check=True)
    # Mininet alone: what was compiled for another Python is not for this one.
    (tmp_path / "mininet").symlink_to(Path(str(mininet.__file__)).parent)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", python)
    graph = load_graph(TopoRequest("routers.py:sites", str(ROOT / "tests" / "topos")), "here")
    assert [host.name for host in graph.hosts] == ["h11", "h12", "h21", "h22", "r1", "r2"]
    router = graph.hosts[4].own
    assert router is not None
    assert router.commands[-1] == "ip route add 10.2.0.0/16 via 10.255.0.2 dev r1-wan"
    assert len(load_graph(TopoRequest("torus,3,3", str(ROOT)), "here").links) == 27


def test_another_interpreter_imports_from_fixed_places_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative or empty entry of PYTHONPATH is the current directory; those that name a place are kept."""
    named = tmp_path / "named"
    named.mkdir()
    (named / "chosen.py").write_text(
        "import sys; print(sys.path[:2], sys.flags.safe_path, sys.flags.hash_randomization)"
    )
    for module in ("harness/__init__.py", "yaml.py", "sitecustomize.py"):
        (tmp_path / module).parent.mkdir(exist_ok=True)
        (tmp_path / module).write_text("raise SystemExit('imported from the current directory')")
    monkeypatch.chdir(tmp_path)
    for name, value in {"PYTHONPATH": f":.:{named}:", "PYTHONSTARTUP": "yaml.py", "PYTHONHASHSEED": "0"}.items():
        monkeypatch.setenv(name, value)
    python = isolated("chosen")
    answer = subprocess.run(python.argv, env=python.environment, capture_output=True, text=True, check=False)
    assert (answer.stdout, answer.stderr) == (f"[{str(ROOT)!r}, {str(named)!r}] True 0\n", "")
    python = isolated("harness", "--version")
    answer = subprocess.run(python.argv, env=python.environment, capture_output=True, text=True, check=False)
    assert (answer.returncode, (answer.stdout + answer.stderr).split()[0]) == (0, "pollbench")
