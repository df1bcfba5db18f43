"""One conversation: sound goes in, the same in another language comes out while it goes on.

    append ─> intake ─> ear ─> utterances ─> understood ─> sentences ─> spoken ─> events
                         └ guesses, while somebody speaks

Each stage does one thing after the other, so that order is kept. What waits between them is bounded in number, and by
the lag that it may have; what is left out is told. Who cancels `run` stops the engines.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from uuid import uuid4

from src.domain.errors import (
    DeadlineExceeded,
    InternalError,
    NoSpeechDetected,
    Overloaded,
    RateLimited,
    RequestInvalid,
    VoiceServiceError,
)
from src.domain.identity import current_user
from src.services.live.ear import Ear
from src.services.live.events import (
    SPEAKER,
    Closed,
    Configured,
    EndReason,
    LiveEvent,
    LiveLimits,
    LiveSettings,
    Trouble,
    Utterance,
)
from src.services.live.intake import Intake, TooFast
from src.services.live.stages import Line, Parts, Sentences, Speaking, Understanding, left_out
from src.services.live.voice import ProfileVoice, SessionVoice, SpeakerVoice
from src.utils.concurrency import background_task
from src.utils.tracing import where

logger = logging.getLogger(__name__)

_WAITING_EVENTS = 16
_WAITING_UTTERANCES = 16
_WAITING_SENTENCES = 2
_GUESS_SECONDS, _CLAUSE_SECONDS = 1.0, 4.0
"""An utterance is heard again after so much more of it; where nobody wants to read it, once, to find its clauses."""


@dataclass(frozen=True, slots=True)
class _Voiced:
    """What an utterance is interpreted with: as it was when the utterance ended."""

    settings: LiveSettings
    voice: SessionVoice


def new_session_id() -> str:
    return f"sess_{uuid4().hex}"


async def require_possible(parts: Parts, user_id: str, wanted: LiveSettings) -> None:
    """Raises UnsupportedLanguage, NotFound, ConsentRequired."""
    if wanted.target is not None:
        parts.languages.require_pair(wanted.source, wanted.target)
    if wanted.voice != SPEAKER:
        await parts.profiles.require_usable(wanted.voice, user_id)


class LiveSession:
    """`until`: Unix seconds, for the caller to know; whoever opens it sees to an end before `limits.session`. The other
    methods are called while `run` runs.
    """

    def __init__(
        self,
        parts: Parts,
        user_id: str,
        until: float,
        limits: LiveLimits,
        session_id: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.id = session_id or new_session_id()
        self.until = until
        self._parts = parts
        self._user_id = user_id
        self._limits = limits
        self._clock = clock
        self._events: asyncio.Queue[LiveEvent] = asyncio.Queue(_WAITING_EVENTS)
        self._line = Line(user_id, self.id, self.emit, clock)
        self._understanding = Understanding(parts, self._line)
        self._speaking = Speaking(parts, self._line, limits.lag)
        self._intake = Intake(clock)
        self._ear = Ear(self._intake, parts.activity)
        self._ended: asyncio.Queue[tuple[Utterance, _Voiced] | None] = asyncio.Queue(_WAITING_UTTERANCES)
        self._unheard = 0  # utterances that ended and whose text was not told yet
        self._sentences: asyncio.Queue[Sentences | None] = asyncio.Queue(_WAITING_SENTENCES)
        self._with = _Voiced(LiveSettings(), SpeakerVoice(parts.voices, always=False))
        self._closing = asyncio.Event()
        self._reason = EndReason.CLIENT
        self._aborted = asyncio.Event()

    @property
    def settings(self) -> LiveSettings:
        return self._with.settings

    async def configure(self, wanted: LiveSettings, *, first: bool = False) -> None:
        """For what is said from now on. Raises as `require_possible`; then nothing changes."""
        await require_possible(self._parts, self._user_id, wanted)
        old, voice = self.settings, self._with.voice
        if wanted.voice != SPEAKER:
            voice = ProfileVoice(self._parts.profiles, wanted.voice, self._user_id)
        elif (wanted.voice, wanted.always) != (old.voice, old.always):
            voice = SpeakerVoice(self._parts.voices, always=wanted.always)
        self._with = _Voiced(wanted, voice)
        await self.emit(Configured(wanted, first))

    def append(self, pcm: bytes) -> None:
        """PCM16, 24 kHz, mono. Raises RequestInvalid, also before a language was chosen; TooFast and Overloaded, which
        end the session.
        """
        if self._closing.is_set():
            raise RequestInvalid("The session is being closed: it takes no more audio.")
        if self.settings.target is None:
            raise RequestInvalid("Send `session.update` with `audio.output.language` before any audio.")
        try:
            self._intake.put(pcm)
        except (TooFast, Overloaded) as error:
            self.close(EndReason.TOO_FAST if isinstance(error, TooFast) else EndReason.OVERLOADED, drain=False)
            raise

    def close(self, reason: EndReason, *, drain: bool = True) -> None:
        """Take no more sound. With `drain` what came is translated and told before the last event. The first reason
        counts, and the first that does not drain ends at once.
        """
        if not self._closing.is_set():
            self._reason = reason
        self._intake.end()
        self._closing.set()
        if not drain:
            self._aborted.set()

    async def emit(self, event: LiveEvent) -> None:
        """To be told in its turn. Waits while many others are not told yet."""
        await self._events.put(event)

    async def events(self) -> AsyncIterator[LiveEvent]:
        """What is to be told, to the last event."""
        while True:
            event = await self._events.get()
            yield event
            if isinstance(event, Closed):
                return

    async def run(self) -> None:
        """Until the session has ended; its last event is `Closed`."""
        current_user.set(self._user_id)
        try:
            async with background_task(self._work()) as working, background_task(self._watch()) as watching:
                await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
                if working.done():
                    working.result()
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller is told that it has ended
            self._reason = EndReason.FAILED
            await self.emit(Trouble(_told(error)))
        finally:
            await self._account()
        await self.emit(Closed(self._reason))

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen(tasks))
            tasks.create_task(self._understand())
            tasks.create_task(self._speak())

    async def _watch(self) -> None:
        """Closes what lasts too long or has become silent. Returns when nobody waits for what is still in work."""
        started = self._clock()
        while not self._closing.is_set():
            quiet_until = max(started, self._intake.arrived) + self._limits.gap
            ends_at = started + self._limits.session
            if self._clock() >= min(quiet_until, ends_at):
                self.close(EndReason.EXPIRED if ends_at <= quiet_until else EndReason.NO_AUDIO)
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, min(quiet_until, ends_at) - self._clock())):
                    await self._closing.wait()
        try:
            async with asyncio.timeout(self._limits.drain):
                await self._aborted.wait()
        except TimeoutError:
            await self.emit(Trouble(DeadlineExceeded("Not all that was said could be translated before the end.")))

    async def _listen(self, tasks: asyncio.TaskGroup) -> None:
        guessing: asyncio.Task[None] | None = None
        guessed = 0.0
        async for utterance in self._ear.utterances():
            if utterance is not None:
                if guessing is not None:
                    guessing.cancel()
                guessing = None
                await self._enqueue(utterance)
            elif guessing is None or guessing.done():
                so_far = self._ear.so_far()
                if so_far is not None and self._is_due(so_far, guessed):
                    guessed = so_far.end
                    guessing = tasks.create_task(self._guess(so_far))
        if guessing is not None:
            guessing.cancel()
        await self._ended.put(None)

    def _is_due(self, so_far: Utterance, guessed: float) -> bool:
        """Not while older speech waits to be heard, so that texts come in order and a slow machine keeps up."""
        if self._unheard:
            return False
        if not self.settings.transcribes:
            return guessed <= so_far.begin and so_far.end - so_far.begin >= _CLAUSE_SECONDS
        return so_far.end - max(guessed, so_far.begin) >= _GUESS_SECONDS

    async def _guess(self, so_far: Utterance) -> None:
        # the whole utterance is heard, and then it is told what is wrong
        with suppress(VoiceServiceError, TimeoutError):
            async with asyncio.timeout(self._limits.stage):
                clauses = await self._understanding.guess(so_far, self.settings)
            self._ear.clauses(clauses)

    async def _enqueue(self, utterance: Utterance) -> None:
        try:
            self._ended.put_nowait((utterance, self._with))
        except asyncio.QueueFull:
            await self.emit(Trouble(left_out(Overloaded("Too much waits to be translated."), utterance)))
        else:
            self._unheard += 1

    async def _understand(self) -> None:
        while (item := await self._ended.get()) is not None:
            utterance, voiced = item
            async with self._telling(utterance):
                sentences = await self._sentences_of(utterance, voiced)
                if sentences is not None:
                    await self._sentences.put(sentences)
        await self._sentences.put(None)

    async def _sentences_of(self, utterance: Utterance, voiced: _Voiced) -> Sentences | None:
        try:
            waited = self._clock() - utterance.ended_at
            if waited > self._limits.lag:
                raise Overloaded(f"It waited for {waited:.0f} s.")
            async with asyncio.timeout(self._limits.stage):
                heard = await self._understanding.hear(utterance, voiced.settings)
        finally:
            self._unheard -= 1
        if heard is None:
            return None
        async with asyncio.timeout(self._limits.stage):
            return await self._understanding.translate(utterance, heard, voiced.settings, voiced.voice)

    async def _speak(self) -> None:
        while (sentences := await self._sentences.get()) is not None:
            async with self._telling(sentences.utterance), asyncio.timeout(self._limits.stage):
                await self._speaking.speak(sentences)

    @asynccontextmanager
    async def _telling(self, utterance: Utterance) -> AsyncIterator[None]:
        """What keeps an utterance from being translated or spoken is told, and the session goes on."""
        try:
            yield
        except NoSpeechDetected:
            return
        except TimeoutError:
            late = DeadlineExceeded(f"An engine took longer than {self._limits.stage:g} s.")
            await self.emit(Trouble(left_out(late, utterance)))
        except VoiceServiceError as error:
            await self.emit(Trouble(left_out(error, utterance)))
            if isinstance(error, RateLimited):
                self.close(EndReason.BUDGET, drain=False)

    async def _account(self) -> None:
        outcome = InternalError.code if self._reason is EndReason.FAILED else "completed"
        used = self._line.used(self._parts, outcome, self.settings.target, self._intake.seconds)
        with suppress(VoiceServiceError):  # whoever was deleted meanwhile is not counted
            await self._parts.usage.add(used)


def _told(error: Exception) -> VoiceServiceError:
    """What ended the session from within."""
    inner: BaseException = error
    while isinstance(inner, BaseExceptionGroup):
        inner = inner.exceptions[0]
    if isinstance(inner, VoiceServiceError):
        return inner
    logger.error("unexpected error in a live session\n%s", where(inner))
    return InternalError("Something went wrong here. The log has it.")
