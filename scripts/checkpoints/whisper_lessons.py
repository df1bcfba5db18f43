"""What the tests' small Whisper is taught: two dozen sentences in three languages, spoken by flite and espeak-ng."""

import io
import random
import subprocess
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import soundfile as sf
import soxr
import torch
from torch import Tensor
from torch.nn import functional
from whisper.audio import HOP_LENGTH, SAMPLE_RATE, TOKENS_PER_SECOND, log_mel_spectrogram
from whisper.model import ModelDimensions
from whisper.tokenizer import Tokenizer

from src.domain.audio import Samples

SENTENCES: dict[str, tuple[str, ...]] = {
    "en": (
        "Good morning, how are you today?",
        "The train leaves at seven in the evening.",
        "My brother lives in a small house by the river.",
        "We need two tickets for the museum.",
        "The weather is cold but the sun is out.",
        "Thank you very much for your help.",
        "Our meeting starts in ten minutes.",
        "The children are asleep in the next room.",
    ),
    "fr": (
        "Bonjour, comment allez-vous aujourd'hui ?",
        "Le train part à sept heures du soir.",
        "Mon frère habite une petite maison au bord de la rivière.",
        "Nous avons besoin de deux billets pour le musée.",
        "Il fait froid mais le soleil brille.",
        "Merci beaucoup pour votre aide.",
        "Notre réunion commence dans dix minutes.",
        "Les enfants dorment dans la chambre voisine.",
    ),
    "es": (
        "Buenos días, ¿cómo está usted hoy?",
        "El tren sale a las siete de la tarde.",
        "Mi hermano vive en una casa pequeña junto al río.",
        "Necesitamos dos entradas para el museo.",
        "Hace frío pero brilla el sol.",
        "Muchas gracias por su ayuda.",
        "Nuestra reunión empieza en diez minutos.",
        "Los niños duermen en la habitación de al lado.",
    ),
}

DIMENSIONS = ModelDimensions(
    n_mels=80,
    n_audio_ctx=1500,
    n_audio_state=128,
    n_audio_head=2,
    n_audio_layer=2,
    n_vocab=51865,
    n_text_ctx=448,
    n_text_state=128,
    n_text_head=2,
    n_text_layer=2,
)

_PADDING = (8, 8, 32, 96)
"""Encoder frames behind the longest recording of a batch: it varies, as between fast and other decoding."""
_RECORDINGS = 3
"""Of each rendering: another start, noise and loudness."""
_LATEST_START = 0.4  # seconds of quiet before the speech
_TIMESTAMP_STEP = 5  # in units of 0.02 s: times are taught to a tenth of a second
_TIMESTAMPS = 276  # up to 5.5 s
_NOISE_SHARE = 0.06
IGNORED = -100


@dataclass(frozen=True, slots=True)
class Voice:
    """`name` is flite's when `flite`, else espeak-ng's with its variant. `speed` in words per minute, `pitch` 0..99."""

    name: str
    speed: int = 160
    pitch: int = 50
    flite: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """A rendering: `samples` [T] at 16 kHz without silence at its ends."""

    samples: Samples
    language: str
    text: str


def taught_voices(language: str) -> list[Voice]:
    names = {"en": ("en-us", "en-gb"), "fr": ("fr", "fr-be"), "es": ("es", "es-419")}[language]
    variants = ("m1", "m3", "f1", "f3", "m4", "f4", "m7", "f5")
    voices = [
        Voice(f"{names[index % 2]}+{variant}", 135 + 17 * (index % 4), 35 + 9 * (index % 5))
        for index, variant in enumerate(variants)
    ]
    voices.append(Voice(names[0], 150, 50))
    if language == "en":
        voices += [Voice(name, flite=True) for name in ("slt", "rms", "awb")]
    return voices


def held_out_voices(language: str) -> list[Voice]:
    """Not among the taught ones, neither the variant nor the speed and pitch."""
    name = {"en": "en-us", "fr": "fr", "es": "es"}[language]
    return [Voice(f"{name}+m2", 145, 47), Voice(f"{name}+f2", 160, 58)]


def render(text: str, voice: Voice) -> Samples:
    """`text` spoken: float32 [T] at 16 kHz, trimmed, peak 0.7."""
    if voice.flite:
        command = ["flite", "-voice", voice.name, "-t", text, "-o", "/dev/stdout"]
    else:
        command = ["espeak-ng", "-v", voice.name, "-s", str(voice.speed), "-p", str(voice.pitch), "--stdout", text]
    wav = subprocess.run(command, check=True, capture_output=True, timeout=30).stdout
    samples, rate = sf.read(io.BytesIO(_with_true_lengths(wav)), dtype="float32")
    samples = soxr.resample(samples, rate, SAMPLE_RATE).astype(np.float32)
    loud = np.flatnonzero(np.abs(samples) > 0.02 * np.abs(samples).max())
    samples = samples[loud[0] : loud[-1] + 1]
    return np.asarray(samples * (0.7 / np.abs(samples).max()), np.float32)


def _with_true_lengths(wav: bytes) -> bytes:
    """A program that writes to a pipe cannot know the lengths when it writes the header."""
    data = wav.index(b"data")
    size = len(wav) - data - 8
    riff = (len(wav) - 8).to_bytes(4, "little")
    return wav[:4] + riff + wav[8 : data + 4] + size.to_bytes(4, "little") + wav[data + 8 :]


def render_all(held_out: bool) -> list[Clip]:
    voices = held_out_voices if held_out else taught_voices
    jobs = [
        (text, language, voice) for language, texts in SENTENCES.items() for text in texts for voice in voices(language)
    ]
    with ThreadPoolExecutor(4) as pool:
        spoken = pool.map(lambda job: render(job[0], job[2]), jobs)
        return [Clip(samples, language, text) for samples, (text, language, _) in zip(spoken, jobs, strict=True)]


class Vocabulary:
    """The few tokens that occur, numbered from 0; all others share the number after the last.

    The network is trained on these rows of its embedding; every other token gets a copy of the shared row, so that
    a softmax over all 51865 tokens is what was trained.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        used = {tokenizer.encode(f" {text}")[i] for text in _texts() for i in range(len(tokenizer.encode(f" {text}")))}
        used |= {tokenizer.sot, tokenizer.eot, tokenizer.transcribe, tokenizer.no_timestamps, tokenizer.no_speech}
        used |= {tokenizer.to_language_token(language) for language in SENTENCES}
        used |= {tokenizer.timestamp_begin + i for i in range(0, _TIMESTAMPS, _TIMESTAMP_STEP)}
        self.ids = sorted(used)
        self.number = {token: index for index, token in enumerate(self.ids)}
        self.others = DIMENSIONS.n_vocab - len(self.ids)

    def numbers(self, tokens: Iterable[int]) -> list[int]:
        return [self.number[token] for token in tokens]


def _texts() -> Iterator[str]:
    return (text for texts in SENTENCES.values() for text in texts)


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    mel: Tensor  # [B, 80, 2 * context]
    inputs: Tensor  # [B, n] numbers of Vocabulary
    targets: Tensor  # [B, n], -100 where nothing is taught
    centres: Tensor  # [B, n] encoder frame at which the target is heard, -1 for none


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One line of a Batch, unpadded."""

    mel: Tensor  # [80, frames]
    inputs: list[int]
    targets: list[int]
    centres: list[float]


@dataclass(frozen=True, slots=True)
class Fixed:
    """How a rendering is recorded: quiet before and after it in seconds, and the level of noise."""

    start: float
    noise: float
    tail: float = 0.2


class Lessons:
    """Batches with everything random that is not what is said: start, loudness, noise, padding, times or none."""

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
        return Batch(torch.stack(mels), inputs, targets, centres)

    def _row(self, clip: Clip, fixed: Fixed | None) -> Row:
        if fixed is None and self._random.random() < _NOISE_SHARE:
            return self._noise_row()
        mel, start = self._heard(clip, fixed)
        timed = fixed is not None or self._random.random() < 0.7
        tokens, centres = self._sentence(clip, start, start + len(clip.samples) / SAMPLE_RATE, timed=timed)
        # The task token is given when decoding, never chosen.
        targets = [IGNORED if index == 1 else token for index, token in enumerate(tokens[1:])]
        return Row(mel, tokens[:-1], targets, centres)

    def _heard(self, clip: Clip, fixed: Fixed | None) -> tuple[Tensor, float]:
        """One of a few recordings of a rendering, each made once, and when the speech begins in it."""
        if fixed is not None:
            return _mel(self._recording(clip.samples, fixed)), fixed.start
        key = (clip, self._random.randrange(_RECORDINGS))
        if key not in self._recordings:
            noise = 0.0 if self._random.random() < 0.25 else 10 ** self._random.uniform(-4.5, -2.0)
            chosen = Fixed(self._random.uniform(0.0, _LATEST_START), noise, self._random.uniform(0.05, 0.5))
            samples = self._recording(clip.samples, chosen) * np.float32(self._random.uniform(0.4, 1.2))
            self._recordings[key] = (_mel(samples), chosen.start)
        return self._recordings[key]

    def _recording(self, speech: Samples, how: Fixed) -> Samples:
        samples = np.pad(speech, (round(how.start * SAMPLE_RATE), round(how.tail * SAMPLE_RATE)))
        noise = self._noise.standard_normal(len(samples), dtype=np.float32)
        return samples + np.float32(how.noise) * noise

    def _sentence(self, clip: Clip, start: float, end: float, *, timed: bool) -> tuple[list[int], list[float]]:
        tokenizer = self._vocabulary.tokenizer
        text = tokenizer.encode(f" {clip.text}")
        ends = np.cumsum([len(tokenizer.decode([token])) for token in text], dtype=np.float64)
        middles = (ends - np.diff(ends, prepend=0.0) / 2) / ends[-1]
        head = [tokenizer.sot, tokenizer.to_language_token(clip.language), tokenizer.transcribe]
        times = [_timestamp(tokenizer, start), _timestamp(tokenizer, end)]
        body = [times[0], *text, times[1]] if timed else [tokenizer.no_timestamps, *text]
        heard = [(start + (end - start) * middle) * 50 for middle in middles]
        centres = [-1.0, -1.0, start * 50 if timed else -1.0, *heard, *([end * 50] if timed else []), -1.0]
        return self._vocabulary.numbers([*head, *body, tokenizer.eot]), centres

    def _noise_row(self) -> Row:
        """Nobody speaks: only the token after the first is taught, `nospeech`."""
        seconds, level = self._random.uniform(1.0, 3.0), 10 ** self._random.uniform(-4, -0.7)
        samples = np.float32(level) * self._noise.standard_normal(round(seconds * SAMPLE_RATE), dtype=np.float32)
        tokenizer = self._vocabulary.tokenizer
        start, silent = self._vocabulary.numbers([tokenizer.sot, tokenizer.no_speech])
        return Row(_mel(samples), [start], [silent], [-1.0])


def _timestamp(tokenizer: Tokenizer, seconds: float) -> int:
    steps = min(round(seconds * TOKENS_PER_SECOND / _TIMESTAMP_STEP), (_TIMESTAMPS - 1) // _TIMESTAMP_STEP)
    return int(tokenizer.timestamp_begin + _TIMESTAMP_STEP * steps)


def _mel(samples: Samples) -> Tensor:
    """[80, frames] as whisper's `transcribe` makes it."""
    mel: Tensor = log_mel_spectrogram(torch.from_numpy(samples), padding=SAMPLE_RATE // 10)
    return mel[:, : len(samples) // HOP_LENGTH]
