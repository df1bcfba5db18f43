"""Transcribe and clone, over fakes."""

import pytest

from src.domain.audio import AudioFormat
from src.domain.errors import DeadlineExceeded, NoSpeechDetected, NotFound, RequestInvalid, UnsupportedLanguage
from src.domain.speech import Quality
from src.services.saying import CloneRequest, RecordedSpeech
from tests.fakes.assembly import Bench
from tests.fakes.fakes import FakeTranscriber, FakeVoice, Gate

RECORDED = RecordedSpeech(b"bytes", AudioFormat.WAV)


async def test_transcribing_counts_the_use() -> None:
    bench = Bench()
    heard = await bench.on_demand.transcribe("ann", RECORDED, "en", Quality.BALANCED)
    assert heard.transcript.text == "good morning the train is late"
    (event,) = bench.usage.events
    assert (event.operation, event.seconds_in, event.source_language) == ("transcribe", 1.5, "en")


async def test_what_was_said_is_told_in_another_language() -> None:
    bench = Bench()
    heard = await bench.on_demand.transcribe("ann", RECORDED, "fr", Quality.BALANCED, target="en")
    assert heard.transcript.language == "en"
    assert [each.text for each in heard.transcript.segments] == ["gninrom doog", "etal si niart eht"]
    assert not any(each.words for each in heard.transcript.segments)
    (event,) = bench.usage.events
    assert (event.operation, event.source_language, event.target_language) == ("transcribe", "fr", "en")


async def test_a_failed_call_is_counted_with_its_code() -> None:
    bench = Bench(transcriber=FakeTranscriber(sentences=()))
    with pytest.raises(NoSpeechDetected):
        await bench.on_demand.transcribe("ann", RECORDED, None, Quality.BALANCED)
    assert bench.usage.events[0].outcome == "no_speech_detected"


async def test_cloning_speaks_each_sentence_and_stores_the_answer() -> None:
    bench = Bench()
    spoken = await bench.on_demand.clone("ann", CloneRequest("Hola. Adiós.", "es", RECORDED, Quality.FAST))
    assert bench.voice.said == ("Hola.", "Adiós.")
    assert bench.storage.files[spoken.audio_key] == spoken.wav
    assert bench.usage.events[0].characters == len("Hola. Adiós.")


async def test_cloning_with_a_profile_learns_nothing_new() -> None:
    bench = Bench()
    profile_id = await bench.new_profile()
    await bench.on_demand.clone("ann", CloneRequest("Hola.", "es", profile_id, Quality.FAST))
    assert bench.voice.conditioned == 1
    with pytest.raises(NotFound):
        await bench.on_demand.clone("bob", CloneRequest("Hola.", "es", profile_id, Quality.FAST))


async def test_what_cannot_be_said_is_refused_before_any_work() -> None:
    bench = Bench()
    with pytest.raises(UnsupportedLanguage, match="fake-voice"):
        await bench.on_demand.clone("ann", CloneRequest("Guten Tag.", "de", RECORDED, Quality.FAST))
    with pytest.raises(RequestInvalid):
        await bench.on_demand.clone("ann", CloneRequest("?! …", "es", RECORDED, Quality.FAST))
    assert bench.voice.conditioned == 0


async def test_a_call_beyond_its_time_stops_the_engine() -> None:
    gate = Gate()
    bench = Bench(voice=FakeVoice(gate=gate), timeout_seconds=1.0)
    with pytest.raises(DeadlineExceeded):
        await bench.on_demand.clone("ann", CloneRequest("Hola.", "es", RECORDED, Quality.FAST))
    assert gate.cancelled == 1
    assert bench.usage.events[0].outcome == "deadline_exceeded"


async def test_what_a_profile_spoke_is_deleted_with_it() -> None:
    bench = Bench()
    profile_id = await bench.new_profile()
    derived = await bench.on_demand.clone("ann", CloneRequest("Hola.", "es", profile_id, Quality.FAST))
    other = await bench.on_demand.clone("ann", CloneRequest("Hola.", "es", RECORDED, Quality.FAST))
    await bench.delete_profile(profile_id, "ann")
    assert derived.audio_key not in bench.storage.files
    assert set(bench.storage.files) == {other.audio_key}
