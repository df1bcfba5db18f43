"""Audio as it travels through the service: samples together with their rate."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

WORKING_SAMPLE_RATE = 22_050
"""Hz. The rate that decoded input is brought to; XTTS-v2 conditions on it."""

OUTPUT_SAMPLE_RATE = 24_000
"""Hz. The rate of every answer; what XTTS-v2's vocoder produces."""


class AudioFormat(StrEnum):
    """The containers that a caller may send."""

    WAV = "wav"
    MP3 = "mp3"
    M4A = "m4a"
    FLAC = "flac"


@dataclass(frozen=True, slots=True, eq=False)
class Audio:
    """Mono sound: `samples` float32 [T] in [-1, 1] at `sample_rate` Hz."""

    samples: Samples
    sample_rate: int

    @property
    def duration_seconds(self) -> float:
        return len(self.samples) / self.sample_rate
