"""A small run, started by a test as one process of several: make_run.py SHARDS FOLDER."""

import sys
from pathlib import Path

import torch
from small_runs import encoders, small_config

from engine.dit.tiny import CODEC_NAME
from engine.training.loop import train

if __name__ == "__main__":
    torch.set_num_threads(1)
    for _ in train(small_config(Path(sys.argv[2]), Path(sys.argv[1]), run={"steps": 4}), encoders(), CODEC_NAME):
        pass
