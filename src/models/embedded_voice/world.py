"""Speech as WORLD frames and back: pitch, spectral envelope and aperiodicity every 5 ms.

The envelope is kept as a mel-cepstrum: the cosine transform of its natural log power in mel bands. Coefficient 0 is
loudness, the next ones are shape from coarse to fine, and means and distances of them are near to what is heard.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import soxr
from numpy.typing import NDArray
from scipy.fft import dct, idct

from src.domain.audio import OUTPUT_SAMPLE_RATE, Audio, Samples

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # pyworld reads its own version through pkg_resources
    import pyworld

Array = NDArray[np.float64]

FRAME_SECONDS = 0.005
FFT_SIZE = 1024
BANDS = 80
COEFFICIENTS = 48
"""Of the mel-cepstrum; more of them add nothing that the speaker model or a listener notices."""

LOWEST_PITCH, HIGHEST_PITCH = 71.0, 500.0
"""Hz. The lower one is the least that an FFT of 1024 samples at 24 kHz resolves."""

_BINS = FFT_SIZE // 2 + 1
_POWER_FLOOR = 1e-12


_MELS = 1127 * np.log1p(np.linspace(0, OUTPUT_SAMPLE_RATE / 2, _BINS) / 700)
_CENTRES = np.linspace(0, _MELS[-1], BANDS)
_TENTS = np.maximum(0, 1 - np.abs(_MELS[:, None] - _CENTRES) / _CENTRES[1])  # [bins, BANDS], rows sum to 1
_POOLING = _TENTS / _TENTS.sum(axis=0)


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """`pitch` [T] in Hz, 0 where unvoiced; `cepstrum` [T, COEFFICIENTS]; `aperiodicity` [T, BANDS] from 0 to 1."""

    pitch: Array
    cepstrum: Array
    aperiodicity: Array

    @property
    def voiced(self) -> NDArray[np.bool_]:
        return self.pitch > 0


def analyse(audio: Audio, *, with_aperiodicity: bool = True) -> Frames:
    """Take speech apart; under 50 ms there are no frames. Half the cost is aperiodicity, which may be left at 0.

    Pitch comes from DIO, refined by StoneMask: a tenth of Harvest's cost, and over eight voices, clean and in noise of
    5 to 20 dB, medians within 3 % of Harvest's.
    """
    samples = np.ascontiguousarray(soxr.resample(audio.samples, audio.sample_rate, OUTPUT_SAMPLE_RATE), np.float64)
    if len(samples) < OUTPUT_SAMPLE_RATE // 20:
        return Frames(np.zeros(0), np.zeros((0, COEFFICIENTS)), np.zeros((0, BANDS)))
    coarse, times = pyworld.dio(
        samples, OUTPUT_SAMPLE_RATE, f0_floor=LOWEST_PITCH, f0_ceil=HIGHEST_PITCH, frame_period=FRAME_SECONDS * 1000
    )
    pitch = pyworld.stonemask(samples, coarse, times, OUTPUT_SAMPLE_RATE)
    envelope = pyworld.cheaptrick(samples, pitch, times, OUTPUT_SAMPLE_RATE, fft_size=FFT_SIZE)
    aperiodicity = np.zeros((len(pitch), BANDS))
    if with_aperiodicity:
        aperiodicity = pyworld.d4c(samples, pitch, times, OUTPUT_SAMPLE_RATE, fft_size=FFT_SIZE) @ _POOLING
    bands = np.log(envelope + _POWER_FLOOR) @ _POOLING
    return Frames(pitch, dct(bands, norm="ortho", axis=1)[:, :COEFFICIENTS], aperiodicity)


def synthesise(frames: Frames) -> Samples:
    """Sound at OUTPUT_SAMPLE_RATE; its level is that of the envelope."""
    bands = idct(np.pad(frames.cepstrum, ((0, 0), (0, BANDS - COEFFICIENTS))), norm="ortho", axis=1)
    sound = pyworld.synthesize(
        np.ascontiguousarray(frames.pitch),
        np.ascontiguousarray(np.exp(bands @ _TENTS.T)),
        np.ascontiguousarray(np.clip(frames.aperiodicity @ _TENTS.T, 0.001, 1.0 - 1e-9)),
        OUTPUT_SAMPLE_RATE,
        FRAME_SECONDS * 1000,
    )
    return np.asarray(sound, np.float32)
