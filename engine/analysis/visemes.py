"""Which speech sounds a voice makes, and when: what a mouth is moved by.

Two hearings of the same voice are kept: the sounds of recognised words put in time (exact where the words are right)
and sounds heard freely (rough, but never far off, and good for any language). Outside turns nothing is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.analysis.backends.pocketsphinx import aligned_phones, heard_phones
from engine.analysis.backends.whisper import MAX_WINDOW_S, Sentence, sentences_in
from engine.analysis.types import Phone, Word
from engine.errors import ModelMissing
from engine.media.types import Waveform

SAMPLE_RATE = 16000
ENVELOPE_RATE = 200

_JOIN_GAP_S = 0.3
_MARGIN_S = 0.15  # turns often start a consonant late
_SPACER_S = 0.5  # silence between pieces that share one Whisper window
_MIN_LOG_PROBABILITY = -1.0
_MAX_COMPRESSION = 2.4
_MAX_NO_SPEECH = 0.6
_MIN_LIKELIHOOD = -58.0  # people -11 … -40, espeak-ng's English -52, other languages taken for English < -60
_MIN_LIKELIHOOD_OF_PART = -45.0
_MAX_MOVED_S = 0.25  # right words are moved by 0.05 … 0.12 s
_MIN_ALIGNED_WORDS = 4
_SILENT_LEVEL = 1e-4  # -80 dBFS

Span = tuple[float, float]
Timed = TypeVar("Timed", Phone, Word)
Progress = Callable[[float, float], None]


@dataclass(frozen=True)
class SpeechSounds:
    """Sounds and words of one voice, in seconds, sorted by start.

    ``aligned``: sounds of the recognised words (``allphone``'s where no words fit). ``allphone``: sounds heard freely.
    ``words``: only words that the sound bears out; empty for a language that the recogniser does not know.
    """

    aligned: list[Phone]
    allphone: list[Phone]
    words: list[Word]

    def to_json(self) -> dict[str, Any]:
        return {name: [asdict(item) for item in items] for name, items in vars(self).items()}

    @staticmethod
    def from_json(saved: dict[str, Any]) -> SpeechSounds:
        """The inverse of ``to_json``. Raises KeyError or TypeError when ``saved`` is something else."""
        return SpeechSounds(
            aligned=[Phone(**item) for item in saved["aligned"]],
            allphone=[Phone(**item) for item in saved["allphone"]],
            words=[Word(**item) for item in saved["words"]],
        )

    def between(self, start_s: float, end_s: float) -> SpeechSounds:
        """The part from ``start_s`` to ``end_s``, with times counted from ``start_s``."""

        def part(items: list[Timed]) -> list[Timed]:
            return [_shifted(item, -start_s) for item in items if item.end_s > start_s and item.start_s < end_s]

        return SpeechSounds(part(self.aligned), part(self.allphone), part(self.words))


def _shifted(item: Timed, by_s: float) -> Timed:
    return replace(item, start_s=item.start_s + by_s, end_s=item.end_s + by_s)


def listen(voice: Waveform, turns_s: Sequence[Span], on_progress: Progress | None = None) -> SpeechSounds:
    """Sounds and words of ``voice`` (16 kHz mono) inside ``turns_s``; elsewhere there are none.

    ``on_progress`` is told (seconds of speech done, seconds in all). Without the recogniser's model on disk, and in
    languages that it does not know, only the free hearing is used.
    Raises ValueError when the voice is not at 16 kHz.
    """
    if voice.sample_rate != SAMPLE_RATE:
        raise ValueError(f"the voice must be at {SAMPLE_RATE} Hz, not {voice.sample_rate}")
    batches = _batches(speech_pieces(voice, turns_s))
    total_s = sum(end - start for batch in batches for start, end in batch)
    done_s = 0.0
    aligned: list[Phone] = []
    allphone: list[Phone] = []
    words: list[Word] = []
    for batch in batches:
        for piece, piece_words in zip(batch, _recognised(voice, batch), strict=True):
            sounds = _listen_to_piece(voice.between(*piece), piece_words)
            aligned += [_shifted(phone, piece[0]) for phone in sounds.aligned]
            allphone += [_shifted(phone, piece[0]) for phone in sounds.allphone]
            words += [_shifted(word, piece[0]) for word in sounds.words]
            done_s += piece[1] - piece[0]
            if on_progress:
                on_progress(done_s, total_s)
        voice.let_go()  # a long voice is a memory map: read batch by batch, memory stays flat
    return SpeechSounds(aligned, allphone, words)


def phones_of(voice: Waveform, turns_s: Sequence[Span], on_progress: Progress | None = None) -> list[Phone]:
    """The best known sounds of ``voice`` (16 kHz mono) inside ``turns_s``, sorted."""
    return listen(voice, turns_s, on_progress).aligned


def words_of(voice: Waveform, turns_s: Sequence[Span], on_progress: Progress | None = None) -> list[Word]:
    """The words of ``voice`` (16 kHz mono) inside ``turns_s``, sorted; none in a language that is not known."""
    return listen(voice, turns_s, on_progress).words


def speech_pieces(voice: Waveform, turns_s: Sequence[Span]) -> list[Span]:
    """``turns_s`` with a small margin, joined over short gaps and cut at quiet places so that none exceeds 28 s."""
    joined: list[Span] = []
    for start, end in sorted(turns_s):
        start, end = max(0.0, start - _MARGIN_S), min(voice.duration_s, end + _MARGIN_S)
        if end <= start:
            continue
        if joined and start - joined[-1][1] < _JOIN_GAP_S:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return [part for piece in joined for part in _cut(voice, piece)]


def _cut(voice: Waveform, piece: Span) -> list[Span]:
    start, end = piece
    parts = []
    while end - start > MAX_WINDOW_S:
        tail = (start + MAX_WINDOW_S - 8.0, start + MAX_WINDOW_S)
        hop = SAMPLE_RATE // 10
        samples = voice.between(*tail).samples
        loudness = np.square(samples[: len(samples) // hop * hop].reshape(-1, hop)).mean(axis=1)
        middle = tail[0] + (int(loudness.argmin()) + 0.5) * 0.1
        parts.append((start, middle))
        start = middle
    return [*parts, (start, end)]


def _batches(pieces: Sequence[Span]) -> list[list[Span]]:
    """Pieces that share one recogniser window: its cost is per window, however short the speech in it."""
    batches: list[list[Span]] = []
    filled_s = MAX_WINDOW_S
    for piece in pieces:
        length_s = piece[1] - piece[0] + _SPACER_S
        if filled_s + length_s > MAX_WINDOW_S:
            batches.append([])
            filled_s = 0.0
        batches[-1].append(piece)
        filled_s += length_s
    return batches


def _recognised(voice: Waveform, batch: Sequence[Span]) -> list[list[Word]]:
    """Words that the recogniser is sure of, per piece, in seconds from the piece's start."""
    spacer = np.zeros(round(_SPACER_S * SAMPLE_RATE), np.float32)
    sounds = [voice.between(*piece).samples for piece in batch]
    try:
        sentences = sentences_in(Waveform(np.concatenate([part for s in sounds for part in (s, spacer)]), SAMPLE_RATE))
    except ModelMissing:
        return [[] for _ in batch]
    found = [word for sentence in sentences if _is_sure(sentence) for word in sentence.words]
    per_piece: list[list[Word]] = []
    offset_s = 0.0
    for sound in sounds:
        length_s = len(sound) / SAMPLE_RATE
        inside = [w for w in found if offset_s - 0.25 <= (w.start_s + w.end_s) / 2 < offset_s + length_s + 0.25]
        per_piece.append([_within(_shifted(word, -offset_s), length_s) for word in inside])
        offset_s += length_s + _SPACER_S
    return per_piece


def _within(word: Word, length_s: float) -> Word:
    start = min(max(0.0, word.start_s), length_s)
    return replace(word, start_s=start, end_s=min(max(start, word.end_s), length_s))


def _is_sure(sentence: Sentence) -> bool:
    return (
        sentence.mean_log_probability > _MIN_LOG_PROBABILITY
        and sentence.compression_ratio < _MAX_COMPRESSION
        and sentence.no_speech_probability < _MAX_NO_SPEECH
    )


def _listen_to_piece(piece: Waveform, words: Sequence[Word]) -> SpeechSounds:
    heard = heard_phones(piece)
    aligned, placed = _align(piece, words, heard)
    return SpeechSounds(aligned, heard, placed)


def _align(
    piece: Waveform, words: Sequence[Word], heard: list[Phone], least: float = _MIN_LIKELIHOOD
) -> tuple[list[Phone], list[Word]]:
    """Sounds and exact times of ``words``. What fits nowhere keeps the free hearing and no words.

    Words of a language that is not spoken are recognised now and then; their sounds then fit badly, or elsewhere.
    A piece that does not fit is halved, so that one wrong sentence does not cost a long turn; the halves must then fit
    better than ``least``, for a few sounds fit by chance more easily than many.
    """
    found = aligned_phones(piece, words, heard) if words else None
    if found and found.log_likelihood >= least and found.moved_s <= _MAX_MOVED_S:
        return found.phones, found.words
    if len(words) < 2 * _MIN_ALIGNED_WORDS:
        return heard, []
    split = _middle_gap(words)
    middle_s = (words[split - 1].end_s + words[split].start_s) / 2
    before = [phone for phone in heard if phone.start_s < middle_s]
    after = [_shifted(phone, -middle_s) for phone in heard[len(before) :]]
    left = _align(piece.between(0.0, middle_s), words[:split], before, _MIN_LIKELIHOOD_OF_PART)
    rest = [_shifted(word, -middle_s) for word in words[split:]]
    right = _align(piece.between(middle_s, piece.duration_s), rest, after, _MIN_LIKELIHOOD_OF_PART)
    return (
        left[0] + [_shifted(phone, middle_s) for phone in right[0]],
        left[1] + [_shifted(word, middle_s) for word in right[1]],
    )


def _middle_gap(words: Sequence[Word]) -> int:
    """The word before which the widest gap lies, in the middle half."""
    choices = range(max(1, len(words) // 4), max(2, 3 * len(words) // 4))
    return max(choices, key=lambda index: words[index].start_s - words[index - 1].end_s)


def loudness_envelope(voice: Waveform, frame_rate: float, num_frames: int) -> NDArray[np.float32]:
    """Loudness of the mouth's sounds (250-3500 Hz) at the middle of each video frame: (num_frames,) float32.

    0 = silent, 1 = as loud as this voice mostly gets when it speaks, at most 1.3; growth is slowed (power 0.6).
    A voice of any length is read in blocks.
    """
    energy = _band_energy(voice)
    width = round(0.075 * ENVELOPE_RATE) | 1
    window = np.hanning(width + 2)[1:-1]
    level = np.sqrt(np.convolve(energy, window / window.sum(), "same"))
    speaking = level[level > 0.05 * level.max(initial=0.0)]
    if not len(speaking) or level.max() < _SILENT_LEVEL:
        return np.zeros(num_frames, np.float32)
    times_s = (np.arange(num_frames) + 0.5) / frame_rate
    at_frames = np.interp(times_s, (np.arange(len(level)) + 0.5) / ENVELOPE_RATE, level)
    return (np.clip(at_frames / np.percentile(speaking, 90), 0.0, 1.3) ** 0.6).astype(np.float32)


def _band_energy(voice: Waveform) -> NDArray[np.float64]:
    """Mean square of the 250-3500 Hz band, ENVELOPE_RATE values a second."""
    from scipy.signal import butter, sosfilt

    hop = voice.sample_rate // ENVELOPE_RATE
    band = butter(2, [250, min(3500, 0.45 * voice.sample_rate)], "band", fs=voice.sample_rate, output="sos")
    state = np.zeros((len(band), 2))
    blocks = []
    for start in range(0, len(voice.samples), hop * ENVELOPE_RATE * 30):
        block = np.asarray(voice.samples[start : start + hop * ENVELOPE_RATE * 30], np.float32)
        block = np.pad(block, (0, -len(block) % hop))
        filtered, state = sosfilt(band, block, zi=state)
        blocks.append(np.square(filtered).reshape(-1, hop).mean(axis=1))
        voice.let_go()
    return np.concatenate(blocks) if blocks else np.zeros(1)
