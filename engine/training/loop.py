"""The training loop: the same with one process and with many, on processors and on GPUs."""

import json
import time
from collections.abc import Callable, Iterator, Mapping

import torch
from accelerate import Accelerator
from accelerate.utils import ProjectConfiguration
from torch.utils.data import DataLoader

from engine.dit.transformer import AnyTalkerTransformer3DModel
from engine.errors import StudioError
from engine.project.atomic import write_bytes
from engine.training.checkpoints import check_finite
from engine.training.config import TrainingConfig
from engine.training.inputs import InputMaker, InputOptions, TrainingEncoders
from engine.training.learner import Learner, StepDone
from engine.training.logs import StepLog
from engine.training.source import ClipOrder
from engine.training.steps import Place, Steps

Check = Callable[[AnyTalkerTransformer3DModel, int], Mapping[str, float]]
_MAY_CHANGE = (
    "steps", "save_every", "keep", "log_every", "check_every", "check_folder", "check_height", "threads", "processes",
    "folder",
)  # fmt: skip


def train(
    config: TrainingConfig, encoders: TrainingEncoders, codec_name: str, check: Check | None = None
) -> Iterator[StepDone]:
    """Run to the end, from the last checkpoint of ``config.run.folder`` where there is one; a StepDone for each step.

    Closing the generator ends the run as a kill would. Raises StudioError before anything expensive for a config that
    does not fit what is on disk.
    """
    accelerator = _accelerator(config)
    _check_folder(config, accelerator)
    order = ClipOrder(config.data.folders, config.data.stage, config.data.pool_shards, config.run.seed)
    order.check_made_with(codec_name, encoders.audio.name)
    learner = Learner(config, accelerator)
    first = learner.resume()
    place = Place(accelerator.process_index, accelerator.num_processes)
    steps = Steps(config, order, first, place)
    # Pictures of the published size take some 12 MB each: enough for neighbours in a batch, which share them.
    kept = {"keep": 2 * config.run.batch_size} if config.data.encoders == "published" else {}
    maker = InputMaker(encoders, _options(config), accelerator.device, **kept)
    if encoders.prompts_first:
        with accelerator.main_process_first():
            maker.encode_prompts(order.prompts())
    log = StepLog(config.run.folder / "log.jsonl", first) if accelerator.is_main_process else None
    waiting = time.perf_counter()
    workers = config.data.num_workers
    loader = DataLoader(steps, batch_size=None, num_workers=workers, prefetch_factor=4 if workers else None)
    for index, tasks in enumerate(loader):
        done = learner.step(first + index + 1, tasks, maker, time.perf_counter() - waiting)
        check_finite(done.loss, done.step)
        if check and config.run.check_every and done.step % config.run.check_every == 0:
            averaged = learner.averaged()
            done.figures = dict(check(averaged, done.step)) if averaged else {}
        _write(done, log, accelerator, config.run.log_every)
        if done.step % config.run.save_every == 0 or done.step == config.run.steps:
            learner.save(done.step)
        yield done
        waiting = time.perf_counter()
    if first < config.run.steps:
        learner.export()
    accelerator.end_training()


def _accelerator(config: TrainingConfig) -> Accelerator:
    if config.run.threads:
        torch.set_num_threads(config.run.threads)
    project = ProjectConfiguration(str(config.run.folder), logging_dir=str(config.run.folder / "tensorboard"))
    accelerator = Accelerator(
        mixed_precision=config.run.precision, log_with="tensorboard", project_config=project
    )  # fmt: skip
    if config.run.batch_size % accelerator.num_processes:
        raise StudioError(
            f"A batch of {config.run.batch_size} cannot be shared evenly by {accelerator.num_processes} processes.",
            "Set run.batch_size to a multiple of the number of processes.",
        )
    return accelerator


def _check_folder(config: TrainingConfig, accelerator: Accelerator) -> None:
    """A run goes on only as what it began as. Raises StudioError."""
    path, told = config.run.folder / "config.json", json.loads(config.model_dump_json())
    if path.is_file():
        before = json.loads(path.read_text(encoding="utf-8"))
        differing = [
            f"{table}.{name}"
            for table, fields in told.items()
            for name, value in (fields or {}).items()
            if (before.get(table) or {}).get(name) != value and not (table == "run" and name in _MAY_CHANGE)
        ]
        if differing:
            raise StudioError(
                f"The run in {config.run.folder} was begun with another {', '.join(differing[:4])}.",
                "Choose another run.folder, or put back what was changed.",
            )
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        config.run.folder.mkdir(parents=True, exist_ok=True)
        write_bytes(path, json.dumps(told, indent=1).encode())
        accelerator.init_trackers("", config={})


def _options(config: TrainingConfig) -> InputOptions:
    ablation, emphasis = config.ablation, config.loss
    return InputOptions(
        config.dropout.null_text, ablation.token_masks, ablation.heard, emphasis.face_emphasis, emphasis.motion_emphasis
    )


def _write(done: StepDone, log: StepLog | None, accelerator: Accelerator, every: int) -> None:
    if log is None or (done.step % every and not done.figures):
        return
    figures = {"loss": done.loss, "learning_rate": done.learning_rate, "grad_norm": done.grad_norm, **done.figures}
    log.write({"step": done.step, **figures, "seconds": {k: round(v, 4) for k, v in done.seconds.items()}})
    accelerator.log(figures, step=done.step)
