"""Deletions in SQLite and Postgres: the rows go at once, files and copies after them, and nothing new is taken."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, text

from src.adapters.database.accounts.audit import SqlAuditLog
from src.adapters.database.accounts.deletions import SqlDeletions
from src.adapters.database.accounts.usage import SqlUsageRepository
from src.adapters.database.deletion_tables import deletions as deletion_table
from src.adapters.database.deletion_tables import erasures
from src.adapters.database.engine import Database
from src.adapters.database.jobs.call_repository import SqlCallRepository
from src.adapters.database.jobs.idempotency import SqlIdempotencyStore
from src.adapters.database.jobs.job_repository import SqlJobRepository
from src.adapters.database.profiles import SqlProfileRepository
from src.adapters.redis.events import InProcessJobEvents
from src.adapters.storage.local import LocalStorage
from src.domain.accounts import DeletionKind, Pseudonyms
from src.domain.errors import EngineUnavailable, NotFound
from src.domain.jobs import AuditEvent, JobStatus, UsageEvent, VoiceProfile, now
from src.domain.leases import EngineCall
from src.domain.repositories import Claim
from src.services.accounts.deletions import Deletions
from src.utils.cache import MemoryCache
from tests.integration.database.test_consents import profile as any_profile
from tests.support.job_rows import MANY, RESULT, USED, job

HEX = "0123456789abcdef0123456789abcde"


def profile(number: int, user_id: str = "ana") -> VoiceProfile:
    version = f"{HEX}{number}"
    return replace(
        any_profile(version, user_id),
        embedding_path=f"embeddings/{version}.voice",
        reference_audio_path=f"references/{version}.wav",
        additional_audio_paths=(f"references/{version}-1.wav",),
    )


class Bench:
    """One service's deletions, over a real database and real files."""

    def __init__(self, database: Database, folder: Path, settle_seconds: float = 0.0) -> None:
        self.database = database
        self.rows = SqlDeletions(database, settle_seconds, 3600)
        self.jobs, self.profiles = SqlJobRepository(database), SqlProfileRepository(database)
        self.usage, self.audit = SqlUsageRepository(database), SqlAuditLog(database)
        self.keys = SqlIdempotencyStore(database, 3600)
        self.storage, self.cache = LocalStorage(folder / "audio", b"k" * 32, 60), MemoryCache(10_000)
        self.deletions = Deletions(self.rows, self.storage, self.cache, InProcessJobEvents())

    async def make(self, number: int, user_id: str) -> None:
        """A profile, a job with it, an answer with it, and all that is noted about them."""
        one = profile(number, user_id)
        await self.profiles.save(one)
        spoken = job(f"job-{user_id[:3]}-{number}", user_id)
        spoken = replace(spoken, request=replace(spoken.request, voice_profile_id=one.id))
        await self.jobs.add(spoken, MANY)
        leased = await self.jobs.claim(10)
        assert leased is not None
        await self.jobs.finish(
            replace(leased, status=JobStatus.COMPLETED, result=RESULT), replace(USED, user_id=user_id)
        )
        await self.rows.plan([f"clones/{one.id}/a.wav"], user_id, one.id, 3600, since=now())
        for key in (one.embedding_path, *one.audio_paths, f"results/{spoken.id}/1.wav", f"clones/{one.id}/a.wav"):
            await self.storage.put(key, b"the voice of " + user_id.encode())
        for value in (one.id, spoken.id, f'{{"audio_key": "clones/{one.id}/a.wav"}}'):
            claim = Claim(user_id, value, "f")
            await self.keys.claim(claim)
            await self.keys.complete(claim, value)
        await self.audit.add(AuditEvent(user_id, "profile.save", f"profile:{one.id}", details={"owner": user_id}))
        await self.cache.set("translation:x", b"hola", 60, user_id)

    async def everything(self) -> str:
        """All rows of all tables, as text."""
        found = []
        for table in self.tables():
            rows = await self.database.read(text(f"SELECT * FROM {table}"))  # noqa: S608
            found += [f"{table}: {tuple(row)!r}" for row in rows]
        return "\n".join(found)

    def tables(self) -> list[str]:
        return sorted(deletion_table.metadata.tables)

    async def files(self) -> list[str]:
        folders = ("inputs", "results", "clones", "references", "embeddings")
        return [key for folder in folders async for page in self.storage.pages_under(folder) for key in page]


@pytest.fixture
def bench(database: Database, tmp_path: Path) -> Bench:
    return Bench(database, tmp_path)


async def finish(bench: Bench) -> None:
    """The second pass, as the loop of any process does it."""
    past = now() - timedelta(seconds=1)
    settled = deletion_table.update().values(next_attempt_at=past, settles_at=past)
    await bench.database.write(lambda connection: connection.execute(settled))
    await bench.deletions._look()


async def test_a_profile_goes_with_all_that_came_of_it_and_nothing_else(bench: Bench) -> None:
    for number, user_id in ((1, "ana"), (2, "ana"), (3, "eve")):
        await bench.make(number, user_id)
    before = await bench.files()
    await bench.deletions.request(DeletionKind.PROFILE, profile(1).id, "ana", "ana")
    with pytest.raises(NotFound):
        await bench.profiles.get(profile(1).id, "ana")
    with pytest.raises(NotFound):
        await bench.jobs.get("job-ana-1")
    await finish(bench)
    left = await bench.everything()
    assert profile(1).id not in left
    assert "job-ana-1" not in left
    assert [key for key in before if key not in await bench.files()] == [
        key for key in before if profile(1).id in key or "job-ana-1" in key
    ]
    assert await bench.cache.get("translation:x", "ana") is None
    assert await bench.cache.get("translation:x", "eve") == b"hola"
    assert {one.id for one in await bench.profiles.of_user("ana")} == {profile(2).id}


async def test_a_user_goes_with_everything_and_comes_back_as_a_new_one(bench: Bench) -> None:
    await bench.make(1, "ana")
    await bench.make(2, "eve")
    await bench.jobs.add(job("waits", "ana"), MANY)
    await bench.deletions.request(DeletionKind.USER, "ana", "ana", "ana")
    await bench.make(3, "ana")  # while the deletion goes on
    await finish(bench)
    assert [one.id for one in await bench.profiles.of_user("ana")] == [profile(3, "ana").id]
    assert len(await bench.files()) == 10, "what is eve's, and what is new"
    left = await bench.everything()
    assert profile(1).id not in left
    assert "job-ana-1" not in left
    assert "waits" not in left
    told = await bench.audit.about(bench.database.pseudonyms.of("ana"), 100)
    (event,) = [one.event for one in told if "user" in one.event.action]
    assert event.subject == f"user:{bench.database.pseudonyms.of('ana')}"


async def test_of_a_user_who_does_not_come_back_only_hashes_are_left(bench: Bench) -> None:
    await bench.make(1, "ana@example.org")
    await bench.audit.add(AuditEvent("root", "user.look", "user:ana@example.org", details={"owner": "ana@example.org"}))
    await bench.deletions.request(DeletionKind.USER, "ana@example.org", "ana@example.org", "root")
    await finish(bench)
    left = await bench.everything()
    assert "ana@example.org" not in left
    assert profile(1).id not in left
    assert bench.database.pseudonyms.of("ana@example.org") in left
    assert await bench.files() == []
    assert bench.cache._entries.currsize == 0


async def test_what_was_begun_before_a_user_was_deleted_comes_to_nothing(database: Database, tmp_path: Path) -> None:
    bench = Bench(database, tmp_path, settle_seconds=30)
    began = now()
    late = profile(1)
    paths = (late.embedding_path, *late.audio_paths)
    await bench.rows.plan(paths, "ana", None, 600, since=began)
    await bench.deletions.request(DeletionKind.USER, "ana", "ana", "ana")
    await bench.storage.put(late.embedding_path, b"a voice")  # it was just being written
    with pytest.raises(NotFound):
        await bench.profiles.save(late, planned=True)
    with pytest.raises(NotFound):
        await bench.jobs.add(job("late", "ana", created_at=began), MANY)
    with pytest.raises(NotFound):
        await bench.usage.add(UsageEvent("ana", "clone", "completed", at=began))
    with pytest.raises(NotFound):
        await bench.rows.plan(["clones/a.wav"], "ana", None, 600, since=began)
    ours, database.pseudonyms = database.pseudonyms, Pseudonyms(b"of a process with another key")
    with pytest.raises(NotFound):
        await bench.usage.add(UsageEvent("ana", "clone", "completed", at=began))
    database.pseudonyms = ours
    await finish(bench)
    assert await bench.files() == []
    await bench.jobs.add(job("new", "ana"), MANY)
    await bench.usage.add(UsageEvent("ana", "clone", "completed"))


async def test_a_profile_that_was_deleted_does_not_come_back(bench: Bench) -> None:
    old, new = profile(1), replace(profile(2), id=profile(1).id)
    await bench.profiles.save(old)
    await bench.deletions.request(DeletionKind.PROFILE, old.id, "ana", "ana")
    with pytest.raises(NotFound):
        await bench.profiles.save(new, old)
    with pytest.raises(NotFound):
        await bench.rows.plan([f"clones/{old.id}/a.wav"], "ana", old.id, 600, since=now())


async def test_what_a_killed_process_did_not_finish_another_does(bench: Bench, database: Database) -> None:
    await bench.make(1, "ana")
    await bench.rows.request(DeletionKind.PROFILE, profile(1).id, "ana", "ana")  # and here it was killed
    assert await bench.files()
    assert await bench.rows.claim() is None, "it may live yet"
    await database.write(lambda c: c.execute(deletion_table.update().values(next_attempt_at=now())))
    await bench.deletions._look()
    assert await bench.files() == []
    assert await database.read(select(erasures)) == []


async def test_while_the_storage_fails_it_is_tried_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(path: str) -> None:
        raise EngineUnavailable("away")

    await bench.make(1, "ana")
    with monkeypatch.context() as patch:
        patch.setattr(bench.storage, "erase", fails)
        await bench.deletions.request(DeletionKind.PROFILE, profile(1).id, "ana", "ana")
    assert await bench.files()
    await finish(bench)
    assert await bench.files() == []


async def test_files_go_a_second_time_when_it_has_settled(database: Database, tmp_path: Path) -> None:
    bench = Bench(database, tmp_path, settle_seconds=60)
    await bench.make(1, "ana")
    await bench.deletions.request(DeletionKind.PROFILE, profile(1).id, "ana", "ana")
    assert await bench.files() == []
    await bench.storage.put("results/job-ana-1/1.wav", b"late")  # by a worker that is killed then
    later = now() - timedelta(seconds=1)
    await database.write(lambda c: c.execute(deletion_table.update().values(next_attempt_at=later, settles_at=later)))
    await bench.deletions._look()
    assert await bench.files() == []
    (row,) = await database.read(select(deletion_table))
    assert (row.subject, row.owner) == (None, None)
    assert row.done_at is not None


async def test_the_recording_of_a_job_that_still_waits_goes_at_once(bench: Bench) -> None:
    waiting = job("waits", "ana")
    await bench.jobs.add(waiting, MANY)
    await bench.storage.put(waiting.input_key, b"the voice of ana")
    await bench.deletions.request(DeletionKind.JOB, waiting.id, "ana", "ana")
    assert await bench.files() == []


async def test_a_clone_of_an_earlier_release_which_planned_nothing_goes_with_its_profile(bench: Bench) -> None:
    await bench.make(1, "ana")
    await bench.storage.put(f"clones/{profile(1).id}/unplanned.wav", b"the voice of ana")
    await bench.deletions.request(DeletionKind.PROFILE, profile(1).id, "ana", "ana")
    assert await bench.files() == []


async def test_what_an_engine_is_asked_for_a_user_goes_with_the_user(bench: Bench, database: Database) -> None:
    calls = [EngineCall(f"call-of-{user}", user, "transcribe") for user in ("ana", "eve")]
    for call in calls:
        await SqlCallRepository(database).add(call, MANY, 60)
        await bench.storage.put(call.arguments_key, b"the voice of " + call.user_id.encode())
    await bench.deletions.request(DeletionKind.USER, "ana", "ana", "ana")
    assert await bench.files() == [calls[1].arguments_key]


async def test_files_without_a_row_are_swept_and_others_are_not(bench: Bench) -> None:
    await bench.make(1, "ana")
    stray = profile(2)
    strays = [stray.embedding_path, *stray.audio_paths, "results/gone/1.wav", "inputs/gone.wav"]
    kept = ["inputs/calls/c/arguments", "references/a-name-of-others.bin"]
    for key in (*strays, *kept):
        await bench.storage.put(key, b"x")
    before = await bench.files()
    for folder in ("inputs", "results", "references", "embeddings"):
        await bench.deletions._sweep(folder, 0)
    assert sorted(set(before) - set(await bench.files())) == sorted(strays)


async def test_every_table_with_rows_of_users_is_known(database: Database) -> None:
    """A new table says by its columns whose rows it has; one that says nothing has none of anybody's."""
    without = {table.name for table in deletion_table.metadata.tables.values() if "user_id" not in table.c}
    assert without == {"users", "workers", "revocations", "deletions", "erasures"}
