from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_models import HEAD_DIM, IMAGE_WIDTH, TEXT_WIDTH, TRANSFORMER_FILES, write_tiny_checkpoints

from engine.cast.streams import CastStream
from engine.dit.catalogue import ModelFiles
from engine.dit.checkpoints import load_transformer
from engine.dit.conditioning import (
    Direction,
    EncoderPlan,
    Encoders,
    build_conditioning,
    build_scene,
    gain,
    load_encoders,
)
from engine.dit.masks import token_mask, union_mask
from engine.dit.shapes import VideoShape
from engine.dit.streams import Streams
from engine.dit.types import Conditioning
from engine.dit.windows import WindowSpan
from engine.errors import ConditioningError
from engine.media.types import Image, Waveform
from engine.project.document import Face, Part

SIZE = (192, 128)
SHAPE = VideoShape(9, 64, 96)
FIRST, SECOND = WindowSpan(0, 2, 0, 9, 0), WindowSpan(1, 2, 4, 9, 5)
PLACES = ((20.0, 30.0, 60.0, 80.0), (80.0, 20.0, 120.0, 75.0), (140.0, 40.0, 180.0, 90.0))
DIRECTION = Direction("Two friends tell stories.", frame_rate=24.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny_checkpoints(tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture(scope="module")
def files(folder) -> ModelFiles:
    wan = next(folder.glob("Wan*"))
    return ModelFiles(
        transformer=folder / TRANSFORMER_FILES["afca"],
        vae=next(wan.glob("*VAE*")),
        text_encoder=next(wan.glob("*t5*")),
        tokenizer=wan / "google" / "umt5-xxl",
        image_encoder=next(wan.glob("*clip*")),
        speech_encoder=folder / "wav2vec2-base-960h",
    )


@pytest.fixture(scope="module")
def encoders(files, tmp_path_factory) -> Encoders:
    return load_encoders(files, EncoderPlan(), tmp_path_factory.mktemp("prompts"))


@pytest.fixture(scope="module")
def picture() -> Image:
    rough = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
    return Image(rough.repeat(8, axis=0).repeat(8, axis=1))


def _person(index: int, part: Part = Part.TALKS, num_frames: int = 48) -> CastStream:
    """Someone at PLACES[index] who speaks in the first half (part TALKS) while the others listen."""
    speaking = np.zeros(num_frames, np.float32)
    listening = np.zeros(num_frames, np.float32)
    (speaking if part is Part.TALKS else listening)[: num_frames // 2] = 1
    samples = np.zeros(num_frames * 16_000 // 24, np.float32)
    if part is Part.TALKS:
        samples = np.random.default_rng(index).standard_normal(len(samples)).astype(np.float32) / 10
    face = Face(id=f"f{index}", name=f"Person {index}", colour="#000000", box_px=PLACES[index % 3])
    return CastStream(face, None, part, 1.5, 0.8, Waveform(samples, 16_000), (), speaking, listening)


def _built(encoders, picture, parts, span=FIRST, start_frames=None, direction=DIRECTION) -> Conditioning:
    streams = [_person(index, part) for index, part in enumerate(parts)]
    scene = build_scene(streams, picture, direction, encoders)
    return build_conditioning(scene, span, SHAPE, scene.boxes_px, start_frames)


def _frames(count: int, seed: int = 5) -> np.ndarray:
    rough = np.random.default_rng(seed).integers(0, 256, (count, 8, 12, 3), dtype=np.uint8)
    return rough.repeat(8, axis=1).repeat(8, axis=2)


def test_a_window_has_what_the_network_takes(encoders, picture):
    made = _built(encoders, picture, [Part.TALKS, Part.LISTENS])
    assert made.condition_CTHW.shape == (20, 3, 8, 12)
    assert made.prompt_embeds_LD.shape[1] == made.negative_prompt_embeds_LD.shape[1] == TEXT_WIDTH
    assert made.image_embeds.shape == (1, 257, IMAGE_WIDTH)
    assert made.known_CTHW is None
    assert made.pinned is None
    for person in made.people:
        assert person.audio_features.shape == (9, 5, 12, 32)
        assert person.face_embeds.shape == (1, 257, IMAGE_WIDTH)
        assert person.token_mask_S.shape == (SHAPE.latent.num_tokens,)
        assert person.gain_T.shape == (3,)
    tensors = [made.condition_CTHW, made.image_embeds, made.people[0].audio_features, made.prompt_embeds_LD]
    assert {(tensor.dtype, tensor.device.type) for tensor in tensors} == {(torch.float32, "cpu")}


@pytest.mark.parametrize("form", ["afca", "legacy"])
def test_the_network_runs_on_it_in_both_forms(form, encoders, picture, tmp_path):
    path = write_tiny_checkpoints(tmp_path, form) / TRANSFORMER_FILES[form]
    network = load_transformer(path, torch.float32, head_dim=HEAD_DIM)
    made = _built(encoders, picture, [Part.TALKS, Part.LISTENS, Part.STILL])
    noise = torch.randn(16, *made.condition_CTHW.shape[1:], generator=torch.Generator().manual_seed(0))
    states = torch.cat([noise, made.condition_CTHW])[None]
    outputs = []
    for people in (made.people, [person.silenced() for person in made.people], ()):
        streams = Streams(made.prompt_embeds_LD, made.image_embeds, people, SHAPE.latent)
        with torch.no_grad():
            outputs.append(network(states, torch.tensor([500]), streams).sample)
    assert outputs[0].shape == (1, 16, 3, 8, 12)
    assert all(torch.isfinite(output).all() for output in outputs)
    assert not torch.allclose(outputs[0], outputs[1], atol=1e-5)
    assert not torch.allclose(outputs[0], outputs[2], atol=1e-5)


def test_the_first_window_starts_from_the_picture_and_grey(encoders, picture):
    made = _built(encoders, picture, [Part.TALKS])
    small = picture.rgb[::2, ::2].astype(np.float32) / 127.5 - 1  # about what any resizing by two gives
    video = torch.zeros(3, 9, 64, 96)
    video[:, 0] = torch.from_numpy(small).permute(2, 0, 1)
    wanted = encoders.video.encode(video)
    assert (made.condition_CTHW[4:] - wanted).abs().mean() < 0.2 * wanted[:, 0].std()
    exact = _built(encoders, Image(picture.rgb[::2, ::2]), [])  # already of the window's size: not resized at all
    assert torch.equal(exact.condition_CTHW[4:], wanted)


def test_the_mask_channels_are_given_frames_and_then_everybody_who_may_move(encoders, picture):
    made = _built(encoders, picture, [Part.TALKS, Part.LISTENS, Part.STILL])
    mask = made.condition_CTHW[:4]
    assert (mask[:, 0] == 1).all()
    union = union_mask(PLACES[:2], SIZE, SHAPE.latent)
    assert torch.equal(mask[:, 1:], union.expand(4, 2, -1, -1))


def test_a_later_window_takes_over_its_known_frames(encoders, picture):
    known = _frames(5)
    made = _built(encoders, picture, [Part.TALKS], SECOND, known)
    alone = encoders.video.encode(torch.from_numpy(known).permute(3, 0, 1, 2).float() / 127.5 - 1)
    assert (made.known_CTHW - alone).abs().max() < 1e-5
    assert torch.equal(made.condition_CTHW[4:, :2], made.known_CTHW)
    assert (made.condition_CTHW[:4, :2] == 1).all()
    assert (made.condition_CTHW[:4, 2] < 1).any()


def test_faces_picture_and_prompt_come_from_the_photo_in_every_window(encoders, picture):
    scene = build_scene([_person(0), _person(1)], picture, DIRECTION, encoders)
    first = build_conditioning(scene, FIRST, SHAPE, scene.boxes_px)
    moved = [(x0 + 10, y0 + 5, x1 + 10, y1 + 5) for x0, y0, x1, y1 in scene.boxes_px]
    second = build_conditioning(scene, SECOND, SHAPE, moved, _frames(5))
    assert torch.equal(first.image_embeds, second.image_embeds)
    for before, after, box in zip(first.people, second.people, moved, strict=True):
        assert torch.equal(before.face_embeds, after.face_embeds)
        assert torch.equal(after.token_mask_S, token_mask(box, SIZE, SHAPE.latent))
        assert not torch.equal(before.token_mask_S, after.token_mask_S)


def test_a_face_is_seen_in_the_photos_own_resolution(encoders, picture):
    """Its features are those of its square of the photo, not of the video's few pixels."""
    scene = build_scene([_person(0)], picture, DIRECTION, encoders)
    x0, y0, side = 15, 30, 50
    crop = picture.rgb[y0 : y0 + side, x0 : x0 + side]
    assert torch.equal(scene.face_embeds[0], encoders.image()(crop))


def test_windows_hear_their_own_part_of_the_voice(encoders, picture):
    scene = build_scene([_person(0)], picture, DIRECTION, encoders)
    first = build_conditioning(scene, FIRST, SHAPE, scene.boxes_px).people[0].audio_features
    second = build_conditioning(scene, SECOND, SHAPE, scene.boxes_px, _frames(5)).people[0].audio_features
    assert torch.equal(first[4:], second[:5])
    assert not torch.allclose(first[:5], second[:5], atol=1e-3)


def test_swapping_two_people_swaps_their_streams_and_nothing_else(encoders, picture):
    people = [_person(0), _person(1, Part.LISTENS)]
    made, swapped = (
        build_conditioning(scene, FIRST, SHAPE, scene.boxes_px)
        for scene in (build_scene(order, picture, DIRECTION, encoders) for order in (people, people[::-1]))
    )
    assert torch.equal(made.condition_CTHW, swapped.condition_CTHW)
    for one, other in zip(made.people, swapped.people[::-1], strict=True):
        for name in ("audio_features", "face_embeds", "token_mask_S", "gain_T"):
            assert torch.equal(getattr(one, name), getattr(other, name))


def test_listeners_hear_silence_and_not_nothing(encoders, picture):
    made = _built(encoders, picture, [Part.TALKS, Part.LISTENS, Part.LISTENS])
    talks, *listen = (person.audio_features for person in made.people)
    assert torch.equal(*listen)
    assert listen[0].abs().max() > 0.1
    assert not torch.allclose(talks, listen[0], atol=1e-2)


def test_lip_strength_acts_on_speech_liveliness_on_listening_and_neither_on_silence():
    speaker, listener = _person(0), _person(1, Part.LISTENS)
    assert gain(speaker, 0.5, 0, 9).tolist() == pytest.approx([0.8] * 3)
    assert gain(listener, 0.5, 0, 9).tolist() == pytest.approx([1.5 * 0.5] * 3)
    assert gain(speaker, 0.5, 30, 9).tolist() == gain(listener, 0.5, 30, 9).tolist() == [1] * 3
    assert gain(replace(speaker, lip_strength=1.0), 2.0, 0, 45).tolist() == [1] * 12
    assert gain(listener, 0.0, 0, 9).tolist() == pytest.approx([0] * 3)


def test_gates_blend_between_parts_over_the_frames_of_a_latent_one():
    """Frames 21..24 are one latent frame of the window that starts at 20: three of speech, one of silence."""
    values = gain(_person(0), 1.0, 20, 9).tolist()
    assert values == pytest.approx([0.8, (3 * 0.8 + 1) / 4, 1])
    half = replace(_person(0), speaking_gate=np.full(48, 0.5, np.float32), listening_gate=np.full(48, 0.5, np.float32))
    assert gain(half, 2.0, 0, 5).tolist() == pytest.approx([0.5 * 0.8 + 0.5 * 3.0] * 2)


def test_still_people_have_no_stream_and_stay_as_the_photo_has_them(encoders, picture):
    made = _built(encoders, picture, [Part.TALKS, Part.LISTENS, Part.STILL], SECOND, _frames(5))
    assert len(made.people) == 2
    inside = union_mask(PLACES[2:], SIZE, SHAPE.latent) == 1
    assert (made.pinned.mask_HW[inside] == 1).all()
    assert (made.pinned.mask_HW[union_mask(PLACES[:2], SIZE, SHAPE.latent) == 1] == 0).all()
    still = build_scene([_person(2, Part.STILL)], picture, DIRECTION, encoders)
    frame = encoders.video.decode(still.held_still(SHAPE))
    assert made.pinned.latents_CTHW.shape == (16, 3, 8, 12)
    assert torch.equal(made.pinned.latents_CTHW, still.held_still(SHAPE))
    assert still.held_still(SHAPE) is still.held_still(SHAPE)
    assert frame.shape == (9, 64, 96, 3)


@pytest.mark.parametrize("parts", [[], [Part.STILL], [Part.TALKS] + [Part.LISTENS] * 19])
def test_any_number_of_people_works(encoders, picture, parts):
    made = _built(encoders, picture, parts)
    assert len(made.people) == sum(part is not Part.STILL for part in parts)
    assert torch.isfinite(made.condition_CTHW).all()
    if not made.people:
        assert (made.condition_CTHW[:4, 1:] == 0).all()  # as in a plain image-to-video model


def test_a_window_beyond_the_end_of_the_take_is_silence(encoders, picture):
    beyond = WindowSpan(3, 4, 44, 9, 5)
    made = _built(encoders, picture, [Part.TALKS], beyond, _frames(5))
    assert made.people[0].gain_T.tolist() == [1, 1, 1]
    assert torch.isfinite(made.people[0].audio_features).all()


def test_a_voice_shorter_than_one_latent_frame_is_filled_up(encoders, picture):
    brief = replace(_person(0), voice=Waveform(_person(0).voice.samples[:120], 16_000), speaking_gate=np.ones(1))
    scene = build_scene([brief], picture, DIRECTION, encoders)
    made = build_conditioning(scene, FIRST, SHAPE, scene.boxes_px)
    assert made.people[0].audio_features.shape == (9, 5, 12, 32)
    assert torch.isfinite(made.people[0].audio_features).all()


def test_an_empty_negative_prompt_is_ours_and_the_creators_own_is_kept(encoders, picture):
    def negative(words: str) -> torch.Tensor:
        return build_scene([], picture, replace(DIRECTION, negative_prompt=words), encoders).negative_prompt_embeds_LD

    assert len(negative("  ")) > 20
    assert torch.equal(negative("blurry picture"), encoders.prompt("blurry picture"))


def test_a_picture_of_extreme_shape_is_refused_with_a_way_out(encoders):
    with pytest.raises(ConditioningError, match=r"10\.0 times") as refused:
        build_scene([], Image(np.zeros((100, 1000, 3), np.uint8)), DIRECTION, encoders)
    assert "16:9" in refused.value.remedy


def test_small_faces_are_remarked_on_where_they_move(encoders, picture):
    streams = [_person(0), _person(1, Part.STILL)]
    boxes = [(10.0, 10.0, 25.0, 30.0), (50.0, 10.0, 60.0, 25.0)]
    assert ["Person 0" in remark for remark in build_scene(streams, picture, DIRECTION, encoders, boxes).remarks] == [
        True
    ]
    assert build_scene(streams, picture, DIRECTION, encoders).remarks == ()


@pytest.mark.parametrize(
    "boxes", [[], [(0.0, 0.0, 5.0, float("inf"))], [(0.0, 0.0, float("nan"), 5.0)], [(5.0, 5.0, 5.0, 9.0)]]
)
def test_boxes_that_are_none_are_refused(encoders, picture, boxes):
    with pytest.raises(ConditioningError):
        build_scene([_person(0)], picture, DIRECTION, encoders, boxes)


@pytest.mark.parametrize("count", [0, 1, 4, 9])
def test_a_later_window_needs_just_its_known_frames(encoders, picture, count):
    scene = build_scene([_person(0)], picture, DIRECTION, encoders)
    with pytest.raises(ConditioningError, match="starts from 5 known frames"):
        build_conditioning(scene, SECOND, SHAPE, scene.boxes_px, _frames(count) if count else None)
    with pytest.raises(ConditioningError, match="has 9 frames"):
        build_conditioning(scene, FIRST, VideoShape(13, 64, 96), scene.boxes_px)
