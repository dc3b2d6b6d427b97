import pytest

from engine.errors import StudioError
from engine.project.document import RenderSettings, TakeKind
from engine.project.presets import BUILT_IN, load_preset, preset_names, read_preset, settings_for

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
