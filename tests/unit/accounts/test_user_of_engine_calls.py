"""Engines are told for which user they work, so that users take turns, whichever way the work came."""

from src.domain.audio import AudioFormat
from src.domain.consent import Consent
from src.domain.identity import current_user
from src.domain.jobs import now
from src.domain.speech import Quality
from src.services.profiles.profiles import NewProfile
from src.services.saying import CloneRequest, RecordedSpeech
from tests.fakes.assembly import WANTED, Bench


async def test_a_job_is_its_users_work_and_not_the_workers() -> None:
    bench = Bench()
    for user in ("ann", "bob"):
        await bench.jobs.submit(user, WANTED, user.encode())
        await bench.run_next()
    assert bench.voice.users == ["ann", "bob"]
    assert current_user.get() == ""


async def test_a_clone_is_the_callers_work() -> None:
    bench = Bench()
    recorded = RecordedSpeech(b"bytes", AudioFormat.WAV)
    await bench.on_demand.clone("ann", CloneRequest("Hello.", "en", recorded, Quality.FAST))
    assert bench.voice.users == ["ann"]


async def test_a_profile_is_its_owners_work() -> None:
    bench = Bench()
    await bench.profiles.save(NewProfile("ann", b"reference", AudioFormat.FLAC, Consent("I agree.", now())))
    assert bench.voice.users == ["ann"]
