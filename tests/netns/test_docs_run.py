"""The tutorials as a reader types them, on real links; what measures is made shorter as the page's remark says."""

from __future__ import annotations

import subprocess
from itertools import groupby
from pathlib import Path

import pytest

from tests import docblocks
from tests.command import run as command

BLOCKS = [block for block in docblocks.blocks() if block.tried == "netns"]
PAGES = [(page, list(blocks)) for page, blocks in groupby(BLOCKS, key=lambda block: block.page)]


@pytest.mark.slow
@pytest.mark.parametrize(("page", "blocks"), PAGES, ids=lambda value: value.stem if isinstance(value, Path) else "")
def test_a_page_can_be_typed_from_top_to_bottom(
    page: Path, blocks: list[docblocks.CommandBlock], tmp_path: Path
) -> None:
    for block in blocks:
        for words in block.commands():
            if words[0] == "pollbench":
                done = command(*words[1:], cwd=tmp_path)
            else:
                done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
            # 1: a busy machine, which is what the next lines of the page speak of.
            allowed = (0, 1) if words[1] in ("run", "doctor", "plot") else (0,)
            assert done.returncode in allowed, f"{block.where}: {' '.join(words)}: {done.returncode} {done.stderr}"
