"""The five steps, over fake engines."""

import asyncio
from dataclasses import replace

import pytest

from src.domain.audio import AudioFormat
from src.domain.errors import NotFound, TranslationUnavailable
from src.domain.jobs import Job, JobRequest, Stage
from src.domain.speech import Segment
from tests.fakes.assembly import WANTED, Bench
from tests.fakes.fakes import FakeDecoder, FakeTranscriber, FakeTranslator, Gate


async def _ignore(stage: Stage) -> None:
    return None


async def _job(bench: Bench, wanted: JobRequest = WANTED) -> Job:
    await bench.storage.put("inputs/1.wav", b"bytes")
    return Job("1", "ann", wanted, "inputs/1.wav")


async def test_each_stage_is_announced_in_order_and_timed() -> None:
    bench, seen = Bench(), list[Stage]()

    async def on_stage(stage: Stage) -> None:
        seen.append(stage)

    result = await bench.pipeline.run(await _job(bench), on_stage)
    assert seen == list(Stage)
    assert set(result.timestamps) == set(Stage)
    assert all(value >= 0 for value in result.timestamps.values())
    assert result.processing_time_ms >= sum(result.timestamps.values()) * 0.99


@pytest.mark.parametrize("with_profile", [True, False])
async def test_a_given_text_is_said_and_nothing_is_heard_or_translated(with_profile: bool) -> None:
    bench = Bench()
    profile_id = await bench.new_profile() if with_profile else None
    wanted = replace(WANTED, text="Hola. Adiós.", voice_profile_id=profile_id)
    job = await _job(bench, wanted)
    if with_profile:
        await bench.storage.delete(job.input_key)
    result = await bench.pipeline.run(job, _ignore)
    assert bench.voice.said == ("Hola.", "Adiós.")
    assert bench.voice.requests[0].speaker == (1.0, *(0.0,) * 255)  # as FakeAnalyzer measures
    assert (bench.transcriber.gate.entered, bench.translator.calls) == (0, 0)
    assert bench.storage.files[result.audio_key][:4] == b"RIFF"
    assert (result.original_text, result.translated_text) == ("Hola. Adiós.", "Hola. Adiós.")
    assert set(result.timestamps) == set(Stage)


async def test_segments_join_to_the_texts_and_keep_the_callers_times() -> None:
    bench = Bench()
    result = await bench.pipeline.run(await _job(bench), _ignore)
    assert result.original_text == "good morning the train is late"
    assert " ".join(segment.text for segment in result.segments) == result.original_text
    assert " ".join(segment.translated_text for segment in result.segments) == result.translated_text
    assert [segment.translated_text for segment in result.segments] == ["gninrom doog", "etal si niart eht"]
    assert result.segments[0].start == pytest.approx(0.25)  # the fake decoder cut 0.25 s at the start
    assert [s.start for s in result.segments] == sorted(s.start for s in result.segments)


async def test_the_answer_is_stored_and_speaks_the_translation() -> None:
    bench = Bench()
    result = await bench.pipeline.run(await _job(bench), _ignore)
    assert bench.voice.said == ("gninrom doog", "etal si niart eht")
    assert bench.storage.files[result.audio_key][:4] == b"RIFF"
    assert result.duration_seconds == pytest.approx(0.5 + 0.25 + 0.5)  # with a pause between its sentences
    assert result.engines.transcription == "fake-transcriber"
    assert result.engines.voice == "fake-voice"


async def test_without_a_profile_the_voice_is_that_of_the_message() -> None:
    bench = Bench()
    await bench.pipeline.run(await _job(bench), _ignore)
    assert bench.voice.conditioned == 1
    assert bench.voice.requests[0].prosody is None


@pytest.mark.parametrize("preserve_emotion", [True, False])
async def test_with_a_profile_the_message_gives_the_melody_only_when_asked(preserve_emotion: bool) -> None:
    bench = Bench()
    profile_id = await bench.new_profile()
    wanted = replace(WANTED, voice_profile_id=profile_id, preserve_emotion=preserve_emotion)
    await bench.pipeline.run(await _job(bench, wanted), _ignore)
    request = bench.voice.requests[0]
    profile = (await bench.profiles.voice(profile_id, "ann")).conditioning
    message = (
        await bench.voices.learn_cached((await FakeDecoder().decode(b"bytes", AudioFormat.WAV)).audio)
    ).conditioning
    assert profile != message
    assert request.voice == profile
    assert request.prosody == (message if preserve_emotion else None)


async def test_a_message_too_short_for_its_melody_is_spoken_with_the_profiles_and_says_so() -> None:
    bench = Bench()
    wanted = replace(WANTED, voice_profile_id=await bench.new_profile())
    bench.voice.too_short = True
    result = await bench.pipeline.run(await _job(bench, wanted), _ignore)
    assert bench.voice.requests[0].prosody is None
    assert result.degraded == ("The message is too short to follow its melody: the profile's melody was used.",)


async def test_a_message_with_too_little_voice_is_spoken_unconverted_and_says_so() -> None:
    bench = Bench()
    bench.voice.too_short = True
    result = await bench.pipeline.run(await _job(bench), _ignore)
    assert result.translated_text == "gninrom doog etal si niart eht"
    assert bench.voice.requests[0].voice == await bench.voice.condition(())
    assert ["unconverted" in note for note in result.degraded] == [True]


async def test_a_segment_in_another_language_is_translated_from_it_and_tells_it() -> None:
    spoken = (Segment("bonjour", 0.0, 1.0, language="fr"), Segment("the train", 1.0, 2.0, language="en"))
    both = FakeTranslator(pairs=(("en", "es"), ("fr", "es")))
    bench = Bench(transcriber=FakeTranscriber(segments=spoken), translator=both)
    result = await bench.pipeline.run(await _job(bench), _ignore)
    assert [(segment.language, segment.translated_text) for segment in result.segments] == [
        ("fr", "ruojnob"),
        ("en", "niart eht"),
    ]


async def test_a_profile_of_another_user_is_not_found() -> None:
    bench = Bench()
    wanted = replace(WANTED, voice_profile_id=await bench.new_profile("bob"))
    with pytest.raises(NotFound):
        await bench.pipeline.run(await _job(bench, wanted), _ignore)


async def test_a_failing_step_stores_nothing_and_leaves_no_task() -> None:
    bench = Bench(translator=FakeTranslator(error=TranslationUnavailable("no answer")))
    with pytest.raises(TranslationUnavailable):
        await bench.pipeline.run(await _job(bench), _ignore)
    assert set(bench.storage.files) == {"inputs/1.wav"}
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_the_voice_is_learned_while_the_message_is_transcribed() -> None:
    gate = Gate()
    bench = Bench(transcriber=FakeTranscriber(gate=gate))
    running = asyncio.create_task(bench.pipeline.run(await _job(bench), _ignore))
    while not (gate.inside and bench.voice.conditioned):
        await asyncio.sleep(0)
    gate.opened.set()
    await asyncio.wait_for(running, 60)


async def test_a_second_run_of_the_same_message_does_not_learn_the_voice_again() -> None:
    bench = Bench()
    for _ in range(2):
        await bench.pipeline.run(await _job(bench), _ignore)
    assert bench.voice.conditioned == 1
