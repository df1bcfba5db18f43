"""One session over fakes: what goes in, what is told, and how it ends."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeVar

import pytest

from src.domain.accounts import DAY_SECONDS
from src.domain.errors import (
    ContentBlocked,
    DeadlineExceeded,
    NotFound,
    Overloaded,
    RateLimited,
    RequestInvalid,
    TranslationUnavailable,
    UnsupportedLanguage,
)
from src.domain.jobs import UsageEvent
from src.domain.moderation import OnFailure, Passage, Policy, ReviewStage, Verdict
from src.domain.speech import Quality
from src.services.accounts.audio_budget import AudioBudget
from src.services.live.events import (
    Closed,
    EndReason,
    InputText,
    LiveEvent,
    LiveLimits,
    LiveSettings,
    OutputAudio,
    OutputText,
    Trouble,
)
from src.services.live.intake import FRAME, TooFast
from src.services.live.session import LiveSession
from src.services.live.stages import Parts
from src.services.safeguards.moderation import Moderation
from tests.fakes.assembly import Bench
from tests.fakes.fakes import FakeTranslator
from tests.fakes.live import ToneTranscriber, live_parts, said, words_of

E = TypeVar("E")
TO_SPANISH = LiveSettings(target="es", transcribes=True)
GENEROUS = LiveLimits(gap=60, lag=60, stage=60, drain=60)
"""For tests on a loaded machine."""
PIECE = 9600


@dataclass
class Call:
    """A session that runs, and what it has told so far."""

    session: LiveSession
    told: list[LiveEvent]
    running: asyncio.Task[None]

    def say(self, pcm: bytes) -> None:
        for start in range(0, len(pcm), PIECE):
            self.session.append(pcm[start : start + PIECE])

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.told if isinstance(event, kind)]

    def has(self, kind: type[LiveEvent], count: int) -> bool:
        return len(self.of(kind)) >= count

    async def until(self, done: Callable[[], bool]) -> None:
        async with asyncio.timeout(60):
            while not done():
                await asyncio.sleep(0.005)

    async def finished(self) -> EndReason:
        """As its caller ends it."""
        self.session.close(EndReason.CLIENT)
        return await self.ended()

    async def ended(self) -> EndReason:
        await self.until(lambda: bool(self.of(Closed)))
        return self.of(Closed)[0].reason


@asynccontextmanager
async def call(
    parts: Parts,
    settings: LiveSettings | None = TO_SPANISH,
    limits: LiveLimits = GENEROUS,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncIterator[Call]:
    session = LiveSession(parts, "ann", 0.0, limits, clock=clock)
    told: list[LiveEvent] = []

    async def listen() -> None:
        async for event in session.events():
            told.append(event)  # noqa: PERF401 - each when it comes

    running, listening = asyncio.create_task(session.run()), asyncio.create_task(listen())
    try:
        if settings is not None:
            await session.configure(settings, first=True)
        yield Call(session, told, running)
    finally:
        running.cancel()
        listening.cancel()
        await asyncio.gather(running, listening, return_exceptions=True)


@pytest.fixture
def transcriber() -> ToneTranscriber:
    return ToneTranscriber()


@pytest.fixture
def bench(transcriber: ToneTranscriber) -> Bench:
    return Bench(transcriber=transcriber)  # type: ignore[arg-type]  # another one behind the same port


async def test_closing_drains_and_order_is_kept(bench: Bench) -> None:
    async with call(live_parts(bench)) as one:
        for speaker in (1, 2, 3):
            one.say(said(speaker))
        assert await one.finished() is EndReason.CLIENT
    texts = [words_of(speaker, 1.0) for speaker in (1, 2, 3)]
    assert "".join(text.delta for text in one.of(InputText)) == " ".join(texts)
    assert "".join(text.delta for text in one.of(OutputText)) == " ".join(text[::-1] for text in texts)
    assert sum(piece.audio.duration_seconds for piece in one.of(OutputAudio)) == pytest.approx(1.5, abs=0.01)
    elapsed = [piece.elapsed_ms for piece in one.of(OutputAudio)]
    assert elapsed == sorted(elapsed)
    assert 900 <= elapsed[0] <= 1500
    assert isinstance(one.told[-1], Closed)


async def test_an_utterance_at_the_very_end_is_not_lost(bench: Bench) -> None:
    async with call(live_parts(bench)) as one:
        one.say(said(1, pause=0.0))
        await one.finished()
    assert [text.delta for text in one.of(OutputText)] == [words_of(1, 1.0)[::-1]]


async def test_the_next_utterance_is_understood_while_one_is_spoken(bench: Bench) -> None:
    bench.voice.gate.opened.clear()
    async with call(live_parts(bench)) as one:
        one.say(said(1))
        one.say(said(2))
        await one.until(lambda: len(one.of(OutputText)) == 2)
        assert one.of(OutputAudio) == []
        bench.voice.gate.opened.set()
        await one.until(lambda: len(one.of(OutputAudio)) == 2)


async def speak_slowly(one: Call, pcm: bytes) -> None:
    """Half a second after the other, each heard before the next."""
    for start in range(0, len(pcm), 24_000):
        one.session.append(pcm[start : start + 24_000])
        await one.until(lambda: one.session._intake._waiting < FRAME)
        await asyncio.sleep(0.05)


def heard_meanwhile(bench: Bench) -> int:
    """How often something was heard that still went on."""
    assert isinstance(bench.transcriber, ToneTranscriber)
    return bench.transcriber.calls.count(Quality.FAST)


async def test_words_are_told_while_somebody_still_speaks(bench: Bench) -> None:
    async with call(live_parts(bench)) as one:
        await speak_slowly(one, said(5, seconds=4.0, pause=0.0))
        await one.until(lambda: one.has(InputText, 1))
        assert one.of(OutputText) == []
        await one.finished()
    assert heard_meanwhile(bench) >= 2
    assert len(one.of(InputText)) >= 2
    assert "".join(text.delta for text in one.of(InputText)) == words_of(5, 4.0)


async def test_nothing_is_transcribed_for_who_did_not_ask(bench: Bench) -> None:
    async with call(live_parts(bench), LiveSettings(target="es")) as one:
        one.say(said(1))
        await one.finished()
    assert one.of(InputText) == []
    assert len(one.of(OutputText)) == 1


async def test_its_own_voice_is_not_translated_again(bench: Bench, transcriber: ToneTranscriber) -> None:
    async with call(live_parts(bench)) as one:
        one.say(said(1, seconds=2.0))
        await one.until(lambda: len(one.of(OutputAudio)) == 1)
        translated = one.of(OutputText)[0].delta
        transcriber.language = "es"
        one.session._line.echo.said(words_of(2, 2.0), "es", one.session._clock() - 1, one.session._clock() + 1)
        one.say(said(2, seconds=2.0))
        await one.finished()
    assert translated == words_of(1, 2.0)[::-1]
    assert len(one.of(OutputText)) == len(one.of(InputText)) == 1


async def test_what_is_said_in_the_target_language_is_written_and_not_spoken_again(
    bench: Bench, transcriber: ToneTranscriber
) -> None:
    transcriber.language = "es"
    async with call(live_parts(bench)) as one:
        one.say(said(2))
        await one.finished()
    assert [text.delta for text in one.of(OutputText)] == [words_of(2, 1.0)]
    assert one.of(OutputAudio) == []
    assert bench.voice.conditioned == 0  # nor is another speaker's voice taken for the speaker's


async def test_who_cancels_stops_the_engines(bench: Bench, transcriber: ToneTranscriber) -> None:
    transcriber.gate.opened.clear()
    async with call(live_parts(bench), replace(TO_SPANISH, transcribes=False)) as one:
        one.say(said(1))
        await one.until(lambda: transcriber.gate.inside == 1)
        one.running.cancel()
        await asyncio.gather(one.running, return_exceptions=True)
    assert (transcriber.gate.cancelled, transcriber.gate.inside) == (1, 0)


async def test_what_waits_too_long_is_left_out_and_told(bench: Bench, transcriber: ToneTranscriber) -> None:
    transcriber.gate.opened.clear()
    late = 0.0
    patient = replace(GENEROUS, gap=1000)
    async with call(
        live_parts(bench), replace(TO_SPANISH, transcribes=False), patient, lambda: time.monotonic() + late
    ) as one:
        one.say(said(1))
        await one.until(lambda: transcriber.gate.inside == 1)
        one.say(said(2))
        await one.until(lambda: one.session._ended.qsize() == 1)
        late = 61.0
        transcriber.gate.opened.set()
        await one.finished()
    errors = [trouble.error for trouble in one.of(Trouble)]
    assert [type(error) for error in errors] == [Overloaded, Overloaded]
    assert sorted(error.detail[:17] for error in errors) == ["Speech from 0.0 s", "Speech from 1.7 s"]
    assert len(transcriber.calls) == 1
    assert one.of(OutputAudio) == []


async def test_a_stage_that_hangs_costs_its_utterance_alone(bench: Bench) -> None:
    bench.voice.gate.opened.clear()
    async with call(live_parts(bench), limits=replace(GENEROUS, stage=0.5)) as one:
        one.say(said(1))
        await one.until(lambda: len(one.of(Trouble)) == 1)
        bench.voice.gate.opened.set()
        one.session._limits = GENEROUS
        one.say(said(2))
        await one.until(lambda: len(one.of(OutputAudio)) == 1)
    assert isinstance(one.of(Trouble)[0].error, DeadlineExceeded)
    assert bench.voice.gate.cancelled == 1


async def test_an_error_of_an_engine_is_told_and_the_session_goes_on(bench: Bench) -> None:
    async with call(live_parts(bench)) as one:
        bench.translator.error = TranslationUnavailable("Nobody answered.")
        one.say(said(1))
        await one.until(lambda: len(one.of(Trouble)) == 1)
        bench.translator.error = None
        one.say(said(2))
        await one.until(lambda: len(one.of(OutputAudio)) == 1)
    assert one.of(Trouble)[0].error.code == "translation_unavailable"
    assert "Speech from 0.0 s" in one.of(Trouble)[0].error.detail


async def test_a_caller_that_is_too_fast_is_sent_away(bench: Bench) -> None:
    async with call(live_parts(bench)) as one:
        one.say(bytes(480_000))
        with pytest.raises(TooFast):
            one.say(bytes(480_000))
        assert await one.ended() is EndReason.TOO_FAST


async def test_a_session_without_sound_ends(bench: Bench) -> None:
    async with call(live_parts(bench), limits=replace(GENEROUS, gap=0.3)) as one:
        one.say(said(1))
        assert await one.ended() is EndReason.NO_AUDIO
    assert len(one.of(OutputText)) == 1


async def test_silence_keeps_the_clock_running(bench: Bench) -> None:
    async with call(live_parts(bench), limits=replace(GENEROUS, session=0.5)) as one:
        with pytest.raises(RequestInvalid, match="being closed"):  # noqa: PT012 - it goes on until it is refused
            while True:
                one.say(bytes(4800))
                await asyncio.sleep(0.1)
        assert await one.ended() is EndReason.EXPIRED


async def test_an_end_that_cannot_drain_says_so(bench: Bench) -> None:
    bench.voice.gate.opened.clear()
    async with call(live_parts(bench), limits=replace(GENEROUS, drain=0.3)) as one:
        one.say(said(1))
        await one.until(lambda: bench.voice.gate.inside == 1)
        assert await one.finished() is EndReason.CLIENT
    assert [type(trouble.error) for trouble in one.of(Trouble)] == [DeadlineExceeded]
    assert bench.voice.gate.cancelled == 1


async def test_a_defect_is_told_and_ends_it(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(FakeTranslator):
        async def translate(self, *args: object) -> None:  # type: ignore[override]
            raise ValueError("".join(("secret ", "words")))  # not as they stand in this line, which the log has

    bench = Bench(transcriber=ToneTranscriber(), translator=Broken())  # type: ignore[arg-type]
    async with call(live_parts(bench)) as one:
        one.say(said(1))
        assert await one.ended() is EndReason.FAILED
    assert one.of(Trouble)[0].error.code == "internal_error"
    assert "ValueError" in caplog.text
    assert "secret words" not in caplog.text


async def test_sound_before_a_language_is_refused(bench: Bench) -> None:
    async with call(live_parts(bench), None) as one:
        with pytest.raises(RequestInvalid, match="language"):
            one.session.append(bytes(100))
        for wrong, error in (
            (LiveSettings(target="hu"), UnsupportedLanguage),
            (LiveSettings(target="es", voice="nobody"), NotFound),
        ):
            with pytest.raises(error):
                await one.session.configure(wrong)
        assert one.session.settings == LiveSettings()


async def test_a_profile_speaks_and_a_deleted_one_is_told(bench: Bench) -> None:
    profile = await bench.new_profile()
    async with call(live_parts(bench), replace(TO_SPANISH, voice=profile)) as one:
        learned = bench.voice.conditioned
        one.say(said(1))
        await one.until(lambda: len(one.of(OutputAudio)) == 1)
        assert bench.voice.conditioned == learned
        await bench.delete_profile(profile, "ann")
        one.say(said(2))
        await one.until(lambda: len(one.of(Trouble)) == 1)
    assert one.of(Trouble)[0].error.code == "not_found"


@pytest.mark.parametrize(("always", "times"), [(False, 2), (True, 4)])
async def test_a_speakers_voice_is_learned_once_or_always(bench: Bench, always: bool, times: int) -> None:
    async with call(live_parts(bench), replace(TO_SPANISH, always=always)) as one:
        for count, seconds in enumerate((3.0, 3.0, 1.0, 1.0), start=1):
            one.say(said(count, seconds=seconds))
            await one.until(partial(one.has, OutputAudio, count))
            one.session._intake._credit = 10.0
    assert bench.voice.conditioned == times


async def test_until_enough_was_heard_the_engines_own_voice_speaks_and_says_so(bench: Bench) -> None:
    bench.voice.too_short = True
    async with call(live_parts(bench)) as one:
        one.say(said(1))
        await one.until(lambda: len(one.of(OutputAudio)) == 1)
    assert any("own voice" in note for note in one.of(OutputText)[0].degraded)


@dataclass
class Strict:
    """Refuses what has these words."""

    words: str
    name: str = "strict"
    waits_for: Callable[[], bool] = lambda: True  # before it looks at a translation

    async def review(self, passage: Passage) -> Verdict:
        while passage.stage is ReviewStage.TRANSLATION and not self.waits_for():
            await asyncio.sleep(0.005)
        return Verdict(("insults",)) if self.words in " ".join(passage.texts) else Verdict()

    def notices(self) -> tuple[str, ...]:
        return ()


def strict(words: str) -> Bench:
    moderation = Moderation(Policy.BLOCK, (Strict(words),), OnFailure.REFUSE, None)
    return Bench(transcriber=ToneTranscriber(), moderation=moderation)  # type: ignore[arg-type]


async def test_what_moderation_blocks_is_told_and_nothing_of_it_is_written() -> None:
    bench = strict(words_of(2, 0.5))
    async with call(live_parts(bench)) as one:
        await speak_slowly(one, said(2, seconds=4.0))
        assert heard_meanwhile(bench) >= 2
        one.say(said(1))
        await one.finished()
    assert [type(trouble.error) for trouble in one.of(Trouble)] == [ContentBlocked]
    assert "".join(text.delta for text in one.of(InputText)) == words_of(1, 1.0)
    assert bench.voice.conditioned == 1


async def test_no_voice_is_kept_of_what_is_blocked_in_translation() -> None:
    bench = strict(words_of(2, 1.0)[::-1])
    (moderator,) = bench.moderation.moderators
    assert isinstance(moderator, Strict)
    moderator.waits_for = lambda: bool(bench.cache.values)
    async with call(live_parts(bench)) as one:
        one.say(said(2))
        await one.until(lambda: len(one.of(Trouble)) == 1)
    assert bench.voice.conditioned == 1
    assert bench.cache.values == {}
    assert one.of(OutputText) == []


async def test_the_audio_of_a_day_ends_it(bench: Bench) -> None:
    class Ledger:
        left = 3.0

        async def spend(self, event: UsageEvent, most_seconds: float) -> bool:
            self.left -= event.seconds_in
            return self.left >= 0

        async def spent(self, user_id: str, at: object) -> float:
            return 0.0

    parts = replace(live_parts(bench), budget=AudioBudget(Ledger(), DAY_SECONDS))
    async with call(parts) as one:
        for _ in range(3):
            one.say(said(1))
        assert await one.ended() is EndReason.BUDGET
    assert isinstance(one.of(Trouble)[-1].error, RateLimited)


async def test_what_was_used_is_counted_once(bench: Bench) -> None:
    async with call(live_parts(bench)) as one:
        one.say(said(1))
        await one.finished()
    (used,) = bench.usage.events
    assert (used.user_id, used.operation, used.outcome) == ("ann", "live", "completed")
    assert (used.source_language, used.target_language) == ("en", "es")
    assert [used.seconds_in, used.seconds_out] == pytest.approx([2.0, 0.5])
    assert (used.transcription_engine, used.voice_engine) == ("tones", "fake-voice")


async def test_a_long_answer_is_spoken_faster_and_its_lag_counts_what_waits_to_be_played(bench: Bench) -> None:
    async with call(live_parts(bench)) as one:
        one.session._speaking._played_until = one.session._clock() + 6.0
        one.say(said(1))
        await one.until(lambda: len(one.of(OutputAudio)) == 1)
    piece = one.of(OutputAudio)[0]
    assert piece.audio.duration_seconds < 0.45
    assert piece.lag_ms > 5000
