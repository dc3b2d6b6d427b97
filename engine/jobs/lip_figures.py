"""SyncNet's confidence joins a report, where its network is on disk: a figure per person and turn, no verdict."""

from collections.abc import Iterator

from engine.errors import UnusableCheckpoint
from engine.evaluation.report import Finding, TakeReport
from engine.evaluation.scene import Expected
from engine.evaluation.syncnet import RATE, LipDistances, SyncConfidence, lip_distances, syncnet, syncnet_path
from engine.evaluation.video import VideoFacts
from engine.evaluation.watching import Watched
from engine.jobs.events import StageProgress

KIND = "syncnet"


def add_confidence(
    report: TakeReport, facts: VideoFacts, watched: Watched, expected: Expected
) -> Iterator[StageProgress]:
    """Progress; then ``report`` holds the figures. Does nothing without the network; a damaged one is named in it.

    No limit follows from the published figures, which are means over whole sets: so none is given here.
    """
    path = syncnet_path()
    if path is None:
        return
    try:
        network = syncnet(path)
    except UnusableCheckpoint as error:
        report.findings.append(Finding(kind=KIND, verdict="unknown", sentence=f"{error}"))
        return
    total = round(watched.num_frames / watched.frame_rate * RATE)
    for step in lip_distances(facts, watched, expected.voices, network):
        if isinstance(step, int):
            if step % 25 == 0:
                yield StageProgress("check", "Comparing lips and voices with SyncNet", min(step, total), total)
            continue
        for pair in step:
            _add(report, pair, expected)


def _add(report: TakeReport, pair: LipDistances, expected: Expected) -> None:
    person = next(person for person in report.people if person.face_id == pair.face_id)
    person.findings.append(_finding(person.name, pair.within()))
    spans = {turn.turn_id: (turn.start_s, turn.end_s) for voice in expected.voices for turn in voice.turns}
    for turn in report.turns:
        if (turn.face_id, turn.speaker_id) == (pair.face_id, pair.speaker_id):
            found = _finding(person.name, pair.within([spans[turn.turn_id]]))
            turn.findings.append(found.model_copy(update={"start_s": turn.start_s, "end_s": turn.end_s}))


def _finding(name: str, found: SyncConfidence | None) -> Finding:
    if found is None:
        sentence = f"Too little of {name}'s speech is seen for SyncNet."
        return Finding(kind=KIND, verdict="unknown", sentence=sentence)
    when = "in time" if not found.offset_frames else f"{abs(found.late_ms):.0f} ms "
    when += "" if not found.offset_frames else "late" if found.late_ms > 0 else "early"
    sentence = f"SyncNet's confidence in {name}'s lips is {found.confidence:.1f}, best {when}; it has no limit here."
    return Finding(kind=KIND, verdict="unknown", value=round(found.confidence, 3), sentence=sentence)
