"""What the engine's stages hand to each other.

Letters in tensor names: B batch · C channels · F video frames · T latent frames · H W latent sides
· S tokens (T * H/2 * W/2) · L prompt tokens · D width of what stands beside it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from engine.dit.shapes import VideoShape


@dataclass(frozen=True)
class Person:
    """One (face, voice) pair as the transformer takes it.

    ``audio_features`` (F, 5, 12, 768): wav2vec2's twelve layers in windows of five frames; ``face_embeds``
    (1, 257, 1280): CLIP features of the face crop; ``token_mask_S`` (S,) float 0..1: where this face is (None =
    everywhere, as when the reference runs without token masks); ``gain_T`` (T,): factor on what the audio-face
    attention adds per latent frame (1 = the paper, and the same as None).
    """

    audio_features: Tensor
    face_embeds: Tensor
    token_mask_S: Tensor | None = None
    gain_T: Tensor | None = None

    def silenced(self) -> "Person":
        """The same person in the unconditional pass: zero audio features, all else kept (reference, spec B.2)."""
        return Person(torch.zeros_like(self.audio_features), self.face_embeds, self.token_mask_S, self.gain_T)


@dataclass(frozen=True)
class Pinned:
    """What must stay as the photo has it. ``mask_HW`` (H, W) float 0..1, 1 = pinned; ``latents_CTHW``: the photo held
    still, encoded and normalised, for every latent frame."""

    mask_HW: Tensor
    latents_CTHW: Tensor


@dataclass(frozen=True)
class Conditioning:
    """Everything that one window's denoising depends on besides the noise. All float32 on the CPU until used.

    ``condition_CTHW`` (20, T, H, W): 4 mask channels, then the 16 latents of the start frames (spec A.2);
    ``known_CTHW`` (16, k, H, W) or None: normalised latents of the first k latent frames, taken from the window before.
    """

    shape: VideoShape
    prompt_embeds_LD: Tensor
    negative_prompt_embeds_LD: Tensor
    image_embeds: Tensor
    condition_CTHW: Tensor
    people: tuple[Person, ...]
    pinned: Pinned | None = None
    known_CTHW: Tensor | None = None
