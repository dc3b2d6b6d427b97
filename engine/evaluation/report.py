"""What a check found, as saved beside the take: figures, verdicts, and a sentence for each."""

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from engine.project.document import Document

Verdict = Literal["good", "look", "redo", "unknown"]
REPORT_NAME = "report.json"
_SEVERITY: tuple[Verdict, ...] = ("unknown", "good", "look", "redo")


class Finding(Document):
    """One thing looked at. ``kind``: lip-sync, wrong-mouth, silent-mouth, closure, face-lost, identity, freeze, seam,
    colour, outside, length, faces. ``value`` and ``threshold`` in the unit that the sentence names; times (seconds of
    the recording) say where it is worst; "unknown": could not be judged, and the sentence says why.
    """

    kind: str
    verdict: Verdict
    sentence: str
    value: float | None = None
    threshold: float | None = None
    start_s: float | None = None
    end_s: float | None = None


class TurnReport(Document):
    """One turn; ``face_id`` "" = the voice is off-screen. Times in the recording, cut to the take."""

    turn_id: str
    face_id: str
    speaker_id: str
    start_s: float
    end_s: float
    verdict: Verdict
    findings: list[Finding] = Field(default_factory=list)


class PersonReport(Document):
    face_id: str
    name: str
    verdict: Verdict
    findings: list[Finding] = Field(default_factory=list)


class TakeReport(Document):
    """A whole take: its worst verdict and one sentence, then people, turns, and what concerns the whole picture."""

    verdict: Verdict
    sentence: str
    people: list[PersonReport] = Field(default_factory=list)
    turns: list[TurnReport] = Field(default_factory=list)
    findings: list[Finding] = Field(default_factory=list)
    seconds: float = Field(0.0, description="what the check took")
    measured_by: str = Field("", description="which face models measured it")

    def every_finding(self) -> list[Finding]:
        of_people = [finding for person in self.people for finding in person.findings]
        return [*of_people, *(finding for turn in self.turns for finding in turn.findings), *self.findings]


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The most serious one; "unknown" only where nothing at all could be judged."""
    return max(verdicts, key=_SEVERITY.index, default="unknown")
