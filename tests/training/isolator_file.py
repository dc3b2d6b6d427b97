"""Files of the form of Kim_Vocal_2, with a network that is told what to keep."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save

from engine.analysis.backends.kim_vocal import BINS, FRAMES, N_FFT, RATE

VOICE_RATE = 16_000
HERTZ = np.arange(BINS) * RATE / N_FFT


def network(path, kept, shape=("batch", 4, BINS, FRAMES)):
    """An ONNX file of the published inputs and outputs that keeps what ``kept`` (BINS,) says of every bin."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in ("input", "output")]
    mask = numpy_helper.from_array(np.asarray(kept, np.float32)[:, None], "mask")
    graph = helper.make_graph([helper.make_node("Mul", ["input", "mask"], ["output"])], "x", *([v] for v in values))
    graph.initializer.append(mask)
    path.parent.mkdir(parents=True, exist_ok=True)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def tone(hertz, seconds):
    return np.sin(2 * np.pi * hertz * np.arange(round(seconds * VOICE_RATE)) / VOICE_RATE).astype(np.float32)
