import math
from dataclasses import replace

import pytest
import torch
from golden_vectors import below
from sentencepiece import SentencePieceProcessor
from tiny_models import TEXT_WIDTH, save_pth, text_encoder_tensors, write_tokenizer
from torch.nn import functional

from engine.dit import text
from engine.dit.quantization import Int8Linear, Nf4Linear, dequantized
from engine.dit.text import TextModel, cleaned, load_prompt_encoder, load_text_encoder, load_tokenizer
from engine.errors import ModelMissing, UnusableCheckpoint

PROMPT = "Two friends in a kitchen tell stories, and a woman with a red scarf listens."
WEIGHTS = text_encoder_tensors()


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> TextModel:
    folder = tmp_path_factory.mktemp("text")
    write_tokenizer(folder / "umt5-xxl")
    return TextModel(save_pth(folder / "encoder.pth", WEIGHTS), folder / "umt5-xxl", dtype=torch.float32)


@pytest.fixture
def loads(monkeypatch) -> list[TextModel]:
    """Every loading of the encoder, as it happens."""
    done: list[TextModel] = []
    load = text.load_text_encoder
    monkeypatch.setattr(text, "load_text_encoder", lambda model: done.append(model) or load(model))
    return done


def _bucket(distance: int) -> int:
    """Of 32: half for either direction, the nearest 8 exactly, then logarithmic up to 128."""
    half = 16 if distance > 0 else 0
    far = abs(distance)
    return half + (far if far < 8 else min(15, 8 + int(math.log(far / 8) / math.log(128 / 8) * 8)))


def _published_forward(ids: list[int], num_heads: int = 4) -> torch.Tensor:
    """The published encoder in plain operations on the published tensors (specification, A.3)."""
    weights = {name: tensor.float() for name, tensor in WEIGHTS.items()}
    length = len(ids)
    buckets = torch.tensor([[_bucket(key - query) for key in range(length)] for query in range(length)])

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        return x * (x.square().mean(-1, keepdim=True) + 1e-6).rsqrt() * weights[f"{name}.weight"]

    def heads(x: torch.Tensor) -> torch.Tensor:
        return x.reshape(length, num_heads, -1).transpose(0, 1)

    x = weights["token_embedding.weight"][ids]
    for layer in (0, 1):
        block = below(weights, f"blocks.{layer}.")
        y = norm(x, f"blocks.{layer}.norm1")
        query, key, value = (heads(y @ block[f"attn.{part}.weight"].T) for part in "qkv")
        scores = query @ key.transpose(1, 2) + block["pos_embedding.embedding.weight"][buckets].permute(2, 0, 1)
        x = x + (scores.softmax(-1) @ value).transpose(0, 1).reshape(length, -1) @ block["attn.o.weight"].T
        y = norm(x, f"blocks.{layer}.norm2")
        gate = functional.gelu(y @ block["ffn.gate.0.weight"].T, approximate="tanh")
        x = x + (gate * (y @ block["ffn.fc1.weight"].T)) @ block["ffn.fc2.weight"].T
    return norm(x, "norm")


def test_the_encoder_is_the_published_one(model, tmp_path):
    long = " ".join([PROMPT] * 6)  # longer than the exact distances
    embeds_LD = load_prompt_encoder(model, tmp_path)(long)
    ids = load_tokenizer(model.tokenizer)(long)
    assert embeds_LD.shape == (len(ids), TEXT_WIDTH)
    assert len(ids) > 200
    assert (embeds_LD - _published_forward(ids)).abs().max() < 1e-4


def test_padding_to_512_and_cutting_off_again_changes_nothing(model, tmp_path):
    ids = load_tokenizer(model.tokenizer)(PROMPT)
    padding = 512 - len(ids)
    with torch.no_grad():
        padded = load_text_encoder(model)(
            input_ids=torch.tensor([ids + [0] * padding]),
            attention_mask=torch.tensor([[1] * len(ids) + [0] * padding]),
        ).last_hidden_state[0, : len(ids)]
    assert (load_prompt_encoder(model, tmp_path)(PROMPT) - padded).abs().max() < 1e-5


@pytest.mark.parametrize("files", [("spiece.model",), ("tokenizer.json",), ("spiece.model", "tokenizer.json")])
def test_tokens_are_sentencepieces_own_and_an_end(model, tmp_path, files):
    """Whichever of the published folder's files are there; the unknown token is 3, as in umT5."""
    for name in files:
        (tmp_path / name).write_bytes((model.tokenizer / name).read_bytes())
    pieces = SentencePieceProcessor(model_file=str(model.tokenizer / "spiece.model"))
    for prompt in (PROMPT, "warm light, 中 and ünknown", ""):
        assert load_tokenizer(tmp_path)(prompt) == [*pieces.encode(prompt), 1]
    assert 3 in load_tokenizer(tmp_path)("中")
    assert len(load_tokenizer(tmp_path)("red scarf " * 2000)) == 512
    assert load_tokenizer(tmp_path)("red scarf " * 2000)[-1] == 1


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("  two \n\t people  ", "two people"),
        ("Tom &amp;amp; Ann &lt;3", "Tom & Ann <3"),
        ("schÃ¶n", "schön"),
        ("“quoted”", '"quoted"'),
        ("", ""),
    ],
)
def test_prompts_are_cleaned(given, wanted):
    assert cleaned(given) == wanted


def test_a_known_prompt_needs_no_encoder_and_several_new_ones_load_it_once(model, tmp_path, loads):
    encoder = load_prompt_encoder(model, tmp_path)
    assert loads == []
    first, second = encoder.encode([PROMPT, "blurry"])
    assert len(loads) == 1
    again, other, third = encoder.encode(["blurry", f"  {PROMPT}\n", "They laugh."])
    assert len(loads) == 2
    assert torch.equal(again, second)
    assert torch.equal(other, first)
    assert torch.equal(load_prompt_encoder(model, tmp_path)("They laugh."), third)
    assert len(loads) == 2
    assert not torch.equal(first[:1], second[:1])


def test_another_encoder_file_or_precision_is_another_entry(model, tmp_path, loads):
    embeds_LD = load_prompt_encoder(model, tmp_path)(PROMPT)
    other_file = save_pth(tmp_path / "encoder.pth", text_encoder_tensors(seed=8))
    for other in (
        TextModel(other_file, model.tokenizer, dtype=torch.float32),
        TextModel(model.encoder, model.tokenizer),
        TextModel(model.encoder, model.tokenizer, dtype=torch.float32, quantization="int8"),
    ):
        assert not torch.equal(load_prompt_encoder(other, tmp_path)(PROMPT), embeds_LD)
    assert len(loads) == 4


@pytest.mark.parametrize("damage", [lambda entry: entry[:-9], lambda entry: b"", lambda entry: b"\xff" * len(entry)])
def test_a_damaged_entry_is_made_anew(model, tmp_path, loads, damage):
    encoder = load_prompt_encoder(model, tmp_path)
    embeds_LD = encoder(PROMPT)
    (entry,) = tmp_path.iterdir()
    whole = entry.read_bytes()
    entry.write_bytes(damage(whole))
    assert torch.equal(encoder(PROMPT), embeds_LD)
    assert len(loads) == 2
    assert entry.read_bytes() == whole


def test_where_nothing_can_be_kept_the_prompt_is_still_encoded(model, tmp_path):
    (tmp_path / "no folder").write_text("in the way")
    assert load_prompt_encoder(model, tmp_path / "no folder")(PROMPT).shape[1] == TEXT_WIDTH


def test_very_long_prompts_are_cut_to_512_tokens_with_an_end(model, tmp_path):
    assert load_prompt_encoder(model, tmp_path)("red scarf " * 2000).shape == (512, TEXT_WIDTH)


@pytest.mark.parametrize(("quantization", "tolerance"), [("int8", 0.05), ("nf4", 1e-3)])
def test_a_quantized_encoder_computes_with_its_own_small_weights(model, quantization, tolerance):
    """int8 rounds what it multiplies as well; the least nf4 can do is what its dequantized weights do."""
    small = load_text_encoder(replace(model, quantization=quantization))
    whole = load_text_encoder(model)
    packed = {name: layer for name, layer in small.named_modules() if isinstance(layer, (Nf4Linear, Int8Linear))}
    assert len(packed) == 2 * 6  # per block: attention's four and the gated two; the last one is left as it is
    for name, layer in packed.items():
        whole.get_submodule(name).weight.data = dequantized(layer)
    ids = torch.tensor([load_tokenizer(model.tokenizer)(PROMPT)])
    with torch.no_grad():
        found, wanted = (encoder(input_ids=ids).last_hidden_state for encoder in (small, whole))
    assert (found - wanted).norm() < tolerance * wanted.norm()


def test_encoders_of_another_kind_are_refused(model, tmp_path):
    for changed, told in (
        ({name: tensor for name, tensor in WEIGHTS.items() if "token_embedding" not in name}, "token_embedding"),
        ({name: tensor for name, tensor in WEIGHTS.items() if "1.ffn.fc2" not in name}, "missing"),
        (WEIGHTS | {"decoder.weight": torch.zeros(2)}, "unexpected"),
        (WEIGHTS | {"norm.weight": torch.zeros(2)}, "another shape"),
        (WEIGHTS | {"blocks.0.pos_embedding.embedding.weight": torch.zeros(32, 0)}, "another shape"),
    ):
        with pytest.raises(UnusableCheckpoint, match=told):
            load_text_encoder(TextModel(save_pth(tmp_path / "encoder.pth", changed), model.tokenizer))


def test_missing_or_damaged_parts_are_named_with_a_remedy(model, tmp_path):
    for broken, error in (
        (TextModel(tmp_path / "nothing.pth", model.tokenizer), ModelMissing),
        (TextModel(model.encoder, tmp_path), ModelMissing),
    ):
        with pytest.raises(error) as told:
            load_prompt_encoder(broken, tmp_path / "cache")(PROMPT)
        assert told.value.remedy
    folder = tmp_path / "umt5-xxl"
    write_tokenizer(folder)
    whole = (folder / "spiece.model").read_bytes()
    (folder / "spiece.model").write_bytes(whole[: len(whole) // 2])
    rules = (folder / "tokenizer.json").read_text()
    for damage in (lambda: (folder / "tokenizer.json").write_text(rules[:-50]), (folder / "tokenizer.json").unlink):
        damage()
        with pytest.raises(UnusableCheckpoint, match="tokenizer"):
            load_prompt_encoder(TextModel(model.encoder, folder), tmp_path / "cache")(PROMPT)


def test_a_tokenizer_of_another_encoder_is_noticed(model, tmp_path):
    small = WEIGHTS | {"token_embedding.weight": WEIGHTS["token_embedding.weight"][:9]}
    with pytest.raises(UnusableCheckpoint, match="belong together"):
        load_prompt_encoder(TextModel(save_pth(tmp_path / "e.pth", small), model.tokenizer), tmp_path)(PROMPT)


def test_the_published_encoder_is_inferred_from_its_tensors(model, monkeypatch):
    """Names and shapes of the real file, without its 11 GB; how many parameters it has is known (spec. A.1)."""
    width, inner, hidden = 4096, 4096, 10_240
    shapes = {"token_embedding.weight": (256_384, width), "norm.weight": (width,)}
    for layer in range(24):
        block = {f"attn.{part}": (inner, width) for part in "qkvo"} | {"norm1": (width,), "norm2": (width,)}
        block |= {"ffn.gate.0": (hidden, width), "ffn.fc1": (hidden, width), "ffn.fc2": (width, hidden)}
        block["pos_embedding.embedding"] = (32, 64)
        shapes |= {f"blocks.{layer}.{name}.weight": shape for name, shape in block.items()}
    weights = {name: torch.empty(shape, dtype=torch.bfloat16, device="meta") for name, shape in shapes.items()}
    monkeypatch.setattr(text, "read_weights", lambda path: weights)
    encoder = load_text_encoder(TextModel(model.encoder, model.tokenizer, device="meta"))
    assert sum(parameter.numel() for parameter in encoder.parameters()) == 5_680_910_336
    assert (encoder.config.num_heads, encoder.config.d_kv, encoder.dtype) == (64, 64, torch.bfloat16)
