"""Makes a site of the pages (build/site), with every link among them checked; its version is that of the checkout.

python -m tools.site [DIRECTORY]        any warning, a dead link or heading among them, is a failure
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
OTHERS = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "results/README.md")
_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|mailto:|#)([^)#\s]+)(#[^)\s]*)?\)")


def version() -> str:
    """The version as git has it: the tag, how far from it, and the commit; without git that of the package."""
    done = subprocess.run(
        ["git", "-C", ROOT, "describe", "--tags", "--always"], capture_output=True, text=True, check=False
    )
    package = re.search(r'^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    number = package[1] if package else ""
    described = done.stdout.strip()
    return described if described.startswith("v") else f"{number}+{described}" if described else number


def stage(into: Path) -> None:
    """Copy the pages, and whatever files they link, as they lie in the checkout. A directory is no page to go to."""
    pages = [*(ROOT / name for name in OTHERS), *sorted((ROOT / "docs").rglob("*.md"))]
    for page in pages:
        target = into / page.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        text = _LINK.sub(lambda match, page=page: _linked(match, page, into), page.read_text())
        target.write_text(text)


def _linked(match: re.Match[str], page: Path, into: Path) -> str:
    """A link with its target brought along."""
    there = (page.parent / match[3]).resolve()
    if there.is_dir():
        return match[2]
    if there.is_file() and there.suffix != ".md":
        target = into / there.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(there, target)
    return match[0]


def build(into: Path) -> subprocess.CompletedProcess[str]:
    """Sphinx over the pages; what it says is in stderr, and its exit code is 1 after any warning."""
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "source"
        stage(source)
        options = ["-q", "-W", "--keep-going", "-b", "dirhtml", "-D", f"html_title=pollbench {version()}"]
        places = ["-c", str(ROOT / "docs"), "-d", f"{scratch}/doctrees", str(source), str(into)]
        command = [sys.executable, "-m", "sphinx", *options, *places]
        return subprocess.run(command, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "site"
    done = build(target)
    print(done.stderr, file=sys.stderr, end="")
    if done.returncode == 0:
        print(f"{target}/docs/index.html")
    sys.exit(done.returncode)
