"""A report as lines for a terminal."""

from collections.abc import Iterator

from engine.evaluation.page import KINDS, SAYS
from engine.evaluation.report import Finding, TakeReport


def lines_of(report: TakeReport) -> Iterator[str]:
    """What is not good, then one line for every person and turn, then the verdict. Control characters are left out."""
    for person in report.people:
        yield f"{_plain(person.name)}: {SAYS[person.verdict]}"
        yield from (_line(finding) for finding in person.findings)
    for turn in report.turns:
        yield f"Turn {turn.start_s:.1f}-{turn.end_s:.1f} s: {SAYS[turn.verdict]}"
        yield from (_line(finding) for finding in turn.findings)
    if report.findings:
        yield "The whole picture:"
        yield from (_line(finding) for finding in report.findings)
    yield f"{SAYS[report.verdict].capitalize()}. {_plain(report.sentence)}"


def _line(finding: Finding) -> str:
    figures = "" if finding.value is None else f" ({finding.value:g}"
    if figures:
        figures += ")" if finding.threshold is None else f", limit {finding.threshold:g})"
    name = KINDS.get(finding.kind, finding.kind)
    return f"  {SAYS[finding.verdict]:<12} {name:<17} {_plain(finding.sentence)}{figures}"


def _plain(text: str) -> str:
    """A name may hold anything: what a terminal would obey is left out."""
    return "".join(letter if letter.isprintable() else "�" for letter in text)
