"""Conversion: synthetic frames take the spectrum of the reference frames that sound most alike.

Each voiced source frame is matched, together with its neighbours 30 and 60 ms away, to a frame of the reference by the
shape of its mel-cepstrum, normalised per speaker. Reference frames that are near to everything are penalised by their
mean distance to the source (cross-domain local scaling), else a few of them would be chosen all the time and the voice
would lose its variety. The result is mixed with the source's own spectrum, moved to the reference's mean and spread:
the units carry the voice, the source the articulation. Unvoiced frames keep the source's shape and take the
reference's mean.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from src.models.embedded_voice.world import COEFFICIENTS, HIGHEST_PITCH, LOWEST_PITCH, Array, Frames

Mask = NDArray[np.bool_]

_FEATURES = slice(1, 16)
"""Mel-cepstral coefficients that tell sounds apart: loudness is apart, finer ones tell speakers apart."""
_CONTEXT = ((-12, 0.5), (-6, 0.7), (0, 1.0), (6, 0.7), (12, 0.5))
"""Frames away, and weight."""
_HUBNESS = 0.7
_NEIGHBOURS = 10
_BLOCK = 512
"""Source frames compared at a time: bounds memory."""
_SPREAD_LIMITS = (0.7, 1.4)
_MELODY_LIMITS = (0.5, 1.6)
_LOUDNESS_FROM_UNITS = 0.7
_SMOOTHING_FRAMES = 0.7
COARSE = np.arange(COEFFICIENTS) < 16
SHARE = np.where(COARSE, 0.4, 0.9)
"""Of the units in the result: coarse coefficients carry the words, fine ones the speaker. scripts/README.md has what
other shares cost."""
_AUDIBLE = 80.0
"""Coefficient 0 below its loud frames that still counts as speech: 39 dB."""
_ENOUGH_FRAMES = 30


def convert(source: Frames, voice: Frames, melody: Frames, max_units: int) -> Frames:
    """`source` with the spectrum of `voice`, and the pitch median and range and the loudness range of `melody`.

    At most `max_units` frames of `voice` are searched.
    """
    moved = _moved(source, voice)
    units = _units(source, voice, max_units)
    selected = gaussian_filter1d(voice.cepstrum[units], _SMOOTHING_FRAMES, axis=0)
    selected[:, 0] += (1 - _LOUDNESS_FROM_UNITS) * (moved[:, 0] - selected[:, 0])
    mixed = SHARE * selected + (1 - SHARE) * moved
    voicing = gaussian_filter1d(source.voiced.astype(float), 1.0)[:, None]
    cepstrum = voicing * mixed + (1 - voicing) * _moved_unvoiced(source, voice)
    return replace(source, pitch=_melody(source.pitch, melody.pitch), cepstrum=cepstrum)


def _moved(source: Frames, voice: Frames) -> Array:
    """The source's cepstrum with the mean, and within limits the spread, of the reference's voiced frames."""
    mean, spread = _statistics(source)
    target_mean, target_spread = _statistics(voice)
    ratio = np.clip(target_spread / spread, *_SPREAD_LIMITS)
    ratio[_ENOUGH_FRAMES:] = 1.0
    moved: Array = (source.cepstrum - mean) * ratio + target_mean
    return moved


def _moved_unvoiced(source: Frames, voice: Frames) -> Array:
    """The source's cepstrum with the mean of the reference's unvoiced speech; loudness moves with the voiced frames."""
    offset = _statistics(voice)[0] - _statistics(source)[0]
    here, there = _audible_unvoiced(source), _audible_unvoiced(voice)
    if min(here.sum(), there.sum()) >= _ENOUGH_FRAMES:
        offset[1:] = (voice.cepstrum[there].mean(axis=0) - source.cepstrum[here].mean(axis=0))[1:]
    moved: Array = source.cepstrum + offset
    return moved


def _statistics(frames: Frames) -> tuple[Array, Array]:
    voiced = frames.cepstrum[frames.voiced]
    return voiced.mean(axis=0), voiced.std(axis=0) + 1e-6


def _audible_unvoiced(frames: Frames) -> Mask:
    loudness = frames.cepstrum[:, 0]
    mask: Mask = ~frames.voiced & (loudness > np.percentile(loudness[frames.voiced], 90) - _AUDIBLE)
    return mask


def _units(source: Frames, voice: Frames, limit: int) -> NDArray[np.intp]:
    """For every source frame the index of the reference frame to use: [T]. At most `limit` frames are searched."""
    candidates = np.flatnonzero(voice.voiced)
    candidates = candidates[:: max(1, -(-len(candidates) // limit))]
    units = _features(voice)[candidates]
    wanted = _features(source)
    voiced = np.flatnonzero(source.voiced)
    sample = voiced[:: max(1, len(voiced) // 1500)]
    distances = _distances(wanted[sample], units)
    nearest = min(_NEIGHBOURS, len(sample))
    penalty = _HUBNESS * np.partition(distances, nearest - 1, axis=0)[:nearest].mean(axis=0)
    blocks = range(0, len(wanted), _BLOCK)
    best = [(_distances(wanted[i : i + _BLOCK], units) - penalty).argmin(axis=1) for i in blocks]
    chosen: NDArray[np.intp] = candidates[np.concatenate(best)]
    return chosen


def _features(frames: Frames) -> NDArray[np.float32]:
    """[T, context * coefficients]: what frames are compared by."""
    mean, spread = _statistics(frames)
    normal = (frames.cepstrum - mean) / spread
    near = np.column_stack([normal[:, _FEATURES], normal[:, 0]])
    edge = max(shift for shift, _ in _CONTEXT)
    padded = np.pad(near, ((edge, edge), (0, 0)), mode="edge")
    shifted = [weight * padded[edge + shift : edge + shift + len(near)] for shift, weight in _CONTEXT]
    return np.concatenate(shifted, axis=1).astype(np.float32)


def _distances(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
    """Euclidean, of every row with every row: [rows of left, rows of right]."""
    squares = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1) - 2 * left @ right.T
    distances: NDArray[np.float32] = np.sqrt(np.maximum(squares, 0))
    return distances


def _melody(pitch: Array, target: Array) -> Array:
    """Pitch with the target's median and, within limits, its range over log frequency."""
    voiced = pitch > 0
    here, there = np.log(pitch[voiced]), np.log(target[target > 0])
    width = np.ptp(np.percentile(here, (20, 80)))
    ratio = np.clip(np.ptp(np.percentile(there, (20, 80))) / max(float(width), 1e-3), *_MELODY_LIMITS)
    melody = np.zeros_like(pitch)
    melody[voiced] = np.exp((here - np.median(here)) * ratio + np.median(there))
    melody[voiced] = np.clip(melody[voiced], LOWEST_PITCH, HIGHEST_PITCH)
    return melody
