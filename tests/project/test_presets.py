import itertools

import pytest

from engine.errors import StudioError, WriteFailed
from engine.project.document import RenderSettings, TakeKind
from engine.project.presets import (
    BUILT_IN,
    chosen_from,
    load_preset,
    preset_names,
    read_preset,
    save_preset,
    settings_for,
)

BUILT_IN_NAMES = ["animatic", "final", "low_memory", "preview"]


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ROUNDTABLE_PRESETS", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("name", BUILT_IN_NAMES)
def test_each_built_in_preset_loads_and_is_commented(name):
    preset = load_preset(name)
    assert preset.description
    assert preset.settings != RenderSettings() or name == "animatic"
    assert (BUILT_IN / f"{name}.toml").read_text(encoding="utf-8").startswith("#")
    if name != "low_memory":
        assert preset.settings.kind == TakeKind(name)


def test_no_built_in_preset_is_untested():
    assert preset_names() == BUILT_IN_NAMES


def test_own_presets_are_found_and_win(own_folder):
    (own_folder / "square.toml").write_text('description = "Square"\n[settings]\naspect = "1:1"\n')
    (own_folder / "animatic.toml").write_text("[settings]\nheight = 360\n")
    assert load_preset("square").settings.aspect == "1:1"
    assert load_preset("animatic").settings.height == 360
    assert preset_names() == sorted([*BUILT_IN_NAMES, "square"])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("[settings\n", "wrong"),
        ("[settings]\nheigth = 480\n", "settings.heigth"),
        ("[settings]\nheight = 481\n", "settings.height"),
        ('[settings]\nkind = "draft"\n', "settings.kind"),
        ("height = 480\n", "belong under"),
        ("settings = 3\n", "settings"),
        (b"\xff\xfe", "wrong"),
    ],
)
def test_wrong_presets_are_told_with_file_and_field(own_folder, content, expected):
    path = own_folder / "mine.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(StudioError, match=expected) as caught:
        read_preset(path)
    assert "mine.toml" in caught.value.message
    assert caught.value.remedy


@pytest.mark.parametrize("name", ["draft", "../presets/animatic", "/etc/passwd", ""])
def test_unknown_names_list_the_known_ones(name):
    with pytest.raises(StudioError) as caught:
        load_preset(name)
    assert "animatic" in caught.value.remedy


def test_what_the_creator_chose_takes_the_place_of_the_presets():
    chosen = RenderSettings(aspect="9:16", captions="burnt-in", visible_mark=True, height=720, range_s=(1.0, 2.0))
    settings = settings_for(TakeKind.FINAL, chosen)
    theirs = {"aspect", "captions", "visible_mark", "height", "range_s"}
    assert settings.model_dump(include=theirs) == chosen.model_dump(include=theirs)
    assert settings.model_dump(exclude=theirs) == load_preset("final").settings.model_dump(exclude=theirs)


def test_a_saved_document_does_not_undo_the_preset(own_folder):
    """Once saved and loaded, every field of the scene's settings counts as set."""
    (own_folder / "animatic.toml").write_text("[settings]\nheight = 360\nframe_rate = 30\n")
    saved = RenderSettings.model_validate_json(RenderSettings().model_dump_json())
    settings = settings_for(TakeKind.ANIMATIC, saved)
    assert (settings.height, settings.frame_rate) == (360, 30)


def test_a_saved_preset_is_the_same_when_it_is_read(own_folder):
    settings = RenderSettings(
        kind="final", model="anytalker-14b", height=720, frame_rate=23.976, seed=2**32 - 1, num_inference_steps=17,
        guidance_scale=3.25, shift=1e-1, quantization="nf4", window=121, overlap=13, guidance_range=(0.1, 0.9),
        step_cache=0.05, lora='a "quoted" \\ näme\x7f\n', captions="none", aspect="9:16", visible_mark=True,
    )  # fmt: skip
    path = save_preset("My  evening preset", 'Soft "light"\nand \\ slow\x7f, für spät', settings)
    assert path == own_folder / "My-evening-preset.toml"
    preset = load_preset("My-evening-preset")
    assert preset.settings == settings
    assert preset.description == 'Soft "light" and \\ slow\x7f, für spät'
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# A preset saved from the studio.")
    assert "num_inference_steps = 17  # 1 to 100; default 8" in text
    assert "height = 720  # short side of the video, px; 96 to 2160; default 480" in text


def test_an_own_preset_is_replaced_and_a_built_in_never(own_folder):
    save_preset("mine", "", RenderSettings(seed=1))
    save_preset("mine", "", RenderSettings(seed=2))
    assert load_preset("mine").settings.seed == 2
    for name in (*BUILT_IN_NAMES, "Preview", "low memory".replace(" ", "_")):
        with pytest.raises(StudioError, match="own presets"):
            save_preset(name, "", RenderSettings())
    assert preset_names() == sorted([*BUILT_IN_NAMES, "mine"])


@pytest.mark.parametrize("name", ["", "  ", "../mine", "a/b", "a.b", "x" * 41, "nul", "COM1", "\x00", "a\u202eb"])
def test_a_name_that_no_file_can_have_is_refused(own_folder, name):
    with pytest.raises(StudioError, match="cannot be the name") as caught:
        save_preset(name, "", RenderSettings())
    assert caught.value.remedy
    assert list(own_folder.iterdir()) == []


def test_a_preset_that_cannot_be_written_is_told(own_folder, monkeypatch):
    monkeypatch.setenv("ROUNDTABLE_PRESETS", str(own_folder / "file" / "presets"))
    (own_folder / "file").write_text("x")
    with pytest.raises(WriteFailed):
        save_preset("mine", "", RenderSettings())


def test_whatever_is_chosen_gives_settings_of_the_wanted_kind(own_folder):
    """Every base under every choice: the document's bounds hold, and shape, captions and mark are the creator's."""
    save_preset("own", "", RenderSettings(kind="final", model="anytalker-14b", num_inference_steps=8, seed=5))
    choices = [RenderSettings(aspect="1:1"), RenderSettings(aspect="1:1", num_inference_steps=30, seed=9)]
    choices += [chosen_from(load_preset(name), choices[1]) for name in preset_names()]
    for base, chosen in itertools.product(preset_names(), choices):
        settings = settings_for(base, chosen)
        assert RenderSettings.model_validate(settings.model_dump()) == settings
        assert settings.kind == load_preset(base).settings.kind
        assert settings.aspect == "1:1"
        assert (settings.model == "animatic") == (settings.kind == "animatic")
    whole = settings_for("final", chosen_from(load_preset("own"), RenderSettings()))
    assert (whole.num_inference_steps, whole.model, whole.seed) == (8, "anytalker-14b", 42)
    assert chosen_from(load_preset("final"), choices[1]) == RenderSettings(aspect="1:1", seed=9)


def test_a_preset_named_on_the_command_line_gives_way_only_in_size_rate_seed_and_range():
    chosen = RenderSettings(num_inference_steps=30, height=720, quantization="int8")
    settings = settings_for("low_memory", chosen)
    assert (settings.height, settings.num_inference_steps, settings.quantization) == (720, 12, "nf4")
