"""What a run says while it goes on, and the report on what it has made."""

import json
import time

from engine.dit.tiny import CODEC_NAME
from engine.errors import StudioError
from engine.project.atomic import write_bytes
from engine.training.assemble import Assembled
from engine.training.config import TrainingConfig
from engine.training.full_check import checked_animatic, checked_fully
from engine.training.learner import StepDone
from engine.training.making import Told
from engine.training.rendered_check import Renderer, held_out_scenes, write_sheet

_EVERY_S = 15.0


class Progress:
    """A line now and then: the mean loss since the last, and how long it will still take."""

    def __init__(self, num_steps: int, told: Told) -> None:
        self._num_steps, self._told = num_steps, told
        self._losses: list[float] = []
        self._said = self._began = time.monotonic()
        self._first: int | None = None

    def tell(self, done: StepDone) -> None:
        self._first = done.step - 1 if self._first is None else self._first
        self._losses.append(done.loss)
        if done.figures:
            self._told(f"step {done.step}: " + ", ".join(f"{name} {value:.3f}" for name, value in done.figures.items()))
        now = time.monotonic()
        if now - self._said > _EVERY_S or done.step == self._num_steps:
            per_step = (now - self._began) / (done.step - self._first)
            left_min = per_step * (self._num_steps - done.step) / 60
            mean = sum(self._losses) / len(self._losses)
            at = f"step {done.step} of {self._num_steps}, loss {mean:.4f}"
            self._told(f"{at}, {per_step:.2f} s a step, {left_min:.0f} min left")
            self._losses, self._said = [], now


def report(config: TrainingConfig, made: Assembled, told: Told) -> None:
    """Measure the weights of a finished run on held-out people and voices, as they are and stored small: report.json
    beside them, and a sheet of frames. Raises StudioError where there are no weights, or where the run is not the small
    network's."""
    import torch

    from engine.dit.checkpoints import load_transformer
    from engine.training.faces import load_portraits

    weights, check = config.run.folder / "weights", made.check
    if made.codec_name != CODEC_NAME or check is None or not weights.is_dir():
        raise StudioError(
            f"There is nothing in {config.run.folder} that can be measured.",
            "--check is for finished runs of the small network; others are measured by rendering a project.",
        )
    portraits, plan = load_portraits(held_out=True), check.plan
    found: dict[str, dict[str, float]] = {}

    def note(name: str, title: str, figures: dict[str, float]) -> None:
        found[name] = figures
        write_bytes(config.run.folder / "report.json", json.dumps(found, indent=1).encode())
        told(title)
        for figure, value in figures.items():
            told(f"  {figure}: {value:.3f}")

    for quantization in ("none", "int8", "nf4"):
        network = load_transformer(weights, dtype=torch.float32, quantization=quantization)
        if quantization == "none":
            shown = [Renderer(network, check.encoders, plan)(scene) for scene in held_out_scenes(portraits, plan)[:4]]
            write_sheet(shown, config.run.folder / "sheet.png")
            note("animatic", "What it learnt from:", checked_animatic(check.encoders.video, portraits, plan))
        title = "Weights as they are:" if quantization == "none" else f"Weights stored as {quantization}:"
        note(quantization, title, checked_fully(network, check.encoders, portraits, plan))
