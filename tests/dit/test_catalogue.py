"""What is here and what is missing, in the layouts people have."""

import subprocess
import sys
from pathlib import Path

import pytest
from tiny_models import write_tiny_checkpoints

from engine.dit import catalogue
from engine.dit.catalogue import find_lora, find_model, installed, locate, missing_parts, names, parts_of
from engine.errors import ModelMissing
from engine.jobs.models import list_models

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def models(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("ROUNDTABLE_MODELS", str(tmp_path))
    return tmp_path


def test_a_missing_model_is_told_with_sizes_and_the_command(models):
    with pytest.raises(ModelMissing) as caught:
        find_model("anytalker-1.3b")
    for words in ("1_3B-single-v1.pth (about 7.6 GB)", "umt5-xxl-enc-bf16.pth (11 GB)", "wav2vec2-base-960h"):
        assert words in caught.value.message
    assert "models get anytalker-1.3b" in caught.value.remedy
    assert str(models) in caught.value.remedy
    assert installed() == ["tiny"]


@pytest.mark.parametrize("inside", ["", "checkpoints"])
@pytest.mark.parametrize(("form", "name"), [("afca", "anytalker-1.3b"), ("legacy", "anytalker-14b")])
def test_the_reference_folder_is_recognised_where_it_is_put(models, inside, form, name):
    root = write_tiny_checkpoints(models / inside, form)
    files = find_model(name)
    assert installed() == [name, "tiny"]
    assert files.transformer.parent == root / "AnyTalker"
    assert files.tokenizer == root / "Wan2.1-Fun-V1.1-1.3B-InP" / "google" / "umt5-xxl"
    assert (files.speech_encoder / "config.json").is_file()
    assert files.vae.is_file()
    assert files.image_encoder.is_file()
    assert files.text_encoder.is_file()


def test_the_other_name_of_the_wan_folder_is_known_too(models):
    write_tiny_checkpoints(models)
    (models / "Wan2.1-Fun-V1.1-1.3B-InP").rename(models / "Wan2.1-Fun-1.3B-Inp")
    assert find_model("anytalker-1.3b").vae == models / "Wan2.1-Fun-1.3B-Inp" / "Wan2.1_VAE.pth"


def test_each_size_finds_its_own_weights_in_the_shared_folder(models):
    write_tiny_checkpoints(models)
    assert [each.part.id for each in missing_parts("anytalker-14b")] == ["anytalker-14b-transformer"]
    (models / "AnyTalker" / "14B-multi.safetensors").write_bytes(b"x")
    assert find_model("anytalker-14b").transformer.name == "14B-multi.safetensors"
    assert find_model("anytalker-1.3b").transformer.name == "1_3B-single-v1.pth"


def test_notes_and_empty_files_are_no_weights(models):
    write_tiny_checkpoints(models)
    (models / "AnyTalker" / "1_3B-single-v1.pth").write_bytes(b"")
    (models / "AnyTalker" / "config_af2v_1_3B.json").write_text("{}")
    assert [each.file.name for each in missing_parts("anytalker-1.3b")] == ["1_3B-single-v1.pth"]


def test_an_index_stands_for_its_shards(models):
    folder = models / "AnyTalker"
    folder.mkdir()
    for name in ("14B-00001-of-00002.safetensors", "14B-00002-of-00002.safetensors", "14B.safetensors.index.json"):
        (folder / name).write_bytes(b"x")
    found = locate(catalogue.LARGE_TRANSFORMER, catalogue.LARGE_TRANSFORMER.files[0])
    assert found is not None
    assert found.name == "14B.safetensors.index.json"


def test_unknown_names_are_answered_with_the_known_ones(models):
    for call in (find_model, parts_of, find_lora):
        with pytest.raises(ModelMissing) as caught:
            call("anytalker-7b")
        assert caught.value.remedy
    with pytest.raises(ModelMissing):
        find_model("causvid-1.3b")


def test_a_lora_is_a_name_of_the_catalogue_or_a_file(models, tmp_path):
    path = tmp_path / "mine.safetensors"
    path.write_bytes(b"x")
    assert find_lora(str(path)) == path
    with pytest.raises(ModelMissing, match="739 MB"):
        find_lora("lightx2v-14b")
    target = models / "loras" / "wan2.1_i2v_lora_rank64_lightx2v_4step.safetensors"
    target.parent.mkdir()
    target.write_bytes(b"x")
    assert find_lora("lightx2v-14b") == target


def test_every_entry_says_where_from_how_large_under_which_licence_and_what_for():
    for name in names():
        for part in parts_of(name):
            assert all(
                (
                    (part.repository.count("/") == 1) != part.comes_along,
                    part.licence,
                    part.what_for,
                    part.title,
                    part.folders,
                )
            )
            for file in part.files:
                assert file.num_bytes > 0
                assert not part.comes_along or locate(part, file).stat().st_size == file.num_bytes
                assert len(file.sha256) in (0, 64)
                assert not (file.approximate and file.sha256)
                assert ".." not in file.name


def test_rows_tell_what_is_here_and_what_is_missing(models):
    before = {row.name: row for row in list_models()}
    assert set(before) == set(names())
    assert before.pop("tiny").here
    assert all(row.state_text == "missing" and not row.here for row in before.values())
    write_tiny_checkpoints(models)
    after = {row.name: row for row in list_models()}
    assert after["anytalker-1.3b"].state_text == "here"
    assert "of it missing" in after["anytalker-14b"].state_text
    assert after["anytalker-14b"].missing_bytes == catalogue.LARGE_TRANSFORMER.num_bytes
    assert "Apache-2.0" in after["anytalker-14b"].licence_text
    assert before["anytalker-1.3b"].size_text.startswith("about 25 GB")


def test_the_small_network_comes_along_and_is_told_missing_where_it_was_removed(models, tmp_path, monkeypatch):
    files = find_model("tiny")
    assert files.transformer.is_file()
    assert files.vae.parent == files.transformer.parent
    assert sum(file.stat().st_size for file in files.transformer.parent.iterdir()) < 15e6
    monkeypatch.setattr(catalogue, "ASSETS", tmp_path / "nothing")
    with pytest.raises(ModelMissing, match="comes with this program, but network"):
        find_model("tiny")


def test_the_catalogue_needs_no_torch():
    code = (
        "import sys; from engine.jobs.models import list_models, get_model; list_models();"
        "assert not {'torch', 'diffusers', 'transformers', 'bitsandbytes'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT, timeout=120)
