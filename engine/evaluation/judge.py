"""Curves and what was expected → the report of a video."""

from collections.abc import Iterable

from engine.evaluation import mouth_findings, picture_findings
from engine.evaluation.mouth_findings import Mouths
from engine.evaluation.report import Finding, PersonReport, TakeReport, TurnReport, Verdict, worst
from engine.evaluation.scene import Expected, SpokenTurn, Voice
from engine.evaluation.thresholds import DEFAULT, Thresholds
from engine.evaluation.watching import PersonCurves, Watched

MAX_SHORT_S = 0.3


def judge(watched: Watched, expected: Expected, limits: Thresholds = DEFAULT) -> TakeReport:
    """Every finding, a verdict for each person and turn, and one for all."""
    mouths = Mouths(watched, expected, limits)
    people = [_person(mouths, person) for person in watched.people]
    turns = [_turn(mouths, voice, turn) for voice in expected.voices for turn in voice.turns]
    turns.sort(key=lambda turn: (turn.start_s, turn.end_s))
    picture = [
        _moved(finding, expected.starts_s)
        for finding in (
            picture_findings.colour(watched, limits),
            picture_findings.seam(watched, limits),
            picture_findings.outside(watched, limits, expected.only_faces_move),
        )
    ]
    sound = mouth_findings.video_sound(mouths)
    picture += [*([sound] if sound else []), *_length(watched, expected), *expected.remarks]
    verdict = worst([*(p.verdict for p in people), *(t.verdict for t in turns), *(f.verdict for f in picture)])
    report = TakeReport(verdict=verdict, sentence="", people=people, turns=turns, findings=picture)
    report.sentence = _in_one_sentence(report)
    return report


def _person(mouths: Mouths, person: PersonCurves) -> PersonReport:
    rate, limits = mouths.watched.frame_rate, mouths.limits
    found: list[Finding | None] = [mouth_findings.silent_mouth(mouths, person)]
    for voice in mouths.voices_of(person.face_id):
        if voice.turns:
            found += [mouth_findings.delay(mouths, person, voice), mouth_findings.closures(mouths, person, voice)]
    still = person.face_id in mouths.expected.still
    seen = [picture_findings.face_lost(person, limits, rate), picture_findings.identity(person, limits, rate)]
    if not still:
        seen.append(picture_findings.freeze(person, limits, rate))
    found += [_moved(finding, mouths.expected.starts_s) for finding in seen]
    findings = [finding for finding in found if finding is not None]
    return PersonReport(
        face_id=person.face_id, name=person.name, verdict=worst(f.verdict for f in findings), findings=findings
    )


def _turn(mouths: Mouths, voice: Voice, turn: SpokenTurn) -> TurnReport:
    person = next((p for p in mouths.watched.people if p.face_id == voice.face_id), None)
    findings = mouth_findings.wrong_mouths(mouths, voice, turn)
    if person is not None:
        findings.insert(0, mouth_findings.turn_sync(mouths, person, voice, turn))
    # An off-screen voice to which nobody's mouth moves is as it should be.
    verdict: Verdict = worst(f.verdict for f in findings) if findings else "good"
    return TurnReport(
        turn_id=turn.turn_id,
        face_id=voice.face_id,
        speaker_id=voice.speaker_id,
        start_s=mouths.in_recording(turn.start_s),
        end_s=mouths.in_recording(turn.end_s),
        verdict=verdict,
        findings=findings,
    )


def _moved(finding: Finding, by_s: float) -> Finding:
    """The finding in the recording's time instead of the video's."""
    if finding.start_s is None or finding.end_s is None:
        return finding
    return finding.model_copy(
        update={"start_s": round(finding.start_s + by_s, 3), "end_s": round(finding.end_s + by_s, 3)}
    )


def _length(watched: Watched, expected: Expected) -> Iterable[Finding]:
    """Whether the video ends too early."""
    if expected.duration_s is None:
        return []
    short_s = expected.duration_s - watched.num_frames / watched.frame_rate
    if short_s <= MAX_SHORT_S:
        return []
    sentence = f"The video ends {short_s:.1f} s too early: what comes after could not be judged."
    return [Finding(kind="length", verdict="redo", value=round(short_s, 2), threshold=MAX_SHORT_S, sentence=sentence)]


def _in_one_sentence(report: TakeReport) -> str:
    if report.verdict == "unknown":
        return "Nothing could be judged in this video."
    if report.verdict == "good":
        return "Everything looks right: the right mouths move, and everybody stays who they are."
    serious = [f for f in report.every_finding() if f.verdict == report.verdict]
    sentences = list(dict.fromkeys(finding.sentence for finding in serious))
    more = len(sentences) - 2
    return " ".join(sentences[:2]) + (f" And {more} more." if more > 0 else "")
