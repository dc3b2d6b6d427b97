"""Voices made on the spot: espeak-ng in many voices, pitches and tempos, saying sentences that mean nothing much."""

import shutil
import subprocess
from dataclasses import dataclass
from math import gcd

import numpy as np
from scipy.signal import resample_poly

from engine.dit.speech_files import SAMPLE_RATE
from engine.errors import ModelMissing, StudioError
from engine.media.types import Waveform

PROGRAM = "espeak-ng"
_HEADER_BYTES, _RATE_AT = 44, 24
LANGUAGES = ("en-us", "en-gb", "en-gb-scotland", "de", "fr", "es", "it", "nl", "pt", "sv", "pl", "cs")
VARIANTS = ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "f1", "f2", "f3", "f4", "f5", "croak", "klatt", "klatt3")
HELD_OUT = ("m3", "f4", "klatt3", "m7", "f1")
"""Variants that are never heard in training."""
_TEXT = (
    "morning evening window garden music water people story summer winter mother father river mountain coffee "
    "bread paper letter market station number colour bicycle kitchen question answer moment island weather animal "
    "picture open wonder remember follow carry believe discover travel whisper laugh build borrow gather promise "
    "imagine offer always never quickly slowly maybe together again already before after under over around about "
    "into through very small large bright quiet early happy strange warm blue yellow simple useful beautiful "
    "ordinary and the a my our your this that every another when because although I you we they she he it was is "
    "will would could might "
)
_WORDS = _TEXT.split()


@dataclass(frozen=True)
class Speaker:
    """``pitch`` 0..99, ``words_per_minute``: as espeak-ng counts them."""

    language: str
    variant: str
    pitch: int
    words_per_minute: int


def draw_speaker(chance: np.random.Generator, held_out: bool) -> Speaker:
    variants = HELD_OUT if held_out else tuple(name for name in VARIANTS if name not in HELD_OUT)
    return Speaker(
        str(chance.choice(LANGUAGES)),
        str(chance.choice(variants)),
        int(chance.integers(25, 75)),
        int(chance.integers(120, 200)),
    )


def draw_text(chance: np.random.Generator, num_words: int) -> str:
    """A few phrases of words; commas and full stops make the pauses."""
    words = [str(word) for word in chance.choice(_WORDS, num_words)]
    stops = chance.random(num_words)
    return " ".join(
        word + ("." if at < 0.08 else "," if at < 0.2 else "") for word, at in zip(words, stops, strict=True)
    )


def speak(text: str, speaker: Speaker) -> Waveform:
    """Mono at 16 kHz. Raises ModelMissing where espeak-ng is not installed."""
    program = shutil.which(PROGRAM)
    if program is None:
        raise ModelMissing(
            "The voices that the small network learns from are made with espeak-ng, which is not installed.",
            "Install it (on Debian: `apt install espeak-ng`), then start the training again.",
        )
    voice = f"{speaker.language}+{speaker.variant}"
    options = ["-v", voice, "-p", str(speaker.pitch), "-s", str(speaker.words_per_minute), "--stdout"]
    made = subprocess.run([program, *options, "--", text], capture_output=True, check=False, timeout=60)
    if made.returncode or len(made.stdout) <= _HEADER_BYTES:
        said = made.stderr.decode(errors="replace").strip()[:200]
        raise StudioError(f"No sound came from espeak-ng with the voice {voice}: {said}.", "Install its voices again.")
    # A WAV that is written while it is made does not say how long it is.
    rate = int.from_bytes(made.stdout[_RATE_AT : _RATE_AT + 4], "little")
    samples = np.frombuffer(made.stdout[_HEADER_BYTES:][: (len(made.stdout) - _HEADER_BYTES) // 2 * 2], "<i2")
    common = gcd(rate, SAMPLE_RATE)
    sound = resample_poly(samples / 32768.0, SAMPLE_RATE // common, rate // common)
    return Waveform(sound.astype(np.float32), SAMPLE_RATE)
