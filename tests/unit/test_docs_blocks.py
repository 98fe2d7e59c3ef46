"""What README, tutorials and how-tos tell to type: each block says where it is tried, the parser knows each line."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli.parser import build_parser
from tests import docblocks
from tests.command import run as command

BLOCKS = docblocks.blocks()


def test_every_block_says_where_it_is_tried_or_why_not() -> None:
    for block in BLOCKS:
        why = block.remark.removeprefix("not tried: ") if block.remark.startswith("not tried: ") else ""
        assert why or block.tried, f"{block.where}: neither"
        if block.tried not in ("", "here", "netns"):
            assert (docblocks.ROOT / block.tried).is_file(), block.where


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.where)
def test_the_parser_knows_every_command(block: docblocks.CommandBlock, capsys: pytest.CaptureFixture[str]) -> None:
    if block.is_script():
        pytest.skip("a script: its commands stand alone in other blocks")
    parser, known = build_parser(), 0
    for words in block.commands():
        # What stands in [brackets], and one | another, is told and not typed.
        if words[0] == "pollbench" and not {"[", "|", "$"} & {word[0] for word in words} and "..." not in words:
            try:
                parser.parse_args(words[1:])
            except SystemExit as end:
                pytest.fail(f"{block.where}: {' '.join(words)}: {end.code} {capsys.readouterr().err}")
            known += 1
    assert known or not any(words[0] == "pollbench" for words in block.commands()) or "[" in block.text


def test_the_journeys_typed_what_the_tutorials_tell_to_type() -> None:
    page = (docblocks.ROOT / "docs" / "journeys.md").read_text()
    for journey in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        told = re.search(r"\]\((tutorial/\w+\.md)\)", journey)
        assert told is not None
        known = [words for block in BLOCKS if str(block.page).endswith(told[1]) for words in block.typed()]
        for line in re.findall(r"^\$ (.*?)(?:  +[\d.]+ (?:min|s).*)?$", journey, re.MULTILINE):
            words = shlex.split(line)
            words = words[words[0] == "sudo" :]
            # What a journey added stands at the end.
            assert any(words[: len(one)] == one for one in known), f"{told[1]}: nobody tells to type {line}"


def test_what_is_tried_here_works(tmp_path: Path) -> None:
    """From a directory with what the pages speak of: the reference results, as a user would have results."""
    shutil.copytree(docblocks.ROOT / "results" / "reference", tmp_path / "results" / "reference")
    shutil.copytree(docblocks.ROOT / "experiments", tmp_path / "experiments")
    mine = [block for block in BLOCKS if block.tried == "here"]
    assert mine
    for block in mine:
        for made, of in block.given().items():
            shutil.copytree(docblocks.ROOT / of, tmp_path / made)
        if block.is_script():
            environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
            words = ["sh", "-e", "-c", block.text]
            done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
            assert done.returncode in (0, 4, 6) and done.stdout.splitlines()[-1] in block.text, block.where
            continue
        for words in block.commands():
            assert words[0] == "pollbench", block.where
            done = command(*words[1:], cwd=tmp_path)
            assert done.returncode == 0, f"{block.where}: {' '.join(words)}: {done.stderr}"
