"""How busy the server's CPUs were (sar), and how it was set up."""

from __future__ import annotations

import re
from collections.abc import Iterator

from harness.formats import Line, Note
from harness.formats.text import decimal, plain
from harness.importers.irqsuspend.names import Parts
from harness.store.record import KnobRow

_SHARES = {
    "%usr": "user_share",
    "%sys": "system_share",
    "%soft": "softirq_share",
    "%irq": "irq_share",
    "%steal": "steal_share",
    "%idle": "idle_share",
}
_KERNEL = re.compile(r"Linux (\S{1,100}) ")
_NODENAME = re.compile(r"Linux \S+ (\S{1,100}) ")
_SETTING = re.compile(r"\s*\"?([A-Za-z][A-Za-z0-9 _-]{1,40})\"?:\s*(-?\w{1,40}),?")
_SETTINGS = (
    "gro_flush_timeout",
    "napi_defer_hard_irqs",
    "gro-flush-timeout",
    "defer-hard-irqs",
    "irq-suspend-timeout",
    "rx-usecs",
    "rx-frames",
    "tx-usecs",
    "tx-frames",
)
_ADAPTIVE = re.compile(r"Adaptive RX:\s*(\w+)\s+TX:\s*(\w+)")


def sar(lines: Iterator[Line], parts: Parts, note: Note) -> None:
    """The shares of each CPU from the closing averages, whatever they are called in the file's language.

    Rows are read from the right: the time of day, or the word for "average", takes one or two words. Averages
    are the rows that do not begin with a time.
    """
    header: list[str] = []
    averages: dict[str, dict[str, float]] = {}
    for line in lines:
        words = line.text.split()
        if kernel := _KERNEL.match(line.text):
            parts.run.environment.setdefault("kernel", plain(kernel[1]))
        if "CPU" in words and "%idle" in words:
            header = words[words.index("CPU") :]
        elif header and words and not words[0][0].isdigit():
            _average(line, words, header, averages, note)
    if not averages:
        note(0, "it holds no averages: sar was cut short, or this is not its output")
        return
    # The row `all` is the mean of the others; it counts only where it is alone.
    single = {cpu: shares for cpu, shares in averages.items() if cpu != "all"}
    parts.run.cpus |= {cpu: {**shares, "in_set": 1} for cpu, shares in (single or averages).items()}


def _average(
    line: Line, words: list[str], header: list[str], averages: dict[str, dict[str, float]], note: Note
) -> None:
    row = words[-len(header) :]
    cpu = row[0]
    if len(words) <= len(header) - 1 or not (cpu == "all" or (cpu.isascii() and cpu.isdigit())):
        note(line.number, "a line of averages is cut short")
        return
    values = {name: decimal(text) for name, text in zip(header, row, strict=True)}
    shares = {
        ours: value / 100
        for name, ours in _SHARES.items()
        if (value := values.get(name)) is not None and 0 <= value <= 100.5
    }
    if "idle_share" not in shares:
        note(line.number, f"%idle is {row[header.index('%idle')][:40]!r}, which is no share")
        return
    averages[cpu[:10]] = shares


def setup(lines: Iterator[Line], parts: Parts, note: Note) -> None:
    """Kernel, and the settings in force as they were read back: recorded as knobs that nobody verified."""
    values: dict[str, list[str]] = {}
    for line in lines:
        if kernel := _NODENAME.match(line.text):
            parts.run.environment["kernel"] = plain(kernel[1])
        if adaptive := _ADAPTIVE.match(line.text):
            values.setdefault("adaptive-rx", []).append(adaptive[1])
            values.setdefault("adaptive-tx", []).append(adaptive[2])
        if (match := _SETTING.match(line.text)) and match[1] in _SETTINGS:
            values.setdefault(match[1], []).append(match[2])
    if not values:
        note(0, "it names none of the settings of the campaign")
    for name, met in values.items():
        # Per-NAPI settings come once per NAPI; usually they are all the same.
        parts.run.knobs.append(_knob(name, " ".join(dict.fromkeys(met))))


def _knob(name: str, value: str) -> KnobRow:
    knob = "ethtool_coalesce" if name.startswith(("rx-", "tx-", "adaptive-")) else "coalesce"
    evidence = "read back before the run, by the setup file; not observed in effect"
    return KnobRow("server", knob, name, "device", "", "", plain(value), None, evidence)
