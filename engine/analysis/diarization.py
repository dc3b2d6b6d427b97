"""Who speaks when: a recording in, speakers and their turns out.

The diarizer is pyannote.audio's own pipeline where its weights are on disk, else the embedded one (``voices/``).
"""

import logging
from collections.abc import Iterable
from itertools import pairwise

from engine.analysis.resampling import at_voice_rate, levelled
from engine.analysis.types import Diarization
from engine.analysis.voice_protocols import Diarizer, Progress, SpokenSpan
from engine.errors import ModelMissing, NoSpeechFound
from engine.media.types import Waveform
from engine.project.document import Speaker, Turn

SHORTEST_RECORDING_S = 0.3
SHORTEST_OVERLAP_S = 0.02
BREATH_S = 0.3

NO_SPEECH_REMEDY = "Use a recording in which people speak; music, noise and silence have no voices to find."


def default_diarizer() -> Diarizer:
    """pyannote's pipeline where its weights are on disk, else the embedded one. Raises ModelMissing without either."""
    from engine.analysis.backends import pyannote_pipeline

    if pyannote_pipeline.local_weights():
        try:
            return pyannote_pipeline.load_pipeline()
        except ModelMissing as error:
            logging.getLogger(__name__).warning("%s The embedded diarizer is used instead.", error.message)
    from engine.analysis.voices.embedded import EmbeddedDiarizer

    return EmbeddedDiarizer()


def diarize(
    waveform: Waveform,
    diarizer: Diarizer | None = None,
    num_speakers: int | None = None,
    on_progress: Progress | None = None,
) -> Diarization:
    """Speakers in order of first speech and their turns, of a mono recording at any rate.

    ``num_speakers`` None = found; where given it is kept as far as the speech allows. Turns of one speaker never
    overlap; a turn that another's overlaps is marked so. Raises NoSpeechFound (silence, noise, music, < 0.3 s) and
    ModelMissing.
    """
    if num_speakers is not None and num_speakers < 1:
        raise ValueError("num_speakers must be at least 1")
    _check_length(waveform)
    spans = (diarizer or default_diarizer())(at_voice_rate(waveform), num_speakers, on_progress)
    if not spans:
        raise NoSpeechFound("No speech was found in this recording.", NO_SPEECH_REMEDY)
    return diarization_of(spans, waveform.duration_s)


def _check_length(waveform: Waveform) -> None:
    if waveform.duration_s < SHORTEST_RECORDING_S:
        raise NoSpeechFound(
            f"This recording is only {waveform.duration_s:.2f} s long: too short to hear who speaks.",
            f"Use a recording of at least {SHORTEST_RECORDING_S} s, better several seconds.",
        )


def diarization_of(spans: Iterable[SpokenSpan], duration_s: float) -> Diarization:
    """Spans of numbered voices as speakers and turns; spans of one voice that touch or overlap are joined."""
    by_voice: dict[int, list[SpokenSpan]] = {}
    for span in sorted(spans, key=lambda span: (span.start_s, span.end_s)):
        by_voice.setdefault(span.voice, []).append(span)
    speakers, turns = [], []
    for number, own in enumerate(by_voice.values(), start=1):
        speaker = Speaker(id=f"speaker-{number}", name=f"Speaker {number}")
        speakers.append(speaker)
        turns += _turns(own, speaker.id, duration_s)
    return Diarization(speakers, mark_overlaps(turns))


def _turns(spans: list[SpokenSpan], speaker_id: str, duration_s: float) -> list[Turn]:
    joined: list[list[float]] = []
    for span in spans:
        start_s, end_s = max(0.0, span.start_s), min(span.end_s, duration_s)
        if joined and start_s <= joined[-1][1]:
            joined[-1][1] = max(joined[-1][1], end_s)
        elif end_s > start_s:
            joined.append([start_s, end_s])
    return [Turn(speaker_id=speaker_id, start_s=round(s, 3), end_s=round(e, 3)) for s, e in joined if e - s > 0.002]


def mark_overlaps(turns: Iterable[Turn]) -> list[Turn]:
    """The turns sorted by start, ``overlapped`` set exactly where another speaker's turn overlaps."""
    ordered = sorted(turns, key=lambda turn: (turn.start_s, turn.end_s))
    overlapped: set[str] = set()
    open_turns: list[Turn] = []
    for turn in ordered:
        open_turns = [other for other in open_turns if other.end_s > turn.start_s]
        for other in open_turns:
            shared_s = min(other.end_s, turn.end_s) - turn.start_s
            if other.speaker_id != turn.speaker_id and shared_s > SHORTEST_OVERLAP_S:
                overlapped |= {other.id, turn.id}
        open_turns.append(turn)
    return [turn.model_copy(update={"overlapped": turn.id in overlapped}) for turn in ordered]


def turns_of_voice(waveform: Waveform, speaker: Speaker) -> list[Turn]:
    """Turns of one person's own recording: where there is speech, pauses for breath bridged.

    Raises NoSpeechFound and ModelMissing.
    """
    from engine.analysis.backends.segmentation import load_segmentation
    from engine.analysis.voices.activity import frame_time_s, measure_activity
    from engine.analysis.voices.pieces import speech_mask, stretches

    _check_length(waveform)
    sound = at_voice_rate(waveform)
    speech = stretches(speech_mask(measure_activity(levelled(sound), load_segmentation())))
    if not speech:
        raise NoSpeechFound(f"No speech was found in the recording of {speaker.name}.", NO_SPEECH_REMEDY)
    spans = [SpokenSpan(frame_time_s(s.start), frame_time_s(s.end), 0) for s in speech]
    for index, (before, after) in enumerate(pairwise(spans)):
        if after.start_s - before.end_s < BREATH_S:
            spans[index] = SpokenSpan(before.start_s, after.start_s, 0)
    return _turns(spans, speaker.id, waveform.duration_s)
