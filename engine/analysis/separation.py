"""One voice per speaker, as long as the recording, from the recording and its turns.

Each voice is the recording times that speaker's gate: 1 in the turns, faded outside their edges, 0 elsewhere. The gates
add to the gate of the speech, so the voices add to the speech of the recording. Where people speak at once they share
the mixture: equally, or by what a separator hears, if it proves on this very recording that it helps.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engine.analysis.overlaps import Stretch, alone, overlaps, stretches_of
from engine.analysis.resampling import room_for
from engine.analysis.types import Diarization
from engine.analysis.voice_protocols import VoiceSeparator
from engine.media.types import Waveform
from engine.project.document import Turn

FADE_S = 0.015
BLOCK_S = 30.0
SHORTEST_SPLIT_S = 0.2
CONTEXT_S = 0.1
LONGEST_SPLIT_S = 20.0
EXAMPLE_S = 20.0
SHORTEST_EXAMPLE_S = 1.5
REHEARSAL_SHARE = 0.35
NEEDED_GAIN_DB = 0.5
# A part of the separator's share is as good as all of it on average, and its worst cases are milder.
STRENGTH = 0.75


def default_separator() -> VoiceSeparator:
    """A separation model where one is on disk, else spectra learnt from the recording itself."""
    from engine.analysis.backends.onnx_separator import load_separator
    from engine.analysis.spectral_split import SpectralSplitter

    return load_separator() or SpectralSplitter()


def separate(
    waveform: Waveform, diarization: Diarization, separator: VoiceSeparator | None = None
) -> dict[str, Waveform]:
    """Voices by speaker id: mono, at the recording's rate and length, silent where that speaker is silent.

    Their sum is the recording times ``speech_gate``. Voices of more than ten minutes lie in temporary files.
    """
    ids = [speaker.id for speaker in diarization.speakers]
    voices = {speaker_id: room_for(len(waveform.samples), waveform.duration_s) for speaker_id in ids}
    turns = [turn for turn in diarization.turns if turn.speaker_id in voices]
    for block in _blocks(waveform):
        gates = speaker_gates(turns, ids, block, waveform.sample_rate)
        for speaker_id, gate in zip(ids, gates, strict=True):
            if gate.any():
                voices[speaker_id][block] = waveform.samples[block] * gate
    _share_overlaps(_Split(waveform, stretches_of(turns), separator or default_separator()), voices)
    return {speaker_id: Waveform(samples, waveform.sample_rate) for speaker_id, samples in voices.items()}


def _blocks(waveform: Waveform) -> Iterator[slice]:
    length = round(BLOCK_S * waveform.sample_rate)
    for start in range(0, len(waveform.samples), length):
        yield slice(start, min(start + length, len(waveform.samples)))


def speaker_gates(turns: list[Turn], ids: list[str], block: slice, sample_rate: int) -> NDArray[np.float32]:
    """(len(ids), samples of ``block``) 0..1; they add to ``speech_gate``."""
    raw = _raw_gates(turns, ids, block, sample_rate)
    total = raw.sum(0)
    return raw * (raw.max(0, initial=0) / np.maximum(total, 1e-9))


def speech_gate(turns: list[Turn], block: slice, sample_rate: int) -> NDArray[np.float32]:
    """(samples of ``block``,) 1 where anybody speaks, faded over 15 ms outside the turns, 0 elsewhere."""
    ids = sorted({turn.speaker_id for turn in turns})
    return _raw_gates(turns, ids, block, sample_rate).max(0, initial=0)


def _raw_gates(turns: list[Turn], ids: list[str], block: slice, sample_rate: int) -> NDArray[np.float32]:
    gates = np.zeros((len(ids), block.stop - block.start), np.float32)
    for turn in turns:
        first = max(block.start, int((turn.start_s - FADE_S) * sample_rate))
        last = min(block.stop, int((turn.end_s + FADE_S) * sample_rate) + 2)
        if last > first:
            times_s = np.arange(first, last) / sample_rate
            reach = np.minimum(times_s - turn.start_s, turn.end_s - times_s) / FADE_S + 1
            ramp = 0.5 - 0.5 * np.cos(np.pi * np.clip(reach, 0, 1))
            own = gates[ids.index(turn.speaker_id), first - block.start : last - block.start]
            np.maximum(own, ramp, out=own)
    return gates


@dataclass(frozen=True)
class _Split:
    """A recording, its stretches and a separator; remembers each voice alone and who was found separable."""

    waveform: Waveform
    stretches: list[Stretch]
    separator: VoiceSeparator
    examples: dict[str, NDArray[np.float32]] = field(default_factory=dict)
    verdicts: dict[tuple[str, ...], bool] = field(default_factory=dict)

    def examples_of(self, speaker_ids: tuple[str, ...]) -> list[NDArray[np.float32]]:
        for speaker_id in speaker_ids:
            if speaker_id not in self.examples:
                self.examples[speaker_id] = alone(self.waveform, self.stretches, speaker_id, EXAMPLE_S)
        return [self.examples[speaker_id] for speaker_id in speaker_ids]

    def helps(self, speaker_ids: tuple[str, ...]) -> bool:
        if speaker_ids not in self.verdicts:
            examples = self.examples_of(speaker_ids)
            gain_db = rehearsed_gain_db(self.separator, examples, self.waveform.sample_rate)
            self.verdicts[speaker_ids] = gain_db >= NEEDED_GAIN_DB
        return self.verdicts[speaker_ids]


def rehearsed_gain_db(separator: VoiceSeparator, examples: list[NDArray[np.float32]], sample_rate: int) -> float:
    """What the separator gains on a made overlap: the ends of the examples mixed, with the rest as examples.

    SI-SDR, dB, mean over the voices; -inf where somebody has too little speech alone to try.
    """
    shortest = min([len(example) for example in examples])
    held_out = round(shortest * REHEARSAL_SHARE)
    if shortest < SHORTEST_EXAMPLE_S * sample_rate:
        return -np.inf
    ends = np.stack([example[-held_out:] for example in examples])
    if not (np.abs(ends).max(1) > 1e-5).all():
        return -np.inf
    ends = ends / np.sqrt(np.mean(ends**2, axis=1, keepdims=True)) * 0.05
    mixture = ends.sum(0)
    parts = _shares(separator(mixture, [e[:-held_out] for e in examples], sample_rate), mixture)
    gains = [si_sdr_db(end, part) - si_sdr_db(end, mixture) for end, part in zip(ends, parts, strict=True)]
    return float(np.mean(gains))


def si_sdr_db(reference: NDArray[np.float32], estimate: NDArray[np.float32]) -> float:
    """Scale-invariant signal-to-distortion ratio, dB (Le Roux et al. 2019, arXiv 1811.02508, eq. 3)."""
    target = (estimate @ reference) / max(float(reference @ reference), 1e-12) * reference
    error = estimate - target
    return 10 * float(np.log10(max(float(target @ target), 1e-12) / max(float(error @ error), 1e-12)))


def _shares(parts: NDArray[np.float32], mixture: NDArray[np.float32]) -> NDArray[np.float32]:
    """The parts drawn towards equal shares of the mixture, with what they lack of it spread, so that they add to it."""
    complete = parts + (mixture - parts.sum(0)) / len(parts)
    return STRENGTH * complete + (1 - STRENGTH) * mixture / len(parts)


def _share_overlaps(split: _Split, voices: dict[str, NDArray[np.float32]]) -> None:
    """Replaces equal shares of the mixture by the separator's, where it helps; the sum of the voices stays."""
    for overlap in overlaps(split.stretches, SHORTEST_SPLIT_S):
        if not split.helps(overlap.speaker_ids):
            continue
        for start_s in np.arange(overlap.start_s, overlap.end_s - 2 * FADE_S, LONGEST_SPLIT_S):
            end_s = min(overlap.end_s, start_s + LONGEST_SPLIT_S)
            _share(split, Stretch(float(start_s), end_s, overlap.speaker_ids), voices)


def _share(split: _Split, overlap: Stretch, voices: dict[str, NDArray[np.float32]]) -> None:
    rate = split.waveform.sample_rate
    near = split.waveform.between(overlap.start_s - CONTEXT_S, overlap.end_s + CONTEXT_S)
    first = max(0, round((overlap.start_s - CONTEXT_S) * rate))
    mixture = np.asarray(near.samples, np.float32)
    parts = _shares(split.separator(mixture, split.examples_of(overlap.speaker_ids), rate), mixture)
    times_s = (first + np.arange(len(mixture))) / rate
    inside = np.minimum(times_s - overlap.start_s, overlap.end_s - times_s) / FADE_S
    weight = (0.5 - 0.5 * np.cos(np.pi * np.clip(inside, 0, 1))).astype(np.float32)
    for speaker_id, part in zip(overlap.speaker_ids, parts, strict=True):
        voices[speaker_id][first : first + len(mixture)] += weight * (part - mixture / len(parts))
