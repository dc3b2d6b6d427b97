"""Voices as what the network hears: the twelve layers of wav2vec2, a window of five frames per video frame.

Specification, A.5: the whole track is brought to zero mean and unit variance; the convolutional features are resampled
to the video's frame rate BEFORE projection and transformer. Letters: N conv frames (50 per second) · F video frames ·
C conv channels · K layers · D width.
"""

import math
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from transformers import Wav2Vec2Model

from engine.dit.speech_files import SAMPLE_RATE, load_wav2vec2
from engine.errors import ConditioningError
from engine.media.types import Waveform

FRAMES_AROUND = 2  # a window of five: two frames before and two after
PIECE_S, CONTEXT_S = 10.0, 5.0  # wav2vec2 learnt on utterances of this order; its positions reach 2.7 s at 24 frames/s
_VARIANCE_FLOOR = 1e-7  # of the published feature extractor
_READ_AT_ONCE = SAMPLE_RATE * 20
_TRACKS_KEPT, _PIECES_KEPT_PER_TRACK = 32, 2


@dataclass(frozen=True)
class _Track:
    """What has to be known of a whole voice before a piece of it can be encoded.

    ``mean`` and ``scale`` bring sound to zero mean and unit variance; ``conv_mean_C`` and ``conv_scale_C`` are what
    the first convolution's group norm measures over the whole track: without them a quiet stretch, encoded alone,
    would be raised to the loudness of speech. Silent tracks of one length share a ``key``: listeners are encoded once,
    however many they are.
    """

    voice: Waveform
    key: tuple[str, int]
    mean: float
    scale: float
    conv_mean_C: Tensor
    conv_scale_C: Tensor


class SpeechEncoder:
    """wav2vec2 features of any stretch of a voice of any length, with the memory of one piece.

    A track is encoded in pieces on a fixed grid (PIECE_S), each heard with CONTEXT_S on both sides, so that a frame's
    features do not depend on the windows that ask for them.
    """

    def __init__(self, model: Wav2Vec2Model, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self._model = model.eval().to(self.device)
        self._receptive, self._hop = 1, 1
        for kernel, stride in zip(model.config.conv_kernel, model.config.conv_stride, strict=True):
            self._receptive += (kernel - 1) * self._hop
            self._hop *= stride
        self._tracks: OrderedDict[int, _Track] = OrderedDict()
        self._pieces: OrderedDict[tuple[object, ...], OrderedDict[int, Tensor]] = OrderedDict()

    def features(self, voice: Waveform, frame_rate: float, first: int, num_frames: int) -> Tensor:
        """(num_frames, 5, 12, 768) float32 of video frames ``first``.. of ``voice`` (16 kHz; may be a memory map).

        Frame i hears the conv features at i * 50 / frame_rate: the reference's own positions up to its rounding
        (it stretches a track by at most half a conv frame). Past the end of the sound: encoded silence. Before its
        first frame: that frame again. Raises ConditioningError for a sound of another rate, or that is no number.
        """
        wanted = torch.arange(first, first + num_frames)[:, None] + torch.arange(-FRAMES_AROUND, FRAMES_AROUND + 1)
        wanted = wanted.clamp(min=0)
        start = int(wanted.min())
        frames_FKD = self._frames(self._track(voice), frame_rate, start, int(wanted.max()) + 1)
        return frames_FKD[wanted - start]

    @torch.no_grad()
    def whole_track(self, samples: NDArray[np.float32], frame_rate: int, multiple_of: int = 1) -> Tensor:
        """(F, 5, 12, 768) of a short track in one piece, number for number as the reference encodes it: padded with
        silence to a ``multiple_of`` frames, windows clamped at both ends of what was padded."""
        num_frames = math.ceil(len(samples) / SAMPLE_RATE * frame_rate)
        sound = (samples - samples.mean()) / np.sqrt(samples.var() + _VARIANCE_FLOOR)
        missing = -num_frames % multiple_of
        sound = np.pad(sound, (0, missing * (SAMPLE_RATE // frame_rate)))
        num_frames += missing
        input_BN = torch.from_numpy(sound.astype(np.float32))[None].to(self.device)
        conv_BCN = self._model.feature_extractor(input_BN)
        conv_BCF = functional.interpolate(conv_BCN, size=num_frames, mode="linear", align_corners=True)
        around = torch.arange(num_frames)[:, None] + torch.arange(-FRAMES_AROUND, FRAMES_AROUND + 1)
        return self._layers(conv_BCF.transpose(1, 2))[around.clamp(0, num_frames - 1)]

    def _frames(self, track: _Track, frame_rate: float, start: int, stop: int) -> Tensor:
        length = max(1, round(PIECE_S * frame_rate))
        pieces = [self._piece(track, frame_rate, index) for index in range(start // length, (stop - 1) // length + 1)]
        offset = start // length * length
        return torch.cat(pieces)[start - offset : stop - offset]

    def _piece(self, track: _Track, frame_rate: float, index: int) -> Tensor:
        key = (*track.key, frame_rate)
        kept = self._pieces.setdefault(key, OrderedDict())
        if index not in kept:
            kept[index] = self._encode_piece(track, frame_rate, index)
        kept.move_to_end(index)
        self._pieces.move_to_end(key)
        _forget_oldest(kept, _PIECES_KEPT_PER_TRACK)
        _forget_oldest(self._pieces, _TRACKS_KEPT)
        return kept[index]

    @torch.no_grad()
    def _encode_piece(self, track: _Track, frame_rate: float, index: int) -> Tensor:
        """(F, K, D) of piece ``index``, heard with its context; nothing before the track, nothing after its end but the
        silence that the piece itself may need."""
        length, context = max(1, round(PIECE_S * frame_rate)), round(CONTEXT_S * frame_rate)
        first, end = index * length, (index + 1) * length
        track_end = math.ceil(track.voice.duration_s * frame_rate)
        start, stop = max(0, first - context), min(end + context, max(end, track_end))
        at_F = torch.arange(start, stop, dtype=torch.float64) * (SAMPLE_RATE / self._hop / frame_rate)
        lower_F = at_F.floor().long()
        conv_NC = self._conv_features(track, int(lower_F[0]), int(lower_F[-1]) + 2)
        share_F1 = (at_F - lower_F).float()[:, None].to(self.device)
        lower_F = (lower_F - lower_F[0]).to(self.device)
        conv_FC = torch.lerp(conv_NC[lower_F], conv_NC[lower_F + 1], share_F1)
        return self._layers(conv_FC[None])[first - start : end - start].clone()

    def _conv_features(self, track: _Track, start: int, stop: int) -> Tensor:
        """(N, C): conv frames ``start``..``stop`` of the whole track, from the samples they see and no others."""
        first, last = start * self._hop, (stop - 1) * self._hop + self._receptive
        samples = np.array(track.voice.samples[first:last], np.float32)
        track.voice.let_go()
        sound = np.zeros(last - first, np.float32)
        sound[: len(samples)] = (samples - track.mean) * track.scale
        layers = self._model.feature_extractor.conv_layers
        conv_1CN = layers[0].conv(torch.from_numpy(sound)[None, None].to(self.device))
        norm = layers[0].layer_norm
        scale_C = (track.conv_scale_C * norm.weight)[:, None]
        conv_1CN = layers[0].activation((conv_1CN - track.conv_mean_C[:, None]) * scale_C + norm.bias[:, None])
        for layer in layers[1:]:
            conv_1CN = layer(conv_1CN)
        return conv_1CN[0].T

    def _layers(self, conv_BFC: Tensor) -> Tensor:
        """(F, K, D) on the CPU: what every transformer layer gives, the embedding before them left out."""
        outputs: list[Tensor] = []
        hooks = [
            layer.register_forward_hook(lambda module, args, output: outputs.append(output[0].cpu()))
            for layer in self._model.encoder.layers
        ]
        try:
            projected_BFD, _ = self._model.feature_projection(conv_BFC)
            self._model.encoder(projected_BFD)
        finally:
            for hook in hooks:
                hook.remove()
        return torch.stack(outputs, dim=1).float()

    def _track(self, voice: Waveform) -> _Track:
        if voice.sample_rate != SAMPLE_RATE:
            raise ConditioningError(
                f"Voices are heard at {SAMPLE_RATE} Hz; this one has {voice.sample_rate} Hz.", "Resample it first."
            )
        key = id(voice.samples)
        if key not in self._tracks:
            self._tracks[key] = self._measure(voice)
        self._tracks.move_to_end(key)
        _forget_oldest(self._tracks, _TRACKS_KEPT)
        return self._tracks[key]

    def _measure(self, voice: Waveform) -> _Track:
        """The first convolution is linear in its window, so its mean and variance over the track follow from the mean
        and covariance of all windows."""
        layer = self._model.feature_extractor.conv_layers[0]
        moments = _moments(voice, layer.conv.kernel_size[0], layer.conv.stride[0])
        weight_CK = layer.conv.weight.detach()[:, 0].double().cpu().numpy()
        mean_C = weight_CK @ moments.window_mean
        if layer.conv.bias is not None:
            mean_C = mean_C + layer.conv.bias.detach().double().cpu().numpy()
        variance_C = np.maximum(np.einsum("ck,kl,cl->c", weight_CK, moments.window_covariance, weight_CK), 0)
        scale_C = (variance_C + layer.layer_norm.eps) ** -0.5
        key = ("silence", len(voice.samples)) if moments.silent else ("voice", id(voice.samples))
        measured = [torch.from_numpy(array.astype(np.float32)).to(self.device) for array in (mean_C, scale_C)]
        return _Track(voice, key, moments.mean, moments.scale, *measured)


def load_speech_encoder(folder: Path, device: torch.device | str = "cpu") -> SpeechEncoder:
    """wav2vec2 from a folder laid out like facebook/wav2vec2-base-960h.

    Raises ModelMissing where a file is not there; UnusableCheckpoint where one is damaged or of another kind.
    """
    return SpeechEncoder(load_wav2vec2(folder), device)


@dataclass(frozen=True)
class _Moments:
    """``mean`` and ``scale`` of a track's samples; mean and covariance of the windows of the normalised samples."""

    silent: bool
    mean: float
    scale: float
    window_mean: NDArray[np.float64]
    window_covariance: NDArray[np.float64]


def _moments(voice: Waveform, kernel: int, stride: int) -> _Moments:
    """One pass over the track, a stretch at a time."""
    total, squares, count = 0.0, 0.0, max(1, len(voice.samples))
    window_sum, window_products, num_windows = np.zeros(kernel), np.zeros((kernel, kernel)), 0
    for samples, windows in _stretches(voice, kernel, stride):
        total, squares = total + float(samples.sum()), squares + float(np.square(samples).sum())
        window_sum, window_products = window_sum + windows.sum(0), window_products + windows.T @ windows
        num_windows += len(windows)
    if not math.isfinite(squares):
        raise ConditioningError("A voice holds values that are not numbers.", "Read the recording again.")
    mean = total / count
    scale = 1 / math.sqrt(max(squares / count - mean**2, 0) + _VARIANCE_FLOOR)
    window_mean, products = window_sum / max(1, num_windows), window_products / max(1, num_windows)
    covariance = (products - np.outer(window_mean, window_mean)) * scale**2
    centred = (window_mean - mean) * scale if num_windows else window_mean
    return _Moments(squares == 0, mean, scale, centred, covariance)


def _stretches(voice: Waveform, kernel: int, stride: int) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """(samples, windows (n, kernel) that start among them) of the whole voice, a stretch at a time."""
    step = _READ_AT_ONCE // stride * stride
    for start in range(0, len(voice.samples), step):
        stretch = np.array(voice.samples[start : start + step + kernel - stride], np.float64)
        seen = (
            np.lib.stride_tricks.sliding_window_view(stretch, kernel)[::stride]
            if len(stretch) >= kernel
            else np.zeros((0, kernel))
        )
        yield stretch[:step], seen
        voice.let_go()


def _forget_oldest(kept: OrderedDict, limit: int) -> None:  # type: ignore[type-arg]
    while len(kept) > limit:
        kept.popitem(last=False)
