"""The plug point for a separation model on disk, with a tiny ONNX model made here."""

import numpy as np
import pytest

from engine.analysis.backends.onnx_separator import load_separator
from engine.analysis.separation import default_separator
from engine.bench.diarization import read_talk
from engine.errors import ModelMissing


def write_model(path, taps):
    """A model whose two outputs are the sound through two filters; ``taps`` is (2, 1, n)."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("Unsqueeze", ["sound", "one"], ["channels"]),
        helper.make_node("Conv", ["channels", "taps"], ["voices"], pads=[taps.shape[2] // 2] * 2),
    ]
    inputs = [helper.make_tensor_value_info("sound", TensorProto.FLOAT, [1, None])]
    outputs = [helper.make_tensor_value_info("voices", TensorProto.FLOAT, [1, 2, None])]
    constants = [
        numpy_helper.from_array(np.array([1]), "one"),
        numpy_helper.from_array(taps.astype(np.float32), "taps"),
    ]
    graph = helper.make_graph(nodes, "two_voices", inputs, outputs, constants)
    path.parent.mkdir(parents=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), str(path))


@pytest.fixture
def model_path(monkeypatch, tmp_path):
    monkeypatch.setenv("ROUNDTABLE_MODELS", str(tmp_path))
    return tmp_path / "separation" / "two_voices.onnx"


def test_none_on_disk_means_spectra_of_the_recording(model_path):
    assert load_separator() is None
    assert type(default_separator()).__name__ == "SpectralSplitter"


def test_an_unreadable_model_is_said_clearly(model_path):
    model_path.parent.mkdir()
    model_path.write_bytes(b"not a model")
    with pytest.raises(ModelMissing, match="two_voices"):
        load_separator()


@pytest.mark.slow
def test_outputs_come_in_the_order_of_the_speakers(model_path, shared_media):
    """One output is the low part of the sound: the dull example must get it, whichever way round."""
    folder = shared_media("dialogues", "talk_6.rttm").parent
    voice = read_talk(folder, "talk_6", ("left",)).sound.between(2, 5).samples
    low = np.sinc(np.arange(-40, 41) * 0.1) * np.hamming(81) * 0.1
    high = -low
    high[40] += 1
    write_model(model_path, np.stack([low, high])[:, None])
    dull, sharp = (np.convolve(voice, taps, "same").astype(np.float32) for taps in (low, high))
    separator = default_separator()
    as_asked = separator(voice, [dull, sharp], 16_000)
    swapped = separator(voice, [sharp, dull], 16_000)
    np.testing.assert_allclose(as_asked[0], dull, atol=1e-4)
    np.testing.assert_allclose(as_asked[0], swapped[1], atol=1e-5)
    assert separator(voice[:8_000], [dull, sharp], 44_100).shape == (2, 8_000)
    np.testing.assert_allclose(separator(voice, [voice] * 3, 16_000).sum(0), voice, atol=1e-5)
