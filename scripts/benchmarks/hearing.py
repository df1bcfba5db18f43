"""Suite `hearing`: people's prompts in five languages, heard by ours in each quality, by stock openai-whisper and by
faster-whisper, in turns; the language is not given. With `--messages` or `--bounds`: see there.

Word error rate without case, punctuation and accents, over all words of a language. All have Whisper base's weights.
"""

import argparse
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import whisper
from faster_whisper import WhisperModel as FasterWhisper

from scripts.benchmarks import bounds, messages
from scripts.parts import people, whisper_packages
from src.config.settings import Settings
from src.domain.audio import Audio
from src.domain.errors import VoiceServiceError
from src.domain.speech import Quality
from src.models.whisper_model import WhisperModel, weights_file
from src.utils.audio import resample
from src.utils.words import words, wrong_words

Hear = Callable[[Audio], tuple[str, str]]
"""16 kHz in; the text and the language's code out."""


@dataclass(slots=True)
class Score:
    words: int = 0
    wrong: int = 0
    clips: int = 0
    language_right: int = 0
    seconds: float = 0.0
    took: float = 0.0

    def report(self) -> dict[str, float]:
        return {
            "word_error_percent": 100 * self.wrong / self.words,
            "language_right_percent": 100 * self.language_right / self.clips,
            "seconds_per_second": self.took / self.seconds,
        }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--messages", type=int, nargs="?", const=30, metavar="N", help="N messages of up to --longest seconds (30)")
    add(
        "--bounds", type=int, nargs="?", const=16, metavar="N", help="when a language is believed, by N prompts of each"
    )
    add("--longest", type=float, default=300.0, metavar="S", help="seconds of a message")
    add("--every", type=int, default=1, metavar="N", help="each N-th prompt of a language alone")
    add("--languages", nargs="+", choices=people.LANGUAGES, default=people.LANGUAGES)
    add("--precision", default="auto", choices=["auto", "float32", "float16"], help="ours")
    add("--no-stock", action="store_true", help="ours alone")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Of each contender, by language and over all."""
    if arguments.messages is not None:
        return messages.run(arguments)
    if arguments.bounds is not None:
        return bounds.run(arguments)
    weights = weights_file("base", Settings().whisper_dir)
    contenders = {} if arguments.no_stock else _stock(weights, arguments.device)
    model = WhisperModel(weights, arguments.device, arguments.precision)
    contenders |= {f"ours, {quality}": _ours(model, quality) for quality in Quality}
    scores: dict[str, dict[str, Score]] = {name: defaultdict(Score) for name in contenders}
    for language in arguments.languages:
        for clip in people.clips(language)[:: arguments.every]:
            audio = resample(Audio(clip.samples, people.RATE), 16_000)
            for name, hear in contenders.items():
                _count((scores[name][language], scores[name]["all"]), clip, audio, hear)
        _print(language, scores)
    _print("all", scores)
    return {
        "weights": weights.name,
        **{name: {code: score.report() for code, score in found.items()} for name, found in scores.items()},
    }


def _count(scores: tuple[Score, ...], clip: people.Clip, audio: Audio, hear: Hear) -> None:
    started = time.perf_counter()
    text, language = hear(audio)
    took = time.perf_counter() - started
    for score in scores:
        score.words += len(words(clip.text))
        score.wrong += wrong_words(clip.text, text, clip.language)
        score.clips += 1
        score.language_right += language == clip.language
        score.seconds += clip.seconds
        score.took += took


def _print(language: str, scores: dict[str, dict[str, Score]]) -> None:
    for name, found in scores.items():
        report = found[language].report()
        print(f"{language:4} {name:26}", *(f"{key} {value:6.2f}" for key, value in report.items()), flush=True)


def _ours(model: WhisperModel, quality: Quality) -> Hear:
    def hear(audio: Audio) -> tuple[str, str]:
        try:
            heard = model.transcribe(audio, None, quality)
        except VoiceServiceError as error:
            return "", error.code
        return heard.text, heard.language

    return hear


def _stock(weights: Path, device: str) -> dict[str, Hear]:
    model = whisper.load_model(str(weights), device=device)
    with tempfile.TemporaryDirectory() as folder:
        whisper_packages.unpack(Path(folder))
        faster = FasterWhisper(folder, device=device, compute_type="int8", local_files_only=True)

    def stock(audio: Audio) -> tuple[str, str]:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            heard = model.transcribe(_samples(audio), verbose=None, fp16=device == "cuda")
        return str(heard["text"]), str(heard["language"])

    def fast(audio: Audio) -> tuple[str, str]:
        segments, found = faster.transcribe(_samples(audio))
        return " ".join(segment.text for segment in segments), str(found.language)

    return {"openai-whisper": stock, "faster-whisper, int8": fast}


def _samples(audio: Audio) -> Any:
    return np.ascontiguousarray(audio.samples, np.float32)
