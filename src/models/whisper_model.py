"""The production recogniser: openai-whisper's networks, from files that are already on this machine.

This module imports neither torch nor whisper before a model is built, so that the service runs without them.
"""

import importlib.util
import logging
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from src.domain.audio import Audio, Samples
from src.domain.errors import EngineUnavailable, JobCancelled, NoSpeechDetected, UnsupportedLanguage, VoiceServiceError
from src.domain.languages import LANGUAGES as SERVICE_LANGUAGES
from src.domain.speech import Quality, Segment, Transcript
from src.models.silero_vad import SileroVad
from src.models.whisper.windows import windows as cut
from src.utils.audio import resample

if TYPE_CHECKING:
    from src.models.whisper.decoding import Decoded
    from src.models.whisper.recogniser import Attempt, Recogniser, Window

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
        missing = f"Whisper's weights are not at {path}: `scripts/download_models.py whisper:{name}` brings them."
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
class Hearing:
    """A clip on its way to text: its windows, where each begins (s), and what was made out so far.

    `attempts`: by window, which of its quality's attempts comes next; a window that is not in it is done. `result`:
    the transcript, or what is wrong with the clip, once all windows are done.
    """

    clip: Clip
    windows: "list[Window]"
    offsets: list[float]
    language: str | None
    probability: float | None = None
    heard: "dict[int, Decoded]" = field(default_factory=dict)
    attempts: dict[int, int] = field(init=False)
    result: Transcript | VoiceServiceError | None = None
    cancelled: bool = False

    def __post_init__(self) -> None:
        self.attempts = dict.fromkeys(range(len(self.windows)), 0)

    def cancel(self) -> None:
        """Nobody wants the transcript. Any thread may say so; the network stops between two tokens."""
        self.cancelled = True


class WhisperModel:
    """Recordings to transcripts, blocking, where the network lives.

    For one recording call `transcribe`. To let windows of many callers go through the network together, call `begin`
    for each recording, and `step` until each has its result.

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
        hearing = self.begin(Clip(audio, language, quality))
        while hearing.result is None:
            self.step([hearing])
        if isinstance(hearing.result, VoiceServiceError):
            raise hearing.result
        return hearing.result

    def begin(self, clip: Clip) -> Hearing:
        """Find the speech and cut it into windows. Raises NoSpeechDetected, UnsupportedLanguage."""
        if clip.language is not None and clip.language not in self.LANGUAGES:
            raise UnsupportedLanguage(f"This Whisper model hears {', '.join(sorted(self.LANGUAGES))} only.")
        audio = resample(clip.audio, MODEL_RATE)
        samples = np.ascontiguousarray(audio.samples, np.float32)
        spans = cut(self._vad.speech(audio), audio.duration_seconds)
        if not spans:
            raise NoSpeechDetected("Nobody speaks in the recording.")
        recogniser = self._recognisers[clip.quality]
        windows = [recogniser.window(_between(samples, begin, end)) for begin, end in spans]
        language = clip.language if recogniser.multilingual else "en"
        return Hearing(clip, windows, [begin for begin, _ in spans], language)

    def step(self, hearings: Sequence[Hearing]) -> None:
        """One batch of windows through the network: what the first hearing without a result needs next, and the windows
        of the others that need just that. Callers take turns when whoever was served goes to the end of `hearings`.

        A hearing whose turn is cancelled gets no result.
        """
        waiting = [hearing for hearing in hearings if hearing.result is None and not hearing.cancelled]
        if not waiting:
            return
        first = waiting[0]
        recogniser = self._recognisers[first.clip.quality]
        peers = [hearing for hearing in waiting if self._recognisers[hearing.clip.quality] is recogniser]
        work = self._detect if first.language is None else self._decode
        with suppress(JobCancelled):
            work(first, peers, recogniser)

    def _detect(self, first: Hearing, peers: Sequence[Hearing], recogniser: "Recogniser") -> None:
        """Set the language of clips by their first windows. One that the service lacks is their result."""
        short = _short(first)
        context = first.windows[0].context(short=short)
        batch = [
            hearing
            for hearing in peers
            if hearing.language is None
            and _short(hearing) == short
            and hearing.windows[0].context(short=short) == context
        ][: recogniser.batch]
        with recogniser.network.stoppable(lambda: all(hearing.cancelled for hearing in batch)):
            found = recogniser.languages([hearing.windows[0] for hearing in batch], short=short)
        for hearing, probabilities in zip(batch, found, strict=True):
            hearing.language, hearing.probability = _best(probabilities, self.LANGUAGES)
            if hearing.language is None:
                hearing.result = _foreign()

    def _decode(self, first: Hearing, peers: Sequence[Hearing], recogniser: "Recogniser") -> None:
        """One attempt at windows in one language; hearings that have no window left get their result."""
        wanted = self._next(first, next(iter(first.attempts)))
        batch = [
            (hearing, index)
            for hearing in peers
            for index in hearing.attempts
            if hearing.language is not None and self._next(hearing, index) == wanted
        ][: recogniser.batch]
        attempt, _, language = wanted
        with recogniser.network.stoppable(lambda: all(hearing.cancelled for hearing, _ in batch)):
            decoded = recogniser.attempt([hearing.windows[index] for hearing, index in batch], language, attempt)
            for (hearing, index), heard in zip(batch, decoded, strict=True):
                hearing.heard[index] = heard
                hearing.attempts[index] += 1
                if not heard.failed or hearing.attempts[index] == len(recogniser.attempts(hearing.clip.quality)):
                    del hearing.attempts[index]
            for hearing in {id(hearing): hearing for hearing, _ in batch}.values():
                if not hearing.attempts:
                    hearing.result = _transcript(hearing, recogniser)

    def _next(self, hearing: Hearing, index: int) -> "tuple[Attempt, int, str]":
        """How the window is to be decoded: attempt, encoder context, language. Those that are equal share a batch."""
        attempt = self._recognisers[hearing.clip.quality].attempts(hearing.clip.quality)[hearing.attempts[index]]
        return attempt, hearing.windows[index].context(short=attempt.short), hearing.language or ""


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


def _short(hearing: Hearing) -> bool:
    """Whether its language is found out in a shortened context, which its first attempt uses again."""
    return hearing.clip.quality is Quality.FAST


def _best(probabilities: dict[str, float], languages: frozenset[str]) -> tuple[str | None, float]:
    """The likeliest language that the service has, or None when another one is more likely than not."""
    if max((p for code, p in probabilities.items() if code not in languages), default=0.0) >= _FOREIGN:
        return None, 0.0
    best = max(languages, key=lambda code: probabilities.get(code, 0.0))
    return best, probabilities[best]


def _foreign() -> UnsupportedLanguage:
    names = ", ".join(SERVICE_LANGUAGES)
    return UnsupportedLanguage(f"The language spoken is not one of {names}. If it is, send source_language.")


def _transcript(hearing: Hearing, recogniser: "Recogniser") -> Transcript | VoiceServiceError:
    """All windows that have speech, in order. A text that still repeats itself after all attempts is not one."""
    segments: list[Segment] = []
    log_probability, tokens = 0.0, 0
    language = hearing.language or "en"
    for index, (window, offset) in enumerate(zip(hearing.windows, hearing.offsets, strict=True)):
        decoded = hearing.heard[index]
        if decoded.silent or decoded.repetitive:
            continue
        segments += [_moved(segment, offset) for segment in recogniser.segments(window, decoded, language)]
        log_probability += decoded.log_probability * (len(decoded.tokens) + 1)
        tokens += len(decoded.tokens) + 1
    if not segments:
        return NoSpeechDetected("No words could be made out in the recording.")
    confidence = min(1.0, math.exp(log_probability / tokens))
    return Transcript(tuple(segments), language, hearing.probability, confidence)


def _moved(segment: Segment, seconds: float) -> Segment:
    words = tuple(replace(word, start=word.start + seconds, end=word.end + seconds) for word in segment.words)
    return replace(segment, start=segment.start + seconds, end=segment.end + seconds, words=words)
