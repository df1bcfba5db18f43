"""Suite `hearing --messages`: messages made of people's speech, heard by ours and by stock openai-whisper in turns.

Messages of 10 s to 5 min are joined from prompts, with pauses; of each seven one is plain, and the others have long
pauses, music before the speech, noise at 10 dB, clicks, a second language, or a great difference of level. Printed:
words lost and invented (without case, punctuation and accents), messages in which a whole prompt is lost, and those of
them about which nothing is said; and what each took for a second of sound. Both have the same weights.
"""

import argparse
import asyncio
import random
import statistics
import time
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from typing import Any

import numpy as np
import torch
import whisper

from scripts.parts import people
from src.config.settings import Settings
from src.domain.audio import Audio, Samples
from src.domain.errors import VoiceServiceError
from src.domain.speech import NO_HINTS, DecodedSpeech, Hints, Quality, Transcript
from src.models.silero_vad import SileroVad
from src.models.whisper_model import LANGUAGES, NAME, WhisperModel, weights_file
from src.services.transcription import Transcription
from src.utils.audio import resample
from src.utils.words import words

_SEED = 7
_KINDS = ("plain", "pauses", "music", "noise", "clicks", "two languages", "levels")
_SECONDS = (10, 15, 20, 30, 45, 60, 90, 120, 180, 300)
_LOST_SHARE = 0.34
"""A prompt is lost when no more than this share of its words is heard."""


@dataclass(frozen=True, slots=True, eq=False)
class Message:
    kind: str
    audio: Audio
    clips: tuple[people.Clip, ...]


@dataclass(slots=True)
class Score:
    """Of one contender, over all messages."""

    words: int = 0
    lost: int = 0
    invented: int = 0
    sentence_lost: int = 0
    in_silence: int = 0
    noted: int = 0
    times: list[float] = field(default_factory=list)

    def report(self) -> dict[str, float]:
        return {
            "lost_percent": 100 * self.lost / self.words,
            "invented_percent": 100 * self.invented / self.words,
            "messages_with_a_lost_sentence": self.sentence_lost,
            "of_them_unsaid": self.in_silence,
            "messages_with_a_note": self.noted,
            "seconds_per_second": statistics.fmean(self.times),
        }


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Shares of words in percent, for ours and for stock."""
    settings = Settings()
    weights = weights_file(settings.whisper_model, settings.whisper_dir)
    ours = WhisperModel(weights, arguments.device, arguments.precision)
    stock = None if arguments.no_stock else whisper.load_model(str(weights), device=arguments.device)
    scores = {"ours": Score()} | ({} if stock is None else {"stock": Score()})
    for message in messages(arguments.messages, arguments.longest):
        started = time.perf_counter()
        text, noted = _ours(ours, message)
        _count(scores["ours"], message, text, noted, time.perf_counter() - started)
        if stock is not None:
            started = time.perf_counter()
            text = _stock(stock, message)
            _count(scores["stock"], message, text, False, time.perf_counter() - started)
    result = {name: score.report() for name, score in scores.items()}
    for name, report in result.items():
        print(name, *(f"{key} {value:.2f}" for key, value in report.items()), sep="  ")
    return {"messages": arguments.messages, "weights": weights.name, **result}


def messages(count: int, longest: float) -> list[Message]:
    """Always the same ones, for a count and a length."""
    chance = random.Random(_SEED)  # noqa: S311 - always the same messages
    prompts = {language: people.clips(language) for language in people.LANGUAGES}
    lengths = [seconds for seconds in _SECONDS if seconds <= longest]
    return [
        _message(_KINDS[index % len(_KINDS)], lengths[index % len(lengths)], prompts, chance) for index in range(count)
    ]


def _message(kind: str, seconds: float, prompts: dict[str, list[people.Clip]], chance: random.Random) -> Message:
    languages = chance.sample(people.LANGUAGES, 2 if kind == "two languages" else 1)
    chosen: list[people.Clip] = []
    for language in languages:
        rest = seconds / len(languages)
        while rest > 0:
            clip = chance.choice([clip for clip in prompts[language] if clip.seconds <= max(rest, 6.0)])
            chosen.append(clip)
            rest -= clip.seconds + 0.5
    pieces = [np.zeros(round(0.3 * people.RATE), np.float32)]
    for clip in chosen:
        level = chance.uniform(0.02, 0.9) if kind == "levels" else 0.7
        pause = chance.uniform(1.0, 5.0) if kind == "pauses" else chance.uniform(0.3, 0.7)
        pieces += [_level(clip.samples, level), np.zeros(round(pause * people.RATE), np.float32)]
    samples = _spoilt(kind, np.concatenate(pieces), np.random.default_rng(chance.randrange(2**32)))
    return Message(kind, Audio(samples.astype(np.float32), people.RATE), tuple(chosen))


def _level(samples: Samples, peak: float) -> Samples:
    return samples * np.float32(peak / max(float(np.abs(samples).max()), 1e-6))


def _spoilt(kind: str, samples: Samples, noise: np.random.Generator) -> Samples:
    if kind == "noise":
        speech = float(np.sqrt(np.mean(np.square(samples[np.abs(samples) > 0.02]))))
        return samples + noise.normal(0, speech / 10**0.5, len(samples)).astype(np.float32)
    if kind == "clicks":
        for place in noise.integers(0, len(samples) - 40, max(3, len(samples) // (4 * people.RATE))):
            samples[place : place + 40] = 0.98
        return samples
    if kind == "music":
        return np.concatenate((_music(5.0), samples))
    return samples


def _music(seconds: float) -> Samples:
    """Chords of four notes, changed every half second."""
    steps = np.arange(round(0.5 * people.RATE)) / people.RATE
    fade = np.minimum(1, 20 * np.minimum(steps, steps[::-1]))
    chords = [(220, 277, 330, 440), (196, 247, 294, 392), (175, 220, 262, 349), (165, 208, 247, 330)]
    bars = [
        fade * sum(np.sin(2 * np.pi * note * steps) + 0.3 * np.sin(4 * np.pi * note * steps) for note in chord)
        for chord in chords
    ]
    whole = np.concatenate([bars[index % len(bars)] for index in range(round(seconds / 0.5))])
    return _level(whole.astype(np.float32), 0.4)


@dataclass(frozen=True, slots=True)
class _Ears:
    """Implements Transcriber in this process."""

    model: WhisperModel
    name: str = NAME
    languages: frozenset[str] = LANGUAGES

    async def transcribe(
        self, audio: Audio, language: str | None, quality: Quality, hints: Hints = NO_HINTS
    ) -> Transcript:
        return self.model.transcribe(audio, language, quality, hints)


def _ours(model: WhisperModel, message: Message) -> tuple[str, bool]:
    """As the service hears it: piece by piece, cut where nobody speaks."""
    stretches = tuple(SileroVad().speech(message.audio))
    speech = DecodedSpeech(message.audio, message.audio.duration_seconds, 0.0, stretches=stretches)
    try:
        heard = asyncio.run(Transcription(_Ears(model)).transcribe(speech, None, Quality.BALANCED))
    except VoiceServiceError as error:
        return "", error.code != ""
    return heard.text, bool(heard.unheard)


def _stock(model: Any, message: Message) -> str:
    audio = resample(message.audio, 16_000).samples
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return str(model.transcribe(np.ascontiguousarray(audio, np.float32), verbose=None, fp16=False)["text"])


def _count(score: Score, message: Message, text: str, noted: bool, seconds: float) -> None:
    said = [(word, index) for index, clip in enumerate(message.clips) for word in words(clip.text)]
    heard = words(text)
    matched: dict[int, int] = {}
    lost = invented = 0
    for tag, a, b, c, d in SequenceMatcher(None, [word for word, _ in said], heard, autojunk=False).get_opcodes():
        # A word that is heard as another is neither lost nor invented.
        lost += max(0, (b - a) - (d - c)) if tag in ("replace", "delete") else 0
        invented += max(0, (d - c) - (b - a)) if tag in ("replace", "insert") else 0
        for position in range(a, min(b, a + d - c)):
            matched[said[position][1]] = matched.get(said[position][1], 0) + 1
    gone = [
        clip for index, clip in enumerate(message.clips) if matched.get(index, 0) <= _LOST_SHARE * len(words(clip.text))
    ]
    score.words += len(said)
    score.lost += lost
    score.invented += invented
    score.sentence_lost += bool(gone)
    score.in_silence += bool(gone) and not noted
    score.noted += noted
    score.times.append(seconds / message.audio.duration_seconds)
    state = f"{message.kind:14} {message.audio.duration_seconds:6.1f} s  lost {lost:3}  invented {invented:3}"
    print(state, f"of {len(said)} words", "noted" if noted else "", *(clip.text for clip in gone), flush=True)
