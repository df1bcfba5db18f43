"""Where speech begins and ends, by silero-vad's packaged network: one probability for each 32 ms."""

import importlib.util
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from src.domain.audio import Audio, Samples
from src.domain.errors import EngineUnavailable
from src.domain.speech import Activity
from src.utils.audio import resample

# Before its import: else the published builds tell their maker about this machine and what it runs, under a lasting id.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
import onnxruntime

SAMPLE_RATE = 16_000
FRAME_SAMPLES = 512
FRAME_SECONDS = FRAME_SAMPLES / SAMPLE_RATE
CONTEXT_SAMPLES = 64
"""Samples of the frame before, which the network sees in front of each frame."""

_SPEECH, _SILENCE = 0.5, 0.35
"""Probabilities at which speech begins, and below which it ends. As silero-vad's own."""
_MIN_SPEECH_FRAMES = 8  # 256 ms
_FAINT, _WORD_FRAMES = 0.3, 3
"""Probability and frames (96 ms) of a soft or short word at either end, where it is known that somebody speaks."""
_MIN_SILENCE_FRAMES = 4  # 128 ms
_BLOCK_FRAMES = 32
_TAIL_FRAMES = 64
_WARM_UP_FRAMES = 48
"""Frames after which the recurrent state no longer remembers that it began from nothing."""

_AROUND_FRAMES, _LOUD_PERCENTILE, _MOST_GAIN = 15, 95, 20.0
"""Half a second before and behind, whose loudest frame sets a frame's gain; what counts as loud; 26 dB."""

_LOUD = 0.1
"""Root mean square that the loudest 32 ms of a quiet microphone are raised to, by 26 dB at most."""
_FORGETTING = 0.5 ** (1 / 312)
"""What is left of that loudness after each 32 ms: half of it after ten seconds."""

Probabilities = NDArray[np.float32]


class SileroVad:
    """Loads the network (1.2 MB). Not for use by several threads at once."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.inter_op_num_threads = options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(_model_path()), sess_options=options, providers=["CPUExecutionProvider"]
        )

    def extent(self, audio: Audio) -> tuple[float, float] | None:
        """Only the two ends are looked at, so that it costs the same for a minute as for five seconds."""
        frames = _frames(_evened(resample(audio, SAMPLE_RATE).samples))
        first = self._first_speech(frames)
        if first is None:
            return None
        return first * FRAME_SECONDS, min(self._last_speech(frames) * FRAME_SECONDS, audio.duration_seconds)

    def speech(self, audio: Audio) -> list[tuple[float, float]]:
        """Every stretch of speech as (begin, end) in seconds, in order; pauses under 128 ms do not end one."""
        probabilities, _ = self._run(_frames(_evened(resample(audio, SAMPLE_RATE).samples)), _no_state())
        last = audio.duration_seconds
        return [(a * FRAME_SECONDS, min(b * FRAME_SECONDS, last)) for a, b in _speech_runs(probabilities)]

    def listen(self, audio: Audio, state: tuple[Samples, ...]) -> Activity:
        """As `domain.ports.VoiceActivity`, for sound of any rate at which 32 ms are whole samples."""
        length = round(FRAME_SECONDS * audio.sample_rate)
        before, hidden, cell, loud = state or (np.zeros(length, np.float32), *_no_state(), np.zeros(1, np.float32))
        sound = resample(Audio(np.concatenate((before, audio.samples)), audio.sample_rate), SAMPLE_RATE).samples
        frames = np.lib.stride_tricks.sliding_window_view(sound, CONTEXT_SAMPLES + FRAME_SAMPLES)
        frames = frames[FRAME_SAMPLES - CONTEXT_SAMPLES :: FRAME_SAMPLES]
        levels = np.sqrt(np.mean(np.square(frames), axis=1))
        loud = np.maximum(loud * _FORGETTING ** len(frames), levels.max(initial=0.0)).astype(np.float32)
        gain = np.clip(_LOUD / np.maximum(loud, 1e-9), 1.0, _MOST_GAIN)
        probabilities, after = self._run(np.clip(frames * gain, -1, 1).astype(np.float32), (hidden, cell))
        return Activity(probabilities, (audio.samples[-length:], *after, loud))

    def seconds(self, audio: Audio) -> float:
        return sum(end - begin for begin, end in self.speech(audio))

    def _first_speech(self, frames: Samples) -> int | None:
        """The frame in which the first speech begins."""
        state, heard = _no_state(), np.zeros(0, np.float32)
        for start in range(0, len(frames), _BLOCK_FRAMES):
            probabilities, state = self._run(frames[start : start + _BLOCK_FRAMES], state)
            heard = np.concatenate((heard, probabilities))
            if _speech_runs(heard):
                return _speech_runs(heard, _WORD_FRAMES, _FAINT)[0][0]
        return None

    def _last_speech(self, frames: Samples) -> int:
        """The frame after the last speech; looks at ever longer ends of the recording until one has speech."""
        tail = _TAIL_FRAMES
        while True:
            start = max(0, len(frames) - tail)
            warm_up = min(start, _WARM_UP_FRAMES)
            probabilities, _ = self._run(frames[start - warm_up :], _no_state())
            runs = _speech_runs(probabilities[warm_up:], _WORD_FRAMES, _FAINT)
            if runs or start == 0:
                return start + runs[-1][1] if runs else len(frames)
            tail *= 3

    def _run(self, frames: Samples, state: tuple[Samples, Samples]) -> tuple[Probabilities, tuple[Samples, Samples]]:
        """Speech probabilities [n] of frames [n, 576], and the recurrent state after them."""
        inputs = {"input": frames, "h": state[0], "c": state[1]}
        probabilities, hidden, cell = self._session.run(["speech_probs", "hn", "cn"], inputs)
        return np.asarray(probabilities).reshape(-1), (hidden, cell)


def _model_path() -> Path:
    """Found without importing the package, which would load torch."""
    package = importlib.util.find_spec("silero_vad")
    if package is None or package.origin is None:
        raise EngineUnavailable("silero-vad is not installed.")
    return Path(package.origin).parent / "data" / "silero_vad_16k_sequence.onnx"


def _no_state() -> tuple[Samples, Samples]:
    return np.zeros((1, 1, 128), np.float32), np.zeros((1, 1, 128), np.float32)


def _evened(samples: Samples) -> Samples:
    """With quiet stretches raised towards the loud ones, by 26 dB at most: the network hears the beginning of speech
    late that is far quieter than what came before, as when a telephone is passed over.
    """
    count = -(-len(samples) // FRAME_SAMPLES)
    padded = np.zeros(max(1, count) * FRAME_SAMPLES, np.float32)
    padded[: len(samples)] = samples
    frames = padded.reshape(-1, FRAME_SAMPLES)
    levels = np.sqrt(np.mean(np.square(frames), axis=1))
    around = np.lib.stride_tricks.sliding_window_view(np.pad(levels, _AROUND_FRAMES), 2 * _AROUND_FRAMES + 1).max(
        axis=1
    )
    loud = np.percentile(levels, _LOUD_PERCENTILE)
    gains = np.clip(loud / np.maximum(around, 1e-9), 1.0, _MOST_GAIN).astype(np.float32)
    raised: Samples = np.clip(frames * gains[:, None], -1, 1).reshape(-1)[: len(samples)]
    return raised


def _frames(samples: Samples) -> Samples:
    """[n, 64 + 512]: each frame behind the end of the one before; the last is filled with silence."""
    count = max(1, -(-len(samples) // FRAME_SAMPLES))
    padded = np.zeros(CONTEXT_SAMPLES + count * FRAME_SAMPLES, np.float32)
    padded[CONTEXT_SAMPLES : CONTEXT_SAMPLES + len(samples)] = samples
    windows = np.lib.stride_tricks.sliding_window_view(padded, CONTEXT_SAMPLES + FRAME_SAMPLES)
    return np.ascontiguousarray(windows[::FRAME_SAMPLES])


def _speech_runs(
    probabilities: Probabilities, min_frames: int = _MIN_SPEECH_FRAMES, threshold: float = _SPEECH
) -> list[tuple[int, int]]:
    """Stretches (first frame, frame after) of speech: begun at `threshold`, ended by 128 ms under 0.35 or that."""
    silence = min(_SILENCE, threshold)
    runs: list[tuple[int, int]] = []
    begun, quiet_since = None, None
    for index, probability in enumerate(probabilities):
        if probability >= threshold:
            begun, quiet_since = (index if begun is None else begun), None
        elif begun is not None and probability < silence:
            quiet_since = index if quiet_since is None else quiet_since
            if index - quiet_since + 1 >= _MIN_SILENCE_FRAMES:
                runs.append((begun, quiet_since))
                begun, quiet_since = None, None
    if begun is not None:
        runs.append((begun, len(probabilities) if quiet_since is None else quiet_since))
    return [run for run in runs if run[1] - run[0] >= min_frames]
