"""The options of `show`, `compare`, `trend`, `report`, `plot` and `import`: what works on any OS, without root."""

from __future__ import annotations

import argparse

from harness.cli.parser.options import (
    FORMATS,
    ONE_CASE,
    Commands,
    as_json,
    ci_files,
    columns,
    flag,
    include,
    output,
    output_format,
    value,
    values,
)

KINDS = ("ecdf", "load", "heatmap", "pareto", "timeline", "slowest", "summary")


def add(commands: Commands) -> None:
    """The commands that read result sets."""
    show = commands.add_parser("show", help="print a result set's tables again")
    value(show, "directory", "DIR", "a result set, a directory of them (the newest is shown), or a CSV file")
    value(show, "--baseline", "CASE", "case the others are set against (default: the first)")
    include(show)
    columns(show, "CSV files: a measured column, and what to call it: p99_us=lat99 (may be repeated)")
    output_format(show)
    _compare(commands)
    _trend(commands)
    _export(commands)
    explain = commands.add_parser("explain", help="why the slow requests of a set were slow, by its traced repetitions")
    value(explain, "directory", "DIR", "a result set that `pollbench run --explain` made, or a directory of them")
    values(explain, "--case", "NAME", ONE_CASE)
    text = "which requests are slow: above a quantile or a time (p99, p99.9, 200us; default: p99)"
    value(explain, "--above", "LIMIT", text, default="p99")
    value(explain, "--worst", "N", "show the way of the N slowest of each cell", type=_whole, default=0)
    as_json(explain, "the findings, and every slow request,")
    report = commands.add_parser("report", help="one self-contained HTML page of one or more result sets")
    value(report, "directory", "DIR", "result set, or a directory of them (the newest)", nargs="+")
    output(report, "default: report.html in the set, or here for several sets", "FILE", None)
    value(report, "--baseline", "CASE", "case the others are set against")
    include(report)
    _plot(commands)


def _compare(commands: Commands) -> None:
    compare = commands.add_parser(
        "compare",
        help="result sets or CSV files, or the cases of one set, with intervals and tests",
        description="Sets every further input against the first, cell by cell; with one input and --baseline, its "
        "cases against that case. The method, and what it can show: docs/statistics.md; CSV files of any origin: "
        "docs/comparing-csv.md.",
    )
    value(compare, "input", "INPUT", "result set or CSV file; the first is the baseline", nargs="+")
    text = "with one input: the case the others are set against, or FACTOR=VALUE: vm.kernel=6.12"
    value(compare, "--baseline", "CASE", text)
    columns(compare, "only this column; with NAME= of a CSV file, what it is: p99_us=lat99 (may be repeated)")
    values(compare, "--by", "COLUMN", "tell cells apart by this column alone (may be repeated)")
    text = "only runs for which this holds: contention.load=100%%, case!=base, rtt_p50_us<50 (all of several)"
    values(compare, "--filter", "EXPR", text, default=[])
    orders = ("plan", "case", "effect", "p")
    value(compare, "--sort", None, "order of rows (default: plan)", choices=orders, default="plan")
    flag(compare, "--all", "below the answer a table for every metric, with intervals, tests and how to read them")
    include(compare)
    text = "smallest effect of interest: what no difference is larger than (default: checks.smallest_effect, else 5%%)"
    value(compare, "--sesoi", "PERCENT", text)
    text = 'exit 6 when shown of any cell, 4 when open: "rtt_p99_us > +5%%", "> +3us", "> 100us" (may be repeated)'
    values(compare, "--fail-if", "COND", text, default=[])
    flag(compare, "--fail-if-point", "judge --fail-if by the estimate, not by its interval")
    text = "conditions that the intervals leave open, or that cannot be judged: fail with 4 (default) or pass"
    value(compare, "--undecided", None, text, choices=("fail", "pass"), default="fail")
    ci_files(compare, doubts=False)
    output_format(compare, (*FORMATS, "kernel"))


def _trend(commands: Commands) -> None:
    trend = commands.add_parser(
        "trend",
        help="many result sets over time, commits or kernels: where a figure moves to another level",
        description="Every set in and below the directories is a point of a history, one for each cell and metric; "
        "changes of level are claimed with one stated chance of error for all of them: docs/trend.md.",
    )
    value(trend, "input", "[LABEL=]DIR", "directories of result sets, sets, CSV files of runs", nargs="+")
    text = "histories are told apart by these columns too (default: place,host,accelerator,cpu_model)"
    value(trend, "--by", "COLUMN[,COLUMN...]", text, type=_names)
    text = "what sets are called: date (default), git (the commit recorded), or a column, such as kernel, by whose "
    value(trend, "--label", "NAME", text + "values they are also ordered", default="date")
    columns(trend, "this column (may be repeated; default: RTT p50, p99, CPU per request)")
    values(trend, "--filter", "EXPR", "only runs for which this holds: case=base (all of several)", default=[])
    include(trend)
    text = "exit 6 where a level becomes worse, or with `any` where one changes"
    value(trend, "--fail-on-change", "worse|any", text, nargs="?", const="worse", choices=("worse", "any"))
    text = "changes from this set on alone fail: a label or the begin of a time (2026-11)"
    value(trend, "--since", "LABEL|TIME", text)
    output(trend, "write a page with the histories drawn", "FILE", None)
    output_format(trend)


def _export(commands: Commands) -> None:
    export = commands.add_parser("export", help="result sets for a database: OpenMetrics text, or Parquet files")
    value(export, "input", "DIR", "directories of result sets, sets, CSV files of runs", nargs="+")
    text = "openmetrics: medians and intervals of every cell; parquet: every run, a file a set"
    value(export, "--format", None, text, required=True, choices=("openmetrics", "parquet"))
    output(export, "the file (default: printed), or the directory of a dataset", "FILE|DIR", None)
    columns(export, "openmetrics: this column (may be repeated; default: the main figures)")
    include(export)


def _names(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (name.strip() for name in text.split(","))))


def _plot(commands: Commands) -> None:
    plot = commands.add_parser("plot", help="one figure for a paper: SVG, PDF or PNG (needs matplotlib)")
    value(plot, "directory", "DIR", "result set, or a directory of them (the newest)")
    value(plot, "--kind", None, "what to draw", required=True, choices=KINDS)
    output(plot, "its ending chooses: .svg, .pdf or .png", "FILE", None, required=True)
    value(plot, "--baseline", "CASE", "case drawn as the reference (default: the first)")
    values(plot, "--case", "NAME", ONE_CASE)
    include(plot)
    values(plot, "--at", "FACTOR=VALUE", "only cells with this value (may be repeated)", default=[])
    value(
        plot, "--metric", "COLUMN", "what load, heatmap and summary show (default: rtt_p99_us, p50 for load, summary)"
    )
    values(plot, "--run", "RUN_ID", "timeline: this run (may be repeated)")
    value(plot, "--width", "INCHES", "width of the figure (default: 7)", type=float, default=7.0)


def add_import(commands: Commands) -> None:
    """The command that makes a result set of other programs' output."""
    read = commands.add_parser("import", help="a result set from other programs' raw output")
    value(read, "format", "FORMAT", "what it is, or auto; see --list", nargs="?")
    value(read, "path", "PATH", "file, or directory of files", nargs="?")
    flag(read, "--list", "print the formats and exit")
    output(read, "where the set goes (default: results)")
    value(read, "--name", None, "name of the set (default: after PATH)", default="")
    value(read, "--case", None, "name of every run's case (default: after the files)", default="")
    text = "irqsuspend: cycles per query and runs that count as in the early published tables"
    value(read, "--compat", None, text, choices=("published",), default="")
    text = "hdrhistogram: unit of the values"
    value(read, "--unit", None, text, choices=("ns", "us", "ms", "s"), default="")
    text = "hdrhistogram, netperf: what the latencies are"
    value(read, "--basis", None, text, choices=("rtt", "half-rtt", "one-way"), default="")


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 0 on")
    return int(text)
