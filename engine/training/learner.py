"""What learns, on accelerate: network, optimiser and averaged weights, step by step, and how they are kept.

One example goes through the network at a time (videos differ in size), and gradients add up to the batch's.
"""

import contextlib
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.distributed.checkpoint
from accelerate import Accelerator
from accelerate.utils import DistributedType
from diffusers.training_utils import EMAModel
from safetensors import SafetensorError
from torch import Tensor, distributed
from torch.optim.lr_scheduler import LambdaLR

from engine.dit.checkpoints import empty_transformer
from engine.dit.transformer import AnyTalkerTransformer3DModel
from engine.errors import WriteFailed
from engine.training import flow
from engine.training.checkpoints import Checkpoints, export
from engine.training.config import Optimiser, TrainingConfig
from engine.training.inputs import InputMaker, Inputs
from engine.training.network import LORA_NAME, freeze_audio_face, let_learn, new_network, plain_weights
from engine.training.steps import Task

_AVERAGE = "average"


@dataclass
class StepDone:
    """``step`` counts from 1; ``seconds`` by what they went into; ``figures`` of a check, where one was made."""

    step: int
    loss: float
    learning_rate: float
    grad_norm: float
    seconds: dict[str, float] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)


class Learner:
    """One process's part of a run. Raises what ``new_network`` raises."""

    def __init__(self, config: TrainingConfig, accelerator: Accelerator) -> None:
        self._config, self._accelerator = config, accelerator
        optimiser = config.optimiser
        network = new_network(config.network.settings(), config.network.base, config.run.seed)
        learning = let_learn(network, optimiser.learning, optimiser.lora_rank)
        if config.ablation.heard == "nothing":
            learning = freeze_audio_face(network)
        if config.run.gradient_checkpointing:
            network.enable_gradient_checkpointing()
        network.train()
        adam = torch.optim.AdamW(
            learning, optimiser.learning_rate, optimiser.betas, weight_decay=optimiser.weight_decay
        )  # fmt: skip
        self._schedule = LambdaLR(adam, lambda step: _pace(step, optimiser, config.run.steps))
        self._sharded = _shard_by_blocks(accelerator, network)
        self._network, self._adam = accelerator.prepare(network, adam)
        # Asked for only now: sharding puts others in the place of those that were there.
        self._parameters = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        self._average = (
            EMAModel(self._parameters, decay=optimiser.ema_decay, use_ema_warmup=False) if optimiser.ema_decay else None
        )
        if self._average:
            self._average.to(accelerator.device)
            if not self._sharded:
                accelerator.register_for_checkpointing(self._average)
        accelerator.register_for_checkpointing(self._schedule)
        self._checkpoints = Checkpoints(config.run.folder / "checkpoints", config.run.keep)

    @property
    def network(self) -> AnyTalkerTransformer3DModel:
        network: AnyTalkerTransformer3DModel = self._accelerator.unwrap_model(self._network)
        return network

    def step(self, step: int, tasks: list[Task], maker: InputMaker, waited_s: float) -> StepDone:
        seconds = {"data": waited_s, "inputs": 0.0, "forward": 0.0, "backward": 0.0, "optimiser": 0.0}
        total = torch.zeros((), device=self._accelerator.device)
        for index, task in enumerate(tasks):
            with _timed(seconds, "inputs"):
                inputs = maker.of(task.example, task.left)
            last = index == len(tasks) - 1
            with nullcontext() if last else self._accelerator.no_sync(self._network):
                with _timed(seconds, "forward"):
                    loss = self._loss(inputs, task) / len(tasks)
                with _timed(seconds, "backward"):
                    self._accelerator.backward(loss)
            total += loss.detach()
        with _timed(seconds, "optimiser"):
            norm = self._accelerator.clip_grad_norm_(self._parameters, self._config.optimiser.clip_norm)
            self._adam.step()
            self._adam.zero_grad()
            rate = float(self._schedule.get_last_lr()[0])
            self._schedule.step()
            if self._average:
                self._average.step(self._parameters)
        mean = float(self._accelerator.reduce(total, "mean"))  # type: ignore[arg-type]
        return StepDone(step, mean, rate, _whole(norm), seconds)

    def _loss(self, inputs: Inputs, task: Task) -> Tensor:
        noise = flow.noise_like(inputs.clean_CTHW, task.noise_seed)
        seen = torch.cat([flow.noised(inputs.clean_CTHW, noise, task.level.sigma), inputs.condition_CTHW])[None]
        timestep = torch.tensor([task.level.timestep], device=seen.device)
        predicted = self._network(seen, timestep, inputs.streams, return_dict=False)[0][0]
        wanted = flow.velocity(inputs.clean_CTHW, noise)
        return flow.loss(predicted, wanted, task.level.weight, inputs.emphasis_THW)

    def averaged(self) -> AnyTalkerTransformer3DModel | None:
        """The network with the averaged weights, for looking at: a copy, in the main process. All must ask."""
        with self._averaged_weights():
            state = self._accelerator.get_state_dict(self._network)  # gathered from all processes
            if not self._accelerator.is_main_process:
                return None
            copy = empty_transformer(**self._config.network.settings())
            if self._config.optimiser.learning == "lora":
                let_learn(copy, "lora", self._config.optimiser.lora_rank)
            own = {name: tensor.detach().cpu().clone() for name, tensor in state.items()}
            copy.load_state_dict(own, assign=True)
        return copy.requires_grad_(False).eval()

    @contextlib.contextmanager
    def _averaged_weights(self) -> Iterator[None]:
        if self._average is None:
            yield
            return
        self._average.store(self._parameters)
        self._average.copy_to(self._parameters)
        try:
            yield
        finally:
            self._average.restore(self._parameters)

    def resume(self) -> int:
        """Steps already done."""
        latest = self._checkpoints.latest()
        if latest is None:
            return 0
        self._accelerator.load_state(str(latest[1]))
        if self._average and self._sharded:
            distributed.checkpoint.load(self._shadows(self._average), checkpoint_id=latest[1] / _AVERAGE)
            self._average.optimization_step = latest[0]  # by which it takes the first steps less slowly
        return latest[0]

    def _shadows(self, average: EMAModel) -> dict[str, Any]:
        """The averaged weights by name, each process with its pieces: accelerate would keep the first one's only."""
        return {str(index): tensor for index, tensor in enumerate(average.shadow_params)}

    def save(self, step: int) -> None:
        """Raises WriteFailed; earlier checkpoints stay."""
        try:
            self._accelerator.save_state(str(self._checkpoints.part(step)))
            if self._average and self._sharded:
                place = self._checkpoints.part(step) / _AVERAGE
                distributed.checkpoint.save(self._shadows(self._average), checkpoint_id=place)
        except (OSError, RuntimeError, SafetensorError) as error:  # each library has its own word for a full disk
            raise WriteFailed(
                f"The checkpoint after step {step} could not be written: {str(error)[:200]}",
                "Free some disk space, then start the run again: it goes on from the checkpoint before.",
            ) from error
        self._accelerator.wait_for_everyone()
        if self._accelerator.is_main_process:
            self._checkpoints.finish(step)
        self._accelerator.wait_for_everyone()

    def export(self) -> None:
        """Weights for others, averaged where they are: ``weights``, or ``lora`` where only adapters have learnt."""
        network, folder = self.averaged(), self._config.run.folder
        if network is None:
            return
        if self._config.optimiser.learning == "lora":
            network.save_lora_adapter(folder / "lora", adapter_name=LORA_NAME)
        else:
            export(network, plain_weights(network.state_dict()), folder / "weights", half=False)


def _shard_by_blocks(accelerator: Accelerator, network: AnyTalkerTransformer3DModel) -> bool:
    """Whether parameters are shared among processes (FSDP); then block by block, of whichever kind the network has."""
    plugin = accelerator.state.fsdp_plugin if accelerator.distributed_type == DistributedType.FSDP else None
    if plugin is not None:
        plugin.transformer_cls_names_to_wrap = [type(network.blocks[0]).__name__]
    return plugin is not None


def _whole(norm: Any) -> float:
    """A norm, of pieces or not; None where a library keeps it to itself."""
    return float(norm.full_tensor() if hasattr(norm, "full_tensor") else norm or 0.0)


def _pace(step: int, optimiser: Optimiser, steps: int) -> float:
    """The share of the learning rate at ``step``: rising over the warm-up, then as ``decay`` says."""
    if step < optimiser.warmup_steps:
        return (step + 1) / optimiser.warmup_steps
    if optimiser.decay == "constant":
        return 1.0
    done = (step - optimiser.warmup_steps) / max(1, steps - optimiser.warmup_steps)
    return 0.02 + 0.98 * float(0.5 * (1 + torch.cos(torch.tensor(torch.pi * min(1.0, done)))))


@contextlib.contextmanager
def _timed(seconds: dict[str, float], what: str) -> Iterator[None]:
    start = time.perf_counter()
    try:
        yield
    finally:
        seconds[what] += time.perf_counter() - start
