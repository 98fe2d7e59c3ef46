"""One result set as a document: headline, table, what was left out, where it was measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from harness import columns
from harness.analysis.compare.environment import texts_of
from harness.analysis.compare.verdict import MODEL_US
from harness.analysis.summary import COSTS, CellView, Overview, cost_of, workloads_beside
from harness.report import answer, claims, phases, queues, reading, words
from harness.report.headline import awake, harm
from harness.report.layout import JUDGED, Block, Col, Gap, Para, Style, Table, TableRow, Text, grouped
from harness.stats import Estimate

_NOTHING = Estimate(None, None, 0)
_PLAIN = ("rtt_p99_us", "rtt_p99_9_us", "rate_rps")
_CPU = {
    False: "CPU: all that was not idle on the CPU set, interrupts and softirqs included, hogs and other programs not.",
    True: "Process CPU: client, server and NAPI threads; what interrupts and softirqs cost elsewhere is not in it.",
}
_COST_NAMES = {COSTS[0]: "CPU per request", COSTS[1]: "process CPU per request"}
# Columns of what only some sets have: the metric, its title, what to call it, what to divide it by.
_EXTRA = (
    ("throughput_bps", "payload\nMbit/s", "payload", 1e6),
    ("background_bps", "beside it\nMbit/s", "payload of the background", 1e6),
    ("nic_irqs_per_packet", "IRQs /\npacket", "interrupts per packet", 1.0),
)


def document(view: Overview, pictures: Sequence[Block] = ()) -> list[Block]:
    """The document that `pollbench show` prints; pictures: what stands below the table."""
    counted = words.made(view.verdicts, view.made_again)
    blocks: list[Block] = reading.blocks(view.readings)
    blocks.append(Para(f"{view.label}: {counted}", "bold"))
    if view.description:
        blocks.append(Para(view.description, "dim"))
    blocks.append(Gap())
    if texts := answer.of_overview(view, _time_unit(view)):
        blocks += [Para(text, bullet=True) for text in answer.cut(texts, "see the table")]
        blocks.append(Gap())
    if view.cells:
        blocks += [_table(view), Gap(), *_beside(view), *pictures]
    if view.phases:
        blocks += [link_phases(view), Gap()]
    if view.queues:
        blocks += [queues.table(view.queues), Gap()]
    blocks += claims.blocks(view.claims)
    harms = [harm(cell, view.baseline, _time_unit(view)) for cell in view.cells]
    blocks += [Para(f"{text}.", "warn", bullet=True) for text in harms if text]
    blocks += [Para(f"{awake(item, _time_unit(view))}.", bullet=True) for item in view.awake]
    blocks += [Para(text, style, bullet=True) for text, style in _left_out(view)]
    blocks += [Para(text, bullet=True) for text in view.calibration]
    blocks += [Para(text, "dim", bullet=True, about=about) for text, about in _legend(view)]
    return blocks


def link_phases(view: Overview) -> Table:
    """Latency by the phases of links that change."""
    return phases.table(view.phases, _time_unit(view))


def _table(view: Overview) -> Table:
    against = f"p50 vs\n{view.baseline}" if view.baseline else ""
    unit, cost, extra = _time_unit(view), cost_of(view.cells), _extra(view)
    cost_head, cost_name = "CPU us /\nrequest", _COST_NAMES.get(cost, "CPU per request")
    if cost == COSTS[1]:
        cost_head = "process\nCPU us"
    cols = (
        Col("case", right=False),
        Col("runs\nvalid", keep=8, name="runs"),
        Col(f"{_noun(view)} p50\n{unit}", keep=8, name=f"{_noun(view)} p50"),
        Col(f"[interval]\n{unit}", right=False, keep=3, name="interval of p50"),
        Col(against, right=False, keep=8, name="change"),
        Col(f"p99\n{unit}", keep=7, name="p99"),
        Col(f"p99.9\n{unit}", keep=4, name="p99.9"),
        Col("requests\nper s", keep=2, name="requests per s"),
        Col(cost_head, keep=6, name=cost_name),
        Col("polled %\ncli/srv", keep=5, name="busy-polled share"),
        *(Col(title, keep=6, name=name) for _, title, name, _ in extra),
    )
    return Table(cols, grouped((cell.factors, _row(cell, cost, extra)) for cell in view.cells))


def _beside(view: Overview) -> Iterator[Block]:
    """A table of each workload that was measured beside the first."""
    unit = _time_unit(view)
    for workload in workloads_beside(view.cells):
        lead = f"{workload}_"
        cols = (
            Col(f"{workload}\n", right=False),
            Col(f"RTT p50\n{unit}", name="p50"),
            Col(f"[interval]\n{unit}", right=False, keep=3, name="interval of p50"),
            Col(f"p50 vs\n{view.baseline}" if view.baseline else "", right=False, keep=8, name="change"),
            Col(f"p99\n{unit}", keep=7, name="p99"),
            Col(f"p99 vs\n{view.baseline}" if view.baseline else "", right=False, keep=6, name="change of p99"),
            Col(f"p99.9\n{unit}", keep=4, name="p99.9"),
            Col("requests\nper s", keep=2, name="requests per s"),
            Col("process\nCPU us", keep=5, name=_COST_NAMES[COSTS[1]]),
            Col("CPU %\ncli/srv", keep=3, name="share of a CPU"),
            Col("sleeps\ncli/srv", keep=3, name="sleeps for each request"),
        )
        yield Table(cols, grouped((cell.factors, _row_beside(cell, lead)) for cell in view.cells))
        yield Gap()


def _row_beside(cell: CellView, lead: str) -> TableRow:
    """lead: what the names of the workload's metrics begin with."""
    p50, p99 = f"{lead}rtt_p50_us", f"{lead}rtt_p99_us"
    return (
        Text(cell.case),
        _plain(cell, p50),
        Text(words.bracket(cell.estimates.get(p50, _NOTHING).interval), "dim"),
        _change(cell, p50),
        _plain(cell, p99),
        _change(cell, p99),
        *(_plain(cell, f"{lead}{name}") for name in ("rtt_p99_9_us", "rate_rps", COSTS[1])),
        *(Text(_both_ends(cell, lead, name)) for name in ("cpu_percent", "voluntary_per_request")),
    )


def _both_ends(cell: CellView, lead: str, name: str) -> str:
    ends = [cell.median(f"{lead}{end}_{name}") for end in ("client", "server")]
    return words.BLANK if ends == [None, None] else "/".join(words.short(end) for end in ends)


def _change(cell: CellView, metric: str) -> Text:
    change = cell.changes.get(metric)
    return Text(words.verdict(change), JUDGED[change.judged] if change else "")


def _extra(view: Overview) -> tuple[tuple[str, str, str, float], ...]:
    """The columns of _EXTRA that have something in them; the payload only where there are no round trips."""
    timed = any(cell.median("rtt_p50_us") for cell in view.cells)
    extra = [extra for extra in _EXTRA[1 if timed else 0 :] if any(cell.median(extra[0]) for cell in view.cells)]
    shown = {"rtt_p50_us", "rtt_jitter_us", *_PLAIN, *COSTS, *(name for name, *_ in _EXTRA)}
    if view.readings and not view.readings[0].plain:
        names = dict.fromkeys(name for cell in view.cells for name in cell.estimates)
        others = [columns.metric(name) for name in names if name not in shown and not name.endswith("_polled_percent")]
        labels = [one.label.replace("RTT", _noun(view)) for one in others]
        extra += [(one.name, f"{label}\n{one.unit}", label, 1.0) for one, label in zip(others, labels, strict=True)]
    return tuple(extra)


def _row(cell: CellView, cost: str, extra: tuple[tuple[str, str, str, float], ...]) -> TableRow:
    p50 = cell.estimates.get("rtt_p50_us", _NOTHING)
    valid = cell.verdicts["valid"]
    total = max(cell.planned, cell.total)
    return (
        Text(cell.case),
        Text(f"{valid}/{total}", "" if valid == total else "warn"),
        Text(words.short(p50.median), "bold") if p50.median is not None else _inert(cell, "rtt_p50_us"),
        Text(words.bracket(p50.interval), "dim"),
        _change(cell, "rtt_p50_us" if "rtt_p50_us" in cell.changes else "latency_p50"),
        *(_plain(cell, name) for name in (*_PLAIN, cost)),
        Text(_polled(cell)),
        *(Text(words.short(cell.median(metric), by)) for metric, _, _, by in extra),
    )


def _plain(cell: CellView, metric: str) -> Text:
    value = cell.median(metric)
    return Text(words.short(value)) if value is not None or not cell.note else _inert(cell, metric)


def _inert(cell: CellView, metric: str) -> Text:
    """The median of the inert runs of a cell without a valid one, in brackets."""
    estimate = cell.inert.get(metric)
    if estimate is None or estimate.median is None:
        return Text(words.BLANK)
    return Text(f"({words.short(estimate.median)})", "dim")


def _polled(cell: CellView) -> str:
    ends = [cell.median(f"{end}_polled_percent") for end in ("client", "server")]
    return words.BLANK if ends == [None, None] else "/".join(words.percent(end) for end in ends)


def _noun(view: Overview) -> str:
    return "RTT" if all(reading.basis for reading in view.readings) else "latency"


def _time_unit(view: Overview) -> str:
    return MODEL_US if view.model_time else "us"


def _left_out(view: Overview) -> Iterator[tuple[str, Style]]:
    for warning in view.warnings:
        yield words.sentence(warning), "warn"
    for group in view.left_out:
        where = words.some(words.cell(case, factors) for case, factors in group.cells)
        alike = f" (and {group.runs - 1} more like it)" if group.runs > 1 else ""
        reason = f": {group.reason}{alike}" if group.reason else ""
        p50 = f" (p50 {words.short(group.p50_us)} {_time_unit(view)})" if group.p50_us is not None else ""
        yield f"Left out, {words.runs(group.runs)} {group.verdict}, {where}{p50}{reason}.", "warn"
    if view.family.lag:
        yield words.chained(view.family.lag), "warn"
    if view.missing:
        yield "; ".join(words.missing(view.missing, view.facts, view.share)) + ".", "warn"


def _legend(view: Overview) -> Iterator[tuple[str, str]]:
    """How to read the table: sentences, each with the column that it is about, or "" for all."""
    facts = {name: " | ".join(values) for name, values in view.facts.items()}
    loop = f", {facts['workload_loop']} loop" if "workload_loop" in facts else ""
    load = " ".join(facts[name] for name in ("workload_kind", "workload_protocol") if name in facts)
    size = f", {facts['workload_size_bytes']} bytes" if "workload_size_bytes" in facts else ""
    traffic = f" ({load}{size}{loop})" if load else ""
    begins = "due (open loop) or sent" if "open" in loop else "sent"
    extent = f"RTT: request {begins} to reply received, the whole round trip{traffic}."
    if "workload_timed" in facts:
        extent = (
            f"RTT: on the wire{traffic}: a request's first packet at the client's device, behind its queue, to the "
            "reply's first packet there. What the client takes before and after is not in it; what it takes to copy "
            "the packets is."
        )
    if _noun(view) != "RTT":
        extent = "latency: as the file has it; whether it is the whole round trip it does not say."
    if _has_latencies(view):
        yield f"{extent} Quantiles are taken per run; shown are medians over the valid runs.", ""
    else:
        yield "Shown are medians over the valid runs.", ""
    if any(cell.note and cell.inert for cell in view.cells):
        yield "(in brackets): medians of inert runs, where a case has no others; they count nowhere.", ""
    if "workload_kind" in facts and (beside := workloads_beside(view.cells)):
        yield f"{words.some(beside)}: measured in the same window, by its own requests: the price that others pay.", ""
    if view.model_time:
        yield view.model_time, ""
    if text := _interval_legend(view):
        yield text, "interval of p50"
    if view.baseline and any(cell.changes for cell in view.cells):
        yield (
            f"vs {view.baseline}: how p50 changes under the same factors, block by block where blocks match; "
            "within: no difference larger than that; undecided: neither that nor a difference was shown; few runs: too "
            "few valid runs to claim one.",
            "change",
        )
        yield (
            "Claims here, those in the sentences above included, are "
            f"{words.share(1 - view.family.level)} sure together: each is of an interval "
            f"that holds for {words.comparisons(view.family.comparisons)} of this page at once.",
            "",
        )
    if view.phases:
        yield phases.LEGEND, ""
    if view.queues:
        yield queues.LEGEND, ""
    if "links_tried" in view.facts:
        yield _links(view.facts["links_tried"]), ""
    cost = cost_of(view.cells)
    if cost in COSTS[:2]:
        yield _CPU[cost == COSTS[1]], _COST_NAMES[cost]
    yield "polled: busy-polled share of packets received.", "busy-polled share"
    if host := measured_on(view.facts):
        yield host, ""


def _has_latencies(view: Overview) -> bool:
    """Is there a median of latencies in the tables, also of workloads beside the first and of inert runs?"""
    return any(
        name.endswith("rtt_p50_us") and estimate.median is not None
        for cell in view.cells
        for name, estimate in (*cell.estimates.items(), *cell.inert.items())
    )


def _links(texts: Sequence[str]) -> str:
    """What trying the shaped links showed: in short where they are as declared, which is what a reader expects."""
    broken = [text for text in texts if "BREACH" in text]
    if broken:
        return f"Links, tried before they were measured with: {words.some(broken, 3)}."
    return "Shaped links were tried before they were measured with: as declared where that can be tried (links_tried)."


def _interval_legend(view: Overview) -> str:
    levels_seen = {
        (estimate.n, round(100 * estimate.interval.confidence, 1))
        for cell in view.cells
        if (estimate := cell.estimates.get("rtt_p50_us")) and estimate.interval
    }
    levels = ", ".join(f"{confidence:g} % with {n} runs" for n, confidence in sorted(levels_seen, reverse=True))
    return f"[interval]: of that median, by order statistics; confidence {levels}." if levels else ""


def host_line(runs: pd.DataFrame) -> str:
    """Where the runs of a table were made, in a sentence; "" where nothing is known."""
    return measured_on({name: texts_of(runs, name) for name in _LEADS if name != "emulator"})


_LEADS = {"kernel": "kernel ", "cpu_model": "", "virtualisation": "under ", "accelerator": "accelerator "}
_LEADS |= {"emulator": ""} | {name: f"{name} " for name in ("governor", "clocksource", "datapath")}


def measured_on(facts: Mapping[str, Sequence[str]]) -> str:
    """Where runs were made, in a sentence, by the facts of an overview; "" where nothing is known."""
    texts = {name: words.some(facts[name], 3) for name in _LEADS if facts.get(name)}
    parts = [f"{_LEADS[name]}{text}" for name, text in texts.items() if text != "none"]
    return f"Measured on: {', '.join(parts)}." if parts else ""
