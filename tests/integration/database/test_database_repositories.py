"""Jobs, profiles and usage in SQLite and in Postgres: everything comes back as it went in, to its owner only."""

import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, select
from sqlalchemy.exc import IntegrityError

from src.adapters.database.accounts.audit import SqlAuditLog
from src.adapters.database.accounts.deletions import SqlDeletions
from src.adapters.database.accounts.revocations import SqlRevocations
from src.adapters.database.accounts.usage import SqlUsageRepository
from src.adapters.database.engine import Database
from src.adapters.database.jobs.idempotency import SqlIdempotencyStore
from src.adapters.database.jobs.job_repository import SqlJobRepository
from src.adapters.database.mapping import job_to_values
from src.adapters.database.profiles import SqlProfileRepository
from src.adapters.database.statements import change
from src.adapters.database.tables import translation_jobs, voice_profiles
from src.adapters.database.tables import usage as usage_table
from src.domain.accounts import Deletion, DeletionKind
from src.domain.consent import Consent, ConsentMethod
from src.domain.errors import NotFound, Overloaded
from src.domain.identity import Revocation
from src.domain.jobs import (
    AuditEvent,
    DailyUsage,
    Job,
    JobError,
    JobRequest,
    JobStatus,
    Stage,
    TranslatedSegment,
    TranslationResult,
    UsageEvent,
    VoiceProfile,
    now,
)
from src.domain.repositories import Claim, JobRepository, ProfileRepository, UsageRepository
from src.domain.speech import Formality, Segment, Transcript, VoiceMatch, VoiceType, Word, Wording
from tests.support.job_rows import MANY, RESULT, USED, job

NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
def jobs(database: Database) -> JobRepository:
    return SqlJobRepository(database)


@pytest.fixture
def profiles(database: Database) -> ProfileRepository:
    return SqlProfileRepository(database)


@pytest.fixture
def usage(database: Database) -> UsageRepository:
    return SqlUsageRepository(database)


def profile(profile_id: str, user_id: str = "ana", **fields: Any) -> VoiceProfile:
    consent = Consent("I agree that my voice is copied.", NOON - timedelta(days=1))
    values = {
        "name": "Ana",
        "pitch_hz": 181.25,
        "voice_type": VoiceType.MEDIUM_HIGH,
        "brightness": 0.21,
        "duration_seconds": 7.5,
        "embedding_path": "profiles/a.voice",
        "reference_audio_path": "profiles/a.wav",
        "consent": consent,
        "created_at": NOON,
        "updated_at": NOON,
    }
    return VoiceProfile(profile_id, user_id, **{**values, **fields})


# --- everything comes back

finite = st.floats(allow_nan=False, allow_infinity=False)
columns = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=200)  # a text of Postgres has no NUL
times = st.datetimes(
    datetime(1970, 1, 2),  # noqa: DTZ001 - the zone comes from the next argument
    datetime(2200, 1, 1),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45)), timezone(timedelta(hours=-11))]),
)
words = st.lists(st.builds(Word, st.text(), finite, finite, finite), max_size=2).map(tuple)
transcripts = st.builds(
    Transcript,
    segments=st.lists(st.builds(Segment, st.text(), finite, finite, words), max_size=2).map(tuple),
    language_probability=st.none() | finite,
    confidence=finite,
    foreign=st.lists(st.tuples(finite, finite, st.text()), max_size=2).map(tuple),
)
results = st.builds(
    TranslationResult,
    segments=st.lists(st.builds(TranslatedSegment, finite, finite, st.text(), st.text()), max_size=3).map(tuple),
    confidence=finite,
    source_seconds=finite,
    duration_seconds=finite,
    voice_match=st.builds(VoiceMatch, finite, finite, finite),
    degraded=st.lists(st.text(), max_size=2).map(tuple),
    timestamps=st.dictionaries(st.sampled_from(Stage), finite),
    processing_time_ms=finite,
    target_variant=st.none() | st.text(),
    transcript=st.none() | transcripts,
)
wordings = st.builds(
    Wording,
    target_variant=st.none() | st.sampled_from(["pt-PT", "es-419"]),
    formality=st.none() | st.sampled_from(Formality),
    glossary_id=st.none() | st.text(),
    context=st.none() | st.text(),
)
any_job = st.builds(
    Job,
    id=st.uuids().map(str),
    user_id=columns,
    input_key=columns,
    request=st.builds(JobRequest, voice_profile_id=st.none() | columns, wording=wordings),
    stage=st.none() | st.sampled_from(Stage),
    attempts=st.integers(0, 1000),
    result=st.none() | results,
    error=st.none() | st.builds(JobError, retry_after_seconds=st.none() | finite),
    created_at=times,
    updated_at=times,
)
any_profile = st.builds(
    VoiceProfile,
    id=st.uuids().map(str),
    user_id=columns,
    name=st.none() | columns,
    embedding_path=columns,
    reference_audio_path=columns,
    pitch_hz=finite,
    brightness=finite,
    duration_seconds=finite,
    consent=st.builds(
        Consent,
        statement=columns,
        recorded_at=times,
        sent_by=st.none() | columns,
        method=st.sampled_from(ConsentMethod),
        references=st.lists(st.text("0123456789abcdef"), max_size=5).map(tuple),
        received_at=times,
    ),
    additional_audio_paths=st.lists(st.text()).map(tuple),
    created_at=times,
    updated_at=times,
)
many = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@many
@given(wanted=any_job)
async def test_every_field_of_a_job_comes_back(jobs: JobRepository, wanted: Job) -> None:
    await jobs.add(wanted, MANY)
    found = await jobs.get(wanted.id)
    assert found == wanted
    assert found.created_at.utcoffset() == timedelta(0)
    await jobs.delete(wanted.id)


@many
@given(first=any_job, later=any_job)
async def test_the_end_of_a_job_keeps_what_came_of_it(jobs: JobRepository, first: Job, later: Job) -> None:
    first, later = replace(first, status=JobStatus.PROCESSING), replace(later, status=JobStatus.COMPLETED)
    await jobs.add(first, MANY)
    ended = replace(
        first, status=later.status, result=later.result, error=later.error, updated_at=later.updated_at, stage=None
    )
    assert await jobs.finish(ended, USED)
    assert await jobs.get(first.id) == ended
    await jobs.delete(first.id)


@many
@given(wanted=any_profile)
async def test_every_field_of_a_profile_comes_back(
    profiles: ProfileRepository, database: Database, wanted: VoiceProfile
) -> None:
    await profiles.save(wanted)
    assert await profiles.get(wanted.id, wanted.user_id) == wanted
    await change(database, voice_profiles.delete())


async def test_nul_that_a_caller_sends_is_kept_as_what_cannot_be_shown(
    jobs: JobRepository, profiles: ProfileRepository
) -> None:
    await profiles.save(profile("p", name="A\0na"))
    assert (await profiles.get("p", "ana")).name == "A\N{REPLACEMENT CHARACTER}na"
    await jobs.add(job("a"), MANY)
    with pytest.raises(NotFound):
        await jobs.get("a\0")
    with pytest.raises(NotFound):
        await profiles.get("p", "ana\0")


async def test_time_without_a_zone_is_refused(jobs: JobRepository) -> None:
    with pytest.raises(Exception, match="without a zone"):
        await jobs.add(job("a", created_at=NOON.replace(tzinfo=None)), MANY)


async def test_error_text_does_not_show_what_people_said(jobs: JobRepository, database: Database) -> None:
    await jobs.add(job("a"), MANY)
    again = job("a", result=replace(RESULT, original_text="a secret"))
    with pytest.raises(IntegrityError) as refusal:
        await insert(database, job_to_values(again))
    assert "secret" not in str(refusal.value)


async def insert(database: Database, values: dict[str, Any]) -> None:
    async with database._writer.begin() as connection:
        await connection.execute(translation_jobs.insert(), values)


async def test_a_job_that_is_added_twice_is_there_once(jobs: JobRepository) -> None:
    """As when the answer to the first time got lost."""
    for _ in range(2):
        await jobs.add(job("a"), MANY)
    assert await jobs.counts() == (1, 0)


async def test_user_with_jobs_cannot_be_lost(jobs: JobRepository, database: Database) -> None:
    await jobs.add(job("a"), MANY)
    with pytest.raises((IntegrityError, Overloaded)):
        await delete_users(database)


async def delete_users(database: Database) -> None:
    async with database._writer.begin() as connection:
        await connection.exec_driver_sql("DELETE FROM users")


# --- jobs


async def test_job_is_its_owners_only(jobs: JobRepository) -> None:
    await jobs.add(job("a"), MANY)
    assert (await jobs.get("a", "ana")).id == "a"
    for job_id, user_id in (("a", "eve"), ("a", ""), ("b", "ana"), ("b", None)):
        with pytest.raises(NotFound):
            await jobs.get(job_id, user_id)


async def test_ending_a_deleted_job_says_so_and_does_not_bring_it_back(jobs: JobRepository) -> None:
    await jobs.add(job("a"), MANY)
    await jobs.delete("a")
    await jobs.delete("a")
    assert not await jobs.finish(job("a", status=JobStatus.COMPLETED), USED)
    with pytest.raises(NotFound):
        await jobs.get("a")


async def test_old_ended_jobs_come_oldest_first(jobs: JobRepository) -> None:
    for job_id, status, seconds_ago in (
        ("new", JobStatus.COMPLETED, 50),
        ("old", JobStatus.FAILED, 200),
        ("older", JobStatus.COMPLETED, 300),
        ("running", JobStatus.PROCESSING, 400),
    ):
        await jobs.add(job(job_id, status=status, updated_at=now() - timedelta(seconds=seconds_ago)), MANY)
    assert [found.id for found in await jobs.ended_before(100)] == ["older", "old"]


# --- profiles


async def test_profile_is_its_owners_only(profiles: ProfileRepository) -> None:
    await profiles.save(profile("p"))
    with pytest.raises(NotFound):
        await profiles.get("p", "eve")
    with pytest.raises(NotFound):
        await profiles.save(profile("p", "eve"))
    assert (await profiles.get("p", "ana")).user_id == "ana"
    assert await profiles.of_user("eve") == []


async def test_profile_is_replaced_and_listed_newest_first(profiles: ProfileRepository) -> None:
    await profiles.save(profile("p1"))
    await profiles.save(profile("p2", created_at=NOON + timedelta(seconds=1)))
    await profiles.save(profile("p1", name="Anna", pitch_hz=90.0, updated_at=NOON + timedelta(hours=1)))
    found = await profiles.of_user("ana")
    assert [(one.id, one.name, one.pitch_hz) for one in found] == [("p2", "Ana", 181.25), ("p1", "Anna", 90.0)]


# --- usage


async def test_usage_is_summed_by_day_newest_first(usage: UsageRepository) -> None:
    for at, seconds_in in ((NOON, 1.5), (NOON + timedelta(hours=1), 2.0), (NOON - timedelta(days=3), 4.0)):
        await usage.add(UsageEvent("ana", "translate", "completed", "en", "es", seconds_in, 2 * seconds_in, 10, at))
    await usage.add(UsageEvent("bob", "clone", "overloaded", at=NOON))
    days = [DailyUsage("2026-03-01", 2, 3.5, 7.0, 20), DailyUsage("2026-02-26", 1, 4.0, 8.0, 10)]
    assert await usage.by_day("ana", 7) == days
    assert await usage.by_day("ana", 1) == days[:1]
    assert await usage.by_day("eve", 7) == []


async def test_usage_is_kept_with_the_engines_that_worked(usage: UsageRepository, database: Database) -> None:
    await usage.add(
        UsageEvent(
            "ana",
            "translate",
            "completed",
            transcription_engine="whisper",
            translation_engine="apertium (en>es>fr)",
            voice_engine="x" * 100,
        )
    )
    row = (await database.read(select(usage_table)))[0]
    assert (row.transcription_engine, row.translation_engine, row.voice_engine) == ("whisper", "apertium", "x" * 64)


async def test_usage_counts_to_the_utc_day(usage: UsageRepository) -> None:
    await usage.add(UsageEvent("ana", "translate", "completed", at=datetime.fromisoformat("2026-03-02T01:00:00+05:00")))
    assert [day.day for day in await usage.by_day("ana", 7)] == ["2026-03-01"]


# --- the audit log


async def test_audit_log_tells_what_a_user_did_and_what_was_done_to_the_user_page_by_page(database: Database) -> None:
    log = SqlAuditLog(database)
    events = [
        AuditEvent("ana", "profile.save", "profile:p", details={"by": "gateway"}, at=NOON),
        AuditEvent("admin", "token.revoke", "user:ana", at=NOON),
        AuditEvent("ana", "token.revoke", "user:ana", at=NOON),  # both, and told once
        AuditEvent("ana", "profile.delete", "profile:p", "not_found", at=NOON),
        AuditEvent("ana", "profile.delete", "profile:p", at=NOON + timedelta(hours=1)),
        AuditEvent("admin", "token.revoke", "user:ana", at=NOON + timedelta(hours=2)),
    ]
    others = [AuditEvent("eve", "token.revoke", "user:eve", at=NOON), AuditEvent("user:ana", "x", "ana", at=NOON)]
    for event_ in (*others, *events):
        await log.add(event_)
    everything = await log.about("ana", 100)
    assert [recorded.event for recorded in everything] == events[::-1]
    pages, after = [], None
    while page := await log.about("ana", 2, after):
        pages.append(page)
        after = page[-1].place
    assert [len(page) for page in pages] == [2, 2, 2]
    assert [recorded for page in pages for recorded in page] == everything
    assert await log.about("nobody", 100) == []


async def test_audit_log_forgets_what_is_old(database: Database) -> None:
    log = SqlAuditLog(database)
    for days in (1, 400, 500):
        await log.add(AuditEvent("ana", "profile.save", f"profile:{days}", at=now() - timedelta(days=days)))
    assert await log.forget_older_than(365 * 86_400) == 2
    assert [kept.event.subject for kept in await log.about("ana", 9)] == ["profile:1"]


# --- queries


async def test_no_query_of_sqlite_reads_a_whole_table(tmp_path: Path) -> None:
    path = tmp_path / "voice.db"
    database = Database(f"sqlite+aiosqlite:///{path}")
    await database.start()
    seen: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        seen.append((statement, parameters))

    for engine in (database._reader, database._writer):
        event.listen(engine.sync_engine, "before_cursor_execute", note)
    for query in every_query(database):
        await query()
    assert len(seen) >= 20
    with sqlite3.connect(path) as connection:
        for statement, parameters in seen:
            if not statement.startswith("BEGIN"):
                plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
                tables = [step for *_, step in plan if step != "SCAN CONSTANT ROW"]
                # that index holds only the deletions that go on
                tables = [step for step in tables if not step.endswith("USING INDEX ix_deletions_open")]
                assert not [step for step in tables if step.startswith("SCAN")], statement
    connection.close()
    await database.close()


def every_query(database: Database) -> list[Callable[[], Awaitable[object]]]:
    jobs, profiles = SqlJobRepository(database), SqlProfileRepository(database)
    usage, keys = SqlUsageRepository(database), SqlIdempotencyStore(database, 60)
    claim, revocations = Claim("ana", "k", "f"), SqlRevocations(database)
    log, deletions = SqlAuditLog(database), SqlDeletions(database, 40, 60)
    gone = Deletion("d", DeletionKind.JOB, "a", "ana", now(), now())
    return [
        lambda: jobs.add(job("a"), MANY),
        lambda: jobs.claim(10),
        lambda: jobs.renew({"a": 1}, 10),
        lambda: jobs.save_stage(job("a", fence=1), Stage.TRANSCRIPTION),
        lambda: jobs.give_back(job("a", fence=1)),
        lambda: jobs.request_cancel("a"),
        lambda: jobs.requeue_expired(3),
        lambda: jobs.claim_spent(3, 10),
        jobs.counts,
        lambda: jobs.finish(job("a", fence=1, status=JobStatus.COMPLETED), USED),
        lambda: jobs.get("a", "ana"),
        lambda: jobs.ended_before(10),
        lambda: jobs.delete("a"),
        lambda: profiles.save(profile("p")),
        lambda: profiles.get("p", "ana"),
        lambda: profiles.of_user("ana"),
        lambda: usage.add(UsageEvent("ana", "translate", "completed")),
        lambda: usage.by_day("ana", 30),
        lambda: keys.claim(claim),
        lambda: keys.renew(claim),
        lambda: keys.complete(claim, "a"),
        lambda: keys.claim(Claim("ana", "k", "f")),
        lambda: keys.release(claim),
        lambda: revocations.add(Revocation("user:ana", now(), now())),
        lambda: revocations.of(["user:ana", "token:t"]),
        lambda: log.forget_older_than(10),
        lambda: jobs.is_erased("a"),
        lambda: deletions.plan(["a"], "ana", "p", 10, since=now()),
        lambda: deletions.erased(["a"]),
        deletions.open_owners,
        deletions.claim,
        lambda: deletions.paths(gone, 1, 10),
        lambda: deletions.passed(gone, ["a"]),
        lambda: deletions.finish(gone),
        lambda: deletions.due_paths(10),
        lambda: deletions.without_row(["results/a/1.wav", "embeddings/" + "a" * 32 + ".voice"]),
        deletions.expire,
        lambda: usage.forget_older_than(10),
    ]
