"""From windows of speech features to audio tokens, in both published forms.

Letters: B voices · F video frames · T latent frames · W slots of a window (5) · A layers of the speech encoder (12)
· C its width (768) · N tokens per frame · D width of a token.
"""

import torch
from diffusers.models.normalization import FP32LayerNorm
from torch import Tensor, nn
from torch.nn import functional as F

from engine.dit.shapes import TIME_STRIDE
from engine.errors import ConditioningError

SLOTS = 5  # a frame's window: itself and two neighbours on each side
EARLY, MIDDLE, LATE = (0, 1, 2), (2,), (2, 3, 4)
LATE_SLOTS = (EARLY, MIDDLE, MIDDLE, LATE)  # of the four frames behind one later latent frame (spec A.8)
NUM_LATE_SLOTS = sum(map(len, LATE_SLOTS))


class AudioProjection(nn.Module):
    """AFCA form: every video frame becomes ``num_tokens`` tokens of its own (paper, section 3.2; spec A.5).

    ``window_dim``: 5 slots x 12 layers x 768, flattened. ``norm`` False: a checkpoint without the closing norm.
    """

    def __init__(self, window_dim: int, hidden_dim: int, num_tokens: int, token_dim: int, norm: bool = True) -> None:
        super().__init__()
        self.num_tokens, self.token_dim = num_tokens, token_dim
        self.proj1 = nn.Linear(window_dim, hidden_dim)
        self.proj2 = nn.Linear(hidden_dim, hidden_dim)
        self.proj3 = nn.Linear(hidden_dim, num_tokens * token_dim)
        self.norm = FP32LayerNorm(token_dim, eps=1e-5) if norm else None

    def forward(self, features_BFWAC: Tensor) -> Tensor:
        """(B, F, N, D); one voice may come without its B."""
        if features_BFWAC.ndim == 4:
            features_BFWAC = features_BFWAC[None]
        return self._tokens(F.relu(self.proj1(features_BFWAC.flatten(2))))

    def _tokens(self, hidden: Tensor) -> Tensor:
        tokens = self.proj3(F.relu(self.proj2(hidden))).unflatten(-1, (self.num_tokens, self.token_dim))
        return tokens if self.norm is None else self.norm(tokens)


class LatentAudioProjection(AudioProjection):
    """Legacy form: every *latent* frame becomes ``num_tokens`` tokens (spec A.8).

    The first latent frame holds one video frame, every later one four: they come in by weights of their own.
    """

    def __init__(self, window_dim: int, hidden_dim: int, num_tokens: int, token_dim: int, norm: bool = True) -> None:
        super().__init__(window_dim, hidden_dim, num_tokens, token_dim, norm)
        self.proj1_late = nn.Linear(window_dim // SLOTS * NUM_LATE_SLOTS, hidden_dim)

    def forward(self, features_BFWAC: Tensor) -> Tensor:
        """(B, T, N, D); one voice may come without its B. Raises ConditioningError unless F = 4n+1."""
        if features_BFWAC.ndim == 4:
            features_BFWAC = features_BFWAC[None]
        first, later = latent_windows(features_BFWAC)
        hidden = torch.cat([self.proj1(first.flatten(2)), self.proj1_late(later.flatten(2))], dim=1)
        return self._tokens(F.relu(hidden))


def latent_windows(features_BFWAC: Tensor) -> tuple[Tensor, Tensor]:
    """The slots behind the first latent frame (B, 1, 5, A, C) and behind the later ones (B, T-1, 8, A, C): each
    neighbouring frame is seen once. Raises ConditioningError unless F = 4n+1."""
    num_frames = features_BFWAC.shape[1]
    if num_frames % TIME_STRIDE != 1:
        raise ConditioningError(
            f"A voice has speech features for {num_frames} frames; a window holds 4n+1 (5, 9, … 81).",
            "Cut or extend the voice to the window.",
        )
    groups = features_BFWAC[:, 1:].unflatten(1, (num_frames // TIME_STRIDE, TIME_STRIDE))
    slots = [groups[:, :, frame, list(slots)] for frame, slots in enumerate(LATE_SLOTS)]
    return features_BFWAC[:, :1], torch.cat(slots, dim=2)
