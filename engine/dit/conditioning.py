"""From people, picture and prompt to what one window's denoising depends on.

Once per take, always from the original photo: prompt, picture and face features (``build_scene``), so that identity and
colours cannot drift. Once per window: what each person hears and does, where they are, and the frames that are already
known (``build_conditioning``).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from engine.cast.streams import CastStream
from engine.dit.catalogue import ModelFiles, NetworkFiles
from engine.dit.coders import Encoders, VideoCodec, VoiceReader
from engine.dit.encoders import VideoCoder, load_image_encoder, load_vae
from engine.dit.masks import Box, Size, crop_px, mask_channels, pinned_mask, token_mask, union_mask
from engine.dit.shapes import TIME_STRIDE, VideoShape, latent_frames
from engine.dit.speech import load_speech_encoder
from engine.dit.text import TextModel, load_prompt_encoder
from engine.dit.tiny import load_tiny_encoders
from engine.dit.types import Conditioning, Person, Pinned
from engine.dit.windows import WindowSpan
from engine.errors import ConditioningError
from engine.media.types import Image
from engine.project.document import Part

MAX_ASPECT = 4.0
SMALL_FACE_PX = 24
NEGATIVE_PROMPT = (
    "subtitles, captions, text, watermark, still image, frozen face, stiff expression, lips out of time with the "
    "voice, lips that do not close, distorted teeth, deformed face, deformed hands, extra fingers, extra people, blur, "
    "flicker, overexposed, low quality"
)
"""What guidance leads away from where the creator says nothing else."""


@dataclass(frozen=True)
class Direction:
    """What the creator asks of the whole scene; an empty negative prompt means NEGATIVE_PROMPT."""

    prompt: str
    negative_prompt: str = ""
    frame_rate: float = 24.0
    interaction_strength: float = 1.0


@dataclass(frozen=True, eq=False)
class SceneConditioning:
    """What stays the same over a whole take. Tuples are in the order of ``streams``.

    ``boxes_px``: the faces in ``picture``; ``face_embeds`` (1, 257, 1280) each, None for still people; ``remarks``:
    what the creator should know about this picture. The voices' and the video's encoder serve every window.
    """

    streams: tuple[CastStream, ...]
    direction: Direction
    picture: Image
    boxes_px: tuple[Box, ...]
    prompt_embeds_LD: Tensor
    negative_prompt_embeds_LD: Tensor
    image_embeds: Tensor
    face_embeds: tuple[Tensor | None, ...]
    speech: VoiceReader
    video: VideoCodec
    remarks: tuple[str, ...] = ()
    _held_still: dict[VideoShape, Tensor] = field(default_factory=dict)

    @property
    def size(self) -> Size:
        return self.picture.width, self.picture.height

    def held_still(self, shape: VideoShape) -> Tensor:
        """(16, T, H, W): the picture as a video in which nothing moves; encoded once."""
        if shape not in self._held_still:
            frame_Chw = _as_video(self.picture.rgb[None], shape)[:, 0]
            self._held_still[shape] = self.video.encode(frame_Chw[:, None].expand(-1, shape.num_frames, -1, -1))
        return self._held_still[shape]


@dataclass(frozen=True)
class EncoderPlan:
    """Where the encoders run. The text encoder (11 GB in bfloat16) has its own place and quantization; ``tiling``: the
    VAE codes large pictures in tiles."""

    device: torch.device | str = "cpu"
    text_device: torch.device | str = "cpu"
    text_quantization: str = "none"
    tiling: bool = False


def load_encoders(files: NetworkFiles, plan: EncoderPlan, cache_dir: Path) -> Encoders:
    """All encoders of a model; ``cache_dir`` keeps prompts that were encoded before, from take to take.

    Raises ModelMissing or UnusableCheckpoint.
    """
    if not isinstance(files, ModelFiles):
        return load_tiny_encoders(files.vae, plan.device)
    text = TextModel(files.text_encoder, files.tokenizer, plan.text_device, quantization=plan.text_quantization)
    # The published picture encoder is float16; the processor computes that in float32 only.
    image_dtype = torch.float16 if torch.device(plan.device).type == "cuda" else torch.float32
    return Encoders(
        prompt=load_prompt_encoder(text, cache_dir),
        image=lambda: load_image_encoder(files.image_encoder, plan.device, image_dtype),
        speech=load_speech_encoder(files.speech_encoder, plan.device),
        video=VideoCoder(load_vae(files.vae), plan.device, plan.tiling),
    )


def build_scene(
    streams: Sequence[CastStream],
    picture: Image,
    direction: Direction,
    encoders: Encoders,
    boxes_px: Sequence[Box] | None = None,
) -> SceneConditioning:
    """Encode what stays the same over the take.

    ``picture``: what the video shows, in the photo's own resolution; ``boxes_px``: the streams' faces in it (None: as
    in ``face.box_px``, for a picture that is the whole photo). Any number of people, in any order; nobody is required.
    Raises ConditioningError for a picture more than MAX_ASPECT times longer than wide, or boxes that are none.
    """
    boxes = tuple(boxes_px if boxes_px is not None else (stream.face.box_px for stream in streams))
    _check_picture(picture)
    _check_boxes(boxes, streams)
    prompts = direction.prompt, direction.negative_prompt.strip() or NEGATIVE_PROMPT
    prompt_embeds_LD, negative_prompt_embeds_LD = encoders.prompt.encode(prompts)
    image_encoder = encoders.image()
    return SceneConditioning(
        streams=tuple(streams),
        direction=direction,
        picture=picture,
        boxes_px=boxes,
        prompt_embeds_LD=prompt_embeds_LD,
        negative_prompt_embeds_LD=negative_prompt_embeds_LD,
        image_embeds=image_encoder(picture.rgb),
        face_embeds=tuple(
            image_encoder(_crop(picture, box)) if _moves(stream) else None
            for stream, box in zip(streams, boxes, strict=True)
        ),
        speech=encoders.speech,
        video=encoders.video,
        remarks=tuple(_remarks(streams, boxes)),
    )


def build_conditioning(
    scene: SceneConditioning,
    span: WindowSpan,
    shape: VideoShape,
    boxes_px: Sequence[Box],
    start_frames: NDArray[np.uint8] | None = None,
) -> Conditioning:
    """What window ``span`` depends on.

    ``boxes_px``: where the streams' faces are in this window, in px of the scene's picture (heads move; inside a window
    a box stands). ``start_frames`` (span.num_known, h, w, 3): the last frames of the window before; None for the first
    window, which starts from the picture. Raises ConditioningError where these do not fit together.
    """
    _check_boxes(boxes_px, scene.streams)
    _check_window(span, shape, start_frames)
    later = start_frames is not None and span.num_known > 0
    given = start_frames if start_frames is not None else scene.picture.rgb[None]
    num_known = latent_frames(len(given))
    start_CFhw = _as_video(given, shape)
    video_CFhw = torch.zeros(3, shape.num_frames, shape.height, shape.width)  # mid grey: not known yet
    video_CFhw[:, : len(given)] = start_CFhw
    latents_CTHW = scene.video.encode(video_CFhw)
    moving = [box for stream, box in zip(scene.streams, boxes_px, strict=True) if _moves(stream)]
    mask_4THW = mask_channels(union_mask(moving, scene.size, shape.latent), shape.latent, num_known)
    return Conditioning(
        shape=shape,
        prompt_embeds_LD=scene.prompt_embeds_LD,
        negative_prompt_embeds_LD=scene.negative_prompt_embeds_LD,
        image_embeds=scene.image_embeds,
        condition_CTHW=torch.cat([mask_4THW, latents_CTHW]),
        people=tuple(_people(scene, span, shape, boxes_px)),
        pinned=_pinned(scene, shape, moving),
        known_CTHW=latents_CTHW[:, :num_known].clone() if later else None,
    )


def gain(stream: CastStream, interaction_strength: float, first: int, num_frames: int) -> Tensor:
    """(T,): how strongly a person's voice and face act in each latent frame of a window; 1 = the paper.

    Lip strength while they speak, liveliness times ``interaction_strength`` while they listen, 1 in silence; the gates
    blend between these. Frames past the take's end are silence.
    """
    speaking, listening = (
        _stretch(gate, first, num_frames) for gate in (stream.speaking_gate, stream.listening_gate)
    )  # fmt: skip
    gain_F = 1 + speaking * (stream.lip_strength - 1) + listening * (stream.liveliness * interaction_strength - 1)
    rest_T = gain_F[1:].reshape(-1, TIME_STRIDE).mean(dim=1)  # latent frame j > 0 holds frames 4j-3 .. 4j
    return torch.cat([gain_F[:1], rest_T])


def _people(
    scene: SceneConditioning, span: WindowSpan, shape: VideoShape, boxes_px: Sequence[Box]
) -> list[Person]:  # fmt: skip
    people = []
    for stream, box, face_embeds in zip(scene.streams, boxes_px, scene.face_embeds, strict=True):
        if face_embeds is None:
            continue
        people.append(
            Person(
                audio_features=scene.speech.features(
                    stream.voice, scene.direction.frame_rate, span.first, shape.num_frames
                ),
                face_embeds=face_embeds,
                token_mask_S=token_mask(box, scene.size, shape.latent),
                gain_T=gain(stream, scene.direction.interaction_strength, span.first, shape.num_frames),
            )
        )
    return people


def _pinned(scene: SceneConditioning, shape: VideoShape, moving: Sequence[Box]) -> Pinned | None:
    """Still people stay where the photo has them, so their boxes are the photo's in every window."""
    still = [box for stream, box in zip(scene.streams, scene.boxes_px, strict=True) if not _moves(stream)]
    if not still:
        return None
    return Pinned(pinned_mask(still, moving, scene.size, shape.latent), scene.held_still(shape))


def _moves(stream: CastStream) -> bool:
    return stream.part is not Part.STILL


def _crop(picture: Image, box: Box) -> NDArray[np.uint8]:
    x0, y0, x1, y1 = crop_px(box, (picture.width, picture.height))
    return picture.rgb[y0:y1, x0:x1]


def _stretch(gate: NDArray[np.float32], first: int, num_frames: int) -> Tensor:
    inside = gate[first : first + num_frames]
    return torch.from_numpy(np.pad(inside, (0, num_frames - len(inside))).astype(np.float32))


def _as_video(frames: NDArray[np.uint8], shape: VideoShape) -> Tensor:
    """(3, F, height, width) in -1..1, brought to the window's size where it is not. Unlike in the reference a shrunk
    picture is antialiased: a large photo's fine patterns would crawl through the video."""
    video_FChw = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float()
    if video_FChw.shape[2:] != (shape.height, shape.width):
        video_FChw = functional.interpolate(
            video_FChw, size=(shape.height, shape.width), mode="bicubic", align_corners=False, antialias=True
        ).clamp(0, 255)
    return video_FChw.transpose(0, 1) / 127.5 - 1


def _remarks(streams: Sequence[CastStream], boxes: Sequence[Box]) -> list[str]:
    return [
        f"{stream.face.name}'s face is only {max(x1 - x0, y1 - y0):.0f} px large; its lips will be soft. "
        "Use a larger photo."
        for stream, (x0, y0, x1, y1) in zip(streams, boxes, strict=True)
        if _moves(stream) and max(x1 - x0, y1 - y0) < SMALL_FACE_PX
    ]


def _check_picture(picture: Image) -> None:
    aspect = max(picture.width, picture.height) / max(1, min(picture.width, picture.height))
    if aspect > MAX_ASPECT:
        raise ConditioningError(
            f"The picture is {picture.width} x {picture.height} px, {aspect:.1f} times as long as wide; the "
            f"network takes up to {MAX_ASPECT:.0f} times.",
            "Choose 16:9, 9:16 or 1:1 as the video's shape, or crop the photo.",
        )


def _check_boxes(boxes: Sequence[Box], streams: Sequence[CastStream]) -> None:
    if len(boxes) != len(streams):
        raise ConditioningError(
            f"There are {len(streams)} people and {len(boxes)} places for their faces.", "Find the faces again."
        )
    for stream, box in zip(streams, boxes, strict=True):
        x0, y0, x1, y1 = box
        if not all(map(math.isfinite, box)) or x1 <= x0 or y1 <= y0:
            raise ConditioningError(
                f"{stream.face.name}'s face has the box {box}, which holds nothing.", "Draw the face's box again."
            )


def _check_window(span: WindowSpan, shape: VideoShape, start_frames: NDArray[np.uint8] | None) -> None:
    given = 0 if start_frames is None else len(start_frames)
    if span.num_frames != shape.num_frames:
        raise ConditioningError(
            f"Window {span.index + 1} has {span.num_frames} frames, its shape {shape.num_frames}.", "Plan it again."
        )
    if (given != span.num_known and not (given == 1 and span.num_known == 0)) or (given and (given - 1) % TIME_STRIDE):
        raise ConditioningError(
            f"Window {span.index + 1} starts from {span.num_known} known frames (4n+1); {given} were given.",
            "Render it from the first window on.",
        )
