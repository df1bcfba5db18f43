"""A long message is heard, translated and spoken piece by piece."""

import asyncio
from dataclasses import replace

import numpy as np
import pytest

from src.domain.errors import NoSpeechDetected, SpeechNotUnderstood, UnsupportedLanguage, VoiceServiceError
from src.domain.jobs import Job, Stage
from src.domain.moderation import OnFailure, Policy, ReviewStage
from src.domain.speech import DecodedSpeech, Quality, Segment, SpeechRequest, Transcript
from src.services.interpreting import Heard, Piece, Spoken, Translated
from src.services.safeguards.moderation import Moderation
from src.services.transcription import Transcription, part, pieces
from src.utils.audio import encode_pcm, pcm_of_wav
from tests.fakes.assembly import WANTED, Bench
from tests.fakes.fakes import FakeTranslator, FakeVoice, Gate
from tests.fakes.long_message import LONG, Ears, LongMessages, heard, long_speech
from tests.unit.safeguards.test_moderation import WordModerator


async def _hear(ears: Ears, speech: DecodedSpeech = LONG, language: str | None = None) -> Transcript:
    return await Transcription(ears).transcribe(speech, language, Quality.FAST)


def test_a_recording_is_cut_in_pauses_and_nothing_of_it_is_left_out() -> None:
    assert pieces(LONG) == ((0.0, 5.5), (5.5, 23.0), (23.0, 33.0))
    together = np.concatenate([part(LONG.audio, span).samples for span in pieces(LONG)])
    assert np.array_equal(together, LONG.audio.samples)


@pytest.mark.parametrize(
    "speech",
    [
        pytest.param(long_speech(seconds=60), id="not looked at"),
        pytest.param(long_speech((0, 60), seconds=60), id="no pause"),
        pytest.param(long_speech((0, 30), (30.1, 60), seconds=60), id="a pause that is too short"),
        pytest.param(long_speech((0, 6), (8, 10), seconds=14), id="too little left for a piece of its own"),
    ],
)
def test_what_cannot_be_cut_well_is_one_piece(speech: DecodedSpeech) -> None:
    assert pieces(speech) == ((0.0, speech.audio.duration_seconds),)


async def test_pieces_are_one_transcript_with_times_in_the_callers_recording() -> None:
    transcript = await _hear(Ears())
    assert transcript.text == "from 0 from 5 from 23"
    assert [segment.start for segment in transcript.segments] == [1.5, 7.0, 24.5]
    assert transcript.language == "en"
    assert transcript.language_probability == pytest.approx(0.9)
    assert transcript.confidence == pytest.approx(0.8)


async def test_a_piece_that_is_not_understood_is_told_and_the_others_are_answered() -> None:
    ears = Ears({5: SpeechNotUnderstood("mumbled")})
    transcript = await _hear(ears)
    assert transcript.text == "from 0 from 23"
    assert transcript.unheard == ((6.5, 24.0),)
    assert Transcription(ears).degraded(transcript, None) == ("Speech from 6.5 s to 24.0 s could not be made out.",)


@pytest.mark.parametrize("error", [NoSpeechDetected("silence"), UnsupportedLanguage("Swahili")])
async def test_a_message_of_which_no_piece_is_understood_fails(error: VoiceServiceError) -> None:
    with pytest.raises(type(error), match=str(error)):
        await _hear(Ears(dict.fromkeys((0, 5, 23), error)))


async def test_a_piece_in_another_language_keeps_it_unless_it_is_not_sure() -> None:
    spanish = heard("hola", "es")
    unsure = Transcript((Segment("si", 0.5, 4.5),), "fr", 0.3, 0.8, alternatives=(("fr", 0.3), ("es", 0.28)))
    ears = Ears({5: spanish, 23: unsure})
    transcript = await _hear(ears)
    assert [segment.language for segment in transcript.segments] == ["en", "es", "es"]
    assert ears.asked[-1] == (23, "es")
    assert transcript.language == "es"


async def test_what_all_pieces_sound_like_is_told_once_and_what_one_sounds_like_of_that_one() -> None:
    odd = replace(heard("hello", "fr"), sounds_like="en")
    whole = await _hear(Ears(dict.fromkeys((0, 5, 23), odd)), language="fr")
    assert (whole.sounds_like, whole.foreign) == ("en", ())
    one = await _hear(Ears({5: odd}), language="fr")
    assert (one.sounds_like, one.foreign) == (None, ((7.0, 11.0, "en"),))


async def _run(bench: Bench, told: list[Piece]) -> tuple[bytes, Job]:
    async def tell(piece: Piece) -> None:
        told.append(piece)

    async def on_stage(stage: Stage) -> None:
        return None

    bench.pipeline.decoder = LongMessages()
    await bench.storage.put("inputs/1.wav", b"bytes")
    job = Job("1", "ann", replace(WANTED, source_language=None), "inputs/1.wav")
    result = await bench.pipeline.run(job, on_stage, tell)
    return bench.storage.files[result.audio_key].removesuffix(b"INFO"), replace(job, result=result)


async def test_the_first_piece_is_spoken_while_the_last_is_still_heard() -> None:
    gate = Gate()
    bench, told = Bench(transcriber=Ears(gates={23: gate})), list[Piece]()  # type: ignore[arg-type]
    running = asyncio.create_task(_run(bench, told))
    async with asyncio.timeout(60):
        while not (gate.inside and any(isinstance(piece, Spoken) for piece in told)):
            await asyncio.sleep(0.002)
    assert not running.done()
    gate.opened.set()
    await running


@pytest.mark.parametrize(("seconds", "heard_meanwhile"), [(60.0, [0]), (0.0, [0, 5, 23])])
async def test_the_first_sentence_has_the_processor_for_a_while(
    monkeypatch: pytest.MonkeyPatch, seconds: float, heard_meanwhile: list[int]
) -> None:
    monkeypatch.setattr("src.services.interpreting._FIRST_SECONDS", seconds)
    gate, ears, told = Gate(), Ears(), list[Piece]()
    running = asyncio.create_task(_run(Bench(transcriber=ears, voice=FakeVoice(gate=gate)), told))  # type: ignore[arg-type]
    async with asyncio.timeout(60):
        while not gate.inside or len(ears.asked) < len(heard_meanwhile):
            await asyncio.sleep(0.002)
    assert [second for second, _ in ears.asked] == heard_meanwhile
    gate.opened.set()
    await running
    assert [second for second, _ in ears.asked] == [0, 5, 23]


async def test_the_first_sentence_is_spoken_with_none_beside_it() -> None:
    gate = Gate()
    voice = FakeVoice(gate=gate)
    voices = Bench(voice=voice).voices
    learned = await voices.learn((LONG.audio,))
    texts = ("One is said.", "Two are said.", "Three are said.", "Four are said.")
    running = asyncio.create_task(voices.speak(SpeechRequest(texts, "en", learned.conditioning), learned))
    async with asyncio.timeout(60):
        while not gate.inside:
            await asyncio.sleep(0.002)
    await asyncio.sleep(0.05)
    assert voice.said == texts[:1]
    gate.opened.set()
    assert (await running).sentences == texts


async def test_a_slow_first_sentence_holds_up_one_piece_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    bound, gate = "src.services.interpreting._FIRST_SECONDS", Gate()
    monkeypatch.setattr(bound, 0.0)

    class Told(list[Piece]):
        @property
        def heard(self) -> int:
            return sum(isinstance(piece, Heard) for piece in self)

        def append(self, piece: Piece) -> None:
            super().append(piece)
            if self.heard == 2:  # its wait for the first sentence would come now
                monkeypatch.setattr(bound, 600.0)

    told = Told()
    running = asyncio.create_task(_run(Bench(transcriber=Ears(), voice=FakeVoice(gate=gate)), told))  # type: ignore[arg-type]
    async with asyncio.timeout(60):
        while told.heard < 3:
            await asyncio.sleep(0.002)
    gate.opened.set()
    await running


async def test_the_pieces_are_the_stored_answer_sample_for_sample() -> None:
    bench, told = Bench(transcriber=Ears()), list[Piece]()  # type: ignore[arg-type]
    wav, job = await _run(bench, told)
    sounds = [piece.speech.audio.samples for piece in told if isinstance(piece, Spoken)]
    assert len(sounds) == 3
    assert encode_pcm(np.concatenate(sounds)) == pcm_of_wav(wav)[0]
    assert job.result is not None
    assert job.result.original_text == "from 0 from 5 from 23"
    segments = tuple(segment for piece in told if isinstance(piece, Translated) for segment in piece.segments)
    assert segments == job.result.segments
    assert [piece.transcript.text for piece in told if isinstance(piece, Heard)] == ["from 0", "from 5", "from 23"]


async def test_a_later_piece_that_no_engine_can_translate_stays_as_it_is_and_is_told() -> None:
    ears = Ears({23: heard("bonjour", "fr")})
    bench = Bench(transcriber=ears, translator=FakeTranslator(pairs=(("en", "es"),)))  # type: ignore[arg-type]
    _, job = await _run(bench, [])
    assert job.result is not None
    assert job.result.translated_text == "0 morf 5 morf bonjour"
    assert job.result.degraded == ("The part in 'fr' was not translated: no engine knows fr to es.",)


async def test_each_piece_is_moderated_also_one_that_stays_as_it_is() -> None:
    looking = Moderation(Policy.FLAG, (WordModerator("bonjour"),), OnFailure.REFUSE, None)
    ears = Ears({23: heard("bonjour", "fr")})
    bench = Bench(transcriber=ears, translator=FakeTranslator(pairs=(("en", "es"),)), moderation=looking)  # type: ignore[arg-type]
    _, job = await _run(bench, [])
    assert job.result is not None
    assert job.result.moderation is not None
    found = {stage: review.categories for stage, review in job.result.moderation.stages.items()}
    assert found == {ReviewStage.TRANSCRIPT: ("profanity",), ReviewStage.TRANSLATION: ("profanity",)}


async def test_a_message_that_is_cancelled_stops_all_engines() -> None:
    hearing, speaking = Gate(), Gate()
    bench = Bench(transcriber=Ears(gates={23: hearing}), voice=FakeVoice(gate=speaking))  # type: ignore[arg-type]
    running = asyncio.create_task(_run(bench, []))
    async with asyncio.timeout(60):
        while not (hearing.inside and speaking.inside):
            await asyncio.sleep(0.002)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert (hearing.inside, speaking.inside) == (0, 0)
    assert asyncio.all_tasks() == {asyncio.current_task()}
