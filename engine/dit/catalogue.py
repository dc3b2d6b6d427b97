"""The models that a diffusion render is made of: where they come from, what they weigh, under which licence, and where
they lie on this disk.

The layout is that of the reference's ``checkpoints`` folder, so that one made for it can be put here as it is. Nothing
here reads a weights file: that is slow, and needs torch.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.carriers import models_dir
from engine.errors import ModelMissing

HUB = "https://huggingface.co"
ASSETS = Path(__file__).resolve().parents[2] / "assets"


@dataclass(frozen=True)
class PartFile:
    """A file of a repository. ``sha256`` "" = not known beforehand; the hub's own record is then what counts.

    ``patterns``: other names under which it is accepted on disk (first match), and looked for in the repository where
    ``name`` itself is a pattern.
    """

    name: str
    num_bytes: int
    sha256: str = ""
    patterns: tuple[str, ...] = ()
    approximate: bool = False


@dataclass(frozen=True)
class Part:
    """Files of one repository that belong together. ``folders``: where they may lie below the models' folder; the first
    is where they are put. ``comes_along``: with this program, in its assets; there is no repository then."""

    id: str
    title: str
    repository: str
    licence: str
    what_for: str
    folders: tuple[str, ...]
    files: tuple[PartFile, ...]
    comes_along: bool = False

    @property
    def page(self) -> str:
        return "" if self.comes_along else f"{HUB}/{self.repository}"

    @property
    def num_bytes(self) -> int:
        return sum(file.num_bytes for file in self.files)

    @property
    def approximate(self) -> bool:
        return any(file.approximate for file in self.files)


@dataclass(frozen=True)
class NetworkFiles:
    """Where the files of a network are. The small network has no others: its other encoders have no weights."""

    transformer: Path
    vae: Path


@dataclass(frozen=True)
class ModelFiles(NetworkFiles):
    """The same of an AnyTalker model, with its encoders. ``tokenizer`` and ``speech_encoder`` are folders."""

    text_encoder: Path
    tokenizer: Path
    image_encoder: Path
    speech_encoder: Path


@dataclass(frozen=True)
class MissingFile:
    part: Part
    file: PartFile


T5 = PartFile(
    "models_t5_umt5-xxl-enc-bf16.pth",
    11_361_920_418,
    "7cace0da2b446bbbbc57d031ab6cf163a3d59b366da94e5afe36745b746fd81d",
)
VAE = PartFile(
    "Wan2.1_VAE.pth", 507_609_880, "38071ab59bd94681c686fa51d75a1968f64e470262043be31f7a094e442fd981"
)  # fmt: skip
CLIP = PartFile(
    "models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth",
    4_772_359_047,
    "628c9998b613391f193eb67ff68da9667d75f492911e4eb3decf23460a158c38",
)
TOKENIZER = (
    PartFile(
        "google/umt5-xxl/spiece.model",
        4_548_313,
        "e3909a67b780650b35cf529ac782ad2b6b26e6d1f849d3fbb6a872905f452458",
    ),
    PartFile(
        "google/umt5-xxl/tokenizer.json",
        16_837_417,
        "6e197b4d3dbd71da14b4eb255f4fa91c9c1f2068b20a2de2472967ca3d22602b",
    ),
    PartFile("google/umt5-xxl/tokenizer_config.json", 61_728),
    PartFile("google/umt5-xxl/special_tokens_map.json", 6_623),
)
WAV2VEC2 = PartFile(
    "model.safetensors",
    377_607_901,
    "8aa76ab2243c81747a1f832954586bc566090c83a0ac167df6f31f0fa917d74a",
    patterns=("pytorch_model.bin",),
)

ENCODERS = Part(
    id="wan-fun-1.3b",
    title="Wan2.1-Fun-V1.1-1.3B-InP: text encoder, VAE, picture encoder",
    repository="alibaba-pai/Wan2.1-Fun-V1.1-1.3B-InP",
    licence="Apache-2.0",
    what_for="reads the prompt and the photo, turns pictures into latents and back; for both sizes of AnyTalker",
    folders=("Wan2.1-Fun-V1.1-1.3B-InP", "Wan2.1-Fun-1.3B-Inp", "Wan2.1-Fun-1.3B-InP"),
    files=(T5, VAE, CLIP, *TOKENIZER),
)
SPEECH = Part(
    id="wav2vec2-base-960h",
    title="wav2vec2-base-960h",
    repository="facebook/wav2vec2-base-960h",
    licence="Apache-2.0",
    what_for="hears the voices; for both sizes of AnyTalker",
    folders=("wav2vec2-base-960h",),
    files=(
        WAV2VEC2,
        PartFile("config.json", 1_596, "d3ec255c063d9f95057b553b19c20135b259875834a4fe9deb218a6be25b4cf3"),
        PartFile("preprocessor_config.json", 159, "b225d617c025463b9e157e06afea8b90dc7078fc70b013c533328423e0486b4a"),
    ),
)
# Sizes of the transformers follow from their parameters (specification, H9) and the precision they are said to be in.
SMALL_TRANSFORMER = Part(
    id="anytalker-1.3b-transformer",
    title="AnyTalker 1.3B",
    repository="zzz66/AnyTalker-1.3B",
    licence="Apache-2.0",
    what_for="makes the people talk; published stage: trained on single speakers",
    folders=("AnyTalker", "AnyTalker-1.3B"),
    files=(
        PartFile(
            "1_3B-single-v1.pth", 4 * 1_900_507_712, patterns=("*1_3B*", "*1.3B*", "*1_3b*", "*1.3b*"), approximate=True
        ),
    ),
)
LARGE_TRANSFORMER = Part(
    id="anytalker-14b-transformer",
    title="AnyTalker 14B",
    repository="zzz66/AnyTalker-14B",
    licence="Apache-2.0",
    what_for="makes the people talk, in better quality and several times slower",
    folders=("AnyTalker", "AnyTalker-14B"),
    files=(PartFile("*14B*", 2 * 20_987_819_584, patterns=("*14B*", "*14b*"), approximate=True),),
)
SMALL_LORA = Part(
    id="causvid-1.3b",
    title="CausVid LoRA for the 1.3B",
    repository="Kijai/WanVideo_comfy",
    licence="CC BY-NC-SA 4.0 or MIT, sources differ: ask the repository before any commercial use",
    what_for="renders with the 1.3B in 4 to 8 steps instead of 40",
    folders=("loras",),
    files=(PartFile("Wan21_CausVid_bidirect2_T2V_1_3B_lora_rank32.safetensors", 94_000_000, approximate=True),),
)
LARGE_LORA = Part(
    id="lightx2v-14b",
    title="lightx2v 4-step LoRA for the 14B",
    repository="lightx2v/Wan2.1-Distill-Loras",
    licence="Apache-2.0",
    what_for="renders with the 14B in 4 steps without guidance instead of 20 with it",
    folders=("loras",),
    files=(
        PartFile(
            "wan2.1_i2v_lora_rank64_lightx2v_4step.safetensors",
            739_472_104,
            "8833bd4fd7c8eabebf0bc8ee5cfaf47f4f310ce116928a02c1adf8941dd4b0f1",
        ),
    ),
)
TINY_NETWORK, TINY_CODEC = PartFile("network.safetensors", 7_296_856), PartFile("codec.safetensors", 2_449_864)
TINY_PART = Part(
    id="tiny",
    title="Tiny",
    repository="",
    licence="MIT",
    what_for="the whole recipe on any computer, in thumbnail size: for trying and testing, not for showing",
    folders=("tiny",),
    files=(TINY_NETWORK, TINY_CODEC, PartFile("config.json", 655)),
    comes_along=True,
)

TINY = "tiny"
MODELS: dict[str, tuple[Part, ...]] = {
    "anytalker-1.3b": (SMALL_TRANSFORMER, ENCODERS, SPEECH),
    "anytalker-14b": (LARGE_TRANSFORMER, ENCODERS, SPEECH),
    TINY: (TINY_PART,),
}
LORAS: dict[str, Part] = {part.id: part for part in (SMALL_LORA, LARGE_LORA)}
WEIGHTS = (".pth", ".pt", ".safetensors", ".index.json")


def names() -> tuple[str, ...]:
    """Everything that can be fetched by name."""
    return (*MODELS, *LORAS)


def parts_of(name: str) -> tuple[Part, ...]:
    """The parts of a model or LoRA. Raises ModelMissing for a name that the catalogue does not have."""
    if name in MODELS:
        return MODELS[name]
    if name in LORAS:
        return (LORAS[name],)
    raise ModelMissing(f"There is no model called {name}.", f"Known: {', '.join(names())}.")


def roots() -> tuple[Path, ...]:
    """Where the catalogue's folders may lie: in the models' folder, or in a ``checkpoints`` folder put there."""
    return models_dir(), models_dir() / "checkpoints"


def locate(part: Part, file: PartFile, within: tuple[Path, ...] | None = None) -> Path | None:
    """Path of a file that is here, under any of its names in any of the known layouts, or None."""
    for root in within or ((ASSETS,) if part.comes_along else roots()):
        for folder in part.folders:
            for path in _candidates(root / folder, file):
                if path.is_file() and path.stat().st_size > 0:
                    return path
    return None


def _candidates(folder: Path, file: PartFile) -> Iterator[Path]:
    if "*" not in file.name:
        yield folder / file.name
    for pattern in file.patterns:
        found = [path for path in folder.glob(pattern) if "*" not in pattern or path.name.endswith(WEIGHTS)]
        # An index stands for all of its shards.
        yield from sorted(found, key=lambda path: (not path.name.endswith(".index.json"), path.name))


def missing_parts(name: str, within: tuple[Path, ...] | None = None) -> list[MissingFile]:
    """The files of a model that are not here. Raises ModelMissing for an unknown name."""
    return [
        MissingFile(part, file) for part in parts_of(name) for file in part.files if locate(part, file, within) is None
    ]


def installed() -> list[str]:
    """Names of all models and LoRAs that are whole here."""
    return [name for name in names() if not missing_parts(name)]


def find_model(name: str) -> NetworkFiles:
    """Where the files of a model are; ModelFiles of an AnyTalker model.

    Raises ModelMissing that lists everything missing with its size, and the command that gets it.
    """
    if name not in MODELS:
        raise ModelMissing(f"There is no model called {name}.", f"Known: {', '.join(MODELS)}.")
    absent = missing_parts(name)
    if absent:
        raise missing_error(name, absent)
    if name == TINY:
        return NetworkFiles(_here(TINY_PART, TINY_NETWORK), _here(TINY_PART, TINY_CODEC))
    transformer, encoders, speech = MODELS[name]
    return ModelFiles(
        transformer=_here(transformer, transformer.files[0]),
        vae=_here(encoders, VAE),
        text_encoder=_here(encoders, T5),
        tokenizer=_here(encoders, TOKENIZER[0]).parent,
        image_encoder=_here(encoders, CLIP),
        speech_encoder=_here(speech, WAV2VEC2).parent,
    )


def find_lora(name: str) -> Path:
    """Path of a LoRA: one of the catalogue by name, or any file by path. Raises ModelMissing."""
    if name not in LORAS:
        if Path(name).is_file():
            return Path(name)
        raise ModelMissing(f"There is no LoRA called {name}.", f"Give a file, or one of {', '.join(LORAS)}.")
    part = LORAS[name]
    found = locate(part, part.files[0])
    if found is None:
        raise missing_error(name, missing_parts(name))
    return found


def missing_error(name: str, absent: list[MissingFile]) -> ModelMissing:
    if all(each.part.comes_along for each in absent):
        listed = ", ".join(each.file.name for each in absent)
        return ModelMissing(
            f"The model {name} comes with this program, but {listed} is not in {ASSETS / TINY_PART.folders[0]}.",
            "Get the program again, or train the network: `python launch.py train tiny`.",
        )
    listed = "; ".join(f"{each.part.repository}/{each.file.name} ({size_text(each.file)})" for each in absent)
    total = sum(each.file.num_bytes for each in absent)
    about = "about " if any(each.file.approximate for each in absent) else ""
    return ModelMissing(
        f"The model {name} is not complete here. Missing, {about}{gigabytes(total)} together: {listed}.",
        f"`python launch.py models get {name}` fetches it, `… --from FOLDER` takes it from a folder; or put the "
        f"reference's checkpoints folder into {models_dir()}.",
    )


def size_text(file: PartFile) -> str:
    return ("about " if file.approximate else "") + gigabytes(file.num_bytes)


def gigabytes(num_bytes: float) -> str:
    """For people: "7.6 GB", "739 MB", "62 kB"."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if num_bytes >= size:
            return f"{num_bytes / size:.1f} {unit}" if num_bytes < 10 * size else f"{num_bytes / size:.0f} {unit}"
    return f"{num_bytes:.0f} bytes"


def _here(part: Part, file: PartFile) -> Path:
    found = locate(part, file)
    assert found is not None, "missing_parts() found nothing missing"
    return found
