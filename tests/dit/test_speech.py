import json
import pickle
import tracemalloc

import numpy as np
import pytest
import torch
from golden_vectors import arrays, read
from safetensors.torch import load_file
from tiny_models import write_speech_encoder

from engine.dit.speech import SAMPLE_RATE, SpeechEncoder, load_speech_encoder
from engine.errors import ConditioningError, ModelMissing, UnusableCheckpoint
from engine.media.types import Waveform

TOLERANCE = 2e-5


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "wav2vec2-base-960h"
    write_speech_encoder(path)
    return path


@pytest.fixture(scope="module")
def encoder(folder) -> SpeechEncoder:
    return load_speech_encoder(folder)


def _from_int16(wave) -> np.ndarray:
    return np.asarray(wave, np.float32) / 32768


def _talk(seconds: float, seed: int = 0) -> np.ndarray:
    """A sound whose loudness and pitch change like a voice's, with silence in it."""
    at = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    random = np.random.default_rng(seed)
    loudness = np.clip(np.sin(2 * np.pi * at / 1.7) + 0.4, 0, 1) * (at % 7 < 5)
    tone = np.sin(2 * np.pi * (120 + 40 * np.sin(at)) * at) + 0.3 * random.standard_normal(len(at))
    return (0.2 * loudness * tone).astype(np.float32)


@pytest.mark.parametrize("case", "abcde")
def test_a_whole_track_has_the_references_features(encoder, case):
    golden, described = read("wav2vec_features")
    told = described["cases"][case]
    features = encoder.whole_track(
        _from_int16(golden[f"{case}.wav_int16"]), told["fps"], max(1, told["num_generated_frames_per_clip"])
    )
    assert features.shape == golden[f"{case}.features"].shape
    assert (features - golden[f"{case}.features"]).abs().max() < TOLERANCE


PAD_CONCAT = arrays("audio_pad_concat")
CASES = ("one", "two", "two_long_first", "three_missing_second")


def _waves(case: str) -> list[np.ndarray]:
    waves = [PAD_CONCAT[name] for name in sorted(PAD_CONCAT) if name.startswith(f"{case}/wav")]
    return [_from_int16(wave) for wave in waves]


def _reference_frames(seconds: float, frame_rate: int) -> int:
    return (int(np.ceil(seconds * frame_rate)) - 1) // 4 * 4 + 1


def _same(found: torch.Tensor, wanted: np.ndarray) -> bool:
    found = found if wanted.ndim == 4 else found[:, 2]
    return found.shape == wanted.shape and np.abs(found.numpy() - wanted).max() < TOLERANCE


@pytest.mark.parametrize("case", CASES)
def test_voices_side_by_side_are_the_references_pad_mode(encoder, case):
    waves = _waves(case)
    num_frames = int(PAD_CONCAT[f"{case}/pad/frame_num"])
    assert num_frames == _reference_frames(max(map(len, waves)) / SAMPLE_RATE, 24)
    for index, wave in enumerate(waves):
        wanted = PAD_CONCAT[f"{case}/pad/track{index}"]
        if len(wave):
            assert _same(encoder.whole_track(wave, 24, num_frames)[:num_frames], wanted)
        else:  # the reference leaves a missing file zero; ours would be encoded silence
            assert np.abs(wanted).max() == 0


@pytest.mark.parametrize("case", CASES)
def test_voices_one_after_the_other_are_the_references_concat_mode(encoder, case):
    """Our turns never need it (each voice keeps its own place in time), but the features are the same ones."""
    waves = _waves(case)
    num_frames = int(PAD_CONCAT[f"{case}/concat/frame_num"])
    first = 0
    for index, wave in enumerate(waves):
        wanted = PAD_CONCAT[f"{case}/concat/track{index}"]
        placed = torch.zeros(num_frames, 5, 12, 32)
        if len(wave):
            own = encoder.whole_track(wave, 24)[: num_frames - first]
            placed[first : first + len(own)] = own
            filled = np.flatnonzero(PAD_CONCAT[f"{case}/concat/placement"][index])
            assert (filled[0], filled[-1]) == (first, first + len(own) - 1)
            first += len(own)
        assert _same(placed, wanted)


def test_the_references_frame_numbers():
    for rate, *lengths, pad, concat in PAD_CONCAT["frame_num/fps_n0_n1_n2_pad_concat"].tolist():
        assert _reference_frames(max(lengths) / SAMPLE_RATE, rate) == pad
        assert _reference_frames(sum(lengths) / SAMPLE_RATE, rate) == concat


@pytest.mark.parametrize("frame_rate", [24.0, 25.0, 12.5])
def test_a_piece_is_what_the_librarys_own_layers_give_for_the_resampled_track(encoder, frame_rate):
    """12 s end inside the first piece's context: that piece is the whole track, and nothing in it is filled up."""
    samples, model = _talk(12), encoder._model
    sound = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
    with torch.no_grad():
        conv_CN = model.feature_extractor(torch.from_numpy(sound)[None])[0].numpy()
        at = np.arange(round(12 * frame_rate)) * 50 / frame_rate
        resampled = np.stack([np.interp(at, np.arange(conv_CN.shape[1]), channel) for channel in conv_CN], axis=1)
        hidden = model.feature_projection(torch.from_numpy(resampled.astype(np.float32))[None])[0]
        hidden = model.encoder.layer_norm(hidden + model.encoder.pos_conv_embed(hidden))
        layers = []
        for layer in model.encoder.layers:
            hidden = layer(hidden)
            layers.append(hidden[0])
    wanted = torch.stack(layers, dim=1)[: round(10 * frame_rate)]
    features = encoder.features(Waveform(samples, SAMPLE_RATE), frame_rate, 0, len(wanted))
    assert (features[:, 2] - wanted).abs().max() < 1e-4


def test_on_a_short_track_the_product_hears_nearly_what_the_reference_hears(encoder):
    samples = _talk(10.0)
    reference = encoder.whole_track(samples, 24)
    product = encoder.features(Waveform(samples, SAMPLE_RATE), 24, 0, len(reference))
    other = encoder.whole_track(_talk(10.0, seed=5)[::-1].copy(), 24)
    assert (product - reference).norm() < 0.1 * (other - reference).norm()


def test_features_do_not_depend_on_the_windows_that_ask_for_them(folder):
    voice = Waveform(_talk(33), SAMPLE_RATE)
    whole = load_speech_encoder(folder).features(voice, 25, 0, 900)
    again = load_speech_encoder(folder)
    for first, length in ((700, 81), (0, 81), (230, 40), (249, 2), (500, 1)):
        assert torch.equal(again.features(voice, 25, first, length), whole[first : first + length])


def test_windows_of_five_are_the_neighbours_and_the_first_frame_is_repeated_before_the_track(encoder):
    features = encoder.features(Waveform(_talk(4), SAMPLE_RATE), 24, 0, 60)
    centre = features[:, 2]
    assert torch.equal(features[10], centre[8:13])
    assert torch.equal(features[0], centre[[0, 0, 0, 1, 2]])
    assert torch.equal(features[1], centre[[0, 0, 1, 2, 3]])


def test_past_the_end_comes_encoded_silence_and_not_zeros(encoder):
    features = encoder.features(Waveform(_talk(3), SAMPLE_RATE), 24, 0, 400)
    assert torch.isfinite(features).all()
    assert features[100:].abs().amax(dim=(1, 2, 3)).min() > 0.1
    assert (features[300] - features[301]).abs().max() < (features[30] - features[31]).abs().max()


def test_silent_tracks_are_all_the_same_and_encoded_once(encoder, monkeypatch):
    encoded = []
    encode = encoder._encode_piece
    monkeypatch.setattr(encoder, "_encode_piece", lambda *about: encoded.append(about) or encode(*about))
    first = encoder.features(Waveform(np.zeros(55_000, np.float32), SAMPLE_RATE), 24, 0, 81)
    second = encoder.features(Waveform(np.zeros(55_000, np.float32), SAMPLE_RATE), 24, 0, 81)
    assert len(encoded) == 1
    assert torch.equal(first, second)


@pytest.mark.parametrize("length", [0, 1, 9, 399, 700])
def test_a_sound_shorter_than_a_frame_is_filled_up_with_silence(encoder, length):
    features = encoder.features(Waveform(_talk(1)[:length], SAMPLE_RATE), 24, 0, 17)
    assert features.shape == (17, 5, 12, 32)
    assert torch.isfinite(features).all()


def test_a_quiet_stretch_is_not_raised_to_the_loudness_of_speech(encoder):
    """The measures of the whole track apply: alone, a hiss would be normalised until it sounds like a voice."""
    hiss = 0.001 * np.random.default_rng(3).standard_normal(40 * SAMPLE_RATE).astype(np.float32)
    spoken = hiss.copy()
    spoken[: 10 * SAMPLE_RATE] += _talk(10)
    far_from_speech = encoder.features(Waveform(spoken, SAMPLE_RATE), 24, 700, 60)
    alone = encoder.features(Waveform(hiss, SAMPLE_RATE), 24, 700, 60)
    silence = encoder.features(Waveform(np.where(spoken == hiss, 0, spoken), SAMPLE_RATE), 24, 700, 60)
    assert (far_from_speech - silence).norm() < 0.3 * (alone - silence).norm()


def test_an_hour_is_read_a_piece_at_a_time(encoder, tmp_path):
    path = tmp_path / "voice.f32"
    samples = np.memmap(path, np.float32, "w+", shape=(3600 * SAMPLE_RATE,))
    samples[1000 * SAMPLE_RATE : 1010 * SAMPLE_RATE] = _talk(10)
    voice = Waveform(samples, SAMPLE_RATE)
    encoder.features(Waveform(_talk(1), SAMPLE_RATE), 24, 0, 5)
    tracemalloc.start()
    spoken = encoder.features(voice, 24, 24_050, 81)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert torch.isfinite(spoken).all()
    assert peak < 30e6 < samples.nbytes / 5


def test_sounds_that_cannot_be_heard_are_refused(encoder):
    with pytest.raises(ConditioningError, match="44100 Hz"):
        encoder.features(Waveform(_talk(1), 44_100), 24, 0, 5)
    with pytest.raises(ConditioningError, match="not numbers"):
        encoder.features(Waveform(np.array([0, np.nan, 1] * 400, np.float32), SAMPLE_RATE), 24, 0, 5)


def test_the_older_file_with_pickled_tensors_is_read_as_well(folder, tmp_path, encoder):
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    (tmp_path / "preprocessor_config.json").write_bytes((folder / "preprocessor_config.json").read_bytes())
    torch.save(load_file(folder / "model.safetensors"), tmp_path / "pytorch_model.bin")
    voice = Waveform(_talk(2), SAMPLE_RATE)
    assert torch.equal(load_speech_encoder(tmp_path).features(voice, 24, 0, 9), encoder.features(voice, 24, 0, 9))


def _damaged(folder, tmp_path, **files) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    for name, content in files.items():
        (tmp_path / name.replace("__", ".")).write_bytes(content)


def test_folders_that_hold_something_else_are_refused_with_a_remedy(folder, tmp_path):
    config = json.loads((folder / "config.json").read_text())
    whole = (folder / "model.safetensors").read_bytes()
    for files in (
        {"config__json": b"{"},
        {"config__json": json.dumps(config | {"feat_extract_norm": "layer"}).encode()},
        {"config__json": json.dumps(config | {"num_hidden_layers": 10**9}).encode()},
        {"config__json": json.dumps(config | {"num_hidden_layers": "12"}).encode()},
        {"config__json": json.dumps(config | {"conv_stride": [10**9] * 7}).encode()},
        {"config__json": json.dumps(config | {"num_attention_heads": 0}).encode()},
        {"config__json": json.dumps(config | {"hidden_size": 64}).encode()},
        {"config__json": json.dumps(config | {"hidden_size": "wide"}).encode()},
        {"preprocessor_config__json": json.dumps({"do_normalize": False}).encode()},
        {"model__safetensors": whole[: len(whole) // 2]},
        {"model__safetensors": b""},
    ):
        _damaged(folder, tmp_path, **files)
        with pytest.raises(UnusableCheckpoint) as refused:
            load_speech_encoder(tmp_path)
        assert refused.value.remedy


def test_a_tensor_that_claims_to_be_larger_than_its_file_is_refused(folder, tmp_path):
    _damaged(folder, tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save({"encoder.layer_norm.bias": torch.zeros(1).expand(10**12)}, tmp_path / "pytorch_model.bin")
    with pytest.raises(UnusableCheckpoint, match="not stored in full"):
        load_speech_encoder(tmp_path)


class _Code:
    def __reduce__(self):
        return (print, ("ran",))


def test_code_in_a_file_does_not_run(folder, tmp_path, capsys):
    _damaged(folder, tmp_path)
    (tmp_path / "model.safetensors").unlink()
    for save in (torch.save, lambda content, path: path.write_bytes(pickle.dumps(content))):
        save({"encoder.layer_norm.bias": _Code()}, tmp_path / "pytorch_model.bin")
        with pytest.raises(UnusableCheckpoint):
            load_speech_encoder(tmp_path)
    assert "ran" not in capsys.readouterr().out


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(ModelMissing, match=r"config\.json"):
        load_speech_encoder(tmp_path / "nowhere")
