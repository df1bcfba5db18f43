"""Voice profiles over fakes."""

from dataclasses import replace

import pytest

from src.domain.audio import AudioFormat
from src.domain.errors import NotFound, ReferenceTooShort
from src.domain.jobs import Consent, now
from src.domain.speech import VoiceConditioning, VoicePrint, VoiceType
from src.services.profiles import NewProfile, Profiles
from src.services.voice_cloning import LearnedVoice
from tests.assembly import Bench
from tests.fakes import FakeDecoder

NEW = NewProfile("ann", b"reference", AudioFormat.FLAC, Consent("I agree.", now()), name="work")


def test_a_learned_voice_survives_packing() -> None:
    voice = LearnedVoice(VoiceConditioning("engine", b"\n{}\x00\xff"), VoicePrint((0.1, 0.2), 123.4, 0.5, (1.0,)))
    assert LearnedVoice.unpack(voice.pack()) == voice


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


async def test_another_users_profile_cannot_be_read_replaced_or_deleted() -> None:
    bench = Bench()
    profile = await bench.profiles.save(NEW)
    with pytest.raises(NotFound):
        await bench.profiles.get(profile.id, "bob")
    with pytest.raises(NotFound):
        await bench.profiles.save(replace(NEW, user_id="bob", profile_id=profile.id))
    with pytest.raises(NotFound):
        await bench.profiles.delete(profile.id, "bob")
    assert await bench.profiles.of_user("ann") == [profile]


async def test_deleting_leaves_no_file_and_no_row() -> None:
    bench = Bench()
    profile = await bench.profiles.save(NEW)
    await bench.profiles.delete(profile.id, "ann")
    assert bench.storage.files == {}
    assert bench.profile_rows.rows == {}


async def test_too_little_speech_is_refused_and_nothing_is_kept() -> None:
    bench = Bench()
    strict = Profiles(bench.profile_rows, bench.storage, FakeDecoder(), bench.voices, min_reference_seconds=2.0)
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
