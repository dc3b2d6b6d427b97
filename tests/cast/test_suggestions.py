"""The liveliest exchange and the ready prompt: both only from the scene."""

import itertools

import pytest

from engine.cast.liveliest import LEAD_IN_S, liveliest_range
from engine.cast.scene_prompt import suggest_prompt
from engine.cast.suggest import suggest
from engine.project.document import CastMember, Face, MediaInfo, MediaRef, Part, Scene, Speaker, Turn


def scene(turns: list[tuple[int, float, float]], duration_s: float, num_faces: int = 0) -> Scene:
    faces = [
        Face(id=f"face-{n}", name=f"Face {n}", colour="#fff", box_px=(100 * n, 0, 100 * n + 50, 50))
        for n in range(1, num_faces + 1)
    ]
    speakers = [Speaker(id=f"speaker-{n}", name=f"Speaker {n}") for n in sorted({n for n, _, _ in turns})]
    sound = MediaRef(path="media/a.wav", sha256="0" * 64, info=MediaInfo(kind="audio", duration_s=duration_s))
    made = [Turn(speaker_id=f"speaker-{n}", start_s=s, end_s=e) for n, s, e in turns]
    return Scene(dialogue=sound, faces=faces, speakers=speakers, turns=made, cast=suggest(faces, speakers))


MONOLOGUE = [(1, 0.0, 20.0)]
EXCHANGE = [(2, 20.5, 22.0), (1, 22.0, 23.0), (2, 22.8, 24.0), (1, 24.0, 25.5)]


def test_the_exchange_is_found_and_starts_just_before_a_turn():
    start_s, end_s = liveliest_range(scene([*MONOLOGUE, *EXCHANGE, (2, 30.0, 60.0)], 60))
    assert start_s == pytest.approx(20.5 - LEAD_IN_S)
    assert end_s - start_s == pytest.approx(5)


def test_three_voices_are_livelier_than_two():
    two, three = [(1, 0, 1), (2, 1, 2), (1, 2, 3), (2, 3, 5)], [(1, 20, 21), (2, 21, 22), (3, 22, 23), (1, 23, 25)]
    assert liveliest_range(scene([*two, *three], 60))[0] == pytest.approx(20 - LEAD_IN_S)


def test_the_range_stays_inside_the_recording():
    start_s, end_s = liveliest_range(scene([(1, 0, 1), (1, 28.0, 29.0), (2, 29, 29.9)], 30))
    assert (start_s, end_s) == (25, 30)


@pytest.mark.parametrize(("turns", "duration_s"), [([(1, 0.5, 3)], 4.0), (MONOLOGUE, 5.0), ([], 3.0)])
def test_a_shorter_conversation_is_shown_whole(turns, duration_s):
    assert liveliest_range(scene(turns, duration_s)) == (0, duration_s)


def test_without_any_turn_or_sound_there_is_still_a_range():
    assert liveliest_range(scene([], 60)) == (0, 5)
    assert liveliest_range(Scene()) == (0, 0)


def test_every_length_gives_a_range_of_that_length_inside():
    made = scene([*MONOLOGUE, *EXCHANGE], 40)
    for length_s in (1.0, 2.5, 8.0, 39.9):
        start_s, end_s = liveliest_range(made, length_s)
        assert 0 <= start_s < end_s <= 40
        assert end_s - start_s == pytest.approx(length_s, abs=2e-3)


def cast(*parts: Part) -> Scene:
    made = scene([(n, n, n + 1.0) for n, part in enumerate(parts, 1) if part is Part.TALKS], 20, len(parts))
    made.cast = [
        CastMember(face_id=f"face-{n}", speaker_id=f"speaker-{n}" if part is Part.TALKS else None, part=part)
        for n, part in enumerate(parts, 1)
    ]
    return made


def test_prompts_say_what_the_scene_knows():
    talks, listens, still = Part.TALKS, Part.LISTENS, Part.STILL
    assert suggest_prompt(cast(talks, talks)) == (
        "Two people are together in a natural conversation; both of them talk, taking turns and looking at each other. "
        "Natural facial expressions, clear lip movements and steady eyes; the camera does not move."
    )
    assert suggest_prompt(cast(talks, talks, listens, still)).startswith(
        "Four people are together in a natural conversation; two of them talk, taking turns and looking at each other. "
        "One person listens attentively with closed mouth, with small nods. One person stays completely still."
    )
    assert "the person on the right talks to the others" in suggest_prompt(cast(listens, listens, talks))
    assert "the person in the middle talks" in suggest_prompt(cast(listens, talks, listens))
    assert suggest_prompt(cast(talks)).startswith("One person talks to the camera.")
    assert suggest_prompt(Scene()) == ""


def test_a_prompt_follows_the_strength_and_the_picture_not_the_list():
    made = cast(Part.TALKS, Part.TALKS)
    made.interaction_strength = 2
    assert "a lively conversation" in suggest_prompt(made)
    made = cast(Part.TALKS, Part.LISTENS)
    made.faces = made.faces[::-1]
    assert "the person on the left talks" in suggest_prompt(made)


def test_a_face_whose_voice_never_speaks_is_told_to_listen():
    made = cast(Part.TALKS, Part.TALKS)
    made.turns = [turn for turn in made.turns if turn.speaker_id == "speaker-1"]
    assert "the person on the left talks to the others. One person listens" in suggest_prompt(made)


def test_any_cast_gives_whole_sentences_and_no_invented_people():
    for count in range(1, 5):
        for parts in itertools.product(Part, repeat=count):
            prompt = suggest_prompt(cast(*parts))
            assert prompt.endswith("the camera does not move.")
            assert not {"man", "woman", "men", "women", "girl", "boy"} & set(prompt.lower().split())
            assert prompt.count("  ") == 0
    assert suggest_prompt(cast(*[Part.TALKS] * 12)).startswith("12 people are together")
