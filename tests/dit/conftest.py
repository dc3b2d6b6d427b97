"""Small networks run fastest on one thread, most of all beside other work."""

import torch

torch.set_num_threads(1)
