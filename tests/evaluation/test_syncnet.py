"""SyncNet without its published weights: the file's form, its features, and offsets that are known beforehand."""

from collections import OrderedDict
from dataclasses import replace
from html import escape
from pathlib import Path

import numpy as np
import pytest
import torch
from known_videos import person

from engine.analysis.backends.syncnet import SyncNet, load_syncnet
from engine.errors import UnusableCheckpoint
from engine.evaluation.benchmark import SIDES, Annotation, Figures, VideoFigures, rows_of
from engine.evaluation.mel_features import cepstra
from engine.evaluation.report import PersonReport, TakeReport, TurnReport
from engine.evaluation.scene import Expected, SpokenTurn, Voice
from engine.evaluation.syncnet import MAX_OFFSET, confidence_of, distances_of, face_crop, lip_distances, syncnet
from engine.evaluation.video import VideoFacts, look_at
from engine.evaluation.watching import Watched
from engine.jobs.evaluate_folder import _lip_figures, _lip_network
from engine.jobs.lip_figures import add_confidence
from engine.media.types import Waveform
from engine.media.write import VideoWriter

PUBLISHED = {  # name in syncnet_v2.model → the form of its weight
    "netcnnaud.0": (64, 1, 3, 3), "netcnnaud.1": (64,), "netcnnaud.4": (192, 64, 3, 3), "netcnnaud.5": (192,),
    "netcnnaud.8": (384, 192, 3, 3), "netcnnaud.9": (384,), "netcnnaud.11": (256, 384, 3, 3), "netcnnaud.12": (256,),
    "netcnnaud.14": (256, 256, 3, 3), "netcnnaud.15": (256,), "netcnnaud.18": (512, 256, 5, 4),
    "netcnnaud.19": (512,), "netfcaud.0": (512, 512), "netfcaud.1": (512,), "netfcaud.3": (1024, 512),
    "netfclip.0": (512, 512), "netfclip.1": (512,), "netfclip.3": (1024, 512),
    "netcnnlip.0": (96, 3, 5, 7, 7), "netcnnlip.1": (96,), "netcnnlip.4": (256, 96, 1, 5, 5), "netcnnlip.5": (256,),
    "netcnnlip.8": (256, 256, 1, 3, 3), "netcnnlip.9": (256,), "netcnnlip.11": (256, 256, 1, 3, 3),
    "netcnnlip.12": (256,), "netcnnlip.14": (256, 256, 1, 3, 3), "netcnnlip.15": (256,),
    "netcnnlip.18": (512, 256, 1, 6, 6), "netcnnlip.19": (512,),
}  # fmt: skip


def weights(seed: int = 0) -> "OrderedDict[str, torch.Tensor]":
    """Random, under the published names; as in 2017, batch norms hold no counters."""
    random = torch.Generator().manual_seed(seed)
    stored = OrderedDict()
    for name, shape in PUBLISHED.items():
        stored[f"{name}.weight"] = torch.randn(shape, generator=random) / np.sqrt(np.prod(shape[1:]) or 1)
        stored[f"{name}.bias"] = torch.zeros(shape[0])
        if len(shape) == 1:
            stored[f"{name}.weight"] = torch.ones(shape)
            stored |= {f"{name}.running_mean": torch.zeros(shape), f"{name}.running_var": torch.ones(shape)}
    return stored


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "metrics" / "syncnet_v2.model"
    path.parent.mkdir()
    torch.save(weights(), path, _use_new_zipfile_serialization=False)  # the form of the published file
    return path


def test_weights_under_the_published_names_are_loaded_whole(stored: Path) -> None:
    network = load_syncnet(stored)
    assert isinstance(network, SyncNet)
    assert not network.training
    for name, value in weights().items():
        assert torch.equal(network.state_dict()[name], value), name
    frames = np.random.default_rng(0).integers(0, 255, (6, 224, 224, 3), np.uint8)
    faces = network.face(frames)
    assert faces.shape == (2, 1024)
    assert np.allclose(network.face(frames[1:]), faces[1:], atol=1e-3 * np.abs(faces).max())
    assert not np.allclose(network.face(frames[:5, ..., ::-1]), faces[:1], atol=1e-3)  # blue comes first
    assert network.sound(np.random.default_rng(0).normal(size=(3, 13, 20))).shape == (3, 1024)


def wrong_files() -> list[tuple[object, str]]:
    some = weights()
    del some["netfclip.3.bias"]
    other = weights() | {"netcnnaud.0.weight": torch.zeros(64, 1, 5, 5)}
    more = weights() | {"head.weight": torch.zeros(1)}
    return [(some, "netfclip.3.bias"), (other, "netcnnaud.0.weight"), (more, "head.weight"), ([1, 2], "another")]


@pytest.mark.parametrize(("content", "named"), wrong_files(), ids=["less", "another form", "more", "no names"])
def test_another_network_is_refused_by_name(tmp_path: Path, content: object, named: str) -> None:
    torch.save(content, tmp_path / "syncnet_v2.model")
    with pytest.raises(UnusableCheckpoint, match=named) as caught:
        load_syncnet(tmp_path / "syncnet_v2.model")
    assert "syncnet_v2.model" in caught.value.remedy


class Hostile:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("this must not be run",)


def test_a_file_that_is_none_or_holds_code_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.model").write_bytes(b"<html>not found</html>")
    torch.save(Hostile(), tmp_path / "b.model")
    for name in ("a.model", "b.model"):
        with pytest.raises(UnusableCheckpoint, match="cannot be read"):
            load_syncnet(tmp_path / name)
    assert "must not" not in capsys.readouterr().out


def test_cepstra_are_those_of_the_package_the_network_was_trained_with() -> None:
    """Figures of python_speech_features 0.6; on noise of six lengths the two were equal to the last bit."""
    at_s = np.arange(4000) / 16000
    tone = np.rint(8000 * np.sin(2 * np.pi * (200 + 900 * at_s) * at_s))
    found = cepstra(tone)
    assert found.shape == (24, 13)
    first = [17.79692, 21.72451, 12.35205, 6.07215, -0.21109, -7.56362, -13.81502, -19.80763, -23.42481, -25.18551]
    eleventh = [18.90012, 19.00418, 3.31303, -10.92958, -23.42003, -31.34, -31.26571, -24.96344, -13.32651, -1.22062]
    assert found[0, :10] == pytest.approx(first, abs=1e-4)
    assert found[10, :10] == pytest.approx(eleventh, abs=1e-4)
    part = cepstra(tone[320:], before=tone[319])
    assert np.allclose(part, found[2:])


@pytest.mark.parametrize("late", [-15, -4, 0, 7, 15])
def test_shifted_features_give_the_shift(late: int) -> None:
    rng = np.random.default_rng(late + 20)
    sounds = rng.normal(size=(100 + 2 * MAX_OFFSET, 64)).astype(np.float32)
    start = MAX_OFFSET - late  # a late mouth shows what was heard before
    faces = sounds[start : start + 100] + rng.normal(scale=0.3, size=(100, 64)).astype(np.float32)
    found = confidence_of(distances_of(faces, sounds))
    assert found is not None
    assert found.offset_frames == late
    assert found.confidence > 5
    apart = torch.nn.functional.pairwise_distance(torch.from_numpy(faces), torch.from_numpy(sounds[start:][:100]))
    assert found.distance == pytest.approx(float(apart.mean()), rel=1e-4)


def test_features_that_have_nothing_in_common_give_no_confidence_and_few_give_none() -> None:
    rng = np.random.default_rng(0)
    faces, sounds = (rng.normal(size=(n, 64)).astype(np.float32) for n in (100, 130))
    found = confidence_of(distances_of(faces, sounds))
    assert found is not None
    assert found.confidence < 0.5
    assert confidence_of(np.zeros((14, 31), np.float32)) is None
    assert confidence_of(np.full((90, 31), np.nan, np.float32)) is None


def test_a_crop_has_room_beside_and_below_and_is_grey_outside_the_picture() -> None:
    rgb = np.full((100, 200, 3), 255, np.uint8)
    rgb[40:60, 90:110] = 0
    crop = face_crop(rgb, np.array([90.0, 40, 110, 60]))
    assert crop.shape == (224, 224, 3)
    dark = np.argwhere(crop[..., 0] < 128)
    # 20 of 28 px, centred across, at the upper border
    assert dark.min(0) == pytest.approx([0, 32], abs=4)
    assert dark.max(0) == pytest.approx([160, 192], abs=4)
    outside = face_crop(rgb, np.array([-40.0, -40, -20, -20]))
    assert (outside == 110).all()


class Reader:
    """A network by hand: how bright the face is, against how loud the sound is."""

    def face(self, frames: np.ndarray) -> np.ndarray:
        level = frames[:, 60:160, 60:160].mean(axis=(1, 2, 3)) / 255
        middle = np.lib.stride_tricks.sliding_window_view(level, 5).mean(axis=1)
        return np.repeat(middle[:, None], 8, axis=1).astype(np.float32)

    def sound(self, columns: np.ndarray) -> np.ndarray:
        level = np.exp(columns[:, 0] / 2 - 11.77).mean(axis=1)  # the noise's own level
        return np.repeat(level[:, None], 8, axis=1).astype(np.float32)


LATE = 6  # frames


@pytest.fixture(scope="module")
def flickering(tmp_path_factory: pytest.TempPathFactory) -> tuple[VideoFacts, Watched, Expected]:
    """Five seconds in which a face is as bright as the sound was loud six frames ago; a second face does nothing."""
    rng = np.random.default_rng(1)
    levels = np.convolve(rng.uniform(size=130), np.ones(3) / 3, "same")[:125]
    sound = rng.normal(size=125 * 640) * np.repeat(levels, 640) * 0.2
    path = tmp_path_factory.mktemp("flicker") / "a.mp4"
    with VideoWriter(path, (160, 90), 25) as writer:
        for index in range(125):
            rgb = np.full((90, 160, 3), 60, np.uint8)
            rgb[10:80, 5:75] = round(255 * levels[max(0, index - LATE)])
            writer.write(rgb)
    boxes = ([20, 20, 50, 50], [100, 20, 130, 50])
    people = [
        replace(person(name, np.full(125, 0.1)), boxes=np.tile(np.array(box, np.float32), (125, 1)))
        for name, box in zip(("ada", "bo"), boxes, strict=True)
    ]
    voices = tuple(
        Voice(f"voice-{name}", name, name, Waveform(sound.astype(np.float32), 16000), (SpokenTurn(f"t-{name}", *at),))
        for name, at in (("ada", (0.2, 3.0)), ("bo", (3.2, 3.5)))
    )
    curves = np.zeros(125)
    return look_at(path), Watched(25.0, people, np.zeros((125, 3)), curves, curves), Expected(voices)


def test_a_late_mouth_is_found_in_a_video(flickering: tuple[VideoFacts, Watched, Expected]) -> None:
    facts, watched, expected = flickering
    *counts, (ada, bo) = lip_distances(facts, watched, expected.voices, Reader())
    assert counts == list(range(1, 126))
    found = ada.within()
    assert found is not None
    assert found.offset_frames == LATE
    assert found == ada.within([(0.0, 5.0)])
    assert np.isfinite(ada.rows).all(axis=1).sum() == pytest.approx(2.8 * 25, abs=2)  # only while she speaks
    assert bo.within() is None  # 0.3 s are too little
    *_, (whole, _) = lip_distances(facts, watched, expected.voices, Reader(), whole=True)
    assert np.isfinite(whole.rows).all()
    assert len(whole.rows) == 120
    at = np.flatnonzero(np.isfinite(ada.rows).all(axis=1))
    assert np.allclose(whole.rows[at], ada.rows[at], atol=1e-5)  # batches begin elsewhere
    hidden = watched.people[0].opening.copy()
    hidden[30:60] = np.nan
    lost = replace(watched, people=[replace(watched.people[0], opening=hidden), watched.people[1]])
    *_, (part, _) = lip_distances(facts, lost, expected.voices, Reader(), whole=True)
    assert np.flatnonzero(~np.isfinite(part.rows).all(axis=1)).tolist() == list(range(26, 60))


def report_of(expected: Expected) -> TakeReport:
    people = [PersonReport(face_id=name, name=name.title(), verdict="good") for name in ("ada", "bo")]
    turns = [
        TurnReport(turn_id=t.turn_id, face_id=v.face_id, speaker_id=v.speaker_id, start_s=t.start_s, end_s=t.end_s,
                   verdict="good")
        for v in expected.voices for t in v.turns
    ]  # fmt: skip
    return TakeReport(verdict="good", sentence="Fine.", people=people, turns=turns)


def test_the_figure_joins_people_and_turns_and_judges_nobody(
    flickering: tuple[VideoFacts, Watched, Expected], stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from engine.evaluation.page import write_page
    from engine.evaluation.table import lines_of
    from engine.jobs import lip_figures

    facts, watched, expected = flickering
    monkeypatch.setenv("ROUNDTABLE_MODELS", str(stored.parents[1]))
    monkeypatch.setattr(lip_figures, "syncnet", lambda path: Reader())
    report = report_of(expected)
    list(add_confidence(report, facts, watched, expected))
    (of_ada,), (of_bo,) = (p.findings for p in report.people)
    (of_turn,), _ = (turn.findings for turn in report.turns)
    assert of_ada.kind == of_turn.kind == "syncnet"
    assert of_ada.value == of_turn.value
    assert "240 ms late" in of_ada.sentence
    assert of_turn.start_s == 0.2
    assert of_ada.verdict == "unknown"
    assert of_bo.value is None
    assert "Too little of Bo's speech" in of_bo.sentence
    assert report.verdict == "good"
    assert any("SyncNet" in line and "240 ms late" in line for line in lines_of(report))
    page = stored.parents[1] / "page.html"
    write_page(page, "Take", report, (watched, expected, facts))
    assert page.read_text().count(escape("SyncNet's confidence in Ada's lips")) == 2


def test_without_the_network_nothing_is_said_and_a_wrong_one_is_named(
    flickering: tuple[VideoFacts, Watched, Expected], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts, watched, expected = flickering
    monkeypatch.setenv("ROUNDTABLE_MODELS", str(tmp_path))
    report = report_of(expected)
    assert list(add_confidence(report, facts, watched, expected)) == []
    assert report == report_of(expected)
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "syncnet_v2.model").write_bytes(b"?")
    syncnet.cache_clear()
    list(add_confidence(report, facts, watched, expected))
    assert "cannot be read as weights" in report.findings[0].sentence
    assert report.findings[0].verdict == "unknown"


@pytest.mark.slow
def test_the_whole_network_runs_on_a_video(
    flickering: tuple[VideoFacts, Watched, Expected], stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts, watched, expected = flickering
    monkeypatch.setenv("ROUNDTABLE_MODELS", str(stored.parents[1]))
    short = replace(expected.voices[0], turns=(SpokenTurn("t-ada", 0.2, 0.9),))
    expected = replace(expected, voices=(short,))
    report = report_of(expected)
    list(add_confidence(report, facts, watched, expected))
    assert report.people[0].findings[0].value is not None
    assert report.people[0].findings[0].value >= 0


def test_the_benchmark_weighs_it_by_how_long_each_side_speaks(
    flickering: tuple[VideoFacts, Watched, Expected],
) -> None:
    facts, watched, expected = flickering
    sides = dict(zip(("left", "right"), watched.people, strict=True))
    watched = replace(watched, people=[replace(p, face_id=side, name=side) for side, p in sides.items()])
    sounds = dict.fromkeys(SIDES, expected.voices[0].sound)
    said = Annotation(left=((0.2, 3.0),), right=((3.0, 4.0),))
    *_, pairs = lip_distances(facts, watched, [spoken(said, side, sounds) for side in SIDES], Reader(), whole=True)
    left, right = (pair.within(said.of(pair.face_id)) for pair in pairs)
    everything = [pair.within() for pair in pairs]
    assert left is not None
    assert right is not None
    weighted, plain = _lip_figures(facts, watched, said, sounds, Reader())
    assert weighted == pytest.approx((2.8 * left.confidence + 1.0 * right.confidence) / 3.8)
    assert plain == pytest.approx(np.mean([found.confidence for found in everything if found]))
    alone = _lip_figures(facts, watched, replace(said, right=()), sounds, Reader())
    assert alone[0] == pytest.approx(left.confidence)
    assert _lip_figures(facts, watched, said, {}, Reader()) == (None, None)
    row = "\n".join(rows_of(Figures([VideoFigures("a", 0.8, 0.7, 0.9, (), 6.12, 5.34)], [], "x")))
    assert row.splitlines()[2].split()[-7:] == ["0.80", "6.12", "5.34", "0.70", "0.90", "-", "-"]
    assert row.splitlines()[4].split()[-7:] == ["0.77", "6.01", "-", "-", "-", "-", "0.00"]


def spoken(said: Annotation, side: str, sounds: dict[str, Waveform]) -> Voice:
    return Voice(side, side, side, sounds[side], tuple(SpokenTurn("", *span) for span in said.of(side)))


def test_evaluate_names_a_network_that_is_missing_or_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROUNDTABLE_MODELS", str(tmp_path))
    network, ((_, why),) = _lip_network()
    assert network is None
    assert why.startswith(f"put syncnet_v2.model into {tmp_path / 'metrics'}")
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics" / "syncnet_v2.model").write_bytes(b"?")
    network, ((_, why),) = _lip_network()
    assert network is None
    assert "cannot be read as weights" in why
