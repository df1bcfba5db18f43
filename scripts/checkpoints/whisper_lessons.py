"""What the tests' small Whisper is taught: batches of the spoken sentences, and what it should say to them."""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from whisper.audio import HOP_LENGTH, N_FFT, TOKENS_PER_SECOND, log_mel_spectrogram
from whisper.model import ModelDimensions
from whisper.tokenizer import Tokenizer

from scripts.checkpoints.spoken_sentences import SAMPLE_RATE, SENTENCES, Clip, texts
from src.domain.audio import Samples

DIMENSIONS = ModelDimensions(
    n_mels=80,
    n_audio_ctx=1500,
    n_audio_state=64,
    n_audio_head=4,
    n_audio_layer=2,
    n_vocab=51865,
    n_text_ctx=448,
    n_text_state=64,
    n_text_head=4,
    n_text_layer=2,
)

FRAMES_PER_SECOND = 50
"""Of the encoder's output."""
_PADDING = (8, 8, 32, 96)
"""Encoder frames behind the longest recording of a batch: it varies, as between fast and other decoding."""
_RECORDINGS = 3
"""Of each rendering: another start, noise and loudness."""
_LATEST_START = 0.4  # seconds of quiet before the speech
_TIMESTAMP_STEP = 5  # in units of 0.02 s: times are taught to a tenth of a second
_TIMESTAMPS = 276  # up to 5.5 s
_NOISE_SHARE = 0.06
_STRETCH = 0.12
"""By how much at most a recording is made slower or faster, and a voice's resonances higher or lower."""
_TILT = 0.2
"""In units of Whisper's spectrogram (4 dB-decades of 10): how much another microphone changes bass and treble."""
IGNORED = -100


class Vocabulary:
    """The few tokens that occur, numbered from 0; all others share the number after the last.

    The network is trained on these rows of its embedding; every other token gets a copy of the shared row, so that
    a softmax over all 51865 tokens is what was trained.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        used = {token for text in texts() for token in tokenizer.encode(f" {text}")}
        used |= {tokenizer.sot, tokenizer.eot, tokenizer.transcribe, tokenizer.no_timestamps, tokenizer.no_speech}
        used |= {tokenizer.to_language_token(language) for language in SENTENCES}
        used |= {tokenizer.timestamp_begin + i for i in range(0, _TIMESTAMPS, _TIMESTAMP_STEP)}
        self.ids = sorted(used)
        self.number = {token: index for index, token in enumerate(self.ids)}
        self.others = DIMENSIONS.n_vocab - len(self.ids)

    def numbers(self, tokens: Iterable[int]) -> list[int]:
        return [self.number[token] for token in tokens]


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    mel: Tensor  # [B, 80, 2 * context]
    inputs: Tensor  # [B, n] numbers of Vocabulary
    targets: Tensor  # [B, n], IGNORED where nothing is taught
    centres: Tensor  # [B, n] encoder frame at which the target is heard, -1 for none
    spoken: Tensor  # [B, context] the text token that is said in each encoder frame, IGNORED for none


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One line of a Batch, unpadded. `heard`: for each text token its number, and its first and last encoder frame."""

    mel: Tensor  # [80, frames]
    inputs: list[int]
    targets: list[int]
    centres: list[float]
    heard: list[tuple[int, int, int]]


@dataclass(frozen=True, slots=True)
class Fixed:
    """How a rendering is recorded: quiet before and after it in seconds, and the level of noise."""

    start: float
    noise: float
    tail: float = 0.2


class Lessons:
    """Batches with everything random that is not what is said: voice, speed, start, noise, padding, times or none."""

    def __init__(self, vocabulary: Vocabulary, seed: int) -> None:
        self._vocabulary = vocabulary
        self._random = random.Random(seed)  # noqa: S311 - training data, not secrets
        self._noise = np.random.default_rng(seed)
        self._recordings: dict[tuple[Clip, int], tuple[Tensor, float]] = {}

    def batch(self, clips: list[Clip], *, context: int | None = None, fixed: Fixed | None = None) -> Batch:
        """`context` None: as much as the longest recording needs, and a little more. `fixed`: nothing at random."""
        rows = [self._row(clip, fixed) for clip in clips]
        if context is None:
            context = max(-(-row.mel.shape[1] // 2) for row in rows) + self._random.choice(_PADDING)
        length = max(len(row.targets) for row in rows)
        pad = self._vocabulary.number[self._vocabulary.tokenizer.eot]
        inputs = torch.tensor([row.inputs + [pad] * (length - len(row.inputs)) for row in rows])
        targets = torch.tensor([row.targets + [IGNORED] * (length - len(row.targets)) for row in rows])
        centres = torch.tensor([row.centres + [-1.0] * (length - len(row.centres)) for row in rows])
        mels = [functional.pad(row.mel, (0, 2 * context - row.mel.shape[1])) for row in rows]
        spoken = torch.full((len(rows), context), IGNORED)
        for index, row in enumerate(rows):
            for number, first, last in row.heard:
                spoken[index, first : last + 1] = number
        return Batch(torch.stack(mels), inputs, targets, centres, spoken)

    def _row(self, clip: Clip, fixed: Fixed | None) -> Row:
        if fixed is not None:
            return self._sentence(clip, _mel(self._recording(clip.samples, fixed)), fixed.start, clip.seconds)
        if self._random.random() < _NOISE_SHARE:
            return self._noise_row()
        mel, start = self._recorded(clip)
        mel, slower = self._another_voice(mel)
        return self._sentence(clip, mel, start * slower, clip.seconds * slower, timed=self._random.random() < 0.7)

    def _recorded(self, clip: Clip) -> tuple[Tensor, float]:
        """One of a few recordings of a rendering, each made once, and when the speech begins in it (s)."""
        key = (clip, self._random.randrange(_RECORDINGS))
        if key not in self._recordings:
            noise = 0.0 if self._random.random() < 0.25 else 10 ** self._random.uniform(-4.5, -2.0)
            chosen = Fixed(self._random.uniform(0.0, _LATEST_START), noise, self._random.uniform(0.05, 0.5))
            self._recordings[key] = (_mel(self._recording(clip.samples, chosen)), chosen.start)
        return self._recordings[key]

    def _recording(self, speech: Samples, how: Fixed) -> Samples:
        samples = np.pad(speech, (round(how.start * SAMPLE_RATE), round(how.tail * SAMPLE_RATE)))
        noise = self._noise.standard_normal(len(samples), dtype=np.float32)
        return samples + np.float32(how.noise) * noise

    def _another_voice(self, mel: Tensor) -> tuple[Tensor, float]:
        """The spectrogram [80, frames] with its resonances moved, at another speed and through another microphone, and
        how many times as long it is. Each costs microseconds where a rendering costs milliseconds.
        """
        bands, frames = mel.shape
        shape = tuple(round(size * self._random.uniform(1 - _STRETCH, 1 + _STRETCH)) for size in (bands, frames))
        moved = functional.interpolate(mel[None, None], size=shape, mode="bilinear", align_corners=False)[0, 0, :bands]
        moved = torch.cat([moved, moved[-1:].expand(bands - len(moved), -1)])
        tilt = self._random.uniform(-_TILT, _TILT) * torch.linspace(-1, 1, bands)
        waves = torch.linspace(0, self._random.uniform(2, 9), bands) + self._random.uniform(0, 6.3)
        tilt = tilt + self._random.uniform(-_TILT, _TILT) * torch.sin(waves)
        return moved + tilt[:, None], shape[1] / frames

    def _sentence(self, clip: Clip, mel: Tensor, start: float, seconds: float, *, timed: bool = True) -> Row:
        """`start` of the speech in `mel`, and how long it is."""
        tokenizer = self._vocabulary.tokenizer
        text, end = tokenizer.encode(f" {clip.text}"), start + seconds
        bounds = start + seconds * _shares(text, tokenizer)
        head = [tokenizer.sot, tokenizer.to_language_token(clip.language), tokenizer.transcribe]
        times = [_timestamp(tokenizer, start), _timestamp(tokenizer, end)]
        body = [times[0], *text, times[1]] if timed else [tokenizer.no_timestamps, *text]
        tokens = self._vocabulary.numbers([*head, *body, tokenizer.eot])
        # The task token is given when decoding, never chosen.
        targets = [IGNORED if index == 1 else token for index, token in enumerate(tokens[1:])]
        frames = FRAMES_PER_SECOND * bounds
        middles = [(a + b) / 2 for a, b in pairwise(frames)]
        edges = (frames[0], [frames[-1]]) if timed else (-1.0, [])
        numbers = self._vocabulary.numbers(text)
        heard = [(number, round(a), round(b) - 1) for number, (a, b) in zip(numbers, pairwise(frames), strict=True)]
        return Row(mel, tokens[:-1], targets, [-1.0, -1.0, edges[0], *middles, *edges[1], -1.0], heard)

    def _noise_row(self) -> Row:
        """Nobody speaks: only the token after the first is taught, `nospeech`."""
        seconds, level = self._random.uniform(1.0, 3.0), 10 ** self._random.uniform(-4, -0.7)
        samples = np.float32(level) * self._noise.standard_normal(round(seconds * SAMPLE_RATE), dtype=np.float32)
        tokenizer = self._vocabulary.tokenizer
        start, silent = self._vocabulary.numbers([tokenizer.sot, tokenizer.no_speech])
        return Row(_mel(samples), [start], [silent], [-1.0], [])


def _shares(text: list[int], tokenizer: Tokenizer) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Where each token begins and the last one ends, from 0 to 1: a letter takes as long as any other."""
    ends = np.cumsum([len(tokenizer.decode([token])) for token in text], dtype=np.float64)
    return np.concatenate(([0.0], ends / ends[-1]))


def _timestamp(tokenizer: Tokenizer, seconds: float) -> int:
    steps = min(round(seconds * TOKENS_PER_SECOND / _TIMESTAMP_STEP), (_TIMESTAMPS - 1) // _TIMESTAMP_STEP)
    return int(tokenizer.timestamp_begin + _TIMESTAMP_STEP * steps)


def _mel(samples: Samples) -> Tensor:
    """[80, frames] as whisper's `transcribe` makes it."""
    mel: Tensor = log_mel_spectrogram(torch.from_numpy(samples), padding=N_FFT)
    return mel[:, : len(samples) // HOP_LENGTH]
