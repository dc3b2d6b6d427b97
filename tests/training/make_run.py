"""A small run, started by a test as one process of several: make_run.py SHARDS FOLDER [STEPS].

With SHARDED set: by presets/training/fsdp.yaml, as `accelerate launch` sets it up, which shards on GPUs only. Torch
shards on processors just as well; accelerate has to be told.
"""

import os
import sys
from pathlib import Path

import accelerate.accelerator
import torch
import yaml
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType
from small_runs import encoders, small_config

from engine.dit.tiny import CODEC_NAME
from engine.training.config import PRESETS
from engine.training.loop import train


def _kind(state: AcceleratorState) -> DistributedType:
    return DistributedType.FSDP if state.__dict__.get("fsdp_plugin") else state.__dict__["distributed_type"]


def _keep(state: AcceleratorState, kind: DistributedType) -> None:
    state.__dict__["distributed_type"] = kind


class ShardedState(AcceleratorState):
    def __init__(self, *args, fsdp_plugin=None, **named) -> None:
        super().__init__(*args, fsdp_plugin=fsdp_plugin, **named)
        self.fsdp_plugin = fsdp_plugin


def shard() -> None:
    told = yaml.safe_load((PRESETS / "fsdp.yaml").read_text(encoding="utf-8"))["fsdp_config"]
    os.environ["ACCELERATE_USE_FSDP"] = "true"
    os.environ.update({name.upper(): str(value) for name, value in told.items()})
    accelerate.accelerator.AcceleratorState = ShardedState
    AcceleratorState.distributed_type = property(_kind, _keep)


if __name__ == "__main__":
    torch.set_num_threads(1)
    if os.environ.get("SHARDED"):
        shard()
    steps = int(sys.argv[3]) if len(sys.argv) > 3 else 4
    for _ in train(small_config(Path(sys.argv[2]), Path(sys.argv[1]), run={"steps": steps}), encoders(), CODEC_NAME):
        pass
