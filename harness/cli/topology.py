"""`pollbench topology`: a topology as text, JSON, Graphviz source or a drawing."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from harness.cli.plan import overrides_of
from harness.errors import EXIT_OK, InputError
from harness.mininet.python2 import translated
from harness.spec.toponame import load_topology
from harness.topology.draw.data import picture_of
from harness.topology.draw.svg import as_svg
from harness.topology.draw.text import as_dot, as_text
from harness.topology.layout import plan_layout


def topology(arguments: argparse.Namespace) -> int:
    """Show it; nothing is built, and no root is needed."""
    if arguments.convert:
        return _converted(arguments)
    made = load_topology(arguments.file, overrides_of(arguments.set), arguments.case, arguments.words)
    picture = picture_of(plan_layout(made))
    if arguments.format == "json":
        text = json.dumps(picture.as_json(), indent=2) + "\n"
    else:
        text = {"text": as_text, "dot": as_dot, "svg": as_svg}[arguments.format](picture)
    if arguments.output:
        Path(arguments.output).write_text(text)
    else:
        print(text, end="")
    return EXIT_OK


def _converted(arguments: argparse.Namespace) -> int:
    """A Mininet file of Python 2, translated; nothing of it is run."""
    path = Path(arguments.file.partition(":")[0])
    try:
        source = path.read_bytes()
    except OSError as error:
        raise InputError(f"read {path}", got=error.strerror or str(error)) from None
    text = translated(source, str(path))
    if arguments.output:
        Path(arguments.output).write_text(text, encoding="utf-8")
    else:
        print(text, end="")
    return EXIT_OK
