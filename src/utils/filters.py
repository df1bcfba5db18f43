"""Filters; apart from `audio`, as scipy is loaded for them, which only the decoder's process needs."""

import numpy as np
from scipy.signal import butter, sosfiltfilt

from src.domain.audio import Samples

_CUTOFF_HERTZ = 70.0
"""Below every voice, and above the mains."""


def high_pass(samples: Samples, sample_rate: int) -> Samples:
    """[C, T] without offset, rumble and the hum of the mains: a Butterworth filter of order 4, forth and back, which
    leaves the phase as it is.
    """
    sections = butter(4, _CUTOFF_HERTZ, "highpass", fs=sample_rate, output="sos").astype(np.float32)
    filtered = np.empty_like(samples)
    for channel, sound in zip(filtered, samples, strict=True):
        channel[:] = sosfiltfilt(sections, sound, padlen=min(len(sound) - 1, sample_rate // 10))
    return filtered
