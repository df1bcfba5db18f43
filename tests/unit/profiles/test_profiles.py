"""Voice profiles over fakes."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

import pytest

from src.domain.audio import Audio, AudioFormat
from src.domain.consent import Consent
from src.domain.errors import AudioTooLong, NoSpeechDetected, NotFound, ReferenceTooShort
from src.domain.jobs import now
from src.domain.speech import VoiceConditioning, VoicePrint, VoiceType
from src.services.profiles.profiles import NewProfile, Profiles
from src.services.voice_cloning import DamagedVoice, LearnedVoice, digest
from src.utils.audio import join
from tests.fakes.assembly import Bench
from tests.fakes.fakes import FakeDecoder, Gate, tone

VOICE = LearnedVoice(
    VoiceConditioning("engine", b"\n{}\x00\xff"), VoicePrint((0.1, 0.2), 123.4, 0.5, (1.0,)), recordings="ab12"
)
NEW = NewProfile("ann", b"reference", AudioFormat.FLAC, Consent("I agree.", now()), name="work")


def test_a_learned_voice_survives_packing() -> None:
    assert LearnedVoice.unpack(VOICE.pack()) == VOICE


@pytest.mark.parametrize(
    "damage",
    [
        lambda packed: packed[:-1],
        lambda packed: packed[:40],
        lambda packed: packed.replace(b"123.4", b"923.4"),
        lambda packed: packed[:-1] + b"\x00",
        lambda packed: b"",
        lambda packed: packed.partition(b"\n")[2],
    ],
    ids=["cut", "cut early", "another pitch", "another byte", "empty", "no checksum"],
)
def test_any_damage_to_a_packed_voice_is_noticed(damage: Callable[[bytes], bytes]) -> None:
    assert damage(VOICE.pack()) != VOICE.pack()
    with pytest.raises(DamagedVoice):
        LearnedVoice.unpack(damage(VOICE.pack()))


def test_the_digest_tells_recordings_their_order_and_their_borders_apart() -> None:
    one, two = tone(0.5, 22_050, 200.0), tone(0.5, 22_050, 300.0)
    different = [(one,), (two,), (one, two), (two, one), (join((one, two)),), (Audio(one.samples, 24_000),)]
    assert len({digest(references) for references in different}) == len(different)
    assert digest((one, two)) == digest((tone(0.5, 22_050, 200.0), two))


@pytest.mark.parametrize(
    ("pitch_hz", "expected"),
    [(99.9, VoiceType.LOW), (100, VoiceType.MEDIUM), (150, VoiceType.MEDIUM_HIGH), (200, VoiceType.HIGH)],
)
def test_the_voice_type_follows_from_the_pitch(pitch_hz: float, expected: VoiceType) -> None:
    assert VoiceType.of_pitch(pitch_hz) is expected


async def test_a_profile_keeps_the_recording_and_the_voice() -> None:
    bench = Bench()
    profile = await bench.profiles.save(NEW)
    assert bench.storage.files[profile.reference_audio_path] == b"reference"
    assert profile.reference_audio_path.endswith(".flac")
    assert (await bench.profiles.voice(profile.id, "ann")).conditioning.engine == "fake-voice"
    assert (profile.pitch_hz, profile.voice_type, profile.name) == (120.0, VoiceType.MEDIUM, "work")


async def test_replacing_a_profile_keeps_its_id_and_removes_the_old_files() -> None:
    bench = Bench()
    old = await bench.profiles.save(NEW)
    new = await bench.profiles.save(replace(NEW, profile_id=old.id, name=None, reference_audio=b"other"))
    assert (new.id, new.name, new.created_at) == (old.id, "work", old.created_at)
    assert set(bench.storage.files) == {new.reference_audio_path, new.embedding_path}
    assert bench.storage.files[new.reference_audio_path] == b"other"


async def test_too_little_speech_is_refused_and_nothing_is_kept() -> None:
    bench = Bench()
    strict = Profiles(
        bench.profile_rows,
        bench.storage,
        FakeDecoder(),
        bench.voices,
        bench.verification,
        min_reference_seconds=2.0,
        max_reference_seconds=9.0,
    )
    with pytest.raises(ReferenceTooShort, match=r"1\.0 s"):
        await strict.save(NEW)
    assert bench.storage.files == {}


async def test_a_voice_learned_by_another_engine_is_learned_again() -> None:
    bench = Bench()
    profile = await bench.profiles.save(NEW)
    bench.voice.name = "another-voice"
    assert (await bench.profiles.voice(profile.id, "ann")).conditioning.engine == "another-voice"
    stored = LearnedVoice.unpack(bench.storage.files[profile.embedding_path])
    assert stored.conditioning.engine == "another-voice"


MORE = replace(NEW, additional_references=(b"second", b"third"))


async def test_further_recordings_are_learned_from_kept_and_deleted_with_the_profile() -> None:
    bench = Bench()
    alone, profile = await bench.profiles.save(NEW), await bench.profiles.save(MORE)
    assert len(set(profile.audio_paths)) == 3
    assert [bench.storage.files[path] for path in profile.audio_paths] == [b"reference", b"second", b"third"]
    assert profile.duration_seconds == pytest.approx(3.0)
    joint, single = [(await bench.profiles.voice(each.id, "ann")).conditioning for each in (profile, alone)]
    assert joint != single
    await bench.delete_profile(profile.id, "ann")
    assert set(bench.storage.files) == {alone.reference_audio_path, alone.embedding_path}


async def test_replacing_several_recordings_by_one_leaves_no_file_of_theirs() -> None:
    bench = Bench()
    old = await bench.profiles.save(MORE)
    new = await bench.profiles.save(replace(NEW, profile_id=old.id))
    assert set(bench.storage.files) == {new.reference_audio_path, new.embedding_path}


@pytest.mark.parametrize(
    ("additional", "error", "said"),
    [
        ((b"second", b"short"), ReferenceTooShort, r"additional_references\[1\]: The reference has 0\.1 s"),
        ((b"silence",), NoSpeechDetected, r"additional_references\[0\]: "),
        ((b"1", b"2", b"3"), AudioTooLong, r"additional_references\[2\]: With it the references have 4\.0 s"),
    ],
)
async def test_a_bad_further_recording_is_named_and_nothing_is_kept(
    additional: tuple[bytes, ...], error: type[Exception], said: str
) -> None:
    bench = Bench()
    with pytest.raises(error, match=said):
        await bench.profiles.save(replace(NEW, additional_references=additional))
    assert bench.storage.files == {}
    assert bench.voice.conditioned == 0


async def test_a_stored_voice_is_used_without_conditioning_again() -> None:
    bench = Bench()
    profile = await bench.profiles.save(MORE)
    assert bench.voice.conditioned == 1
    for _ in range(3):
        await bench.profiles.voice(profile.id, "ann")
    assert bench.voice.conditioned == 1


async def test_a_voice_in_use_is_read_from_storage_once_and_gone_with_its_profile() -> None:
    bench = Bench()
    profile = await bench.profiles.save(MORE)
    voice = await bench.profiles.voice(profile.id, "ann")
    del bench.storage.files[profile.embedding_path]
    assert await bench.profiles.voice(profile.id, "ann") == voice
    await bench.delete_profile(profile.id, "ann")
    assert bench.cache.values == {}
    with pytest.raises(NotFound):
        await bench.profiles.voice(profile.id, "ann")


async def test_a_replaced_voice_is_not_the_one_that_was_in_use() -> None:
    bench = Bench()
    old = await bench.profiles.save(NEW)
    before = await bench.profiles.voice(old.id, "ann")
    await bench.profiles.save(replace(NEW, profile_id=old.id, reference_audio=b"other"))
    assert bench.cache.values == {}
    assert await bench.profiles.voice(old.id, "ann") != before


async def test_a_damaged_voice_in_the_cache_is_read_from_storage() -> None:
    bench = Bench()
    profile = await bench.profiles.save(NEW)
    voice = await bench.profiles.voice(profile.id, "ann")
    (key,) = bench.cache.values
    bench.cache.values[key] = b"garbage"
    assert await bench.profiles.voice(profile.id, "ann") == voice
    assert bench.voice.conditioned == 1


async def test_replacing_a_profile_with_the_same_recordings_learns_nothing_again() -> None:
    bench = Bench()
    old = await bench.profiles.save(MORE)
    same = await bench.profiles.save(replace(MORE, profile_id=old.id, name="new"))
    assert (bench.voice.conditioned, same.name) == (1, "new")
    await bench.profiles.save(replace(MORE, profile_id=old.id, reference_audio=b"other"))
    assert bench.voice.conditioned == 2


@pytest.mark.parametrize("stored", [None, b"", b"garbage", "cut"], ids=str)
async def test_a_damaged_voice_is_learned_again_from_all_recordings_and_replaced(
    stored: bytes | str | None, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench()
    profile = await bench.profiles.save(MORE)
    whole = bench.storage.files.pop(profile.embedding_path)
    if stored is not None:
        bench.storage.files[profile.embedding_path] = whole[: len(whole) // 2] if isinstance(stored, str) else stored
    with caplog.at_level(logging.WARNING):
        voice = await bench.profiles.voice(profile.id, "ann")
    assert voice == LearnedVoice.unpack(whole)
    assert bench.storage.files[profile.embedding_path] == whole
    assert bench.voice.conditioned == 2
    (record,) = caplog.records
    assert profile.id in record.getMessage()
    assert not {"ann", "work", "reference"} & set(record.getMessage().split())


async def test_a_profile_deleted_while_it_is_learned_again_leaves_no_file() -> None:
    bench = Bench()
    profile = await bench.profiles.save(NEW)
    bench.voice.name = "another-voice"
    bench.voice.learning = Gate()
    using = asyncio.create_task(bench.profiles.voice(profile.id, "ann"))
    while not bench.voice.learning.inside:
        await asyncio.sleep(0.001)
    await bench.delete_profile(profile.id, "ann")
    bench.voice.learning.opened.set()
    with pytest.raises(NotFound):
        await asyncio.wait_for(using, 60)
    assert bench.storage.files == {}
