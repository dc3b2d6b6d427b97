"""One set of promises for every diarizer, and pyannote's pipeline with tiny random weights."""

import numpy as np
import pytest

from engine.analysis.backends import pyannote_pipeline
from engine.analysis.voice_protocols import VOICE_RATE
from engine.bench.diarization import pyannote_sample
from engine.errors import ModelMissing


class DiarizerPromises:
    """Every diarizer keeps these; a subclass gives the fixture ``diarizer``."""

    @pytest.fixture(scope="class")
    def sound(self):
        return pyannote_sample().sound.between(6, 16).samples

    def test_spans_lie_in_the_recording_and_voices_count_from_zero(self, diarizer, sound):
        told = []
        spans = diarizer(sound, None, lambda *step: told.append(step))
        assert all(0 <= span.start_s < span.end_s <= len(sound) / VOICE_RATE + 0.1 for span in spans)
        voices = {span.voice for span in spans}
        assert voices == set(range(len(voices)))
        assert told
        assert all(0 <= done <= total for done, total, _ in told)

    def test_the_same_sound_gives_the_same_turns_and_stays_unchanged(self, diarizer, sound):
        before = sound.copy()
        assert diarizer(sound, 2) == diarizer(sound, 2)
        np.testing.assert_array_equal(sound, before)

    def test_no_more_voices_than_asked_for(self, diarizer, sound):
        assert len({span.voice for span in diarizer(sound, 1)}) <= 1


class TestEmbedded(DiarizerPromises):
    @pytest.fixture(scope="class")
    def diarizer(self):
        from engine.analysis.voices.embedded import EmbeddedDiarizer

        return EmbeddedDiarizer()


@pytest.mark.slow
class TestPyannote(DiarizerPromises):
    """pyannote.audio's own classes with random weights: no quality, but every call is the real one."""

    @pytest.fixture(scope="class")
    def diarizer(self):
        import torch
        from pyannote.audio.core.task import Problem, Resolution, Specifications
        from pyannote.audio.models.embedding import XVectorSincNet
        from pyannote.audio.models.segmentation import PyanNet
        from pyannote.audio.pipelines import SpeakerDiarization

        torch.manual_seed(0)
        segmentation = PyanNet(
            sincnet={"stride": 10}, lstm={"hidden_size": 8, "num_layers": 1}, linear={"num_layers": 0}
        )
        segmentation.specifications = Specifications(
            problem=Problem.MONO_LABEL_CLASSIFICATION,
            resolution=Resolution.FRAME,
            duration=10.0,
            classes=["1", "2", "3"],
            powerset_max_classes=2,
            permutation_invariant=True,
        )
        segmentation.build()
        segmentation.setup()
        embedding = XVectorSincNet(dimension=8)
        embedding.specifications = Specifications(
            problem=Problem.REPRESENTATION, resolution=Resolution.CHUNK, duration=5.0
        )
        embedding.build()
        pipeline = SpeakerDiarization(
            segmentation=segmentation.eval(),
            embedding=embedding.eval(),
            clustering="AgglomerativeClustering",
            plda=_plda(),
        )
        pipeline.instantiate(
            {
                "segmentation": {"min_duration_off": 0.0},
                "clustering": {"method": "centroid", "min_cluster_size": 1, "threshold": 0.7},
            }
        )
        return pyannote_pipeline.PyannotePipeline(pipeline)


def _plda():
    """Never used by agglomerative clustering, but the pipeline demands one."""
    from pyannote.audio.core.plda import PLDA

    return object.__new__(PLDA)


def test_without_weights_the_token_is_asked_for_in_words(monkeypatch, tmp_path):
    monkeypatch.setenv("ROUNDTABLE_MODELS", str(tmp_path))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(pyannote_pipeline, "_cached", lambda repository: False)
    assert pyannote_pipeline.local_weights() is None
    with pytest.raises(ModelMissing) as caught:
        pyannote_pipeline.load_pipeline()
    assert "token" in caught.value.remedy
    assert str(tmp_path) in caught.value.remedy


def test_the_newest_pipeline_on_disk_is_taken(monkeypatch, tmp_path):
    monkeypatch.setenv("ROUNDTABLE_MODELS", str(tmp_path))
    for name in pyannote_pipeline.CHECKPOINTS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text("")
    assert pyannote_pipeline.local_weights() == tmp_path / "speaker-diarization-community-1"
