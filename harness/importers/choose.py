"""The formats that can be imported, and which of them some files are in."""

from __future__ import annotations

import difflib

from harness.errors import InputError
from harness.formats import Head, load_formats
from harness.importers.files import SourceFiles
from harness.importers.irqsuspend import IrqSuspend
from harness.importers.model import Importer
from harness.importers.single_files import SingleFiles

# A campaign knows its files by their names, whatever is in them, and so is asked first.
_ALL: tuple[Importer, ...] = (IrqSuspend(), *map(SingleFiles, load_formats().values()))
FORMATS: dict[str, Importer] = {importer.name: importer for importer in _ALL}
"""Every format by the name the user types, in the order in which they are tried."""

AUTO = "auto"
_SNIFFED = 50


def choose_format(name: str, files: SourceFiles) -> Importer:
    """The format of that name; for "auto" the one that most of the first files look like. Raises InputError."""
    if name in FORMATS:
        return FORMATS[name]
    if name != AUTO:
        close = difflib.get_close_matches(name, [*FORMATS, AUTO], n=1)
        todo = f"did you mean {close[0]!r}?" if close else f"there is {', '.join(FORMATS)}, and auto"
        raise InputError("import", on=f"format {name!r}", got="there is no such format", todo=todo)
    votes = dict.fromkeys(FORMATS, 0)
    for file in files.files[:_SNIFFED]:
        head = Head(file.head(), file.name)
        for importer in FORMATS.values():
            if importer.sniff(head):
                votes[importer.name] += 1
                break
    best = max(votes, key=lambda candidate: votes[candidate])
    if not votes[best]:
        raise InputError(
            "import",
            on=str(files.root),
            got="no file looks like a format that is known",
            todo=f"name one of {', '.join(FORMATS)}",
        )
    return FORMATS[best]
