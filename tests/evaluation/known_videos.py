"""Curves of videos that were never drawn: mouths that follow voices or do not, so that every figure is known."""

from dataclasses import replace

import numpy as np

from engine.evaluation.lip_sync import loudness
from engine.evaluation.scene import Expected, SpokenTurn, Voice
from engine.evaluation.watching import PersonCurves, Watched
from engine.media.types import Waveform

RATE, SOUND_RATE = 25.0, 16_000
LENGTH_S = 8.0
FRAMES = int(LENGTH_S * RATE)
TURNS = {"ada": (0.4, 3.6), "bo": (4.2, 7.6)}


def syllables(seed: int, span: tuple[float, float], length_s: float = LENGTH_S) -> Waveform:
    """Noise in the speech band that swells and fades like syllables, only inside ``span``."""
    rng = np.random.default_rng(seed)
    samples = rng.normal(size=int(length_s * SOUND_RATE))
    at = np.arange(len(samples)) / SOUND_RATE
    swells = np.zeros(len(samples))
    now = span[0]
    while now < span[1] - 0.1:
        size = rng.uniform(0.12, 0.35)
        inside = (at >= now) & (at < min(now + size, span[1]))
        swells[inside] = np.sin(np.pi * (at[inside] - now) / size) * rng.uniform(0.4, 1.0)
        now += size + rng.uniform(0.02, 0.12)
    return Waveform((samples * swells * 0.2).astype(np.float32), SOUND_RATE)


def person(face_id: str, opening: np.ndarray, seed: int = 0) -> PersonCurves:
    rng = np.random.default_rng(seed)
    length = len(opening)
    looks = np.arange(0, length, 12)
    return PersonCurves(
        face_id,
        face_id.title(),
        opening=opening + rng.normal(scale=0.001, size=length),
        width=np.full(length, 0.55),
        change=np.concatenate([[0.0], rng.uniform(0.3, 2.0, length - 1)]),
        points=np.zeros((length, 22, 2), np.float32),
        boxes=np.tile(np.array([10, 10, 60, 60], np.float32), (length, 1)),
        identity_at=looks,
        identity=np.full(len(looks), 0.2),
        same_person=0.4,
    )


def talk(shut: float = 0.01) -> tuple[Watched, Expected]:
    """Ada speaks, then Bo; each mouth follows its own voice, and everything else is as it should be."""
    sounds = {name: syllables(seed, span) for seed, (name, span) in enumerate(TURNS.items(), start=1)}
    rng = np.random.default_rng(9)
    people = []
    for seed, (name, sound) in enumerate(sounds.items()):
        loud = loudness(sound, RATE, FRAMES)
        tremble = rng.normal(scale=0.004, size=FRAMES) * (loud > 0.1)
        people.append(person(name, shut + 0.2 * loud + tremble, seed))
    voices = tuple(
        Voice(f"voice-{name}", name.title(), name, sound, (SpokenTurn(f"turn-{name}", *TURNS[name]),))
        for name, sound in sounds.items()
    )
    colour = np.tile([50.0, 5.0, 5.0], (FRAMES, 1)) + rng.normal(scale=0.02, size=(FRAMES, 3))
    watched = Watched(RATE, people, colour, np.full(FRAMES, 0.02), np.zeros(FRAMES))
    return watched, Expected(voices, only_faces_move=True, duration_s=LENGTH_S)


def with_person(watched: Watched, index: int, **changes: object) -> Watched:
    people = list(watched.people)
    people[index] = replace(people[index], **changes)
    return replace(watched, people=people)
