"""`quality: high`: a message is said several times at once, and the best take of it is answered.

A take is as good as it is near to the voice that it is to have (the cosine that answers report as `voice_similarity`)
and true to its text: the share of its characters that a recogniser hears in it again. The two are multiplied, so that a
take which swallows a third of the words loses to any that says them all. Where the recogniser does not know the
language, or does not answer, the voice alone decides. The same takes are chosen in the same way each time.
"""

import asyncio
from dataclasses import dataclass, replace

from src.domain.audio import Audio
from src.domain.errors import NoSpeechDetected, Unavailable, VoiceServiceError
from src.domain.ports import SpeakerAnalyzer, Transcriber, VoiceEngine
from src.domain.speech import Quality, SpeechRequest, VoiceMatch, VoicePrint, compare
from src.utils.concurrency import run_both
from src.utils.text import agreement, joined

TAKES = 3

_PATIENCE = 2.0
"""Times what the first take needed, that the others get after it: enough for engines that do one call after another."""
_LEAST_PATIENCE_SECONDS = 20.0


@dataclass(frozen=True, slots=True, eq=False)
class Take:
    """A message said once. `heard`: how much of its text was heard in it, 0 to 1; None: it was not listened to."""

    audio: Audio
    match: VoiceMatch
    heard: float | None

    def score(self, *, by_text: bool) -> float:
        return self.match.similarity * (self.heard if by_text and self.heard is not None else 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """The best take. `degraded`: what was not done as `quality: high` says."""

    take: Take
    degraded: tuple[str, ...]


class Takes:
    def __init__(self, engine: VoiceEngine, analyzer: SpeakerAnalyzer, transcriber: Transcriber) -> None:
        self._engine = engine
        self._analyzer = analyzer
        self._transcriber = transcriber

    async def best(self, request: SpeechRequest, reference: VoicePrint) -> Choice:
        """Say it `TAKES` times at the same time, so that an engine can batch them. Cancelled, it stops all of them.

        A take that an overloaded engine refuses, or that comes too late after the first one, is left out. Raises what
        the first take raises when there is none, and any other error of any take.
        """
        wanted = [replace(request, take=number) for number in range(TAKES)]
        tasks = [asyncio.create_task(self._take(each, reference)) for each in wanted]
        try:
            takes = await _in_time(tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        by_text = all(take.heard is not None for take in takes)
        best = max(takes, key=lambda take: take.score(by_text=by_text))  # the first of equals
        return Choice(best, self._degraded(len(takes), request.language, by_text=by_text))

    async def _take(self, request: SpeechRequest, reference: VoicePrint) -> Take:
        audio = await self._engine.speak(request)
        voice_print, heard = await run_both(self._analyzer.analyze(audio), self._heard(audio, request))
        return Take(audio, compare(reference, voice_print), heard)

    async def _heard(self, audio: Audio, request: SpeechRequest) -> float | None:
        if request.language not in self._transcriber.languages:
            return None
        try:
            transcript = await self._transcriber.transcribe(audio, request.language, Quality.FAST)
        except NoSpeechDetected:
            return 0.0
        except VoiceServiceError:  # the message is spoken; that nobody could listen to it is no reason to fail
            return None
        text = joined(request.texts, request.language)
        return await asyncio.to_thread(agreement, text, transcript.text)

    def _degraded(self, takes: int, language: str, *, by_text: bool) -> tuple[str, ...]:
        said = [] if takes == TAKES else [f"voice: {takes} of {TAKES} takes were ready in time"]
        if not by_text:
            knows = language in self._transcriber.languages
            reason = "did not answer" if knows else f"does not hear {language!r}"
            said.append(f"voice: the take was chosen by its voice alone: {self._transcriber.name} {reason}")
        return tuple(said)


async def _in_time(tasks: "list[asyncio.Task[Take]]") -> list[Take]:
    """What is finished when all are, or when patience with the later ones ends; in the order of `tasks`."""
    loop = asyncio.get_running_loop()
    start, deadline = loop.time(), float("inf")
    pending, takes = set(tasks), dict[asyncio.Task[Take], Take]()
    while pending and loop.time() < deadline:
        left = None if deadline == float("inf") else deadline - loop.time()
        done, pending = await asyncio.wait(pending, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        takes |= {task: task.result() for task in done if not _is_unavailable(task)}
        if takes and deadline == float("inf"):
            deadline = loop.time() + max(_LEAST_PATIENCE_SECONDS, _PATIENCE * (loop.time() - start))
    return [takes[task] for task in tasks if task in takes] or [tasks[0].result()]


def _is_unavailable(task: "asyncio.Task[Take]") -> bool:
    return isinstance(task.exception(), Unavailable)
