"""The command blocks of README, tutorials and how-tos, each with a remark before it that says where it is tried.

<!-- tried: here -->             run by tests/unit, without privilege; a script (case, &&) by sh
<!-- tried: here, on A = B -->   the same, where A is a copy of B
<!-- tried: netns -->            run by tests/netns, as root; `netns, with OPTIONS`: these are added to what measures
<!-- tried: tests/FILE.py -->    by that test
<!-- not tried: WHY -->
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(
    r"^(?:<!-- ((?:not )?tried: [^\n]*?) -->\n)?(?:<!-- \w+ -->\n)?```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
_MEASURES = ("run", "gallery")


@dataclass(frozen=True)
class CommandBlock:
    """A block. remark: what stands before it, "" for none; line: of the page, where it begins."""

    page: Path
    line: int
    remark: str
    text: str

    @property
    def where(self) -> str:
        """The place to look at."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def tried(self) -> str:
        """Where it is tried: `here`, `netns` or a test; "" for nowhere."""
        return self.remark.removeprefix("tried: ").partition(",")[0] if self.remark.startswith("tried: ") else ""

    def given(self) -> dict[str, str]:
        """The directories that are there, each with what it is a copy of."""
        pairs = self.remark.partition(", on ")[2].split(", ")
        return {made: of for made, _, of in (pair.partition(" = ") for pair in pairs if pair)}

    def is_script(self) -> bool:
        """Is it more than a command a line?"""
        return "case $" in self.text or "cat >" in self.text

    def typed(self) -> Iterator[list[str]]:
        """The words of each line, without remarks and sudo."""
        for line in self.text.replace("\\\n", " ").splitlines():
            if words := shlex.split(line, comments=True):
                yield words[words[0] == "sudo" :]

    def commands(self) -> Iterator[list[str]]:
        """The same, and to what measures the options of the remark are added."""
        more = shlex.split(self.remark.partition(", with ")[2])
        for words in self.typed():
            yield [*words, *(more if words[:1] == ["pollbench"] and words[1] in _MEASURES else [])]


def blocks() -> list[CommandBlock]:
    """All of them, page by page."""
    found = []
    for page in PAGES:
        text = page.read_text()
        for match in _BLOCK.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            found.append(CommandBlock(page, line, match[1] or "", match[2]))
    return found
