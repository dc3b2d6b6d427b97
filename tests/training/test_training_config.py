"""Training configs: those that come along, and those that are refused before hours are lost."""

import pytest

from engine.dit.network_size import NETWORKS
from engine.errors import StudioError
from engine.training.config import PRESETS, read_config
from engine.training.train_commands import changes, config_path


def test_every_preset_loads():
    names = [path.stem for path in sorted(PRESETS.glob("*.toml")) if not path.stem.endswith("_faces")]
    assert {"1.3b-stage1", "1.3b-stage2", "14b-stage1", "14b-stage2", "tiny", "tiny-stage2"} <= set(names)
    for name in names:
        read_config(config_path(name))


def test_the_paper_s_figures():
    small, large = read_config(config_path("1.3b-stage1")), read_config(config_path("14b-stage1"))
    assert (small.run.steps, small.run.batch_size, small.optimiser.learning_rate) == (2_400_000, 48, 2e-5)
    assert (large.run.steps, large.run.batch_size, large.optimiser.learning_rate) == (2_400_000, 32, 2e-5)
    assert small.pairing.share == large.pairing.share == 0.5
    second, largest = read_config(config_path("1.3b-stage2")), read_config(config_path("14b-stage2"))
    assert (second.run.steps, second.run.batch_size, second.optimiser.learning_rate) == (50_000, 48, 5e-6)
    assert (largest.run.steps, largest.run.batch_size, largest.optimiser.learning_rate) == (50_000, 16, 5e-6)
    assert second.pairing.share == 0
    assert second.data.stage == 2


def refused(tmp_path, text: str, config_changes=None) -> str:
    path = tmp_path / "run.toml"
    path.write_text(f'[data]\nfolders = ["x"]\n[run]\nfolder = "y"\nsteps = 100\nbatch_size = 4\n{text}')
    with pytest.raises(StudioError) as caught:
        read_config(path, config_changes)
    assert caught.value.remedy
    return caught.value.message


def test_unknown_and_contradictory_fields_are_named(tmp_path):
    warm = "[optimiser]\nwarmup_steps = 10\n"
    assert "optimiser.learnin_rate is not known" in refused(tmp_path, "[optimiser]\nlearnin_rate = 1\n")
    assert "loss.shift" in refused(tmp_path, f"{warm}[loss]\nshift = 0\n")
    assert "warmup_steps must be less" in refused(tmp_path, "[optimiser]\nwarmup_steps = 100\n")
    assert "pairing.share must be 0" in refused(tmp_path, warm, {"data.stage": 2})
    assert "joins 4 of a batch" in refused(tmp_path, f"{warm}[pairing]\npeople = [4]\n", {"run.batch_size": 2})
    assert "add up to 1.10" in refused(tmp_path, f"{warm}[dropout]\ntext = 1\n")
    assert "needs network.base" in refused(tmp_path, f'{warm}learning = "lora"\n')
    assert "4n+1" in refused(tmp_path, warm, {"data.max_frames": 80})
    assert "run.check_folder" in refused(tmp_path, warm, {"run.check_every": 5})
    assert "at least 13" in refused(tmp_path, warm, {"run.check_folder": "photos", "data.max_frames": 9})
    assert "needs data.encoders = 'tiny'" in refused(tmp_path, f"{warm}[made]\n")
    nothing = f'{warm}learning = "lora"\n[network]\nbase = "w.pth"\n[ablation]\nheard = "nothing"\n'
    assert "nothing to learn" in refused(tmp_path, nothing)


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    (tmp_path / "broken.toml").write_text("[data\n")
    for name in ("broken.toml", "absent.toml"):
        with pytest.raises(StudioError, match="is wrong"):
            read_config(tmp_path / name)


def test_names_and_settings_of_the_command_line():
    assert config_path("tiny") == PRESETS / "tiny.toml"
    with pytest.raises(StudioError, match="no training config 'huge'") as caught:
        config_path("huge")
    assert "1.3b-stage1" in caught.value.remedy
    assert changes(["run.steps=3", "data.folders=['a']", "run.folder=here"]) == {
        "run.steps": 3,
        "data.folders": ["a"],
        "run.folder": "here",
    }
    with pytest.raises(StudioError, match="not table"):
        changes(["steps=3"])


def test_the_published_sizes_are_the_published_networks():
    for name, form in (("1.3b-stage1", "afca"), ("14b-stage1", "legacy")):
        config = read_config(config_path(name)).network
        assert config.audio_form == form
        assert config.num_layers in {each.num_layers for each in NETWORKS.values()}
