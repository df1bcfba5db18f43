"""`quality: high`: what is said is listened to; an engine that varies says it several times at once, and the best
candidate is answered.

A candidate's score is its nearness to the wanted voice (the cosine that answers report as `voice_similarity`) times
the share of its text that a recogniser hears in it again: one that swallows a third of the words loses to any that
says them all. Where the recogniser does not know the language, or does not answer, the voice alone decides. The same
candidates are chosen each time.
"""

import asyncio
from dataclasses import dataclass, replace

from src.domain.audio import Audio
from src.domain.errors import NoSpeechDetected, SpeechNotUnderstood, Unavailable, VoiceServiceError
from src.domain.languages import joined
from src.domain.ports import SpeakerAnalyzer, Transcriber, VoiceEngine
from src.domain.speech import Quality, SpeechRequest, VoiceMatch, VoicePrint, compare
from src.services.spoken_text import spoken
from src.utils.concurrency import run_both
from src.utils.text import agreement
from src.utils.words import word_error_rate

CANDIDATES = 3
_LEAST_HEARD = 0.5
"""Share of the words; of plain speech Whisper base mishears a tenth."""
_TOO_LATE = "Only {} of {} versions of the speech were ready in time."

_PATIENCE = 2.0
"""Times what the first candidate needed: how long the others get after it, also from engines that do one at a time."""
_LEAST_PATIENCE_SECONDS = 20.0


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A message said once. `heard`: how much of its letters was heard in it, 0 to 1; None: it was not listened to.
    `match` says of how many words.
    """

    audio: Audio
    match: VoiceMatch
    heard: float | None

    def score(self, *, by_text: bool) -> float:
        return self.match.similarity * (self.heard if by_text and self.heard is not None else 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """The best candidate. `degraded`: what was not done as `quality: high` says."""

    candidate: Candidate
    degraded: tuple[str, ...]


class Candidates:
    def __init__(self, engine: VoiceEngine, analyzer: SpeakerAnalyzer, transcriber: Transcriber) -> None:
        self._engine = engine
        self._analyzer = analyzer
        self._transcriber = transcriber

    async def best(self, request: SpeechRequest, reference: VoicePrint) -> Choice:
        """Say it `CANDIDATES` times at once, so that an engine can batch them, or once where it would sound the same.
        Cancelled, it stops all of them.

        A candidate that an overloaded engine refuses, or that comes too late after the first one, is left out. When
        none is left, raises what the first one raises; and any other error of any candidate.
        """
        count = CANDIDATES if self._engine.varies else 1
        wanted = [replace(request, candidate=number) for number in range(count)]
        tasks = [asyncio.create_task(self._candidate(each, reference)) for each in wanted]
        try:
            candidates = await _in_time(tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        by_text = all(each.heard is not None for each in candidates)
        best = max(candidates, key=lambda each: each.score(by_text=by_text))  # the first of equals
        return Choice(best, self._degraded(count - len(candidates), best, request.language, by_text=by_text))

    async def _candidate(self, request: SpeechRequest, reference: VoicePrint) -> Candidate:
        audio = await self._engine.speak(request)
        voice_print, (letters, words) = await run_both(self._analyzer.analyze(audio), self._heard(audio, request))
        return Candidate(audio, replace(compare(reference, voice_print), heard=words), letters)

    async def _heard(self, audio: Audio, request: SpeechRequest) -> tuple[float | None, float | None]:
        """Shares of the letters and of the words."""
        if request.language not in self._transcriber.languages:
            return None, None
        try:
            transcript = await self._transcriber.transcribe(audio, request.language, Quality.FAST)
        except (NoSpeechDetected, SpeechNotUnderstood):
            return 0.0, 0.0
        except VoiceServiceError:  # the message is spoken; that nobody could listen to it is no reason to fail
            return None, None
        text = joined(request.texts, request.language)
        return await asyncio.to_thread(_agreement, text, transcript.text, request.language)

    def _degraded(self, late: int, best: Candidate, language: str, *, by_text: bool) -> tuple[str, ...]:
        said = [_TOO_LATE.format(CANDIDATES - late, CANDIDATES)] if late else []
        if not by_text:
            knows = language in self._transcriber.languages
            reason = "did not answer" if knows else f"does not hear {language!r}"
            said.append(f"Nobody listened to the speech, to choose or check it: {self._transcriber.name} {reason}.")
        if best.match.heard is not None and best.match.heard < _LEAST_HEARD:
            share = round(100 * best.match.heard)
            said.append(f"The speech may be hard to understand: {share} % of its words are heard again in it.")
        return tuple(said)


def _agreement(text: str, heard: str, language: str) -> tuple[float, float]:
    """Recognisers write numbers in digits; the text has them in words."""
    again = joined(spoken(heard, language).sentences, language)
    return agreement(text, again), max(0.0, 1 - word_error_rate(text, again, language))


async def _in_time(tasks: "list[asyncio.Task[Candidate]]") -> list[Candidate]:
    """What is finished when all are, or when patience with the later ones ends; in the order of `tasks`."""
    loop = asyncio.get_running_loop()
    start, deadline = loop.time(), float("inf")
    pending, candidates = set(tasks), dict[asyncio.Task[Candidate], Candidate]()
    while pending and loop.time() < deadline:
        left = None if deadline == float("inf") else deadline - loop.time()
        done, pending = await asyncio.wait(pending, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        candidates |= {task: task.result() for task in done if not _is_unavailable(task)}
        if candidates and deadline == float("inf"):
            deadline = loop.time() + max(_LEAST_PATIENCE_SECONDS, _PATIENCE * (loop.time() - start))
    return [candidates[task] for task in tasks if task in candidates] or [tasks[0].result()]


def _is_unavailable(task: "asyncio.Task[Candidate]") -> bool:
    return isinstance(task.exception(), Unavailable)
