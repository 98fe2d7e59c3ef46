"""The claims gallery as one self-contained page: each claim with its text, picture, evidence, and what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from harness.analysis.claims import ClaimVerdict
from harness.analysis.curves import marks
from harness.report.claims import evidence, one_line
from harness.report.gallery import GalleryEntry, counts, evidence_title, measured_on, model_time_of, summary, tables_of
from harness.report.html.markup import Child, Markup, grid, scroller, section, tag, td, text, th, trusted
from harness.report.html.page import assembled
from harness.report.html.pictures import picture
from harness.report.html.style import Look, times
from harness.report.resultset import host_line
from harness.spec.claims import Picture

TITLE = "Claims about busy polling, tested here"

_BADGES = {"holds": ("✓", "better"), "does not hold here": ("✕", "worse"), "reversed": ("⇄", "worse")}
_BADGES |= {"not shown": ("?", "suspect"), "cannot be tested here": ("–", "none")}


def gallery_page(
    entries: Sequence[GalleryEntry], quick: bool = False, title: str = TITLE, before: Sequence[Child] = ()
) -> str:
    """The gallery as an HTML document; reads the samples of the sets.

    quick: says that repetitions were few; before: sections that come before the verdicts.
    """
    cases = (str(case) for runs in tables_of(entries) if len(runs) for case in runs["case"].unique())
    look = Look(marks(cases, "base"))
    lead = (
        "Advice about busy polling, each piece an experiment with a verdict from this machine. A claim holds when all "
        "its conditions are shown by whole intervals, beyond the smallest effect that matters."
    )
    hurried = "A quick run: few and short repetitions, so more stays unshown than has to." if quick else ""
    top = tag(
        "header",
        tag("h1", title),
        tag("p", " ".join(filter(None, (lead, hurried))), class_="description"),
        tag("p", measured_on(entries), class_="quiet"),
        tag("p", tag("strong", "Whose time: "), model_time_of(entries)) if model_time_of(entries) else None,
    )
    content: list[Child] = [*before, section("verdicts", "Verdicts", _overview(entries), short="Verdicts")]
    content += [_section(look, entry) for entry in entries]
    return assembled(f"{title} – pollbench gallery", look.css(), top, content, command="gallery")


def _overview(entries: Sequence[GalleryEntry]) -> Markup:
    rows = []
    for entry in entries:
        for claim in entry.findings:
            link = tag("a", one_line(claim.claim.sentence), href=f"#{_identity(entry, claim)}")
            fields = (td(_badge(claim)), td(_typeset(summary(claim)), "why"))
            rows.append(tag("tr", tag("th", link, scope="row"), *fields))
    head = [th(name) for name in ("claim", "verdict", evidence_title(entries))]
    table = grid(head, rows, label="verdicts", class_="verdicts")
    return tag("div", tag("p", counts(entries), class_="plain"), table)


def _badge(finding: ClaimVerdict) -> Markup:
    sign, look = _BADGES[finding.outcome]
    return tag("span", tag("span", sign, aria_hidden="true"), f" {finding.outcome}", class_=f"badge {look}")


def _section(look: Look, entry: GalleryEntry) -> Markup:
    parts = list(_claims(look, entry))
    file = tag(
        "details",
        tag("summary", f"The experiment file {entry.path}"),
        scroller(tag("pre", _verbatim(entry.text)), "the experiment file"),
        tag("p", f"Run it again: {entry.command}", class_="note") if entry.command else None,
    )
    where = host_line(entry.study.source.runs) if entry.study is not None else ""
    foot = tag("p", " ".join(filter(None, (f"Set {entry.label}." if entry.label else "", where))), class_="quiet")
    return section(entry.name, entry.name, *parts, file, foot, lead=one_line(entry.description), short=entry.name)


def _verbatim(source: str) -> Markup:
    """A file as it stands, line by line: within a line nothing unprintable gets through."""
    lines = [text(line) for line in source.splitlines()]
    return tag("code", *(part for line in lines for part in (line, trusted("\n"))))


def _claims(look: Look, entry: GalleryEntry) -> Iterator[Markup]:
    shown: list[Picture] = []
    for claim in entry.findings:
        asked = claim.claim.picture or Picture(metric=claim.claim.expect[0].metric)
        drawn = tag("p", "The picture is the one above.", class_="note") if asked in shown else None
        measured = entry.study is not None and len(entry.study.source.runs)
        if drawn is None and entry.study and measured and claim.outcome != "cannot be tested here":
            drawn = picture(look, entry.study, asked, tuple(claim.claim.include))
            shown.append(asked)
        lines = tag("ul", *(tag("li", _typeset(line)) for line in evidence(claim)), class_="method")
        advice = one_line(claim.claim.advice)
        todo = tag("p", tag("strong", "What to do: "), advice) if advice else None
        said = (tag("h3", claim.name, " ", _badge(claim)), tag("blockquote", one_line(claim.claim.sentence)))
        yield tag("article", *said, drawn, lines, todo, class_="claim", id=_identity(entry, claim))


def _typeset(line: str) -> str:
    """A line of evidence with the signs that a page has and a terminal may not."""
    return re.sub(r"\bus\b", "µs", times(line).replace(" -> ", " → "))


def _identity(entry: GalleryEntry, finding: ClaimVerdict) -> str:
    return f"{entry.name}--{finding.name}"
