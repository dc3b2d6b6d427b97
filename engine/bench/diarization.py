"""Diarization error, number of speakers and speed on recordings whose turns are known.

Talks are the sums of two clean voices (the folder ``dialogues`` of the test media); three and four people are talks
joined end to end: A, B's left voice, A; and A, B, A. Their truth is the published table of turns, which is coarse
(whole turns, breaths included), so the figures are pessimistic. The sample inside pyannote.audio
has a truth made by people.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.analysis.diarization import default_diarizer, diarize
from engine.analysis.rttm import read_rttm
from engine.analysis.types import Diarization
from engine.analysis.voice_protocols import VOICE_RATE
from engine.media.types import Waveform

COLLAR_S = 0.25

Truth = tuple[tuple[float, float, str], ...]


@dataclass(frozen=True)
class KnownRecording:
    """A recording and who speaks when in it: (start_s, end_s, name) each."""

    sound: Waveform
    truth: Truth

    @property
    def num_speakers(self) -> int:
        return len({name for _, _, name in self.truth})


@dataclass
class Tally:
    """Seconds of error and of speech, recordings with the right number of speakers, and computing time."""

    missed_s: float = 0
    false_alarm_s: float = 0
    confused_s: float = 0
    speech_s: float = 0
    recordings: int = 0
    counted_right: int = 0
    computing_s: float = 0
    sound_s: float = 0

    @property
    def error(self) -> float:
        return (self.missed_s + self.false_alarm_s + self.confused_s) / max(self.speech_s, 1e-9)


def _read(path: Path) -> NDArray[np.float32]:
    import soundfile

    from engine.analysis.resampling import at_voice_rate

    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return np.asarray(at_voice_rate(Waveform(samples.mean(1), rate)))


def read_truth(path: Path) -> Truth:
    found = read_rttm(path)
    names = {speaker.id: speaker.name for speaker in found.speakers}
    return tuple((turn.start_s, turn.end_s, names[turn.speaker_id]) for turn in found.turns)


def read_talk(folder: Path, name: str, sides: tuple[str, ...] = ("left", "right")) -> KnownRecording:
    """One talk of the test media, or one side of it; speakers are named after the talk."""
    sound = np.sum([_read(folder / f"{name}_{side}.flac") for side in sides], axis=0)
    truth = tuple((s, e, f"{name}_{side}") for s, e, side in read_truth(folder / f"{name}.rttm") if side in sides)
    return KnownRecording(Waveform(sound, VOICE_RATE), truth)


def joined(recordings: list[KnownRecording]) -> KnownRecording:
    """The recordings one after the other."""
    offsets = np.cumsum([0.0, *(recording.sound.duration_s for recording in recordings)])
    truth = [
        (start_s + offset, end_s + offset, name)
        for recording, offset in zip(recordings, offsets, strict=False)
        for start_s, end_s, name in recording.truth
    ]
    return KnownRecording(Waveform(np.concatenate([r.sound.samples for r in recordings]), VOICE_RATE), tuple(truth))


def pyannote_sample() -> KnownRecording:
    from importlib.util import find_spec

    spec = find_spec("pyannote")
    places = (spec.submodule_search_locations if spec else None) or []
    folder = next(Path(place) / "audio" / "sample" for place in places)
    return KnownRecording(Waveform(_read(folder / "sample.wav"), VOICE_RATE), read_truth(folder / "sample.rttm"))


def score(tally: Tally, recording: KnownRecording, found: Diarization) -> None:
    """Adds one recording's errors to ``tally``: pyannote.metrics, collar 0.25 s, overlaps counted."""
    from pyannote.core import Annotation, Segment, Timeline
    from pyannote.metrics.diarization import DiarizationErrorRate

    def annotation(spans: Truth) -> Annotation:
        result = Annotation()
        for index, (start_s, end_s, name) in enumerate(spans):
            result[Segment(start_s, end_s), index] = name
        return result

    heard = annotation(tuple((turn.start_s, turn.end_s, turn.speaker_id) for turn in found.turns))
    whole = Timeline([Segment(0, recording.sound.duration_s)])
    parts = DiarizationErrorRate(collar=COLLAR_S)(annotation(recording.truth), heard, uem=whole, detailed=True)
    tally.missed_s += parts["missed detection"]
    tally.false_alarm_s += parts["false alarm"]
    tally.confused_s += parts["confusion"]
    tally.speech_s += parts["total"]
    tally.recordings += 1
    tally.counted_right += len(found.speakers) == recording.num_speakers


def measure(recordings: list[KnownRecording], speakers_known: bool = False) -> Tally:
    tally, diarizer = Tally(), default_diarizer()
    for recording in recordings:
        started = time.perf_counter()
        found = diarize(recording.sound, diarizer, recording.num_speakers if speakers_known else None)
        tally.computing_s += time.perf_counter() - started
        tally.sound_s += recording.sound.duration_s
        score(tally, recording, found)
    return tally


def known_sets(folder: Path) -> Iterator[tuple[str, list[KnownRecording]]]:
    """Names and recordings, as far as the test media are there."""
    yield "pyannote sample", [pyannote_sample()]
    names = sorted(path.stem for path in folder.glob("talk_*.rttm"))
    if not names:
        return
    talks = {name: read_talk(folder, name) for name in names}
    pairs = list(permutations(names, 2))[::3]
    yield "two voices", list(talks.values())
    yield "one voice", [read_talk(folder, name, (side,)) for name in names for side in ("left", "right")]
    yield "three voices", [joined([talks[a], read_talk(folder, b, ("left",)), talks[a]]) for a, b in pairs]
    yield "four voices", [joined([talks[a], talks[b], talks[a]]) for a, b in pairs]


def bench_diarization(media: Path | None = None) -> None:
    """Prints DER (collar 0.25 s), counts and speed. ``media`` is the folder of test media (else ROUNDTABLE_MEDIA)."""
    import os

    media = media or Path(os.environ.get("ROUNDTABLE_MEDIA", Path(__file__).parents[3] / "shared" / "media"))
    print(
        f"{'recordings':16} {'K':6} {'DER %':>6} {'missed':>7} {'false':>6} {'confused':>9} {'count':>7} {'s per s':>8}"
    )
    for name, recordings in known_sets(media / "dialogues"):
        for known in (False, True):
            tally = measure(recordings, known)
            print(f"{name:16} {'known' if known else 'found':6} {row(tally)}", flush=True)


def row(tally: Tally) -> str:
    parts = [100 * part / tally.speech_s for part in (tally.missed_s, tally.false_alarm_s, tally.confused_s)]
    counted = f"{tally.counted_right}/{tally.recordings}"
    shares = f"{100 * tally.error:6.2f} {parts[0]:7.2f} {parts[1]:6.2f} {parts[2]:9.2f}"
    return f"{shares} {counted:>7} {tally.computing_s / tally.sound_s:8.3f}"
