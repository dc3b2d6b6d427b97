"""A mild separation with no model: each voice's typical spectra, learnt where it speaks alone in the same recording.

Non-negative matrix factorisation (scikit-learn), as in supervised source separation: spectra of both voices explain the
mixture together, and each voice takes its share of every time and pitch. The shares add to 1.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

NUM_SPECTRA = 24
NUM_ROUNDS = 80
WINDOW_S = 0.064

Spectra = NDArray[np.float32]


def _window(sample_rate: int) -> int:
    return 2 ** round(np.log2(WINDOW_S * sample_rate))


def _factorise(magnitudes: NDArray[np.float32], spectra: Spectra | None) -> tuple[NDArray[np.float32], Spectra]:
    """(T, bins) magnitudes as (T, S) loads of (S, bins) spectra; ``spectra`` are learnt where None."""
    from sklearn.decomposition import non_negative_factorization
    from sklearn.utils._testing import ignore_warnings

    solve = ignore_warnings(non_negative_factorization)
    loads, found, _ = solve(
        magnitudes,
        H=spectra,
        n_components=NUM_SPECTRA if spectra is None else len(spectra),
        init="random" if spectra is None else None,
        update_H=spectra is None,
        solver="mu",
        beta_loss="kullback-leibler",
        max_iter=NUM_ROUNDS,
        random_state=0,
    )
    return loads, found


@lru_cache(maxsize=8)
def _spectra_of(example: bytes, sample_rate: int) -> Spectra:
    found = _factorise(_magnitudes(np.frombuffer(example, np.float32), sample_rate), None)[1]
    return (found / np.maximum(found.sum(1, keepdims=True), 1e-9)).astype(np.float32)


def _transform(sound: NDArray[np.float32], sample_rate: int) -> NDArray[np.complex64]:
    from scipy.signal import stft

    size = _window(sample_rate)
    return stft(sound, sample_rate, nperseg=size, noverlap=size * 3 // 4)[2]


def _magnitudes(sound: NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
    # Silence has no spectrum to share out; the floor keeps the divisions of the update rules finite.
    return np.maximum(np.abs(_transform(sound, sample_rate)).T, 1e-7).astype(np.float32)


class SpectralSplitter:
    """A VoiceSeparator: +4 dB SI-SDR on average on equally loud pairs, now and then nothing."""

    def __call__(
        self, mixture: NDArray[np.float32], examples: list[NDArray[np.float32]], sample_rate: int
    ) -> NDArray[np.float32]:
        from scipy.signal import istft

        spectra = [_spectra_of(np.asarray(example, np.float32).tobytes(), sample_rate) for example in examples]
        loads = _factorise(_magnitudes(mixture, sample_rate), np.concatenate(spectra))[0]
        powers = [part @ own for part, own in zip(np.split(loads, len(spectra), axis=1), spectra, strict=True)]
        total = np.maximum(sum(powers), 1e-9)
        whole, size = _transform(mixture, sample_rate), _window(sample_rate)
        voices = [
            istft(whole * (power / total).T, sample_rate, nperseg=size, noverlap=size * 3 // 4) for power in powers
        ]
        return np.stack([voice[1][: len(mixture)] for voice in voices]).astype(np.float32)
