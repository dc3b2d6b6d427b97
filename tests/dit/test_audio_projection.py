"""From speech features to audio tokens: the published network's numbers, and which frames each token hears."""

import golden_vectors
import pytest
import torch

from engine.dit.audio_projection import AudioProjection, LatentAudioProjection, latent_windows
from engine.errors import ConditioningError


def from_golden(kind: type[AudioProjection], name: str) -> tuple[AudioProjection, dict[str, torch.Tensor]]:
    case, described = golden_vectors.read(name)
    config = described["config"]
    projection = kind(
        5 * config["blocks"] * config["channels"], config["intermediate_dim"], config["context_tokens"],
        config["output_dim"], norm=config.get("norm_output_audio", True),
    )  # fmt: skip
    weights = golden_vectors.below(case, "sd.")
    projection.load_state_dict({key.replace("proj1_vf", "proj1_late"): value for key, value in weights.items()})
    return projection, case


def test_tokens_per_frame_are_the_published_ones():
    projection, case = from_golden(AudioProjection, "audio_proj")
    torch.testing.assert_close(projection(case["in"]), case["out"], atol=1e-5, rtol=0)
    torch.testing.assert_close(projection(case["in"][0]), case["out.4d_of_sample0"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["audio_proj_legacy_norm", "audio_proj_legacy_nonorm"])
def test_tokens_per_latent_frame_are_the_published_ones(name):
    projection, case = from_golden(LatentAudioProjection, name)
    first, later = latent_windows(case["in.raw"])
    assert torch.equal(first, case["in.first"])
    assert torch.equal(later, case["in.latter"])
    torch.testing.assert_close(projection(case["in.raw"]), case["out"], atol=1e-5, rtol=0)


def test_each_latent_frame_hears_its_neighbourhood_once():
    """Spec H8: windows of five frames, clamped at the ends, of 81 frames."""
    windows = torch.stack([(torch.arange(81) + offset).clamp(0, 80) for offset in range(-2, 3)], dim=1)
    first, later = latent_windows(windows[None, :, :, None, None].float())
    assert first.flatten().tolist() == [0, 0, 0, 1, 2]
    assert later[0, 0].flatten().tolist() == [0, 0, 1, 2, 3, 4, 5, 6]
    assert later[0, 1].flatten().tolist() == list(range(3, 11))
    assert later[0, 19].flatten().tolist() == [75, 76, 77, 78, 79, 80, 80, 80]


def test_a_single_frame_is_the_first_latent_frame():
    projection = LatentAudioProjection(5 * 3 * 8, 16, 4, 24)
    assert projection(torch.randn(1, 5, 3, 8)).shape == (1, 1, 4, 24)


@pytest.mark.parametrize("num_frames", [0, 3, 8, 10])
def test_latent_frames_want_whole_groups(num_frames):
    projection = LatentAudioProjection(5 * 3 * 8, 16, 4, 24)
    with pytest.raises(ConditioningError, match=f"{num_frames} frames"):
        projection(torch.randn(1, num_frames, 5, 3, 8))
