"""The words by which the names of columns say what a column is."""

from __future__ import annotations

import re

from harness import columns


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


CASES = (
    "case", "testcase", "config", "configuration", "cfg", "variant", "scenario", "setup", "label", "arm", "treatment",
    "condition", "group", "mode", "policy", "method", "algorithm", "impl", "implementation", "system", "name", "test",
    "benchmark", "bench", "experiment", "command", "kind", "type", "series", "class", "version", "build",
    "setting", "settings", "option", "options", "parameter", "parameters", "param", "knob", "tuning",
)  # fmt: skip
"""Names of what tells cases apart, the most likely first."""

SETTINGS = _words(
    "poll polling defer flush budget suspend usecs timeout delay rate load size depth interval quota period threads "
    "thread connections conns conn clients flows streams concurrency parallel parallelism cores queues queue batch "
    "burst window mtu payload iodepth qd offered target requested jobs workers procs channels coalesce spin nice "
    "priority prio buffer buf cpus pipeline frames limit duty hogs irqs"
)
"""Words in the names of things that are set, and seldom in those of things that are measured."""

REPEATS = _words(
    "run rep reps repeat repetition iter iteration trial round attempt replicate replica pass seed try runs no nr "
    "cycle measurement lauf durchlauf wiederholung versuch messung messreihe essai execution mesure corrida ejecucion "
    "medicion repeticion prova esecuzione misura"
)
SEQUENCE = _words(
    "index idx i id seq sequence row line n request req transaction txn packet sample nr no num number msg message"
)
TOTALS = _words("iterations samples repetitions repeats")
TIMES = _words(
    "time timestamp ts date datetime when start started begin began epoch utc end day stamp ended at finished created"
)
ELAPSED = TIMES | _words("elapsed offset t s us ms ns")
SPANS = _words(
    "elapsed connect connecting idletime ttfb dns dialup took blocked handshake handshaking sending receiving"
)
PARTS = _words("requestwrite requeststart responsedelay responseread reqwrite respwait respread")
"""What takes time, however few its values are: never a setting; by a word of its name, or by all of them."""
FACTS = {
    "host": _words("host hostname machine node nodename fqdn server instance computer"),
    "kernel": _words("kernel uname linux kver os"),
    "cpu_model": _words("processor cpumodel"),
}
NOTES = _words(
    "note notes comment comments remark remarks description desc path file filename log user author url uri operator "
    "args message error stderr pid tid"
)
RUN_IDS = _words("uuid guid ulid")
ACTORS = _words("thread worker threadname workername")
VERDICTS = _words("verdict status result outcome ok valid success passed state")
GOOD = _words("ok pass passed success successful valid true yes y t done completed 1 good") | {""}
BAD = _words(
    "fail failed failure error errored invalid false no n f timeout timedout timed_out aborted 0 bad crash crashed "
    "killed cancelled canceled interrupted oom exception"
) | {"timed out"}
"""Words by which files say that a run counts, and that it does not."""
INDEX = re.compile(r"(Unnamed: ?\d+(\.\d+|_level_\d+)*|index|level_\d+|\.\.\.1|X\.?\d*)?")


def words_of(name: str) -> list[str]:
    """The words of a name, in small letters."""
    return [word for word in re.split(r"[^a-z0-9]+", columns.camel(name).lower()) if word]


def is_setting(name: str) -> bool:
    """Has this name a word of settings?"""
    return any(word in SETTINGS or (word[:1] == "n" and word[1:] in SETTINGS) for word in words_of(name))


def rank(name: str) -> int:
    """How likely a column of this name tells cases apart: its place in CASES, the end of which is not at all."""
    words = words_of(name)
    if not words:
        return len(CASES) - 1  # the unnamed first column of a table that pandas wrote with its index
    joined = "".join(words)
    if joined in CASES:
        return CASES.index(joined)
    return min((CASES.index(word) for word in words if word in CASES), default=len(CASES))
