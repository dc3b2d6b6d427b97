import time

from talks import talk

from app import texts
from app.actions import turns
from app.history import MOST_STEPS, History, label_of
from engine.project.document import Take


def test_undo_and_redo_walk_through_the_states():
    history, project, states = History(), talk(), []
    for turn_id in ("t0", "t1", "t2"):
        states.append(project.scene.model_copy(deep=True))
        history.push(project.scene, label_of("delete_turn"))
        project, _ = turns.delete_turn(project, turn_id)
    last = project.scene.model_copy(deep=True)
    assert history.undo_label == "delete a turn"
    scene = project.scene
    for state in reversed(states):
        scene = history.undo(scene)
        assert scene == state
    assert (history.undo(scene), history.undo_label, history.redo_label) == (None, "", "delete a turn")
    for state in [*states[1:], last]:
        scene = history.redo(scene)
        assert scene == state
    assert history.redo(scene) is None


def test_takes_are_never_undone():
    history, project = History(), talk()
    history.push(project.scene, "x")
    changed, _ = turns.delete_turn(project.model_copy(deep=True), "t0")
    changed.scene.takes = [*changed.scene.takes, Take(id="take-2", settings={})]
    back = history.undo(changed.scene)
    assert len(back.turns) == 5
    assert [take.id for take in back.takes] == ["take-1", "take-2"]
    back.takes = []
    assert history.redo(back).takes == []


def test_a_new_step_forgets_what_was_undone():
    history, project = History(), talk()
    history.push(project.scene, "a")
    history.undo(project.scene)
    history.push(project.scene, "b")
    assert (history.undo_label, history.redo_label) == ("b", "")


def test_a_dragged_slider_is_one_step():
    history, project = History(), talk()
    for strength in (0.5, 1.5, 2.0):
        history.push(project.scene, "strength", joins=True)
        project.scene.interaction_strength = strength
    assert history.undo(project.scene).interaction_strength == 1.0
    assert history.undo_label == ""


def test_many_steps_of_a_long_talk_stay_small_and_quick():
    spoken = tuple((n % 9 + 1, 0.5 * n, 0.5 * n + 0.6) for n in range(600))
    history, project = History(), talk(num_faces=9, turns=spoken, duration_s=301)
    started = time.thread_time()
    json = project.scene.model_dump_json()
    copied = time.thread_time() - started
    assert json
    started = time.thread_time()
    for n in range(MOST_STEPS + 50):
        project.scene.turns[n].text = f"word {n}"
        history.push(project.scene, f"step {n}")
    assert (time.thread_time() - started) / (MOST_STEPS + 50) < 20 * copied  # of writing the scene down once
    assert history.num_bytes < 10e6
    undone = 0
    while history.undo(project.scene):
        undone += 1
    assert undone == MOST_STEPS


def test_every_action_has_a_label():
    from app.actions import export, faces, lively, voices

    for module in (turns, voices, faces, lively, export):
        for name, thing in vars(module).items():
            returns = getattr(thing, "__annotations__", {}).get("return")
            if thing.__class__.__name__ == "function" and not name.startswith("_") and "Project" in str(returns):
                assert name in texts.ACTION_NAMES or name in ("set_aspect", "set_captions", "set_mark"), name
    assert label_of("anything") == texts.SOME_CHANGE
