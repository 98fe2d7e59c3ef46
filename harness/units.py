"""Numbers as the field writes them, to and from one unit each.

Every `parse_*` takes what a YAML file can hold and raises ValueError, and nothing else, saying the allowed form.
Every `format_*` writes the shortest exact form that its parser reads back to the same number.
"""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any

from pydantic import BeforeValidator, Strict, WithJsonSchema

INT64_MAX = 2**63 - 1
CPU_MAX = 8191  # the largest CONFIG_NR_CPUS a kernel is built with, less one

_DURATION_NS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "min": 60 * 10**9, "h": 3600 * 10**9}
_RATE_BPS = {"bit": 1, "kbit": 10**3, "mbit": 10**6, "gbit": 10**9, "tbit": 10**12}
_SIZE_BYTES = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}

_QUANTITY = re.compile(r"([0-9]{1,40}(?:\.[0-9]{1,40})?) ?([^0-9\s.]{0,8})")
_CPU_RANGE = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9}))?")


def parse_duration(value: object) -> int:
    """Nanoseconds from "20us", "1.5s", "2min"; a bare number is refused, except 0."""
    return _scaled(value, _DURATION_NS, 'a duration such as "20us", "1ms", "1.5s" (ns, us, ms, s, min, h)', "1 ns")


def parse_rate(value: object) -> int:
    """Bits per second from "1gbit", "100mbit", "5kbit", "8bit" (decimal prefixes, as tc reads them)."""
    form = 'a rate such as "1gbit", "100mbit" (bit, kbit, mbit, gbit, tbit; bits per second)'
    rate_bps = _scaled(value, _RATE_BPS, form, "1 bit/s", any_case=True)
    if rate_bps == 0:
        raise ValueError(f"a rate of 0 lets nothing through; expected {form}")
    return rate_bps


def parse_size(value: object) -> int:
    """Bytes from "64B", "1KiB", "16kB", or a bare number of bytes."""
    form = 'a size such as "64B", "16kB", "1KiB", or a number of bytes (B, kB, MB, GB, KiB, MiB, GiB)'
    return _scaled(value, _SIZE_BYTES, form, "1 byte", bare=1)


def parse_percent(value: object) -> float:
    """0.0 to 100.0 from "0%" to "100%"; a bare number is refused, except 0 (0.5 could mean either)."""
    form = 'a percentage from "0%" to "100%"'
    number, unit = _quantity(value, form)
    if unit not in ("", "%"):
        raise ValueError(_expected(value, form))
    if unit == "" and number:
        raise ValueError(f"{shown(value)} has no % sign; expected {form}")
    if number > 100:
        raise ValueError(f"{shown(value)} is over 100%; expected {form}")
    return float(number)


def parse_share(value: object) -> float:
    """0.0 to 1.0 from "0%" to "100%"."""
    return parse_percent(value) / 100.0


def parse_cpus(value: object) -> tuple[int, ...]:
    """Sorted CPU numbers from a cpuset list, "0-3,8", or from one CPU number."""
    form = 'a CPU list such as "0", "0-3,8"'
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError(_expected(value, form))
    cpus: set[int] = set()
    for part in str(value).split(",") if len(str(value)) <= 4096 else [""]:
        match = _CPU_RANGE.fullmatch(part.strip(" "))
        if match is None:
            raise ValueError(_expected(value, form))
        first, last = int(match[1]), int(match[2] or match[1])
        if last > CPU_MAX:
            raise ValueError(f"CPU {last} in {shown(value)} is over {CPU_MAX}; expected {form}")
        if first > last:
            raise ValueError(f"range {part.strip(' ')} in {shown(value)} runs backwards; expected {form}")
        cpus.update(range(first, last + 1))
    return tuple(sorted(cpus))


def parse_cpu_order(value: object) -> tuple[int, ...]:
    """CPU numbers in the order written, each as often as written, from "1,0", "4-7,0", 3, or a list of such."""
    parts = value if isinstance(value, (list, tuple)) else [value]
    if isinstance(value, int | str) and not isinstance(value, bool):
        parts = str(value).split(",")
    if not parts:
        raise ValueError(_expected(value, 'CPUs in their order, such as "1,0" or [1, 0]'))
    # Each part is a number or an ascending range, in which sorted and written are the same.
    return tuple(cpu for part in parts for cpu in parse_cpus(part))


def parse_on_off(value: object) -> bool:
    """A switch from on/off or true/false."""
    switch = {"on": True, "true": True, "off": False, "false": False}.get(value) if isinstance(value, str) else value
    if not isinstance(switch, bool):
        raise ValueError(_expected(value, '"on" or "off" (or true, false)'))
    return switch


def format_duration(duration_ns: int) -> str:
    """Nanoseconds as "20us", "1.5s"; exact."""
    return _formatted(duration_ns, {unit: _DURATION_NS[unit] for unit in ("s", "ms", "us", "ns")})


def format_rate(rate_bps: int) -> str:
    """Bits per second as "1gbit", "2.5gbit"; exact."""
    return _formatted(rate_bps, dict(reversed(_RATE_BPS.items())))


def format_size(size_bytes: int) -> str:
    """Bytes as "64B", "16KiB"; exact."""
    for unit in ("GiB", "MiB", "KiB"):
        if size_bytes and size_bytes % _SIZE_BYTES[unit] == 0:
            return f"{size_bytes // _SIZE_BYTES[unit]}{unit}"
    return f"{size_bytes}B"


def format_percent(percent: float) -> str:
    """0.0 to 100.0 as "50%"; exact."""
    return f"{Decimal(repr(float(percent))).normalize():f}%"


def format_cpus(cpus: tuple[int, ...]) -> str:
    """CPU numbers as a cpuset list, "0-3,8"; "" for none."""
    ranges: list[list[int]] = []
    for cpu in sorted(set(cpus)):
        if ranges and cpu == ranges[-1][1] + 1:
            ranges[-1][1] = cpu
        else:
            ranges.append([cpu, cpu])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)


def format_on_off(switch: bool) -> str:
    """A switch as "on" or "off"."""
    return "on" if switch else "off"


def _scaled(
    value: object, units: dict[str, int], form: str, least: str, bare: int | None = None, any_case: bool = False
) -> int:
    number, unit = _quantity(value, form)
    unit = unit.lower() if any_case else unit
    factor = bare if unit == "" else units.get(unit)
    if factor is None and unit == "" and number == 0:
        return 0
    if factor is None:
        raise ValueError(_expected(value, form) if unit else f"{shown(value)} has no unit; expected {form}")
    exact = number * factor
    if exact.denominator != 1:
        raise ValueError(f"{shown(value)} is finer than {least}; expected {form}")
    if exact.numerator > INT64_MAX:
        raise ValueError(f"{shown(value)} does not fit in 64 bits; expected {form}")
    return exact.numerator


def _quantity(value: object, form: str) -> tuple[Fraction, str]:
    """(number, unit text) of a scalar; exact, so that 0.1ms is 100000 ns."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(_expected(value, form))
    if isinstance(value, int) and abs(value) > INT64_MAX:
        raise ValueError(f"a number of this size does not fit in 64 bits; expected {form}")
    text = value.strip(" ") if isinstance(value, str) else repr(value)
    if text.startswith("-"):
        raise ValueError(f"{shown(value)} is negative; expected {form}")
    match = _QUANTITY.fullmatch(text.replace("µ", "u").replace("μ", "u"))
    if match is None:
        raise ValueError(_expected(value, form))
    return Fraction(match[1]), match[2]


def _formatted(number: int, units: dict[str, int]) -> str:
    """In the largest unit that needs at most three decimals."""
    if number == 0:
        return f"0{next(iter(units))}"
    for unit, factor in units.items():
        thousandths, rest = divmod(number * 1000, factor)
        if rest == 0 and number >= factor:
            whole, part = divmod(thousandths, 1000)
            return f"{whole}.{part:03d}".rstrip("0").rstrip(".") + unit
    return f"{number}{list(units)[-1]}"


def _expected(value: object, form: str) -> str:
    return f"{shown(value)} is not understood; expected {form}"


def shown(value: object) -> str:
    """A value of a file as messages quote it: in 40 characters at most, on/off as YAML has them, no collections."""
    if value is None:
        return "an empty value"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    if isinstance(value, bool):
        return "true" if value else "false"
    text = value if isinstance(value, str) else repr(value)
    text = text if len(text) <= 40 else text[:37] + "..."
    return f'"{text}"' if isinstance(value, str) else text


def _text_schema(quantity: str, pattern: str, example: str, *others: dict[str, Any]) -> WithJsonSchema:
    """JSON schema of a quantity; "x-quantity" names it for the reference and for error messages."""
    text: dict[str, Any] = {"type": "string", "pattern": pattern, "examples": [example]}
    return WithJsonSchema({"x-quantity": quantity, "anyOf": [text, *others]})


_CPU_LIST = r"^ *[0-9]+(-[0-9]+)?( *, *[0-9]+(-[0-9]+)?)* *$"
_NUMBER = r"^ *[0-9]+(\.[0-9]+)? ?"
_ZERO = {"const": 0}
_NATURAL = {"type": "integer", "minimum": 0}
_CPU_NUMBERS = {"type": "array", "minItems": 1, "items": {"type": ["integer", "string"]}}
Count = Annotated[int, Strict()]  # a whole number: neither true, nor 1.0, nor "1"
DurationNs = Annotated[
    int,
    BeforeValidator(parse_duration),
    _text_schema("duration", rf"{_NUMBER}(ns|[uµμ]s|ms|s|min|h) *$|^0$", "20us", _ZERO),
]
RateBps = Annotated[
    int, BeforeValidator(parse_rate), _text_schema("rate", rf"{_NUMBER}([kKmMgGtT]?[bB][iI][tT]) *$", "1gbit")
]
SizeBytes = Annotated[
    int, BeforeValidator(parse_size), _text_schema("size", rf"{_NUMBER}([kMG]?B|[KMG]iB)? *$", "64B", _NATURAL)
]
Share = Annotated[float, BeforeValidator(parse_share), _text_schema("share", rf"{_NUMBER}% *$|^0$", "1%", _ZERO)]
Percent = Annotated[
    float, BeforeValidator(parse_percent), _text_schema("percentage", rf"{_NUMBER}% *$|^0$", "50%", _ZERO)
]
CpuSet = Annotated[tuple[int, ...], BeforeValidator(parse_cpus), _text_schema("CPU list", _CPU_LIST, "0-3,8", _NATURAL)]
CpuOrder = Annotated[
    tuple[int, ...],
    BeforeValidator(parse_cpu_order),
    _text_schema("CPUs in order", _CPU_LIST, "1,0", _NATURAL, _CPU_NUMBERS),
]
OnOff = Annotated[
    bool,
    BeforeValidator(parse_on_off),
    WithJsonSchema(
        {"x-quantity": "on or off", "anyOf": [{"type": "boolean"}, {"enum": ["on", "off", "true", "false"]}]}
    ),
]


def counted(count: int, noun: str) -> str:
    """So many of something: 1 run, 2 switches."""
    ending = "" if count == 1 else "es" if noun.endswith("ch") else "s"
    return f"{count} {noun}{ending}"
