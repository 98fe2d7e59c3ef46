"""What calibrations found, kept by host: a JSON document, the entry that matches runs, and words to quote it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from harness import columns
from harness.analysis.calibration.noise import POWER, Noise
from harness.analysis.compare.environment import HOST, WORK, texts_of
from harness.stats import Interval

if TYPE_CHECKING:
    import pandas as pd

    from harness.tables.columnar import Table

_FORMAT = 1
_AND = " | "
_QUOTED = ("rtt_p50_us", "rtt_p99_us", "rtt_p99_9_us", "rate_rps")


@dataclass(frozen=True)
class Calibration:
    """One calibration. facts: columns of host and workload and their values; made_utc: when; noise: by metric."""

    facts: dict[str, str]
    made_utc: str
    label: str
    noise: tuple[Noise, ...]


def entry_of(runs: pd.DataFrame, label: str, made_utc: str, noise: Sequence[Noise]) -> Calibration:
    """The calibration that the runs of an A/A set make; made_utc: when, in ISO 8601."""
    return Calibration(_facts(runs) or {}, made_utc, label, tuple(noise))


def matching(entries: Iterable[Calibration], tables: Sequence[Table | pd.DataFrame]) -> Calibration | None:
    """The newest entry made on the host of all these runs and with all their work; None for none.

    Work, contention included, may be more in the calibration than in the runs: it was then calibrated in their way too.
    """
    needed = [_facts(table) for table in tables]
    fitting = [entry for entry in entries if all(facts and _within(facts, entry.facts) for facts in needed)]
    return max(fitting, key=lambda entry: entry.made_utc, default=None) if needed else None


def with_entry(entries: Iterable[Calibration], entry: Calibration) -> list[Calibration]:
    """The entries with `entry` in place of one for the same host and work."""
    return [*(other for other in entries if other.facts != entry.facts), entry]


def to_bytes(entries: Sequence[Calibration]) -> bytes:
    """The document that holds these entries."""
    document = {"format": _FORMAT, "entries": [asdict(entry) for entry in entries]}
    return (json.dumps(document, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def read_entries(data: bytes) -> list[Calibration]:
    """The entries of a document. Raises ValueError when it is damaged or of another version."""
    try:
        document = json.loads(data)
        if document["format"] != _FORMAT:
            raise ValueError(f"it has format {document['format']}, not {_FORMAT}")
        return [_entry(item) for item in document["entries"]]
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"it is damaged ({error!r})") from error


def sentences(entry: Calibration | None) -> tuple[str, ...]:
    """What to say of a calibration beside results from the same host; nothing without one."""
    if entry is None:
        return ()
    shown = [noise for noise in entry.noise if noise.metric in _QUOTED] or list(entry.noise)
    effects = ", ".join(
        f"{columns.metric(noise.metric).label} "
        + (_percent(100 * noise.least_effect) if noise.least_effect is not None else "none")
        for noise in shown
    )
    hits, comparisons = (sum(getattr(noise, part) for noise in shown) for part in ("hits", "comparisons"))
    return (
        f"Calibrated on such a host on {entry.made_utc[:10]} ({entry.label}): {hits} of {comparisons} A/A "
        f"comparisons claimed a difference; smallest effect shown {100 * POWER:g} % of the time with "
        f"{shown[0].size if shown else 0} runs a side: {effects}.",
    )


def _percent(value: float) -> str:
    return f"{value:.0f} %" if value >= 9.95 else f"{value:.2g} %"


def _facts(runs: Table | pd.DataFrame) -> dict[str, str] | None:
    """The host of runs and all the work they did; None where they have several hosts, or nothing is known."""
    facts = {name: texts_of(runs, name) for name in (*HOST, *WORK)}
    if any(len(facts[name]) > 1 for name in HOST) or not (facts["kernel"] and facts["cpu_model"]):
        return None
    return {name: _AND.join(sorted(values)) for name, values in facts.items()}


def _within(facts: Mapping[str, str], known: Mapping[str, str]) -> bool:
    """Is the host that of a calibration, and all work done there too?"""
    return all(
        name in known
        and (text == known[name] if name in HOST else set(text.split(_AND)) <= set(known[name].split(_AND)))
        for name, text in facts.items()
    )


def _entry(item: Mapping[str, Any]) -> Calibration:
    noise = []
    for fields in item["noise"]:
        rate = fields.pop("rate")
        noise.append(Noise(rate=Interval(**rate) if rate else None, **fields))
    facts = {str(key): str(value) for key, value in item["facts"].items()}
    return Calibration(facts, str(item["made_utc"]), str(item["label"]), tuple(noise))
