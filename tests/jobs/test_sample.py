"""The page's sample: its kept plan is what analysing it gives, and another picture or recording is analysed."""

import pytest

from engine.carriers import carriers_dir
from engine.jobs import demo_project
from engine.jobs.demo_project import fill_with_sample, open_sample, read_sample_plan, sample_plan
from engine.project.store import ProjectStore

pytestmark = pytest.mark.skipif(
    not (carriers_dir() / "comfyui_workflow_templates_media_image").is_dir(), reason="the portraits are not fetched"
)


@pytest.fixture
def made(tmp_path):
    with ProjectStore.create(tmp_path / "sample", "Sample") as store:
        yield store, store.load()


def test_the_sample_is_there_without_listening_to_it(made, monkeypatch):
    store, project = made
    monkeypatch.setattr(demo_project, "analyse", lambda *_, **__: pytest.fail("it was analysed"))
    list(open_sample(store, project))
    talking = [member for member in project.scene.cast if member.part == "talks"]
    assert len(project.scene.faces) == 6
    assert len(talking) == 2
    assert project.scene.turns


@pytest.mark.slow
def test_the_kept_plan_is_what_analysing_gives(made):
    store, project = made
    list(fill_with_sample(store, project))
    now, kept = sample_plan(project.scene), read_sample_plan()
    assert (now.photo_sha256, now.dialogue_sha256) == (kept.photo_sha256, kept.dialogue_sha256)
    assert [(m.part, m.face_id, m.speaker_id) for m in now.cast] == [
        (m.part, m.face_id, m.speaker_id) for m in kept.cast
    ]
    for face, other in zip(now.faces, kept.faces, strict=True):
        assert (face.name, face.colour) == (other.name, other.colour)
        assert face.box_px == pytest.approx(other.box_px, abs=2)
    for turn, other in zip(now.turns, kept.turns, strict=True):
        assert turn.speaker_id == other.speaker_id
        assert (turn.start_s, turn.end_s) == pytest.approx((other.start_s, other.end_s), abs=0.05)


def test_another_recording_is_analysed(made, monkeypatch):
    store, project = made
    asked = []
    monkeypatch.setattr(demo_project, "_analysed", lambda *_: iter(asked.append(1) or ()))
    plan = read_sample_plan().model_copy(update={"dialogue_sha256": "0"})
    monkeypatch.setattr(demo_project, "read_sample_plan", lambda: plan)
    list(open_sample(store, project))
    assert asked
    assert not project.scene.turns
