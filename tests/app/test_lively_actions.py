import pytest
from talks import talk

from app.actions import export, lively
from app.actions.fields import bounds_of
from engine.errors import StudioError
from engine.project.document import ExportSettings, Project, RenderSettings, TakeKind
from engine.project.presets import load_preset, settings_for


@pytest.fixture
def project(tmp_path, monkeypatch) -> Project:
    monkeypatch.setenv("ROUNDTABLE_PRESETS", str(tmp_path))
    return talk()


def test_scene_controls_keep_the_documents_bounds(project):
    assert lively.set_strength(project, 1.7)[0].scene.interaction_strength == 1.7
    assert lively.set_lip_strength(project, 0.4)[0].scene.lip_strength == 0.4
    assert lively.set_aspect(project, "9:16")[0].scene.settings.aspect == "9:16"
    assert lively.set_captions(project, "burnt-in")[0].scene.settings.captions == "burnt-in"
    assert lively.set_mark(project, True)[0].scene.settings.visible_mark
    before = project.model_copy(deep=True)
    for action, value in (
        (lively.set_strength, 7), (lively.set_lip_strength, -1), (lively.set_aspect, "4:3"),
        (lively.set_captions, "loud"), (lively.set_mark, "perhaps"), (lively.set_mark, 1), (lively.set_strength, None),
    ):  # fmt: skip
        with pytest.raises(StudioError, match="must be") as caught:
            action(project, value)
        assert caught.value.remedy.endswith("is what it is when nobody changes it.")
    assert project == before


@pytest.mark.parametrize("field", lively.SETTINGS)
def test_each_setting_is_told_with_its_bounds_and_its_default(project, field):
    bounds = bounds_of(RenderSettings, field)
    for wrong in ("many", float("inf"), -1e12, [1], {"a": 1}, "../../etc/passwd", True):
        with pytest.raises(StudioError) as caught:
            lively.set_setting(project, field, wrong)
        assert "must be" in caught.value.message
        if bounds.low is not None:
            assert f"{bounds.low:g}" in caught.value.message
    assert project.scene.settings == RenderSettings()


def test_bounds_are_the_documents(project):
    with pytest.raises(StudioError) as caught:
        lively.set_setting(project, "num_inference_steps", 400)
    assert caught.value.message == "Steps must be a whole number between 1 and 100; 400 is not."
    assert caught.value.remedy == "8 is what it is when nobody changes it."
    with pytest.raises(StudioError, match="an even number between 96 and 2160; 481"):
        lively.set_setting(project, "height", 481)
    with pytest.raises(StudioError, match="one of: auto, none, int8, nf4, fp8; 'int3'"):
        lively.set_setting(project, "quantization", "int3")
    with pytest.raises(StudioError, match=r"one of: animatic, anytalker-1\.3b, anytalker-14b"):
        lively.set_setting(project, "model", "gpt")


@pytest.mark.parametrize("field", ["kind", "range_s", "aspect", "__class__", "model_config", ""])
def test_other_fields_are_not_changed_here(project, field):
    with pytest.raises(StudioError, match="no setting"):
        lively.set_setting(project, field, 1)


def test_what_is_chosen_on_the_page_reaches_previews_and_finals(project):
    chosen = {
        "num_inference_steps": 20, "guidance_scale": 3, "seed": 7, "window": 49, "overlap": 13, "height": 512,
        "model": "anytalker-14b", "quantization": "int8", "shift": 4, "step_cache": 0.1, "lora": "anytalker-1.3b-dmd",
    }  # fmt: skip
    chosen["lora"] = lively.model_choices("lora")[1]
    for field, value in chosen.items():
        project, _ = lively.set_setting(project, field, value)
    for kind in (TakeKind.PREVIEW, TakeKind.FINAL):
        settings = settings_for(kind, project.scene.settings)
        assert settings.model_dump(include=set(chosen)) == chosen
        assert settings.kind is kind
    animatic = settings_for(TakeKind.ANIMATIC, project.scene.settings)
    assert (animatic.model, animatic.seed, animatic.height, animatic.num_inference_steps) == ("animatic", 7, 512, 8)


def test_the_way_back_is_the_default(project):
    project, _ = lively.set_setting(project, "num_inference_steps", 20)
    project, said = lively.set_setting(project, "num_inference_steps", 8)
    assert said == "Steps: as each preset has it."
    assert settings_for("final", project.scene.settings) == load_preset("final").settings


def test_a_preset_is_used_whole_for_its_kind_and_the_other_keeps_its_steps(project):
    lively.set_aspect(project, "9:16")
    project, said = lively.use_preset(project, "low_memory")
    assert said == "Settings as in the preset low_memory."
    low = load_preset("low_memory").settings
    assert settings_for("preview", project.scene.settings) == low.model_copy(update={"aspect": "9:16"})
    final = settings_for("final", project.scene.settings)
    assert (final.quantization, final.window, final.height, final.num_inference_steps) == ("nf4", 49, 384, 40)
    assert (final.kind, final.aspect) == (TakeKind.FINAL, "9:16")
    project, said = lively.use_preset(project, "preview")
    assert said == "Preview and final use their own presets again."
    assert project.scene.settings == RenderSettings(aspect="9:16")
    with pytest.raises(StudioError, match="no preset"):
        lively.use_preset(project, "../preview")


def test_after_a_preset_a_default_value_means_itself(project):
    project, _ = lively.use_preset(project, "low_memory")
    project, _ = lively.set_setting(project, "shift", 5.0)
    assert settings_for("preview", project.scene.settings).shift == 5.0


def test_a_takes_settings_make_the_same_take_of_the_whole_recording(project):
    take = project.scene.takes[0]
    take.settings = RenderSettings(kind="final", model="anytalker-1.3b", num_inference_steps=8, range_s=(1, 2), seed=9)
    project, said = lively.load_settings(project, "take-1")
    assert said == "Settings as in that final."
    assert settings_for("final", project.scene.settings) == take.settings.model_copy(update={"range_s": None})
    with pytest.raises(StudioError, match="no longer part"):
        lively.load_settings(project, "take-9")


def test_prompts_are_one_clean_line_of_bounded_length(project):
    changed, _ = lively.set_prompt(project, " Two people\n talk <b>; $(rm) \x00")
    assert changed.scene.prompt == "Two people talk <b>; $(rm)"
    changed, _ = lively.set_negative_prompt(changed, None)
    assert changed.scene.negative_prompt == ""
    with pytest.raises(StudioError, match="The prompt may have up to 4000"):
        lively.set_prompt(changed, "x" * 4001)


def test_every_field_of_the_export_can_be_set(project):
    wanted = {
        "format": "webm", "aspect": "1:1", "follow_speaker": False, "captions": "none", "loudness_lufs": -16,
        "visible_mark": True, "credentials": False,
    }  # fmt: skip
    assert set(wanted) == set(ExportSettings.model_fields)
    for field, value in wanted.items():
        project, _ = export.set_export(project, field, value)
    assert project.scene.export.model_dump() == wanted
    project, _ = export.set_export(project, "loudness_lufs", None)
    project, _ = export.set_export(project, "loudness_lufs", -23.0)
    assert project.scene.export.loudness_lufs == -23
    with pytest.raises(StudioError, match="Loudness in LUFS must be one of: -14, -16, -23, none; -15 is not"):
        export.set_export(project, "loudness_lufs", -15)
    with pytest.raises(StudioError, match="one of: yes, no; 'x'"):
        export.set_export(project, "credentials", "x")
    with pytest.raises(StudioError, match="no setting 'codec'"):
        export.set_export(project, "codec", "x")


def test_a_preview_lies_inside_the_recording_and_lasts_a_second(project):
    project, said = export.set_preview_range(project, (8.0, 3.5))
    assert project.scene.preview_range_s == (3.5, 8.0)
    assert said == "The preview goes from 0:03.5 to 0:08.0."
    project, _ = export.set_preview_range(project, (-2, 99))
    assert project.scene.preview_range_s == (0, 10)
    for wrong in ((3, 3.9), (11, 13), (9.5, 20), (1,), "ab", (1, None), (float("nan"), 3)):
        with pytest.raises(StudioError) as caught:
            export.set_preview_range(project, wrong)
        assert caught.value.remedy
    project, said = export.set_preview_range(project, None)
    assert (project.scene.preview_range_s, said) == (None, "The preview shows the liveliest exchange.")


def test_a_recording_shorter_than_a_second_is_previewed_whole():
    project, _ = export.set_preview_range(talk(turns=((1, 0.0, 0.5),), duration_s=0.6), (0, 0.6))
    assert project.scene.preview_range_s == (0, 0.6)
