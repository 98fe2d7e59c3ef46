"""`pollbench completion`: completion scripts made from the parser itself."""

from __future__ import annotations

import argparse

from harness.cli.parser import build_parser


def completion(arguments: argparse.Namespace) -> int:
    """Print the script; for bash: eval "$(pollbench completion bash)"."""
    import shtab

    print(shtab.complete(build_parser(), shell=arguments.shell))
    return 0
