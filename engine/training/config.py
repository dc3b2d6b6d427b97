"""A training run as a TOML file: read once, checked before anything is loaded.

Bounds and defaults are declared here and nowhere else; presets/training/ holds commented files, the paper's figures
among them.
"""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from engine.errors import StudioError
from engine.training.flow import Weighting
from engine.training.inputs import Heard, NullText
from engine.training.network import Learning

Share = Annotated[float, Field(ge=0, le=1)]
PRESETS = Path(__file__).resolve().parents[2] / "presets" / "training"


class Table(BaseModel):
    """One table of the file: what it does not know is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Data(Table):
    """``folders``: prepared shards; ``pool_shards``: so many are in memory at once, and shuffled together."""

    folders: tuple[Path, ...] = Field(min_length=1)
    encoders: Literal["published", "tiny"] = "published"
    encoder_folder: Path | None = Field(None, description="of the tiny codec; None = the one in assets")
    stage: Literal[1, 2] = 1
    max_frames: int = Field(81, ge=5, description="longer videos are cut; 4n+1")
    pool_shards: int = Field(4, ge=1)
    num_workers: int = Field(1, ge=0, description="processes that read ahead")


class Made(Table):
    """Data that the run makes itself where they are not there yet: animated portraits and made voices, in
    data.folders[0], and a codec trained on the first of them, in data.encoder_folder."""

    takes: int = Field(800, ge=1, description="of 4.6 s each")
    gestures: float = Field(1.0, ge=0, le=1, description="share that stays of what heads, eyes and brows do")
    codec_takes: int = Field(100, ge=1)
    codec_steps: int = Field(2500, ge=1)
    codec_batch_size: int = Field(8, ge=1)
    seed: int = 1


class Network(Table):
    """Sizes as in AnyTalkerTransformer3DModel; what is not said is as in the published 1.3B."""

    base: Path | None = Field(None, description="weights to start from (or a folder or index of shards); None = none")
    audio_form: Literal["afca", "legacy"] = "afca"
    num_layers: int = Field(30, ge=1)
    num_attention_heads: int = Field(12, ge=1)
    attention_head_dim: int = Field(128, ge=6)
    ffn_dim: int = Field(8960, ge=1)
    freq_dim: int = Field(256, ge=2)
    text_dim: int = Field(4096, ge=1)
    text_len: int = Field(512, ge=1)
    image_dim: int = Field(1280, ge=1)
    audio_window_dim: int = Field(46080, ge=5)
    audio_hidden_dim: int = Field(512, ge=1)
    num_audio_tokens: int = Field(32, ge=1)
    audio_token_dim: int | None = None

    def settings(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return self.model_dump(exclude={"base"})


class PairingTable(Table):
    share: Share = Field(0.5, description="of the batches are joined; a fair coin in the paper")
    people: tuple[Annotated[int, Field(ge=2, le=4)], ...] = Field((2,), min_length=1)
    silent_share: Share = Field(0.1, description="of the joined pictures have one silent person")
    whole_share: Share = Field(0.0, description="of the people joined come with their whole picture, not half of it")


class DropoutTable(Table):
    text: Share = 0.05
    audio: Share = 0.05
    both: Share = 0.05
    null_text: NullText = "zeros"


class Loss(Table):
    shift: float = Field(3.0, gt=0)
    weighting: Weighting = "bell"
    face_emphasis: float = Field(0.0, ge=0, description="how much more the loss counts at the faces; the paper: 0")
    motion_emphasis: float = Field(0.0, ge=0, description="how much more it counts where things move; the paper: 0")


class Ablation(Table):
    """What to take away, to see what it was worth."""

    token_masks: bool = True
    heard: Heard = "audio and face"


class Optimiser(Table):
    learning: Learning = "all"
    lora_rank: int = Field(32, ge=1)
    learning_rate: float = Field(2e-5, gt=0)
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = Field(0.01, ge=0)
    warmup_steps: int = Field(1000, ge=0)
    decay: Literal["constant", "cosine"] = "constant"
    clip_norm: float = Field(1.0, gt=0)
    ema_decay: float = Field(0.9999, ge=0, lt=1, description="0 = none is kept")


class Run(Table):
    """``batch_size``: examples per step over all processes."""

    folder: Path
    steps: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    seed: int = 0
    precision: Literal["no", "bf16"] = "bf16"
    gradient_checkpointing: bool = True
    threads: int = Field(0, ge=0, description="processor cores for torch; 0 = as it likes")
    processes: int = Field(1, ge=1, description="that share each batch where there is no GPU")
    save_every: int = Field(1000, ge=1)
    keep: int = Field(3, ge=1, description="checkpoints kept")
    log_every: int = Field(1, ge=1)
    check_every: int = Field(0, ge=0, description="steps between rendered samples that are measured; 0 = none")
    check_folder: Path | None = Field(None, description="photos with voices for that: see own_scenes.py")
    check_height: int = Field(480, ge=64, le=720, multiple_of=16, description="of samples by the published codec")


class TrainingConfig(Table):
    data: Data
    made: Made | None = None
    network: Network = Network()
    pairing: PairingTable = PairingTable()
    dropout: DropoutTable = DropoutTable()
    loss: Loss = Loss()
    ablation: Ablation = Ablation()
    optimiser: Optimiser = Optimiser()
    run: Run

    @model_validator(mode="after")
    def _agrees(self) -> "TrainingConfig":
        for wrong, said in self._contradictions():
            if wrong:
                raise ValueError(said)
        return self

    def _contradictions(self) -> list[tuple[bool, str]]:
        pairing, run, optimiser = self.pairing, self.run, self.optimiser
        left_out = self.dropout.text + self.dropout.audio + self.dropout.both
        published = self.data.encoders == "published"
        return [
            (self.data.stage == 2 and pairing.share > 0, "stage 2 learns from real pairs: pairing.share must be 0"),
            (
                pairing.share > 0 and run.batch_size < max(pairing.people),
                f"pairing joins {max(pairing.people)} of a batch, and run.batch_size is {run.batch_size}",
            ),
            (left_out > 1, f"dropout.text, audio and both add up to {left_out:.2f}, which is more than all"),
            (optimiser.warmup_steps >= run.steps, "optimiser.warmup_steps must be less than run.steps"),
            (
                optimiser.learning != "all" and self.network.base is None,
                f"optimiser.learning = {optimiser.learning!r} needs network.base: the rest would stay random",
            ),
            (
                self.ablation.heard == "nothing" and optimiser.learning != "all",
                f"with ablation.heard = 'nothing', optimiser.learning = {optimiser.learning!r} has nothing to learn",
            ),
            ((self.data.max_frames - 1) % 4 != 0, f"data.max_frames must be 4n+1, not {self.data.max_frames}"),
            (published and self.data.encoder_folder is not None, "data.encoder_folder is for data.encoders = 'tiny'"),
            (
                self.made is not None and (published or self.data.encoder_folder is None or len(self.data.folders) > 1),
                "[made] needs data.encoders = 'tiny', one of data.folders and a data.encoder_folder",
            ),
            (
                published and run.check_every > 0 and run.check_folder is None,
                "run.check_every needs photos and voices to render: run.check_folder",
            ),
            (
                run.check_folder is not None and self.data.max_frames < 13,
                "samples with sound are half a second or more: data.max_frames must be at least 13",
            ),
        ]


def read_config(path: Path, changes: dict[str, Any] | None = None) -> TrainingConfig:
    """The run that ``path`` describes, with ``changes`` ("run.steps": 10) in place. Raises StudioError."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _wrong(path, str(error)) from error
    for name, value in (changes or {}).items():
        table, _, field = name.partition(".")
        content.setdefault(table, {})[field] = value
    try:
        return TrainingConfig.model_validate(content)
    except ValidationError as error:
        raise _wrong(path, "; ".join(_told(fault) for fault in error.errors(include_url=False)[:5])) from error


def _told(fault: Any) -> str:
    where = ".".join(map(str, fault["loc"]))
    if fault["type"] == "extra_forbidden":
        return f"{where} is not known"
    message = fault["msg"].removeprefix("Value error, ")
    return f"{where}: {message}" if where else message


def _wrong(path: Path, what: str) -> StudioError:
    return StudioError(
        f"The training config {path} is wrong: {what}.", "Correct it; every field is in engine/training/config.py."
    )
