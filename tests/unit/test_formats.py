"""What all formats share: numbers, text, latencies; and HdrHistogram's files, bucket by bucket."""

from __future__ import annotations

import struct
import zlib
from base64 import b64encode
from typing import Any

import numpy as np
import pytest

from harness.formats import NOT_USED, Head, Line, ReadOptions, Result, load_formats
from harness.formats.hdrcodec import CodecError, decode
from harness.formats.latency import put_latencies, weighted_quantile
from harness.formats.text import amount, count, decimal, lines_of, looks_binary, plain, ratio, without_colour
from tests.unit import foreign

Found = list[tuple[int, str]]


def read(name: str, text: str, **options: str) -> tuple[list[Result], Found]:
    """Every result, and every finding with its line; without what is merely not used."""
    found: Found = []
    asked = ReadOptions(**options)  # type: ignore[arg-type]
    results = list(load_formats()[name].parse(lines_of(text), lambda line, words: found.append((line, words)), asked))
    return results, [finding for finding in found if not finding[1].startswith(NOT_USED)]


def one(name: str, text: str, **options: str) -> Result:
    (result,), found = read(name, text, **options)
    assert found == []
    return result


# -- numbers and text ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(("0", 0), (" 12 ", 12), ("1234", 1234), ("1,234", 1234), ("1.234.567", 1_234_567), ("1'234", 1234)),
        *(("1\u202f234", 1234), ("1 234 567", 1_234_567), ("12,34", None), ("1,234.567", None), ("-1", None)),
        *(("", None), ("1234,567", None), ("\u0661", None), ("1" * 40, int("1" * 40)), ("1" * 41, None)),
    ],
)
def test_whole_numbers_grouped_or_not(text: str, number: int | None) -> None:
    assert count(text) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(("1.5", 1.5), ("1,5", 1.5), ("1.234,5", 1234.5), ("1,234.5", 1234.5), (" 7 % ", 7.0), ("-2.5", -2.5)),
        *((".5", 0.5), ("1.", 1.0), ("1e3", 1000.0), ("1e999", None), ("", None), ("%", None), ("nan", None)),
        *(("58.970,", None), ("1,234,5", None), ("12,34.5", None), ("1,234,567", 1_234_567.0), ("200.000", 200.0)),
        *(("1.2.3", None), ("0" * 40, 0.0), ("0" * 41, None), ("+3", 3.0), ("1e-3", 0.001), ("\u0661", None)),
    ],
)
def test_numbers_with_a_point_or_a_comma(text: str, number: float | None) -> None:
    assert decimal(text) == number


def test_amounts_and_ratios() -> None:
    assert [amount(text) for text in ("0", "0.1", "-0.1", "x")] == [0.0, 0.1, None, None]
    assert [ratio(6.0, 3.0), ratio(0.0, 3.0), ratio(6.0, 0.0), ratio(6.0, -1.0)] == [2.0, 0.0, None, None]
    assert [ratio(None, 3.0), ratio(6.0, None), ratio(1e308, 1e-308)] == [None, None, None]
    assert ratio(1.0, 0.5) == 2.0


def test_text_that_any_table_can_hold() -> None:
    assert plain("a\tb\x1b\udcff") == "a\\tb\\x1b\\udcff"
    assert plain("x" * 200) == "x" * 200
    assert plain("x" * 201) == "x" * 197 + "..."
    assert plain("x" * 10, 9) == "x" * 6 + "..."
    assert without_colour("\x1b[1;31mred\x1b[0m") == "red"
    assert list(lines_of("a\n\x1b[2mb")) == [Line(1, "a"), Line(2, "b")]
    assert [looks_binary(text) for text in ("a\tb\r\n\x0c", "a\x00", "a\x1f", "\x7f", "\ufffd", "é")] == [
        False,
        True,
        True,
        True,
        True,
        False,
    ]


# -- latencies -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("basis", "prefix", "factor", "said"),
    [("rtt", "rtt", 1, "rtt"), ("half-rtt", "rtt", 2, "half round trip, doubled"), ("one-way", "oneway", 1, "one way")],
)
def test_latencies_by_what_was_recorded(basis: Any, prefix: str, factor: int, said: str) -> None:
    result = Result()
    values = {"min": 1.0, "mean": float("nan"), "p50": 2.0, "p99": None, "p99_9": 9.0, "max": 10.0}
    put_latencies(result, values, basis, None)
    names = {"min": 1, "p50": 2, "p99_9": 9, "max": 10, "jitter": 7}
    assert result.metrics == {f"{prefix}_{name}_us": factor * value for name, value in names.items()}
    assert result.environment == {"latency_basis": said}


@pytest.mark.parametrize(("requests", "kept"), [(19, []), (20, ["p50"]), (999, ["p50"]), (1000, ["p50", "p99"])])
def test_a_quantile_needs_ten_requests_beyond_it(requests: int, kept: list[str]) -> None:
    result = Result()
    put_latencies(result, {"p50": 1.0, "p99": 2.0, "max": 3.0}, "rtt", requests)
    assert list(result.metrics) == [*(f"rtt_{name}_us" for name in kept), "rtt_max_us"]


def test_quantiles_of_weighted_values() -> None:
    values, weights = np.array([3.0, 1.0, 2.0, np.nan, 9.0]), np.array([1.0, 2.0, 1.0, 5.0, 0.0])
    found = [weighted_quantile(values, weights, level) for level in (0.0, 0.5, 0.51, 0.75, 0.76, 1.0)]
    assert found == [1.0, 1.0, 2.0, 2.0, 3.0, 3.0]
    assert weighted_quantile(values[3:], weights[3:], 0.5) is None


def test_a_result_is_doubted_or_failed_with_its_reasons() -> None:
    result = Result()
    assert not result.has_figures()
    result.metrics["lost"] = None
    assert not result.has_figures()
    result.metrics["lost"] = 0.0
    assert result.has_figures() and Result(samples=np.zeros(1)).has_figures()
    result.doubt("odd")
    assert (result.verdict, result.reasons) == ("suspect", ["odd"])
    result.fail("broken")
    result.doubt("odder")
    assert (result.verdict, result.reasons) == ("failed", ["odd", "broken", "odder"])


# -- HdrHistogram --------------------------------------------------------------------------------------------


def zigzag(*numbers: int) -> bytes:
    return b"".join(foreign._leb(number) for number in numbers)


@pytest.mark.parametrize(
    ("words", "options", "buckets"),
    [
        (zigzag(3, 0, 5), {}, [(0, 0, 3), (2, 2, 5)]),
        (zigzag(-7, 4), {}, [(7, 7, 4)]),
        # Three digits: 2048 buckets of one, then 1024 of two, and so on.
        (zigzag(-2047, 1, 2, 3), {}, [(2047, 2047, 1), (2048, 2049, 2), (2050, 2051, 3)]),
        (zigzag(-3072, 9), {}, [(4096, 4099, 9)]),
        (zigzag(-3, 1, 1), {"digits": 0}, [(4, 7, 1), (8, 15, 1)]),
        (zigzag(-31, 1, 1), {"digits": 1}, [(31, 31, 1), (32, 33, 1)]),
        # The lowest value decides the unit: a power of two at most as large.
        (zigzag(-3, 1), {"lowest": 1000}, [(1536, 2047, 1)]),
        (zigzag(-3, 1), {"lowest": 1024}, [(3072, 4095, 1)]),
        (b"", {}, []),
        (zigzag(-1, 2**40), {}, [(1, 1, 2**40)]),
    ],
)
def test_buckets_of_a_histogram(words: bytes, options: dict[str, int], buckets: list[tuple[int, int, int]]) -> None:
    assert decode(f" {foreign.hdr_text(words, **options)}\n") == buckets


def test_the_last_bucket_that_64_bits_hold_is_read_and_the_next_is_not() -> None:
    # One bit of resolution: bucket n covers [2^n, 2^(n+1)).
    assert decode(foreign.hdr_text(zigzag(-62, 1), digits=0)) == [(2**61, 2**62 - 1, 1)]
    assert decode(foreign.hdr_text(zigzag(-63, 1), digits=0)) == [(2**62, 2**63 - 1, 1)]
    with pytest.raises(CodecError, match="beyond 64 bits"):
        decode(foreign.hdr_text(zigzag(-64, 1), digits=0))


def packed(cookie: int = 0x1C849313, length: int = 1, offset: int = 0, digits: int = 3, counts: bytes = b"\x02") -> str:
    payload = struct.pack(">iiiiqqd", cookie, length, offset, digits, 1, 1000, 1.0) + counts
    data = zlib.compress(payload)
    return b64encode(struct.pack(">ii", 0x1C849314, len(data)) + data).decode()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (packed(offset=1), "its values are shifted, which is not supported"),
        (packed(digits=6), "its header makes no sense"),
        (packed(digits=-1), "its header makes no sense"),
        (packed(length=2), "it is cut short"),
        (packed(length=-1), "it is cut short"),
        (packed(cookie=0x1C849301), "it is a histogram V1; only V2 of whole numbers is read"),
        (packed(cookie=0x1C849308), "it is a histogram V0; only V2 of whole numbers is read"),
        (packed(cookie=0x1C849309), "it is a histogram V0; only V2 of whole numbers is read"),
        # With the width of its words in the cookie.
        (packed(cookie=0x1C849311), "it is a histogram V1; only V2 of whole numbers is read"),
        (packed(cookie=0x0C72124E), "it is a histogram of decimal values; only V2 of whole numbers is read"),
        (packed(cookie=5), "it is no histogram; only V2 of whole numbers is read"),
        (foreign.hdr_text(b"\x02", lowest=0), "its header makes no sense"),
        (foreign.hdr_text(b"\x02", lowest=600, highest=1000), "its header makes no sense"),
        (b64encode(struct.pack(">ii", 0x1C849314, 5) + b"abc").decode(), "it is cut short"),
        (b64encode(struct.pack(">ii", 0x1C849314, 3) + b"abc").decode(), "it does not inflate"),
        (
            b64encode(struct.pack(">ii", 0x1C849314, 9) + zlib.compress(bytes(99))[:9]).decode(),
            "cut short, or too large",
        ),
        (b64encode(struct.pack(">ii", 0x1C849314, 11) + zlib.compress(b"abc")).decode(), "it is cut short"),
        ("\u00e9", "it is not base64"),
    ],
)
def test_what_is_wrong_with_a_histogram_is_said(text: str, said: str) -> None:
    with pytest.raises(CodecError) as caught:
        decode(text)
    assert said in str(caught.value)


def test_digits_and_lengths_at_their_bounds_are_read() -> None:
    assert decode(packed(digits=5)) == decode(packed(digits=0)) == [(0, 0, 1)]
    assert decode(packed(length=0)) == []
    assert decode(foreign.hdr_text(b"\x02", lowest=500, highest=1000)) == [(0, 255, 1)]


def test_figures_of_a_log() -> None:
    text = foreign.HDR_HEAD + foreign.hdr_line({10: 30, 20: 10}, length=2.0) + foreign.hdr_line({10: 40}, length=0.5)
    result = one("hdrhistogram", text, unit="us")
    spread = (0.125 * 0.875) ** 0.5 * 10
    expected = {"requests": 80, "elapsed_s": 2.5, "rate_rps": 32, "rtt_min_us": 10, "rtt_max_us": 20}
    expected |= {"rtt_mean_us": 11.25, "rtt_sd_us": spread, "rtt_p50_us": 10}
    assert result.metrics == pytest.approx(expected)
    assert result.workload == {"kind": "hdrhistogram"}
    # A bucket that is wider than its values stands for its middle, its quantiles for its upper end.
    wide = one("hdrhistogram", foreign.HDR_HEAD + f"0,1,1,{foreign.hdr_text(zigzag(-3072, 30))}\n", unit="us")
    assert (wide.metrics["rtt_mean_us"], wide.metrics["rtt_p50_us"], wide.metrics["rtt_min_us"]) == (4098, 4099, 4096)
    empty = one("hdrhistogram", foreign.HDR_HEAD + f"0,0,0,{foreign.hdr_text(b'')}\n")
    assert empty.metrics == {"requests": 0}


def test_lines_of_a_log_that_are_none_are_left_out_and_told() -> None:
    good = foreign.hdr_line({10: 30})
    text = foreign.HDR_HEAD + "1,2,3\n" + "1,2,3,!!\n" + good.replace("1.000", "soon", 1)
    (result,), found = read("hdrhistogram", text)
    assert result.metrics["requests"] == 30 and "rate_rps" not in result.metrics
    assert [line for line, _ in found] == [3, 4, 5]
    assert found[0][1] == "the line is not start,length,max,histogram; it is left out"
    assert found[1][1].startswith("its histogram is left out: it is not base64")
    assert found[2][1] == "the length of the interval is no number; the rate is too high by it"


TABLE = """       Value     Percentile TotalCount 1/(1-Percentile)

       1.000 0.000000000000          1           1.00
      10.000 0.500000000000        500           2.00
      20.000 0.900000000000        900          10.00
      30.000 0.990000000000        990         100.00
      40.000 1.000000000000       1000
#[Mean    =       12.500, StdDeviation   =        3.500]
#[Max     =       40.000, Total count    =         1000]
#[Buckets =            2, SubBuckets     =         2048]
"""


def test_figures_of_a_percentile_table() -> None:
    result = one("hdrhistogram", TABLE, unit="us")
    expected = {"requests": 1000, "rtt_mean_us": 12.5, "rtt_sd_us": 3.5, "rtt_max_us": 40, "rtt_min_us": 1}
    expected |= {"rtt_p50_us": 10, "rtt_p90_us": 20, "rtt_p95_us": 30, "rtt_p99_us": 30}
    assert result.metrics == expected
    assert one("hdrhistogram", TABLE, unit="ms").metrics["rtt_p50_us"] == 10_000
    assert one("hdrhistogram", TABLE, unit="ns", basis="half-rtt").metrics["rtt_p50_us"] == pytest.approx(0.02)


def test_a_table_that_is_cut_or_odd_is_told() -> None:
    rows = "\n".join(TABLE.splitlines()[:6])
    (result,), found = read("hdrhistogram", rows + "\nx y z\n1 0.5\n", unit="us")
    odd = "the row is not value, percentile, count; it is left out"
    closing = "the table's closing lines are missing: quantiles are given without knowing from how many values"
    assert found == [(7, odd), (8, odd), (0, closing)]
    assert "rtt_max_us" not in result.metrics and result.metrics["requests"] is None
    assert (result.metrics["rtt_p99_us"], result.metrics["rtt_min_us"]) == (30, 1)
    whole = "\n".join(TABLE.splitlines()[:7])
    assert read("hdrhistogram", whole, unit="us")[0][0].metrics["rtt_max_us"] == 40
    late = "\n".join([TABLE.splitlines()[0], *TABLE.splitlines()[3:]])
    assert "rtt_min_us" not in one("hdrhistogram", late, unit="us").metrics
    (none,), found = read("hdrhistogram", TABLE.splitlines()[0])
    assert (found, none.metrics) == ([(0, "the table holds no rows")], {})


def test_what_was_assumed_of_a_histogram_is_said() -> None:
    histogram = load_formats()["hdrhistogram"]
    said = " ".join(histogram.conversions_with(ReadOptions()))
    assert "taken as ns" in said and "whole round trips are assumed" in said
    given = " ".join(histogram.conversions_with(ReadOptions("us", "half-rtt")))
    assert "taken as ns" not in given and "are assumed" not in given and "half round trips, doubled" in given
    assert histogram.needs_unit(Head(TABLE, "x")) and not histogram.needs_unit(Head(foreign.HDR_HEAD, "x"))
