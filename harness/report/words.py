"""Numbers, changes and cells in the words that people read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from harness.analysis.compare import Change, Factors
from harness.columns import Column
from harness.stats import Estimate, Interval
from harness.tables.reading.roles import OF_CASE
from harness.tables.source import ALL_SHARES

Json = Mapping[str, "Json"] | Sequence["Json"] | str | float | bool | None
"""What a JSON document is made of."""

BLANK = "-"

# From how far on a ratio is said in times, not in percent; is a large number; says nothing with one digit, below that.
_TIMES, _HUGE, _NEAR = 1.5, 99.95, 1.05


def short(value: float | None, scale: float = 1.0) -> str:
    """A number, in units of `scale`, with about three digits that mean something: 7.53, 61.2, 368, 12,345."""
    if value is None:
        return BLANK
    value /= scale
    size = abs(value)
    if size >= 1e15:
        return f"{value:.3g}"
    if size >= 99.95:
        return f"{value:,.0f}"
    if size >= 9.995:
        return f"{value:.1f}"
    if size >= 0.01 or size == 0:
        return f"{value:.2f}" if size else "0"
    return f"{value:.2g}"


def percent(value: float | None) -> str:
    """A share in percent: never rounded up to 100 nor down to 0."""
    if value is None:
        return BLANK
    if value in (0, 100):
        return f"{value:.0f}"
    if 99.95 <= value < 100:
        return ">99.9"
    if 0 < value < 0.05:
        return "<0.1"
    return f"{value:.1f}"


def bracket(interval: Interval | None, *, gap: str = "..", scale: float = 1.0) -> str:
    """An interval, in units of `scale`, as [low..high]; nothing when there is none."""
    return f"[{short(interval.low, scale)}{gap}{short(interval.high, scale)}]" if interval else ""


def estimate(value: Estimate) -> str:
    """An estimate with its interval, as pages show it: 9.31 [9.10 – 9.52]."""
    return f"{short(value.median)} {bracket(value.interval, gap=' – ')}".strip()


def time(us: float) -> str:
    """A time in the unit that suits it: 3.54 µs, 14.5 ms."""
    for size, unit in ((1e6, "s"), (1e3, "ms"), (1.0, "µs")):
        if us >= size:
            return f"{short(us / size)} {unit}"
    return f"{short(us * 1e3)} ns"


def named(column: Column) -> str:
    """A column's label with its unit, as pages show it."""
    return f"{column.label}, {column.unit}".rstrip(", ").replace("us", "µs")


def ratio(value: float | None) -> str:
    """A ratio with three digits."""
    return BLANK if value is None else f"{value:.3f}" if value < 9.9995 else short(value)


def p_value(value: float | None) -> str:
    """A p value with the digits that matter; never 0."""
    if value is None:
        return BLANK
    if value < 0.001:
        return "<0.001"
    return f"{value:.3f}" if value < 0.0995 else f"{value:.2f}"


def signed(value: float) -> str:
    """A difference with its sign: +12.3, -0.05, 0."""
    return f"+{short(value)}" if value > 0 else short(value)


def share(value: float) -> str:
    """A share as a percentage: 0.05 is "5 %"."""
    return f"{100 * value:g} %"


def times(change: Change) -> str:
    """How much lower or higher, in as few characters as are true: 8.1x lower, 3.2 % higher, +99.8."""
    if change.ratio is None or change.factor is None:
        return signed(change.difference.value) if change.difference else BLANK
    return f"{factor(change.ratio.value)} {'lower' if change.ratio.value < 1 else 'higher'}"


def factor(value: float) -> str:
    """How far a ratio is from 1, either way: 8.1x, 3.2 %."""
    return sizes([value])[0]


def sizes(ratios: Sequence[float], of: float | None = None, *, apart: bool = False) -> list[str]:
    """How far several ratios are from 1, in one unit: that of `of`, or of the farthest: 1.2x, 3.0x.

    apart: with one more digit where they would read alike.
    """
    far = [max(value, 1 / value) for value in ratios]
    lead = max(of, 1 / of) if of else max(far)
    if lead < _TIMES:
        return [f"{abs(value - 1) * 100:.1f} %" for value in ratios]
    texts = [f"{size:.1f}x" if size < _HUGE else f"{size:,.0f}x" for size in far]
    finer = min(far) < _NEAR or (apart and len(set(texts)) < len(texts))
    return [f"{size:.2f}x" for size in far] if finer and max(far) < _HUGE else texts


def span(texts: Sequence[str]) -> str:
    """The first of these sizes to the last, with their unit once: 8.0 to 49.2x."""
    one, other = texts[0], texts[-1]
    return one if one == other else f"{one.removesuffix('x').removesuffix(' %')} to {other}"


def from_to(least: Change, most: Change) -> str:
    """What changes of one direction showed, of which these are the ends: 8.0 to 49.2x lower."""
    if least.ratio and most.ratio and least.factor and most.factor:
        way = times(most).rpartition(" ")[2]
        return f"{span(sizes([least.ratio.value, most.ratio.value]))} {way}"
    return " to ".join(dict.fromkeys(times(change) for change in (least, most)))


def verdict(change: Change | None) -> str:
    """What a change showed, for tables: "8.1x lower", "within 5 %", "undecided", "few runs" where nothing could be."""
    if change is None or change.difference is None:
        return ""
    if change.few:
        return "few runs"
    if change.outcome == "~":
        return "undecided" if change.no_larger is None else f"within {share(change.no_larger)}"
    return times(change)


def conclusion(change: Change) -> str:
    """The same in a sentence's words: "8.1x lower", "no difference larger than 5 %", "undecided"."""
    if change.outcome != "~":
        return times(change)
    return "undecided" if change.no_larger is None else f"no difference larger than {share(change.no_larger)}"


def would_decide(change: Change) -> str:
    """What would decide an undecided change; nothing for others, or where nothing tells."""
    if change.outcome == "~" and change.bounded and not change.small:
        return f"no runs would decide, the accounting leaves {100 * (change.leeway - 1):.0f} %"
    if change.outcome != "~" or change.needed is None:
        return ""
    return f"some {count(change.needed)} runs a side would decide"


def count(number: int) -> str:
    """A number of runs that is an estimate: no digits that it has not."""
    if number > 10_000:
        return "more than 10,000"
    return f"{number:,}" if number < 100 else f"{float(f'{number:.2g}'):,.0f}"


def comparisons(count: int) -> str:
    """What claims hold for together."""
    return "the one comparison" if count == 1 else f"all {count} comparisons"


def chained(lag: float) -> str:
    """That runs resemble the ones before them, and what follows."""
    return (
        f"Runs resemble the ones before them (by a correlation of {lag:.1f}), so they tell less than as many that do "
        "not: the intervals that make claims are widened for it."
    )


def factors(values: Factors) -> str:
    """Factors as `name=value, name=value`; a factor that a cell does not have is `name=-`."""
    return ", ".join(f"{name}={value or BLANK}" for name, value in values)


def last_parts(values: Factors, parts: int) -> Factors:
    """Factors by so many last parts of their dotted keys, or as many more as tell them apart."""
    names = [".".join(name.split(".")[-parts:]) for name, _ in values]
    if len(set(names)) < len(names) and parts < max(name.count(".") for name, _ in values) + 1:
        return last_parts(values, parts + 1)
    return tuple(zip(names, (value for _, value in values), strict=True))


def where(values: Factors) -> str:
    """Factors as `name = value, name = value`, as pages show them; "all runs" when nothing was swept."""
    return ", ".join(f"{name} = {value}" for name, value in values) or "all runs"


def cell(case: str, values: Factors) -> str:
    """A cell as a person would call it."""
    # Where the values of a factor are compared, they stand in the place of cases.
    of = "".join(f" of {value}" for name, value in values if name == OF_CASE)
    others = tuple(pair for pair in values if pair[0] != OF_CASE)
    return f"{case}{of} at {factors(others)}" if others else f"{case}{of}"


def counts(verdicts: dict[str, int]) -> str:
    """Runs by verdict: `28 valid, 1 suspect`."""
    texts = [f"{count} {name}" for name, count in verdicts.items() if count]
    return ", ".join(texts) or "none"


def made(verdicts: dict[str, int], again: int) -> str:
    """How many runs there are and how they went: 30 runs, 30 valid; 36 made, 6 made again, 30 valid."""
    total = sum(verdicts.values())
    head = f"{total + again:,} made, {again:,} made again" if again else runs(total)
    return f"{head}, {counts(verdicts)}"


def runs(count: int) -> str:
    """So many runs: 1 run, 30 runs."""
    return "1 run" if count == 1 else f"{count} runs"


def sentence(text: str) -> str:
    """A remark as a sentence of its own."""
    return f"{text[:1].upper()}{text[1:]}."


def missing(lacking: int, facts: Mapping[str, Sequence[str]], share: str = "") -> tuple[str, str]:
    """That so many planned runs are not made, and how to go on: two sentences. facts, share: as of an Overview."""
    (place,) = tuple(facts.get("place", ()))[:1] or ("host",)
    command = {"vm": "vm run FILE", "fleet": "fleet run FILE -i INVENTORY"}.get(place, "run FILE")
    many = "1 planned run is" if lacking == 1 else f"{lacking:,} planned runs are"
    if share == ALL_SHARES:
        return f"{many} not made yet", "the shares that owe runs make them with `--resume`; then merge again"
    if share:
        return f"{many} not made yet", f"those of this share by `pollbench run FILE --share {share} --resume`"
    return f"{many} not made yet", f"go on with `pollbench {command} --resume`"


def some(items: Iterable[str], limit: int = 4) -> str:
    """A list in words, cut with how many more there are."""
    texts = list(items)
    more = len(texts) - limit
    return ", ".join(texts[:limit]) + (f" and {more} more" if more > 0 else "")


def clean(text: str) -> str:
    """Text from a file, safe for a terminal: control characters (escape sequences) become `?`."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
