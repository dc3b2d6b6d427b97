"""The network on the published network's numbers: golden files and the formula of the specification."""

import re

import golden_vectors
import pytest
import torch
from accelerate import init_empty_weights
from tiny_networks import (
    MID_MODULES,
    WEIGHTS,
    golden_network,
    golden_people,
    golden_velocity,
    outputs_of,
)

from engine.dit.checkpoints import original_to_ours
from engine.dit.shapes import LatentShape
from engine.dit.streams import Streams
from engine.dit.transformer import AnyTalkerTransformer3DModel
from engine.dit.types import Person

FORMS = {"afca_1p": "afca", "afca_2p": "afca", "afca_2p_overlap": "afca", "legacy_14b_2p": "legacy"}


@pytest.fixture(scope="module")
def networks():
    return {form: golden_network(form) for form in WEIGHTS}


@pytest.mark.parametrize("keep_keys", [True, False])
@pytest.mark.parametrize("name", FORMS)
def test_gives_the_published_networks_numbers(networks, name, keep_keys):
    case, described = golden_vectors.read(name)
    people = golden_people(case, described)
    given = golden_velocity(networks[FORMS[name]], case, people, keep_keys=keep_keys)
    torch.testing.assert_close(given, case["out"], atol=2e-5, rtol=0)


def module_of(mid: str) -> str:
    """``blocks.1.self_attn`` -> ``blocks.1.attn1``; ``audio_emb.0`` (of person 0) -> ``audio_embedder``."""
    name = mid if mid.startswith("blocks.") else re.sub(r"\.\d+$", "", mid)
    return ".".join(MID_MODULES.get(part, part) for part in name.split("."))


@pytest.mark.parametrize("name", ["afca_2p", "legacy_14b_2p"])
def test_gives_the_published_networks_numbers_inside_too(networks, name):
    case, described = golden_vectors.read(name)
    network, people = networks[FORMS[name]], golden_people(case, described)
    masks = {"face_mask_tokens", "temporal_mask"}
    kept = {mid: out for mid, out in golden_vectors.below(case, "mid.").items() if mid.split(".")[0] not in masks}
    modules = {mid: module_of(mid) for mid in kept}
    given = outputs_of(network, modules, lambda: golden_velocity(network, case, people))
    for mid, expected in kept.items():
        person = re.search(r"^audio\w*\.(\d+)$", mid)
        output = given[mid][int(person[1]) if person else 0]
        torch.testing.assert_close(output, expected, atol=5e-5, rtol=0, msg=lambda text, mid=mid: f"{mid}: {text}")
    for index, person in enumerate(people):
        assert torch.equal(person.token_mask_S, case[f"mid.face_mask_tokens.{index}"].flatten())


def u(count: int, j: int) -> torch.Tensor:
    k = torch.arange(count, dtype=torch.int64)
    return ((1103515245 * k + 12345 * j + 7) % 2**31).double() / 2**31 - 0.5


def from_formula(form: str) -> AnyTalkerTransformer3DModel:
    """Section H12 of the specification: every weight from its name's rank."""
    with init_empty_weights(include_buffers=False):
        network = AnyTalkerTransformer3DModel(
            num_attention_heads=4, attention_head_dim=12, ffn_dim=96, num_layers=2, freq_dim=32, text_dim=24,
            audio_form=form, audio_token_dim=None if form == "afca" else 768,
        )  # fmt: skip
    names = sorted([*golden_vectors.read(WEIGHTS[form])[0], *golden_vectors.read("embedder_weights")[0]])
    shapes = {name: tensor.shape for name, tensor in network.state_dict().items()}
    weights = {}
    for j, name in enumerate(names):
        shape = shapes[original_to_ours(name)]
        values = u(shape.numel(), j).reshape(shape)
        if len(shape) > 1:
            fan = 1 if "modulation" in name else shape[1:].numel()
            values = 2 * values / fan**0.5
        elif re.search(r"norm.*weight$|(img_emb|audio_ref_emb)\.proj\.[04]\.weight$", name):
            values = 1 + 0.2 * values
        else:
            values = 0.2 * values
        weights[original_to_ours(name)] = values.float()
    network.load_state_dict(weights, assign=True)
    return network.eval()


def given(shape: tuple[int, ...], j: int) -> torch.Tensor:
    return (2 * u(torch.Size(shape).numel(), 1000 + j).reshape(shape)).float()


def formula_people(num_people: int, token_masks: bool = True, silent: bool = False) -> list[Person]:
    people = []
    for i in range(num_people):
        grid = torch.zeros(3, 2, 4)
        grid[:, :, i], grid[:, 0, i] = 1, 0.5
        audio = given((9, 5, 12, 768), 20 + i)
        mask = grid.flatten() if token_masks else None
        people.append(Person(torch.zeros_like(audio) if silent else audio, given((1, 257, 1280), 10 + i), mask))
    return people


FIRST, LAST = (0, 0, 0, slice(0, 4)), (15, 2, 3, slice(4, 8))
ROWS = {
    ("afca", 1): (0.326842, 2.026795, (3.42154, -2.24399, 3.43966, -2.3169), (0.65572, 1.33948, 0.70109, 1.15726)),
    ("afca", 2): (0.319346, 2.007147, (3.42164, -2.24449, 3.30576, -2.27947), (0.65641, 1.3402, 0.70205, 1.15701)),
    ("afca", 3): (0.311823, 1.986855, (3.42117, -2.24469, 3.30541, -2.27994), (0.6813, 1.23108, 0.70317, 1.15736)),
    ("legacy", 1): (0.341245, 2.215620, (3.78314, -2.46031, 3.8395, -2.5415), (0.67244, 1.51008, 0.71553, 1.34571)),
    ("legacy", 2): (0.330836, 2.185684, (3.78378, -2.46095, 3.66075, -2.49089), (0.67322, 1.51109, 0.71665, 1.3454)),
    ("legacy", 3): (0.320285, 2.154567, (3.78329, -2.46107, 3.66065, -2.4914), (0.7084, 1.33722, 0.7179, 1.34613)),
}
SILENT = {"afca": (0.318468, 2.007643), "legacy": (0.276028, 2.042518)}
UNMASKED = {"afca": (3.04247, -2.12111, 2.96027, -2.15834), "legacy": (3.28991, -2.28927, 3.19363, -2.31293)}


@pytest.mark.slow
@pytest.mark.parametrize("form", WEIGHTS)
def test_gives_the_numbers_of_the_formula(form):
    network = from_formula(form)
    noisy = torch.cat([given((16, 3, 4, 8), 0), given((20, 3, 4, 8), 1)])[None]

    def answer(people):
        streams = Streams(given((5, 24), 2), given((1, 257, 1280), 3), people, LatentShape(3, 4, 8))
        with torch.no_grad():
            return network(noisy, torch.tensor([437]), streams).sample[0]

    for num_people in (1, 2, 3):
        out = answer(formula_people(num_people))
        mean, std, first, last = ROWS[form, num_people]
        assert [out.mean(), out.std(correction=1)] == pytest.approx([mean, std], abs=1e-5)
        assert out[FIRST].tolist() == pytest.approx(first, abs=2e-5)
        assert out[LAST].tolist() == pytest.approx(last, abs=2e-5)
    silent = answer(formula_people(2, silent=True))
    assert [silent.mean(), silent.std()] == pytest.approx(SILENT[form], abs=1e-5)
    assert answer(formula_people(2, token_masks=False))[FIRST].tolist() == pytest.approx(UNMASKED[form], abs=2e-5)
