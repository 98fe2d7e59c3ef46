"""Files of any content: runs and findings, never a traceback, and a set that show and compare can work with."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from harness import report
from harness.analysis.compare import compare_cases
from harness.analysis.summary import overview
from harness.errors import PollbenchError
from harness.formats.hdrcodec import CodecError, decode
from harness.formats.text import amount, count, decimal, plain
from harness.importers import FORMATS, ImportOptions, import_results
from harness.importers.files import gather
from harness.importers.model import ImportedRuns
from harness.tables import load_source
from tests.examples import examples
from tests.unit import foreign

REAL = Path(__file__).parents[1] / "golden" / "import"
STAMP = "20301020T010351Z"
OPTIONS = ImportOptions(unit="us")
KINDS = ("mutilate", "memcached", "sar", "perf", "irq", "tcp", "setup", "stats", "poll", "epoll")
TEXTS: dict[str, list[str]] = {
    "irqsuspend": [
        foreign.mutilate(),
        foreign.sar(),
        foreign.perf(group=","),
        *(foreign.IRQ, foreign.TCP, foreign.SETUP, foreign.MEMCACHED, foreign.STATS, foreign.POLL, foreign.EPOLL),
    ],
    "sockperf": [(REAL / name).read_text() for name in ("sockperf.txt", "sockperf.log", "sockperf_throughput.txt")],
    "netperf": [foreign.NETPERF_RR, foreign.NETPERF_STREAM, foreign.NETPERF_KEYS],
    "neper": [foreign.NEPER],
    "iperf3": [(REAL / name).read_text() for name in ("iperf3_tcp.json", "iperf3_udp.json", "iperf3_failed.json")],
    "hdrhistogram": [
        foreign.HDR_HEAD + foreign.hdr_line({5: 50, 900: 3}) + foreign.hdr_line({7: 70}, tag="get"),
        (REAL / "table.hgrm").read_text(),
    ],
    "mutilate": [foreign.mutilate()],
    "rtla": [foreign.RTLA],
    "fortio": [foreign.FORTIO],
}
# A format that has no look-alike above is fuzzed with the outputs that bear its name.
for _name in set(FORMATS) - set(TEXTS):
    TEXTS[_name] = [path.read_text() for path in sorted(REAL.glob(f"{_name}*"))] or [""]
JUNK = [
    "",
    "\0",
    "-1",
    "nan",
    "inf",
    "1e999",
    "9" * 500,
    "1,5",
    "FAILED",
    "\x1b[31m",
    "=cmd()",
    "\ufeff",
    "\r",
    "é\u202f",
]
FUZZ = settings(max_examples=examples(12), suppress_health_check=[HealthCheck.function_scoped_fixture])
# Of a line that is as long as this a quadratic pattern makes billions of steps.
LINE_BYTES, MOMENT_S = 80_000, 5.0
# To write, show and compare a set takes twenty times as long as to read it, and is the same code for every format.
JOURNEYS = settings(FUZZ, max_examples=examples(8))


@st.composite
def damaged(draw: st.DrawFn, name: str) -> bytes:
    """A look-alike that was cut, spliced with junk, or doubled; or any bytes at all."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=300))
    text = draw(st.sampled_from(TEXTS[name]))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(text)))
        to = min(len(text), at + draw(st.integers(0, 40)))
        text = text[:at] + draw(st.sampled_from(JUNK) | st.text(max_size=6)) + text[to:]
    if draw(st.booleans()):
        text = text[: draw(st.integers(0, len(text)))]
    encoding = draw(st.sampled_from(["utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-16-be", "latin-1"]))
    return text.encode(encoding, "replace")


def reading_of(name: str, where: Path, contents: list[bytes]) -> ImportedRuns:
    """What is read of files of these contents, in the directory `where`."""
    shutil.rmtree(where, ignore_errors=True)
    where.mkdir()
    for number, content in enumerate(contents):
        kind = KINDS[number % len(KINDS)]
        file = f"{kind}-{number % 2 * 1000}-base-0.out" if name == "irqsuspend" else f"case{number % 2}-{number}.txt"
        (where / file).write_bytes(content)
    reading = FORMATS[name].read(gather(where), OPTIONS)
    assert reading.runs
    for run in reading.runs:
        # Nothing is dropped in silence: a run without numbers says why.
        assert run.verdict == "valid" or run.reasons
    return reading


def check(name: str, tmp_path: Path, contents: list[bytes]) -> None:
    """Read, and write, show and compare what came of it."""
    where = tmp_path / "raw"
    shutil.rmtree(tmp_path / "out", ignore_errors=True)
    reading = reading_of(name, where, contents)
    done = import_results(name, where, tmp_path / "out", STAMP, options=OPTIONS)
    source = load_source(done.results.path)
    assert len(source.runs) == len(reading.runs)
    view = overview(source)
    for fmt in report.FORMATS:
        assert "\x1b" not in report.show(view, fmt)
    assert report.show(overview(load_source(done.results.path / "runs.csv")), "text")
    try:
        compare_cases(source, str(source.runs["case"].iloc[0]))
    except PollbenchError:
        pass
    for line in (done.results.path / "imports.csv").read_bytes().splitlines():
        assert not line.startswith((b"=", b"@", b"+"))


def outputs(name: str) -> st.SearchStrategy[list[bytes]]:
    """What a directory of a format's files may hold."""
    return st.lists(damaged(name), min_size=1, max_size=len(KINDS) if name == "irqsuspend" else 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(FORMATS))
@FUZZ
@given(st.data())
def test_no_content_gives_a_traceback(name: str, tmp_path: Path, data: st.DataObject) -> None:
    reading_of(name, tmp_path / "raw", data.draw(outputs(name)))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(FORMATS))
def test_what_was_read_is_written_shown_and_compared(name: str, tmp_path: Path) -> None:
    check(name, tmp_path, [text.encode() for text in TEXTS[name]])


@pytest.mark.slow
@JOURNEYS
@given(st.sampled_from(sorted(FORMATS)).flatmap(lambda name: st.tuples(st.just(name), outputs(name))))
@example(("sockperf", [b"", b"FAILED\n"]))
def test_no_content_ends_on_its_way_to_a_comparison(tmp_path: Path, given: tuple[str, list[bytes]]) -> None:
    check(given[0], tmp_path, given[1])


@given(st.text(max_size=30))
@example("1" * 5000)
@example("١٢٣")
@example("1.234.567,89")
@example("--5")
def test_figures_never_raise(text: str) -> None:
    for read in (count, decimal, amount):
        value = read(text)
        assert value is None or -1e40 < value < 1e40 or read is decimal or read is amount


@pytest.mark.parametrize(
    ("text", "whole", "number"),
    [
        ("1234", 1234, 1234),
        ("76,855,546,673", 76855546673, None),
        ("76.855.546.673", 76855546673, None),
        ("127,7", None, 127.7),
        ("1.234,5", None, 1234.5),
        ("1,234.5", None, 1234.5),
        ("75.36%", None, 75.36),
        ("1e3", None, 1000),
        ("", None, None),
        ("nan", None, None),
        ("1e999", None, None),
        ("<not counted>", None, None),
        ("1 234", 1234, None),
        ("1_000", None, None),
    ],
)
def test_figures(text: str, whole: int | None, number: float | None) -> None:
    assert count(text) == whole
    if number is not None or whole is None:
        assert decimal(text) == number


@FUZZ
@given(st.binary(max_size=60), st.integers(0, 5), st.integers(-2, 2**40))
def test_histograms_never_raise_but_codec_errors(words: bytes, digits: int, lowest: int) -> None:
    try:
        buckets = decode(foreign.hdr_text(words, digits, lowest, 2**62))
    except CodecError:
        return
    assert all(0 <= low <= high < 2**63 and number > 0 for low, high, number in buckets)
    assert buckets == sorted(buckets)


@given(st.text(alphabet="ABCHISTF0123=+/ \n", max_size=80) | st.text(max_size=20))
def test_histogram_text_never_raises(text: str) -> None:
    try:
        decode(text)
    except CodecError:
        pass


@given(st.text(max_size=300))
@example("\udcff")
@example("a\nb\x1b[2J")
def test_plain_text_can_be_held_by_any_table(text: str) -> None:
    found = plain(text)
    found.encode("utf-8")
    assert found.isprintable()
    assert len(found) <= 200


def too_long(number: int, frame: FrameType | None) -> None:
    """A signal's handler."""
    pytest.fail(f"still reading after {MOMENT_S} s of CPU time")


@pytest.mark.parametrize("name", sorted(FORMATS))
@pytest.mark.parametrize("unit", ["1 ", "a", "-", "{", "[", "@[1", "1,", "=", "Total QPS = ", "FAILED", "\t", '"'])
def test_long_lines_take_no_long_time(name: str, unit: str, tmp_path: Path) -> None:
    """A pattern that backtracks would compute for a minute here; the whole of it takes hundredths of a second."""
    content = (unit * LINE_BYTES)[:LINE_BYTES].encode()
    text = TEXTS[name][0].encode()
    for kind in KINDS if name == "irqsuspend" else ("x",):
        file = f"{kind}-0-base-0.out" if name == "irqsuspend" else "x.txt"
        (tmp_path / file).write_bytes(text + content)
    before = signal.signal(signal.SIGPROF, too_long)
    signal.setitimer(signal.ITIMER_PROF, MOMENT_S)
    try:
        assert FORMATS[name].read(gather(tmp_path), ImportOptions(unit="us")).runs
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
