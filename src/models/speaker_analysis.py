"""Measures a voice, by the same models for every voice engine: GE2E speaker embedding, pitch, brightness, timbre."""

import warnings

import numpy as np
import soxr
import torch
from numpy.typing import NDArray

from src.domain.audio import Audio, Samples
from src.domain.speech import VoicePrint

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # both packages import names that their dependencies have deprecated
    import pyworld
    from resemblyzer import VoiceEncoder
    from resemblyzer.audio import trim_long_silences

SAMPLE_RATE = 16_000
"""Hz. What the speaker model was trained on."""

LEVEL = 10 ** (-26 / 20)
"""Root mean square of speech, the nominal level of ITU-T P.56. The model reads linear power, so that the same recording
at another level has another embedding (cosine 0.85 to 0.97 at a fifth of it): every voice is measured at this one."""

MAX_SECONDS = 60.0
"""Of a recording; the rest is not measured."""

_FFT_SIZE = 1024
_LOWEST_PITCH, _HIGHEST_PITCH = 71.0, 500.0
_TIMBRE = 12


class SpeakerAnalysis:
    """Implements `analyze` of `domain.ports.SpeakerAnalyzer` as a blocking call: run it in a child process."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        self._encoder = VoiceEncoder("cpu", verbose=False)
        # The first call imports and compiles for two seconds; no caller should wait for that.
        self.analyze(Audio(np.sin(np.arange(2 * SAMPLE_RATE, dtype=np.float32) / 20), SAMPLE_RATE))

    def analyze(self, audio: Audio) -> VoicePrint:
        """Silence, or sound without pitch, has a pitch, brightness and timbre of 0."""
        limit = int(MAX_SECONDS * audio.sample_rate)
        samples = soxr.resample(audio.samples[:limit], audio.sample_rate, SAMPLE_RATE)
        levelled = _levelled(samples)
        # Resemblyzer's own pauses cut, as in its training; its volume step would leave loud speech loud.
        speech = _levelled(trim_long_silences(levelled))
        embedding = self._encoder.embed_utterance(speech if len(speech) else levelled)
        pitch_hz, brightness, timbre = _acoustics(levelled.astype(np.float64))
        return VoicePrint(tuple(map(float, embedding)), pitch_hz, brightness, timbre)


def _levelled(samples: Samples) -> Samples:
    level = float(np.sqrt(np.mean(np.square(samples)))) if len(samples) else 0.0
    scaled = samples * np.float32(LEVEL / level) if level > 0 else samples
    return np.clip(scaled, -1, 1).astype(np.float32)


def _acoustics(samples: NDArray[np.float64]) -> tuple[float, float, tuple[float, ...]]:
    """Pitch in Hz, brightness and timbre, over voiced frames of 10 ms."""
    if len(samples) < SAMPLE_RATE // 20:
        return 0.0, 0.0, (0.0,) * _TIMBRE
    coarse, times = pyworld.dio(samples, SAMPLE_RATE, f0_floor=_LOWEST_PITCH, f0_ceil=_HIGHEST_PITCH, frame_period=10.0)
    pitch = pyworld.stonemask(samples, coarse, times, SAMPLE_RATE)
    voiced = pitch > 0
    if not voiced.any():
        return 0.0, 0.0, (0.0,) * _TIMBRE
    envelope = pyworld.cheaptrick(samples, pitch[voiced], times[voiced], SAMPLE_RATE, fft_size=_FFT_SIZE)
    centroid = (envelope @ np.linspace(0, 1, envelope.shape[1])) / envelope.sum(axis=1)
    cepstrum = pyworld.code_spectral_envelope(envelope, SAMPLE_RATE, _TIMBRE + 1)
    timbre = tuple(map(float, cepstrum[:, 1:].mean(axis=0)))
    return float(np.median(pitch[voiced])), float(centroid.mean()), timbre
