"""The formats there are, and which of them some files are in."""

from __future__ import annotations

import difflib

from harness.errors import InputError
from harness.importers.files import Files
from harness.importers.hdrhistogram import HdrHistogram
from harness.importers.iperf3 import Iperf3
from harness.importers.irqsuspend import IrqSuspend
from harness.importers.model import Format, Head
from harness.importers.neper import Neper
from harness.importers.netperf import Netperf
from harness.importers.sockperf import Sockperf

FORMATS: dict[str, Format] = {
    each.name: each for each in (IrqSuspend(), Sockperf(), Netperf(), Neper(), Iperf3(), HdrHistogram())
}
"""Every format by the name the user types, in the order in which they are tried."""

AUTO = "auto"
_SNIFFED = 50


def choose_format(name: str, files: Files) -> Format:
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
        for each in FORMATS.values():
            if each.sniff(head):
                votes[each.name] += 1
                break
    best = max(votes, key=lambda each: votes[each])
    if not votes[best]:
        raise InputError(
            "import",
            on=str(files.root),
            got="no file looks like a format that is known",
            todo=f"name one of {', '.join(FORMATS)}",
        )
    return FORMATS[best]
