"""The production recogniser: openai-whisper's networks, from files that are already on this machine.

This module imports neither torch nor whisper before a model is built, so that the service runs without them.
"""

import importlib.util
import logging
import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from src.domain.audio import Audio, Samples
from src.domain.errors import EngineUnavailable, NoSpeechDetected, UnsupportedLanguage, VoiceServiceError
from src.domain.languages import LANGUAGES as SERVICE_LANGUAGES
from src.domain.speech import Quality, Segment, Transcript
from src.models.silero_vad import SileroVad
from src.models.whisper.windows import windows as cut
from src.utils.audio import resample

if TYPE_CHECKING:
    from src.models.whisper.decoding import Decoded
    from src.models.whisper.recogniser import Recogniser, Window

logger = logging.getLogger(__name__)

NAME = "whisper"
LANGUAGES = frozenset(SERVICE_LANGUAGES)
"""Of a multilingual model; the `.en` ones hear English alone."""

MODEL_RATE = 16_000
MODELS = (
    *(f"{size}{kind}" for size in ("tiny", "base", "small", "medium") for kind in ("", ".en")),
    *("large-v1", "large-v2", "large-v3", "large-v3-turbo"),
)
_ALIASES = {"turbo": "large-v3-turbo", "large": "large-v3"}
_FOREIGN = 0.5
"""Probability of a language that the service does not have at which it says so, instead of taking the next likely."""


def weights_file(model: str, folder: Path) -> Path:
    """The file of a published model (`base`, `large-v3`, `turbo` …) in `folder`, or `model` itself, a .pt file.

    Nothing is downloaded. Raises EngineUnavailable saying what is missing and what brings it.
    """
    if importlib.util.find_spec("whisper") is None:
        raise EngineUnavailable("Whisper needs the package openai-whisper: install requirements-gpu.txt.")
    if model.endswith(".pt"):
        path = Path(model)
        missing = f"WHISPER_MODEL names {path}, and there is no such file."
    else:
        name = _ALIASES.get(model, model)
        if name not in MODELS:
            raise EngineUnavailable(f"WHISPER_MODEL is {model!r}: set a .pt file or one of {', '.join(MODELS)}, turbo.")
        path = folder / f"{name}.pt"
        missing = f"Whisper's weights are not at {path}: put the published {name}.pt there."
    if not path.is_file():
        raise EngineUnavailable(missing)
    return path


def languages_of(weights: Path) -> frozenset[str]:
    """What the model in a file hears, by its name: published English models end in `.en`."""
    return frozenset({"en"}) if weights.stem.endswith(".en") else LANGUAGES


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """One caller's recording. `language` None: detect it."""

    audio: Audio
    language: str | None
    quality: Quality


@dataclass(slots=True, eq=False)
class _Job:
    """A clip on its way: its windows, where each begins (s), and the language once it is known."""

    clip: Clip
    windows: "list[Window]"
    offsets: list[float]
    language: str | None
    probability: float | None = None


class WhisperModel:
    """Implements `transcribe` of the port Transcriber, blocking: one call at a time, where the model lives.

    `device`: auto, cpu or cuda. `precision`: auto (float16 on cuda, int8 on the CPU), or float32 (exact: tokens equal
    openai-whisper's), bfloat16, float16, int8. `high_weights`: another file for quality `high`. `threads`: of the CPU;
    None leaves torch's own choice. Raises EngineUnavailable.
    """

    NAME = NAME

    def __init__(
        self,
        weights: Path,
        device: str = "auto",
        precision: str = "auto",
        *,
        high_weights: Path | None = None,
        threads: int | None = None,
    ) -> None:
        self.LANGUAGES = languages_of(weights)
        self._vad = SileroVad()
        self._recognisers = _load(weights, high_weights, device, precision, threads)

    def transcribe(self, audio: Audio, language: str | None, quality: Quality) -> Transcript:
        """Sentences with punctuation; segments end where Whisper's timestamps do, words are timed by its attention.

        Raises NoSpeechDetected where nobody speaks (nothing is invented for silence or noise), UnsupportedLanguage.
        """
        (result,) = self.transcribe_many([Clip(audio, language, quality)])
        if isinstance(result, VoiceServiceError):
            raise result
        return result

    def transcribe_many(
        self, clips: Sequence[Clip], *, cancelled: Callable[[], bool] = lambda: False
    ) -> list[Transcript | VoiceServiceError]:
        """Each clip's transcript, or what is wrong with it. Windows of all clips go through the network together.

        `cancelled` is asked, in the calling thread, before every clip's search for speech, every block of the encoder
        and every token. It speaks for the whole call, so it says yes when all callers have given up: then JobCancelled
        is raised.
        """
        with ExitStack() as stack:
            for recogniser in set(self._recognisers.values()):
                stack.enter_context(recogniser.network.stoppable(cancelled))
            return self._transcribe_many(clips)

    def _transcribe_many(self, clips: Sequence[Clip]) -> list[Transcript | VoiceServiceError]:
        results: dict[int, Transcript | VoiceServiceError] = {}
        jobs: dict[int, _Job] = {}
        for index, clip in enumerate(clips):
            self._recognisers[clip.quality].network.go_on()
            try:
                jobs[index] = self._prepare(clip)
            except VoiceServiceError as error:
                results[index] = error
        for quality in Quality:
            of_quality = {index: job for index, job in jobs.items() if job.clip.quality is quality}
            results.update(self._hear(of_quality, self._recognisers[quality], quality))
        return [results[index] for index in range(len(clips))]

    def _prepare(self, clip: Clip) -> _Job:
        if clip.language is not None and clip.language not in self.LANGUAGES:
            raise UnsupportedLanguage(f"This Whisper model hears {', '.join(sorted(self.LANGUAGES))} only.")
        audio = resample(clip.audio, MODEL_RATE)
        samples = np.ascontiguousarray(audio.samples, np.float32)
        spans = cut(self._vad.speech(audio), audio.duration_seconds)
        if not spans:
            raise NoSpeechDetected("Nobody speaks in the recording.")
        recogniser = self._recognisers[clip.quality]
        windows = [recogniser.window(_between(samples, begin, end)) for begin, end in spans]
        return _Job(clip, windows, [begin for begin, _ in spans], clip.language)

    def _hear(
        self, jobs: dict[int, _Job], recogniser: "Recogniser", quality: Quality
    ) -> dict[int, Transcript | VoiceServiceError]:
        results: dict[int, Transcript | VoiceServiceError] = {}
        self._detect([job for job in jobs.values() if job.language is None], recogniser, quality)
        for language in {job.language for job in jobs.values()}:
            same = {index: job for index, job in jobs.items() if job.language == language}
            if language is None:
                results.update(dict.fromkeys(same, _foreign()))
                continue
            windows = [window for job in same.values() for window in job.windows]
            heard = iter(recogniser.decode(windows, language, quality))
            for index, job in same.items():
                results[index] = _transcript(job, [next(heard) for _ in job.windows], recogniser)
        return results

    def _detect(self, jobs: Sequence[_Job], recogniser: "Recogniser", quality: Quality) -> None:
        """Set each job's language from its first window; it stays None for one that the service lacks."""
        if not recogniser.multilingual:
            for job in jobs:
                job.language = "en"
        elif jobs:
            found = recogniser.languages([job.windows[0] for job in jobs], quality)
            for job, probabilities in zip(jobs, found, strict=True):
                job.language, job.probability = _best(probabilities, self.LANGUAGES)


def _load(
    weights: Path, high_weights: Path | None, device: str, precision: str, threads: int | None
) -> "dict[Quality, Recogniser]":
    import torch  # noqa: PLC0415 - only where whisper is installed and wanted

    from src.models.whisper.linear import Precision  # noqa: PLC0415
    from src.models.whisper.recogniser import Recogniser  # noqa: PLC0415

    if threads is not None:
        torch.set_num_threads(threads)
    cuda = torch.cuda.is_available()
    if device == "cuda" and not cuda:
        raise EngineUnavailable("DEVICE=cuda, and torch finds no CUDA device here.")
    target = torch.device("cuda" if device == "cuda" or (device == "auto" and cuda) else "cpu")
    kind = Precision(precision) if precision != "auto" else (Precision.INT8, Precision.FLOAT16)[target.type == "cuda"]
    if kind is Precision.INT8 and target.type == "cuda":
        raise EngineUnavailable("int8 is for the CPU: choose float16 on cuda.")
    usual, *high = [
        Recogniser(path, target, kind, batch=16 if target.type == "cuda" else 4)
        for path in (weights, high_weights)
        if path is not None
    ]
    logger.info("whisper: %s on %s in %s", weights.stem, target.type, kind)
    return {Quality.FAST: usual, Quality.BALANCED: usual, Quality.HIGH: high[0] if high else usual}


def _between(samples: Samples, begin: float, end: float) -> Samples:
    return samples[round(begin * MODEL_RATE) : round(end * MODEL_RATE)]


def _best(probabilities: dict[str, float], languages: frozenset[str]) -> tuple[str | None, float]:
    """The likeliest language that the service has, or None when another one is more likely than not."""
    if max((p for code, p in probabilities.items() if code not in languages), default=0.0) >= _FOREIGN:
        return None, 0.0
    best = max(languages, key=lambda code: probabilities.get(code, 0.0))
    return best, probabilities[best]


def _foreign() -> UnsupportedLanguage:
    names = ", ".join(SERVICE_LANGUAGES)
    return UnsupportedLanguage(f"The language spoken is not one of {names}. If it is, send source_language.")


def _transcript(job: _Job, heard: "Sequence[Decoded]", recogniser: "Recogniser") -> Transcript | VoiceServiceError:
    """All windows that have speech, in order. A text that still repeats itself after all attempts is not one."""
    segments: list[Segment] = []
    log_probability, tokens = 0.0, 0
    language = job.language or "en"
    for window, offset, decoded in zip(job.windows, job.offsets, heard, strict=True):
        if decoded.silent or decoded.repetitive:
            continue
        segments += [_moved(segment, offset) for segment in recogniser.segments(window, decoded, language)]
        log_probability += decoded.log_probability * (len(decoded.tokens) + 1)
        tokens += len(decoded.tokens) + 1
    if not segments:
        return NoSpeechDetected("No words could be made out in the recording.")
    return Transcript(tuple(segments), language, job.probability, min(1.0, math.exp(log_probability / tokens)))


def _moved(segment: Segment, seconds: float) -> Segment:
    words = tuple(replace(word, start=word.start + seconds, end=word.end + seconds) for word in segment.words)
    return replace(segment, start=segment.start + seconds, end=segment.end + seconds, words=words)
