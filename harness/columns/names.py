"""What a column's name says, as people write it: of `latency_us_p99` or `p99 (ms)` quantity, statistic and unit."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

UNSTATED = "unit not stated"
"""Stands for the unit of a figure whose column does not say it."""

TO_US = {"ns": 1e-3, "us": 1.0, "ms": 1e3, "s": 1e6}
"""Times, by unit: what to multiply by to have microseconds."""

_TIME_WORDS = {
    "ns": ("ns", "nsec", "nsecs", "nanos", "nanosecond", "nanoseconds"),
    "us": ("us", "usec", "usecs", "micros", "microsec", "microsecs", "microsecond", "microseconds"),
    "ms": ("ms", "msec", "msecs", "millis", "millisec", "millisecs", "millisecond", "milliseconds"),
    "s": ("s", "sec", "secs", "second", "seconds"),
}
_TIMES = {word: unit for unit, words in _TIME_WORDS.items() for word in words}
_OTHERS = {"%": "%", "pct": "%", "percent": "%", "percentage": "%", "bytes": "bytes", "byte": "bytes", "share": "share"}
_RATES = {"qps": 1.0, "rps": 1.0, "tps": 1.0, "kqps": 1e3, "krps": 1e3, "ktps": 1e3, "mqps": 1e6, "mrps": 1e6}
_PACKETS = {"pps": 1.0, "kpps": 1e3, "mpps": 1e6}
_SIZES = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}
_BITS = {f"{prefix}bps": size for prefix, size in _SIZES.items()}
_BIT_WORDS = {f"{prefix}bit{end}": size for prefix, size in _SIZES.items() for end in ("", "s")}
_STATS = {
    "median": "p50", "med": "p50", "mean": "mean", "avg": "mean", "average": "mean", "min": "min", "minimum": "min",
    "max": "max", "maximum": "max", "worst": "max", "std": "sd", "stddev": "sd", "stdev": "sd", "sd": "sd",
    "sigma": "sd", "mediane": "p50", "mediana": "p50", "moyenne": "mean", "mittelwert": "mean", "durchschnitt": "mean",
    "promedio": "mean",
}  # fmt: skip

_LATENCY = {"lat", "latency", "latencies", "rtt", "rtts", "rt", "response", "resp", "roundtrip", "tail", "pingpong"}
_LATENCY |= {"latenz", "latenzen", "latence", "latences", "latencia", "latencias", "latenza", "antwortzeit"}
_BESIDE = {"time", "times", "request", "req", "reply", "round", "trip", "ping", "percentile", "percentiles", "quantile"}
_BESIDE |= {"pct", "e2e", "end", "to", "the", "of", "in", "value", "tile", "ile", "pctl", "wall", "line"}
_SUBJECTS = (("service", "service"), ("oneway", "oneway"), ("owd", "oneway"))
_REQUESTS = {
    "request",
    "requests",
    "req",
    "reqs",
    "query",
    "queries",
    "transaction",
    "transactions",
    "tx",
    "op",
    "ops",
    "tran",
}
_REQUESTS |= {
    "anfragen",
    "requetes",
    "durchsatz",
    "debit",
    "operations",
    "rate",
    "throughput",
    "tput",
    "achieved",
    "rps",
    "qps",
    "tps",
    "measured",
    "iops",
}
_PAYLOAD = {"debit", "durchsatz", "bandbreite", "throughput", "tput", "bandwidth", "bw", "goodput", "rate", "payload"}
COUNTED = {
    "error",
    "errors",
    "drop",
    "drops",
    "dropped",
    "lost",
    "losses",
    "retransmits",
    "retransmissions",
    "timeouts",
}
COUNTED |= {"count", "counts", "fails", "failures", "missed"}
"""Words of what is counted: never a setting, however few its values are."""

_LEVELS = {1, 2.5, 5, 10, 20, 25, 30, 33, 40}
_QUANTILES = (
    re.compile(
        r"(?:(?<![a-z0-9])|(?<=lat)|(?<=latency)|(?<=rtt))(?:perc|percentile|pctl?|quantile|p|q)[ _.-]?"
        r"(\d+(?:[._]\d+)?)(?:th)?[ ]?%?(?=[^a-z0-9]|$|[num]s|usec|msec|lat)"
    ),
    re.compile(r"(?<![a-z0-9.])(\d{1,2}(?:[._]\d+)?)[ _]?(?:%|th|st)?[ _-]?(?:percentile|%?ile|%?tile|pctl?)(?![a-z])"),
    re.compile(r"(?<![a-z0-9.])(100|\d{1,2}(?:\.\d+)?)(?:%|th|p(?![a-z]))"),
    re.compile(r"(?:(?<=lat)|(?<=latency)|(?<=rtt)|(?<=lat_)|(?<=latency_)|(?<=rtt_))(\d{2,5})(?![0-9])"),
)
_BRACKETS = re.compile(r"[(\[{<]([^)\]}>]*)[)\]}>]")
_PER_SECOND = re.compile(r"\s*(?:/\s*s(?:ec(?:ond)?)?(?![a-z])|[ _]?per[ _]?s(?:ec(?:ond)?)?(?![a-z]))", re.IGNORECASE)
_BYTES_PER_SECOND = re.compile(r"(?<![A-Za-z])([kKMG]?)(i?)B(?:ytes)?(?:/s(?:ec)?|ps)(?![a-z])")
_GLUED = re.compile(r"(avg|mean|min|max|median)(?=lat)")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[0-9])(?=[A-Z][a-z])")
_SUFFIXES = {"%": "percent", "1/s": "per_s", "bit/s": "bps"}


@dataclass(frozen=True)
class Name:
    """What a name says.

    words: its words but for unit and statistic; stat: p50, p99_9, mean, min, max, sd or ""; unit: "ns", "us", "ms",
    "s", "%", "1/s", "bit/s", "bytes", "share", or "" where none is stated; scale: what makes values be in that unit.
    subject: what is measured: latency (of unknown extent), rtt, service, oneway, rate, throughput, or "".
    """

    words: tuple[str, ...]
    stat: str = ""
    unit: str = ""
    scale: float = 1.0
    subject: str = ""

    @property
    def is_time(self) -> bool:
        """Is its unit one of time?"""
        return self.unit in TO_US

    @property
    def timed(self) -> bool:
        """Is a latency of some kind measured?"""
        return self.subject in ("latency", "rtt", "service", "oneway")


def understood(text: str) -> Name:
    """What the name of a column says; never fails, for a name may say nothing."""
    rest, unit, scale = _unit_in_brackets(_unaccented(text).replace("µ", "u").replace("μ", "u"))
    if not unit:
        rest, unit, scale = _rate_unit(rest)
    rest = _GLUED.sub(r"\1_", _CAMEL.sub("_", rest).lower())
    rest, stat = _quantile(rest)
    if "%" in rest and not unit:
        unit = "%"
    words = [word for word in re.split(r"[^a-z0-9]+", rest) if word]
    if not stat:
        stat = next((_STATS[word] for word in words if word in _STATS), "")
        words = [word for word in words if word not in _STATS or _STATS[word] != stat]
    if not unit:
        words, unit, scale = _unit_among(words)
    if {"one", "way"} <= set(words):
        words = ["oneway", *(word for word in words if word not in ("one", "way"))]
    return Name(tuple(words), stat, unit, scale, _subject(words, stat, unit))


def camel(text: str) -> str:
    """The name with its words parted by underscores where only a capital letter begins them, and without accents."""
    return _CAMEL.sub("_", _unaccented(text))


def _unaccented(text: str) -> str:
    """The text with e for é: an accent parts no word."""
    if text.isascii():
        return text
    return "".join(char for char in unicodedata.normalize("NFD", text) if not unicodedata.combining(char))


def plain_unit(text: str) -> str:
    """The unit that a text alone names, as columns have it: usec is us; "" for none."""
    text = text.strip().replace("µ", "u").replace("μ", "u")
    return _TIMES.get(text.lower()) or _OTHERS.get(text.lower(), "")


def stated_unit(text: str) -> tuple[str, float]:
    """The unit that a text alone names, one of rates among them, and what makes values be in it; "" for none."""
    if unit := plain_unit(text):
        return unit, 1.0
    if text.lower() in _BITS:
        return "bit/s", _BITS[text.lower()]
    rest, unit, scale = _rate_unit(text)
    return (unit, scale) if set(rest.lower().split()) <= _REQUESTS else ("", 1.0)


def subject_of(name: Name, unit: str) -> str:
    """What is measured, where not the name but its cells have this unit of a rate; "" for others."""
    return "" if unit in TO_US else _subject(list(name.words), name.stat, unit)


def canonical(own: str, name: Name) -> str:
    """What a figure is called here: rtt_p99_us, rate_rps; latency_p99 where no unit is stated; else after its own name.

    Latencies are called rtt_*, whether they are round trips or not: the file may not say, and `Reading` keeps that.
    """
    if name.timed:
        subject = "rtt" if name.subject == "latency" and name.is_time else name.subject
        parts = [subject, name.stat, "us" if name.is_time else ""]
        if subject == "rtt" and not name.stat and name.subject == "latency":
            parts[0] = "latency"
        return "_".join(filter(None, parts))
    if name.subject == "rate":
        return "rate_rps"
    if name.subject == "throughput":
        return "throughput_bps"
    base = re.sub(r"[^A-Za-z0-9_]+", "_", _BRACKETS.sub("", _unaccented(own)).replace("%", "")).strip("_") or "value"
    base = _PER_SECOND.sub("", base) if name.unit == "1/s" else base
    suffix = _SUFFIXES.get(name.unit, name.unit)
    return base if not suffix or base.endswith(f"_{suffix}") else f"{_without_unit(base)}_{suffix}"


def _without_unit(base: str) -> str:
    lead, _, last = base.rpartition("_")
    return lead if lead and (last.lower() in _TIMES or last.lower() in _OTHERS or last.lower() in _BITS) else base


def _unit_in_brackets(text: str) -> tuple[str, str, float]:
    """The name without what is in brackets, if that is a unit; else with it as words."""
    for match in _BRACKETS.finditer(text):
        inner = match[1].strip()
        without = text[: match.start()] + " " + text[match.end() :]
        if unit := plain_unit(inner):
            return without, unit, 1.0
        rest, unit, scale = _rate_unit(inner)
        if unit:
            return f"{without} {rest}", unit, scale
        last = plain_unit(inner.split()[-1].split(",")[-1]) if inner.split() else ""
        if last:
            return f"{without} {' '.join(inner.split()[:-1])}", last, 1.0
    return _BRACKETS.sub(r" \1 ", text), "", 1.0


def _rate_unit(text: str) -> tuple[str, str, float]:
    """The name without a unit per second that it ends in or holds."""
    if match := _BYTES_PER_SECOND.search(text):
        size = _SIZES[match[1].lower()]
        size = 1024.0 ** list(_SIZES).index(match[1].lower()) if match[2] else size
        return text[: match.start()] + " " + text[match.end() :], "bit/s", 8 * size
    if match := _PER_SECOND.search(text):
        rest = text[: match.start()] + " " + text[match.end() :]
        words = [word for word in re.split(r"[^a-z0-9]+", _CAMEL.sub("_", rest).lower()) if word]
        for word in words:
            if word in _BIT_WORDS:
                return " ".join(other for other in words if other != word), "bit/s", _BIT_WORDS[word]
        if words and words[0] in ("kreq", "kreqs", "kops", "mreq", "mreqs", "mops"):
            return "requests", "1/s", 1e3 if words[0][0] == "k" else 1e6
        # Of "1/s" the 1 is left.
        return "requests" if rest.strip() in ("", "1") else rest, "1/s", 1.0
    return text, "", 1.0


def _quantile(text: str) -> tuple[str, str]:
    """The name without the quantile in it, and that as a statistic."""
    for pattern in _QUANTILES:
        if (match := pattern.search(text)) and (stat := _level(match[1])):
            return text[: match.start()] + " " + text[match.end() :], stat
    return text, ""


def _level(digits: str) -> str:
    """p99_9 for 99.9, 99_9, 999 or 0.999; max for 100; "" for what is hardly a quantile: 2, 4."""
    if digits == "100":
        return "max"
    plain = re.fullmatch(r"9\d{2,4}", digits)
    level = float(f"{digits[:2]}.{digits[2:]}" if plain else digits.replace("_", "."))
    if 0 < level < 1 and not plain:
        level = round(100 * level, 6)
    if not 0 < level < 100 or (level not in _LEVELS and level < 50):
        return ""
    return f"p{level:g}".replace(".", "_")


def _unit_among(words: list[str]) -> tuple[list[str], str, float]:
    """The words without the one that is a unit; a bare s only at the end."""
    for at in range(len(words) - 1, -1, -1):
        word, rest = words[at], words[:at] + words[at + 1 :]
        if word in _TIMES and (word != "s" or at == len(words) - 1 > 0):
            return rest, _TIMES[word], 1.0
        if word in _RATES:
            return [*rest, "requests"], "1/s", _RATES[word]
        if word in _PACKETS:
            return [*rest, "packets"], "1/s", _PACKETS[word]
        if word in _BITS:
            return rest, "bit/s", _BITS[word]
        if word in _OTHERS:
            return rest, _OTHERS[word], 1.0
    return words, "", 1.0


def _subject(words: list[str], stat: str, unit: str) -> str:
    rest = set(words)
    if unit == "1/s":
        return "rate" if rest and rest <= _REQUESTS and not stat else ""
    if unit == "bit/s":
        return "throughput" if rest <= _PAYLOAD and not stat else ""
    if unit and unit not in TO_US:
        return ""
    for word, subject in _SUBJECTS:
        if word in rest and rest - {word} <= _LATENCY | _BESIDE:
            return subject
    if not rest <= _LATENCY | _BESIDE:
        return ""
    if rest & {"rtt", "rtts", "roundtrip"} or {"round", "trip"} <= rest:
        return "rtt"
    quantile = stat.startswith("p")
    return "latency" if rest & _LATENCY or quantile or (stat and unit in TO_US) else ""
