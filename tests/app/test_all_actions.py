"""Every pure action on a large scene: quick, and never touching the project that it was not given."""

import time

import pytest
from talks import talk

from app.actions import export, faces, lively, turns, voices
from engine.project.document import Project

LONG = tuple((n % 9 + 1, 0.5 * n, 0.5 * n + 0.6) for n in range(600))
MOST_COPIES = 2
"""What an action may cost, in deep copies of the project: a measure that a busy or slow machine does not change."""

ACTIONS = {
    "move_turn": lambda p: turns.move_turn(p, "t300", "speaker-2"),
    "split_turn": lambda p: turns.split_turn(p, "t300", 150.3),
    "merge_turns": lambda p: turns.merge_turns(p, ["t0", "t9", "t18"]),
    "trim_turn": lambda p: turns.trim_turn(p, "t300", 150.1, 150.5),
    "delete_turn": lambda p: turns.delete_turn(p, "t300"),
    "add_turn": lambda p: turns.add_turn(p, "speaker-1", 151, 153),
    "say": lambda p: turns.say(p, "t300", "hello"),
    "rename_voice": lambda p: voices.rename_voice(p, "speaker-3", "Ada"),
    "merge_voices": lambda p: voices.merge_voices(p, "speaker-3", "speaker-2"),
    "set_gain": lambda p: voices.set_gain(p, "speaker-3", 3),
    "set_off_screen": lambda p: voices.set_off_screen(p, "speaker-3"),
    "add_voice": lambda p: voices.add_voice(p),
    "rename_face": lambda p: faces.rename_face(p, "face-3", "Ada"),
    "move_face": lambda p: faces.move_face(p, "face-3", (1, 1, 90, 90)),
    "remove_face": lambda p: faces.remove_face(p, "face-3"),
    "choose_part": lambda p: faces.choose_part(p, "face-3", "voice:speaker-1"),
    "swap_voices": lambda p: faces.swap_voices(p, "face-3", "face-1"),
    "set_consent": lambda p: faces.set_consent(p, "face-3", "yes"),
    "set_member": lambda p: faces.set_member(p, "face-2", liveliness=1.2),
    "set_strength": lambda p: lively.set_strength(p, 1.2),
    "set_lip_strength": lambda p: lively.set_lip_strength(p, 1.2),
    "set_prompt": lambda p: lively.set_prompt(p, "two people"),
    "set_negative_prompt": lambda p: lively.set_negative_prompt(p, "blur"),
    "set_setting": lambda p: lively.set_setting(p, "seed", 7),
    "use_preset": lambda p: lively.use_preset(p, "low_memory"),
    "load_settings": lambda p: lively.load_settings(p, "take-1"),
    "set_export": lambda p: export.set_export(p, "format", "webm"),
    "set_preview_range": lambda p: export.set_preview_range(p, (3, 8)),
}


@pytest.fixture(scope="module")
def large() -> Project:
    return talk(num_faces=9, turns=LONG, duration_s=301)


@pytest.mark.parametrize("name", ACTIONS)
def test_five_minutes_of_sound_are_changed_at_once(large, name):
    before = large.model_dump_json()
    copying, took = [], []
    for _ in range(5):
        started = time.thread_time()
        copy = large.model_copy(deep=True)
        copied = time.thread_time()
        changed, said = ACTIONS[name](copy)
        copying.append(copied - started)
        took.append(time.thread_time() - copied)
    assert min(took) < MOST_COPIES * min(copying)
    assert isinstance(said, str)
    assert Project.model_validate_json(changed.model_dump_json()) == changed != large
    assert large.model_dump_json() == before
