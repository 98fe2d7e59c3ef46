"""An experiment as tests of a CI system, on real links: --junit and --ktap of `run`, and the plugin of pytest."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

from tests.command import ROOT, run
from tests.experiment import document, write

CLAIMS = {
    "answers": {"sentence": "It answers.", "expect": [{"case": "base", "verdict": "valid"}]},
    "breaks": {"sentence": "Its knob does nothing.", "expect": [{"case": "base", "verdict": "inert"}]},
}


def pytest_here(directory: Path, *options: str | Path) -> subprocess.CompletedProcess[str]:
    """A user's pytest, with the plugin as an installation has it, in a directory without a project."""
    command = [sys.executable, "-m", "pytest", "-p", "pollbench.pytest_plugin", "-p", "no:cacheprovider"]
    command.append(f"--basetemp={directory / 'their-temporary'}")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    words = [*command, *map(str, options)]
    return subprocess.run(words, cwd=directory, env=environment, capture_output=True, text=True, check=False)


def test_an_experiment_is_tests_for_ci_and_for_pytest(tmp_path: Path) -> None:
    # Long enough for an answer, however long a busy host keeps the server from its CPU.
    file = write(tmp_path, claims=CLAIMS, workload=document()["workload"] | {"duration": "500ms"})
    done = run("run", file, "-o", tmp_path / "out", "--junit", tmp_path / "ci.xml", "--ktap", "-")
    assert done.returncode in (0, 1), done.stderr
    (suite,) = ElementTree.parse(tmp_path / "ci.xml").getroot()
    endings = {case.attrib["name"]: [part.tag for part in case if part.tag != "system-out"] for case in suite}
    assert list(endings) == ["base", "claim answers", "claim breaks"]
    assert endings["claim answers"] == [] and endings["claim breaks"] == ["failure"]
    assert float(suite.attrib["time"]) > 0.53
    assert "not ok 3 claim breaks\nnot ok 1 small\n" in done.stdout.replace("    not ok", "not ok")

    history = run("trend", tmp_path / "out")
    assert history.returncode == 0 and "too short to claim anything" in " ".join(history.stdout.split())

    judged = pytest_here(tmp_path, "-v", "--pollbench", "--pollbench-results", tmp_path / "out")
    assert judged.returncode == 1, judged.stdout
    assert "small.yaml::claim answers PASSED" in judged.stdout and "small.yaml::claim breaks FAILED" in judged.stdout
    assert "does not hold here: Its knob does nothing." in judged.stdout and "Traceback" not in judged.stdout

    options = ("--pollbench", "--pollbench-run", "--repeat 1 --set 'workload.duration=400ms'", "-k", "base")
    measured = pytest_here(tmp_path, *options, "--pollbench-doubts", "skip")
    assert measured.returncode == 0, measured.stdout
    assert "1 passed, 2 deselected" in measured.stdout or "1 skipped, 2 deselected" in measured.stdout


def test_the_plugin_does_nothing_unless_it_is_asked(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "small.yaml").rename(tmp_path / "test_small.yaml")
    (tmp_path / "test_own.py").write_text(
        "import sys\ndef test_own():\n    assert not {'harness.spec', 'numpy', 'yaml'} & set(sys.modules)\n"
    )
    done = pytest_here(tmp_path)
    assert done.returncode == 0 and "1 passed" in done.stdout and ".yaml" not in done.stdout.split("collected")[1]
    (tmp_path / "other.yaml").write_text("services: {web: {image: nginx}}\n")
    (tmp_path / "broken.yaml").write_text("topology: {}\nworkload: {kind: nothing}\n")
    asked = pytest_here(tmp_path, "--pollbench", "--collect-only", "-q")
    assert "test_small.yaml::base" in asked.stdout and "test_own.py::test_own" in asked.stdout
    assert "other.yaml" not in asked.stdout
    assert "broken.yaml:" in asked.stdout and "Traceback" not in asked.stdout
