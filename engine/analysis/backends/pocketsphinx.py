"""PocketSphinx (BSD): speech sounds heard freely, and the sounds of known words put in time.

Model and dictionary (en-us, cmudict) come inside the pocketsphinx package.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from engine.analysis.types import Phone, Word
from engine.media.types import Waveform

SILENCE = "SIL"
_FRAMES_PER_S = 100
# A frame's features come from the 26 ms after its start, and models trained so place sounds early: measured 10-25 ms
# against espeak-ng's own times, and 20 ms against the lips of a talking video.
_EARLY_S = 0.016
_MIN_SAMPLES = 1600  # 0.1 s: the decoder raises on less
_STRESS_DIGITS = re.compile(r"\d+$")
_NOT_IN_A_WORD = re.compile(r"[^a-z']")


@dataclass(frozen=True)
class Alignment:
    """``phones`` cover the sound from start to end, ``words`` have exact times; times from the start of the sound.

    ``log_likelihood`` is the mean per 10 ms of speech; ``moved_s`` is how far the words' starts moved, the median.
    """

    phones: list[Phone]
    words: list[Word]
    log_likelihood: float
    moved_s: float


def _model_file(name: str) -> str:
    from pocketsphinx import get_model_path

    return str(Path(get_model_path("en-us")) / name)


@lru_cache(maxsize=1)
def _free_decoder() -> Any:
    from pocketsphinx import Decoder

    return Decoder(
        hmm=_model_file("en-us"),
        allphone=_model_file("en-us-phone.lm.bin"),
        dict=None,
        lm=None,
        lw=2.0,
        pip=0.3,
        beam=1e-20,
        pbeam=1e-20,
        cmn="batch",
        loglevel="FATAL",
    )


@lru_cache(maxsize=1)
def _aligning_decoder() -> Any:
    from pocketsphinx import Decoder

    # bestpath would rescore a lattice and lose half of all sentences; so would narrower beams.
    dictionary = _model_file("cmudict-en-us.dict")
    return Decoder(
        hmm=_model_file("en-us"),
        dict=dictionary,
        lm=None,
        bestpath=False,
        beam=1e-250,
        wbeam=1e-250,
        pbeam=1e-250,
        cmn="batch",
        loglevel="FATAL",
    )


def _pcm(voice: Waveform) -> bytes:
    """16-bit sound at half scale, so that a whispered voice does not drown in rounding."""
    samples = np.asarray(voice.samples, np.float32)
    peak = float(np.abs(samples).max(initial=0.0))
    scaled = samples * (16000.0 / peak) if peak > 0 else samples
    return scaled.astype(np.int16).tobytes()


def _seconds(frame: int) -> float:
    return frame / _FRAMES_PER_S + _EARLY_S if frame else 0.0


def _label(name: str) -> str:
    return SILENCE if name.startswith(("SIL", "+", "<", "(")) else _STRESS_DIGITS.sub("", name)


def _run(decoder: Any, pcm: bytes) -> None:
    decoder.reinit_feat()  # forgets the noise and mean of the sound before: the same sound, the same answer
    decoder.start_utt()
    try:
        decoder.process_raw(pcm, full_utt=True)
    finally:
        decoder.end_utt()


def heard_phones(voice: Waveform) -> list[Phone]:
    """Sounds of ``voice`` (16 kHz mono) without knowing the words: right in mouth class, not letter by letter."""
    if len(voice.samples) < _MIN_SAMPLES:
        return []
    decoder = _free_decoder()
    _run(decoder, _pcm(voice))
    return [
        Phone(_seconds(part.start_frame), _seconds(part.end_frame + 1), _label(part.word))
        for part in decoder.seg() or []
    ]


def aligned_phones(voice: Waveform, words: Sequence[Word], heard: Sequence[Phone]) -> Alignment | None:
    """Sounds of ``words`` put in time in ``voice``; None where they do not fit.

    A word that the dictionary lacks (a name, a number) is spelt the way ``heard`` has it at that time.
    All times count from the start of ``voice`` (16 kHz mono).
    """
    if len(voice.samples) < _MIN_SAMPLES:
        return None
    spelt = [(name, word) for word in words if (name := _spelling(word, heard))]
    if not spelt:
        return None
    decoder, pcm = _aligning_decoder(), _pcm(voice)
    try:
        decoder.set_align_text(" ".join(name for name, _ in spelt))
        _run(decoder, pcm)
        if not decoder.hyp():
            return None
        decoder.set_alignment()
        _run(decoder, pcm)
        return _read_alignment(decoder, [word for _, word in spelt])
    except RuntimeError:  # PocketSphinx's word for "no path through these sounds"
        return None


def _spelling(word: Word, heard: Sequence[Phone]) -> str:
    """The dictionary entry for ``word``, added when the dictionary lacks it; empty when nothing was heard there."""
    decoder = _aligning_decoder()
    plain = _NOT_IN_A_WORD.sub("", word.text.lower())
    if plain and not any(sign.isdigit() for sign in word.text) and decoder.lookup_word(plain):
        return plain
    sounds = [
        phone.label
        for phone in heard
        if phone.label != SILENCE and word.start_s <= (phone.start_s + phone.end_s) / 2 < word.end_s
    ]
    name = "heard-" + "-".join(sounds).lower()
    if sounds and not decoder.lookup_word(name):
        decoder.add_word(name, " ".join(sounds), True)
    return name if sounds else ""


def _read_alignment(decoder: Any, words: Sequence[Word]) -> Alignment:
    phones: list[Phone] = []
    times: list[tuple[float, float]] = []
    score, speech_frames = 0.0, 0
    for entry in decoder.get_alignment():
        first = len(phones)
        for part in entry:
            label = _label(part.name)
            start, end = _seconds(part.start), _seconds(part.start + part.duration)
            phones.append(Phone(start, end, label))
            if label != SILENCE:
                score, speech_frames = score + part.score, speech_frames + part.duration
        if phones[first].label != SILENCE:
            times.append((phones[first].start_s, phones[-1].end_s))
    if len(times) != len(words):
        raise RuntimeError("the alignment has other words than were asked for")
    placed = [Word(start, end, word.text) for (start, end), word in zip(times, words, strict=True)]
    moved_s = float(np.median([abs(new.start_s - old.start_s) for new, old in zip(placed, words, strict=True)]))
    return Alignment(phones, placed, score / max(1, speech_frames), moved_s)
