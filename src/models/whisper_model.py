"""The recogniser: openai-whisper's networks, from files that are already on this machine.

This module imports neither torch nor whisper before a model is built: the API's process needs neither.
"""

import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from src.domain.audio import Audio
from src.domain.errors import EngineUnavailable, JobCancelled, NoSpeechDetected, UnsupportedLanguage, VoiceServiceError
from src.domain.languages import LANGUAGES as SERVICE_LANGUAGES
from src.domain.speech import NO_HINTS, Hints, Quality, Transcript
from src.models.silero_vad import SileroVad
from src.models.whisper.hearing import MODEL_RATE, Clip, Hearing, Part
from src.models.whisper.spoken_languages import among, likeliest
from src.models.whisper.windows import Span, around, inside, phrases, windows
from src.utils.audio import resample

if TYPE_CHECKING:
    from src.models.whisper.recogniser import Attempt, Recogniser

logger = logging.getLogger(__name__)

NAME = "whisper"
LANGUAGES = frozenset(SERVICE_LANGUAGES)
"""Of a multilingual model; the `.en` ones hear English alone."""

MODELS = (
    *(f"{size}{kind}" for size in ("tiny", "base", "small", "medium") for kind in ("", ".en")),
    *("large-v1", "large-v2", "large-v3", "large-v3-turbo"),
)
_SURE = 0.8
"""Probability of the main language below which a phrase is listened to alone."""
_PROBABLE = -0.8
"""Mean log-probability of a token that a text has at least which is heard again: less is invented."""
_ALIASES = {"turbo": "large-v3-turbo", "large": "large-v3"}


def weights_file(model: str, folder: Path) -> Path:
    """The file of a published model (`base`, `large-v3`, `turbo` …) in `folder`, or `model` itself, a .pt file.

    Nothing is downloaded. Raises EngineUnavailable saying what is missing and what brings it.
    """
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


class WhisperModel:
    """Recordings to transcripts, blocking, where the network lives.

    For one recording call `transcribe`. To let windows of many callers go through the network together, call `begin`
    for each recording, and `step` until each has its result.

    `device`: auto, cpu or cuda. `precision`: auto (float16 on cuda, float32 on the CPU), float32 (tokens equal
    openai-whisper's), float16. Eight bits are no choice: more words are misheard. `high_weights`: another file for
    quality `high`. `threads`: of the CPU; None leaves torch's own choice. Raises EngineUnavailable.
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
        self.told, self._recognisers = _load(weights, high_weights, device, precision, threads)

    def transcribe(self, audio: Audio, language: str | None, quality: Quality, hints: Hints = NO_HINTS) -> Transcript:
        """Sentences with punctuation; segments end where Whisper's timestamps do, words are timed by its attention.

        Raises NoSpeechDetected where nobody speaks (nothing is invented for silence or noise), UnsupportedLanguage.
        """
        hearing = self.begin(Clip(audio, language, quality, hints))
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
        speech = self._vad.speech(audio)
        if not speech:
            raise NoSpeechDetected("Nobody speaks in the recording.")
        samples = np.ascontiguousarray(audio.samples, np.float32)
        recogniser = self._recognisers[clip.quality]
        languages = self.LANGUAGES.intersection(clip.hints.languages) or self.LANGUAGES
        hearing = Hearing(clip, samples, speech, languages, [])
        spans = windows(speech, 0.0, audio.duration_seconds)
        hearing.parts = [_part(hearing, recogniser, span, inside(speech, *span)) for span in spans]
        if not recogniser.multilingual:
            hearing.choose("en")
        return hearing

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
        work = self._decode if first.undetected is None else self._detect
        with suppress(JobCancelled):
            work(first, peers, recogniser)

    def _detect(self, first: Hearing, peers: Sequence[Hearing], recogniser: "Recogniser") -> None:
        """Look at the languages of parts; of hearings that have none left, choose it."""
        short, context = _listens_briefly(first), _context(first)
        batch = [
            (hearing, part)
            for hearing in peers
            if (part := hearing.undetected) is not None
            and _listens_briefly(hearing) == short
            and _context(hearing) == context
        ][: recogniser.batch]
        with recogniser.network.stoppable(lambda: all(hearing.cancelled for hearing, _ in batch)):
            found = recogniser.languages([part.window for _, part in batch], short=short)
            for (hearing, part), probabilities in zip(batch, found, strict=True):
                part.detected = probabilities
                if hearing.undetected is None:
                    self._choose(hearing, recogniser)

    def _choose(self, hearing: Hearing, recogniser: "Recogniser") -> None:
        """Set the language of each part; where several are spoken, the parts become windows of one language each.

        What is spoken where is seen in two looks: phrases are cut out of what is encoded already, which costs one step
        of the decoder each; only where they differ is each phrase encoded alone, which is right more often.
        """
        named = hearing.clip.language
        if hearing.whole:
            found = hearing.judge_declared_phrases(named) if named is not None else hearing.judge_phrases()
            hearing.parts = [_part(hearing, recogniser, *each) for each in found] or hearing.parts
        elif self._mixed(hearing, recogniser):
            last = len(hearing.samples) / MODEL_RATE
            spoken = [phrase for part in hearing.parts for phrase in phrases(part.speech)]
            hearing.whole = hearing.parts
            hearing.parts = [_part(hearing, recogniser, around(phrase, 0.0, last), phrase) for phrase in spoken]
        elif named is not None:
            hearing.judge_declared(named)
        else:
            hearing.judge_one()

    def _mixed(self, hearing: Hearing, recogniser: "Recogniser") -> bool:
        """Whether any phrase may be in another language of the service than the whole, or than the one that was named.

        A phrase sounds much like its neighbours in what is encoded of them together: a doubt is enough.
        """
        spoken = [(part, phrases(part.speech)) for part in hearing.parts]
        if sum(len(found) for _, found in spoken) == 1:
            return False
        told = [among(part.detected or {}, hearing.languages) for part in hearing.parts]
        main = hearing.clip.language or likeliest(told[0])
        for part, found in spoken:
            spans = [(phrase[0][0] - part.begin, phrase[-1][1] - part.begin) for phrase in found]
            within = recogniser.languages_within(part.window, spans, short=_listens_briefly(hearing))
            told += [among(probabilities, hearing.languages) for probabilities in within]
        return any(probabilities[main] < _SURE for probabilities in told)

    def _decode(self, first: Hearing, peers: Sequence[Hearing], recogniser: "Recogniser") -> None:
        """One attempt at parts in one language; hearings that have no part left get their result."""
        wanted = self._next(first, first.parts[0])
        batch = [
            (hearing, part)
            for hearing in peers
            if hearing.undetected is None
            for part in hearing.parts
            if self._next(hearing, part) == wanted
        ][: recogniser.batch]
        attempt, _, language, prompt = wanted
        with recogniser.network.stoppable(lambda: all(hearing.cancelled for hearing, _ in batch)):
            decoded = recogniser.attempt([part.window for _, part in batch], language, attempt, prompt)
            for (hearing, part), heard in zip(batch, decoded, strict=True):
                part.attempts += 1
                part.keep(heard.judged(part.seconds))
                if self._done(hearing, part):
                    self._take(hearing, part, recogniser)
            for hearing in {id(hearing): hearing for hearing, _ in batch}.values():
                if not hearing.parts:
                    hearing.finish()

    def _take(self, hearing: Hearing, part: Part, recogniser: "Recogniser") -> None:
        best, language = part.best, part.language or "en"
        usable = (
            best is not None
            and not (best.silent or best.looping)
            and not (part.again and best.log_probability < _PROBABLE)
        )
        segments = recogniser.segments(part.window, best, language) if usable and best is not None else []
        for rest in hearing.take(part, segments):
            again = _part(hearing, recogniser, rest.span, rest.speech, language)
            again.again, again.doubt = part.again + 1, rest.doubt
            hearing.parts.append(again)

    def _done(self, hearing: Hearing, part: Part) -> bool:
        """Whether no other attempt is made. One is enough for what is heard again, and for another language than the
        one that was named.
        """
        attempts = self._recognisers[hearing.clip.quality].attempts(hearing.clip.quality)
        once = part.again > 0 or hearing.sounds_like is not None
        return part.best is None or not part.best.failed or once or part.attempts == len(attempts)

    def _next(self, hearing: Hearing, part: Part) -> "tuple[Attempt, int, str, str]":
        """How the part is to be decoded: attempt, encoder context, language, prompt. What is equal shares a batch."""
        attempt = self._recognisers[hearing.clip.quality].attempts(hearing.clip.quality)[part.attempts]
        return attempt, part.window.context(short=attempt.short), part.language or "", hearing.clip.hints.prompt


def _part(
    hearing: Hearing, recogniser: "Recogniser", span: Span, speech: list[Span], language: str | None = None
) -> Part:
    begin, end = span
    samples = hearing.samples[round(begin * MODEL_RATE) : round(end * MODEL_RATE)]
    return Part(begin, end, recogniser.window(samples), speech, language=language)


def _load(
    weights: Path, high_weights: Path | None, device: str, precision: str, threads: int | None
) -> "tuple[str, dict[Quality, Recogniser]]":
    """The network, its device and precision, in words; and one for each quality."""
    import torch  # noqa: PLC0415 - only where whisper is installed and wanted

    from src.models.whisper.network import Precision  # noqa: PLC0415
    from src.models.whisper.recogniser import Recogniser  # noqa: PLC0415

    if threads is not None:
        torch.set_num_threads(threads)
    cuda = torch.cuda.is_available()
    if device == "cuda" and not cuda:
        raise EngineUnavailable("DEVICE=cuda, and torch finds no CUDA device here.")
    target = torch.device("cuda" if device == "cuda" or (device == "auto" and cuda) else "cpu")
    usually = Precision.FLOAT16 if target.type == "cuda" else Precision.FLOAT32
    kind = usually if precision == "auto" else Precision(precision)
    usual, *high = [
        Recogniser(path, target, kind, batch=16 if target.type == "cuda" else 4)
        for path in (weights, high_weights)
        if path is not None
    ]
    told = f"{weights.stem} on {target.type} in {kind}"
    logger.info("whisper: %s", told)
    return told, {Quality.FAST: usual, Quality.BALANCED: usual, Quality.HIGH: high[0] if high else usual}


def _listens_briefly(hearing: Hearing) -> bool:
    """Whether its language is found out in a shortened context: for quality fast, whose first attempt uses it again,
    and for phrases.
    """
    return bool(hearing.whole) or hearing.clip.quality is Quality.FAST


def _context(hearing: Hearing) -> int | None:
    """Encoder frames of what is to be detected next."""
    part = hearing.undetected
    return None if part is None else part.window.context(short=_listens_briefly(hearing))
