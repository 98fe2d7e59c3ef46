"""Every place that starts a Python: isolated, through one helper, so that nothing of a directory runs by chance."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tools.source import Module, load_modules

ROOT = Path(__file__).parent.parent
HELPER = "harness.mininet.interpreter"
MODULES = load_modules(ROOT / "harness")
# A word that names an interpreter, however it is spelt.
PYTHON = re.compile(r"(^|[/\s])python(\d(\.\d+)?)?$")
# Who may name one beside the helper, and why that starts nothing from the current directory.
NAMED = {
    "harness.places.vm.image": "the guest's own, to compile with: its options are looked at below",
    "harness.kernel.journal": "what a process without a name is called",
    "harness.kernel.software": "the name of a version",
    "harness.cli.plot": "what to type, in a message",
    "harness.kernel.keeper": "with -I and -S, for its own file",
    "harness.kernel.patterns": "with -I and -S, for code of its own",
}
# Lines of the guest's shell scripts that may start one as it is, and why.
SCRIPTS = {
    "pid1": "the guest's first process, in /, which the read-only image holds",
    "finish-root": "in chroot, whose / holds the packages that were just unpacked and verified",
}


def mentions(module: Module) -> Iterator[tuple[int, str]]:
    """Line and text of whatever could be the first word of a command that starts a Python."""
    yield from ((line, name) for line, name in module.names() if name == "sys.executable")
    yield from ((line, repr(text)) for line, text in module.strings() if PYTHON.search(text))


def directories(module: Module) -> set[int]:
    """Lines that ask only in which directory the interpreter lies."""
    calls = (node for node in ast.walk(module.tree) if isinstance(node, ast.Call))
    return {call.lineno for call in calls if ast.unparse(call) == "os.path.dirname(sys.executable)"}


def test_only_the_helper_starts_a_python() -> None:
    others = [
        f"{module.where(line)}: {text}"
        for name, module in MODULES.items()
        if name != HELPER and name not in NAMED
        for line, text in mentions(module)
        if line not in directories(module)
    ]
    assert not others, "start it by harness.mininet.interpreter.isolated:\n" + "\n".join(others)
    assert any(text == "sys.executable" for _, text in mentions(MODULES[HELPER])), "this test looks for nothing"


def test_whoever_takes_its_words_takes_its_environment() -> None:
    """PYTHONPATH of the caller, and what else Python would heed, must not come back by the side door."""
    for module in MODULES.values():
        text = module.path.read_text()
        if module.name != HELPER and re.search(r"\bisolated\(", text):
            assert text.count("python.argv") == text.count("isolated("), module.path
            assert "python.environment" in text, module.path


def test_modules_started_elsewhere_are_started_so_too() -> None:
    """`-m` puts the current directory first, unless -P or -I forbids it."""
    scripts = [path for path in (ROOT / "harness").rglob("data/*") if path.is_file()]
    playbooks = list((ROOT / "playbooks").rglob("*.yml"))
    assert {path.name for path in scripts} >= SCRIPTS.keys()
    starts = []
    for path in (*scripts, *playbooks, ROOT / "harness/places/vm/image.py"):
        if path.suffix == ".json":
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if re.search(r"""python.*-m['", ]""", line):
                starts.append(path.name)
                safe = re.search(r"-[PI]['\", ].*-m['\", ]", line) or path.name in SCRIPTS
                assert safe, f"{path}:{number}: {line.strip()}"
    assert {"image.py", "main.yml", "finish-root"} <= set(starts), "this test looks for nothing"
