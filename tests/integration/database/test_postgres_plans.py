"""What Postgres does for the queries that are asked all the time, with 100,000 jobs and 20,000 rows of each other kind
behind them."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, text

from src.adapters.database.accounts.audit import SqlAuditLog
from src.adapters.database.accounts.revocations import SqlRevocations
from src.adapters.database.accounts.usage import SqlUsageRepository
from src.adapters.database.engine import Database
from src.adapters.database.jobs.callbacks import SqlCallbackOutbox
from src.adapters.database.jobs.idempotency import SqlIdempotencyStore
from src.adapters.database.jobs.job_repository import SqlJobRepository, SqlJobViews
from src.adapters.database.profiles import SqlProfileRepository
from src.domain.jobs import JobStatus, Place, now
from src.domain.repositories import Claim
from tests.servers.postgres import PostgresServer, name_of
from tests.support.job_rows import job

FILL = """
    INSERT INTO users SELECT 'user-' || n, now() FROM generate_series(0, 999) n;
    INSERT INTO translation_jobs (id, user_id, request, voice_profile_id, input_key, status, attempts, created_at,
                                  updated_at, lease_until)
        SELECT 'job-' || n, 'user-' || n % 1000,
               '{"audio_format": "wav", "target_language": "es", "quality": "balanced"}', 'profile-' || n % 5000, 'k',
               CASE WHEN n % 1000 = 0 THEN 'pending' WHEN n % 1000 = 1 THEN 'processing'
                    WHEN n % 10 = 2 THEN 'failed' ELSE 'completed' END,
               1, now() - n * interval '1 minute', now() - n * interval '1 minute',
               CASE WHEN n % 1000 = 1 THEN now() + (n - 50000) * interval '1 second' END
        FROM generate_series(1, 100000) n;
    INSERT INTO users VALUES ('busy', now());
    INSERT INTO translation_jobs (id, user_id, request, input_key, status, attempts, created_at, updated_at)
        SELECT 'busy-' || n, 'busy', '{"audio_format": "wav", "target_language": "es", "quality": "balanced"}', 'k',
               CASE WHEN n = 20000 THEN 'failed' ELSE 'completed' END, 1,
               now() - n * interval '1 minute', now() - n * interval '1 minute'
        FROM generate_series(1, 20000) n;
    INSERT INTO voice_profiles (id, user_id, pitch_hz, voice_type, brightness, duration_seconds, embedding_path,
                                reference_audio_path, consent_id, created_at, updated_at)
        SELECT 'profile-' || n, 'user-' || n % 1000, 120, 'medium', 0.2, 3, 'e', 'r', 'consent-' || n,
               now() - n * interval '1 minute', now()
        FROM generate_series(1, 20000) n;
    INSERT INTO consents (id, profile_id, user_id, statement, method, recorded_at, received_at)
        SELECT 'consent-' || n, 'profile-' || n, 'user-' || n % 1000, 'I agree.', 'declared', now(), now()
        FROM generate_series(1, 20000) n;
    INSERT INTO usage (user_id, day, at, operation, outcome, seconds_in, seconds_out, characters)
        SELECT 'user-' || n % 1000, current_date - n / 300, now(), 'translate', 'completed', 1, 1, 10
        FROM generate_series(1, 20000) n;
    INSERT INTO idempotency_keys
        SELECT 'user-' || n % 1000, 'hash-' || n, 'f', 'v', now() + (n - 1000) * interval '1 second'
        FROM generate_series(1, 20000) n;
    INSERT INTO revocations
        SELECT 'user:user-' || n, now(), now() + (n + 1000) * interval '1 second' FROM generate_series(1, 20000) n;
    INSERT INTO audit_log (at, user_id, action, subject, outcome)
        SELECT now() - n * interval '1 minute', 'user-' || n % 1000, 'profile.save', 'profile:p', 'completed'
        FROM generate_series(1, 20000) n;
    INSERT INTO callbacks (id, job_id, user_id, url, host, type, data, attempts, next_attempt_at, delivered_at,
                           created_at)
        SELECT 'msg_' || n, 'job-' || n, 'user-' || n % 1000, 'u', 'h', 'job.completed', '{}', 1,
               now() + n * interval '1 minute', CASE WHEN n % 100 > 0 THEN now() END, now()
        FROM generate_series(1, 20000) n;
    INSERT INTO deletions (id, kind, subject_hash, owner_hash, requested_at, settles_at, next_attempt_at, attempts,
                           done_at)
        SELECT 'deletion-' || n, CASE WHEN n % 10 = 0 THEN 'user' ELSE 'job' END, md5('s' || n), md5('o' || n),
               now() - n * interval '1 minute', now(), now(), 1, now()
        FROM generate_series(1, 20000) n;
"""


@pytest.fixture(scope="module")
def url(postgres: PostgresServer) -> Iterator[str]:
    """One database for all tests here, which only read: filling it takes seconds."""
    address = postgres.ready_database()
    yield address
    postgres.sql(f"DROP DATABASE {name_of(address)} WITH (FORCE)")


@pytest.fixture
async def database(url: str, postgres: PostgresServer) -> AsyncIterator[Database]:
    database = Database(url, statement_seconds=60)
    await database.start()
    if not await database.read(text("SELECT 1 FROM users LIMIT 1")):
        postgres.sql(FILL, name_of(url))
        postgres.sql("VACUUM ANALYZE", name_of(url))
    yield database
    await database.close()


def steps(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from steps(part)


async def plan_of(database: Database, statement: str, options: str = "FORMAT JSON", parameters: Any = ()) -> Any:
    async with database._writer.begin() as connection:
        found = (await connection.exec_driver_sql(f"EXPLAIN ({options}) {statement}", parameters)).scalar_one()
    return (json.loads(found) if isinstance(found, str) else found)[0]


@pytest.mark.parametrize("user", ["user-7", "busy"])
@pytest.mark.parametrize("page", ["first", "later"])
@pytest.mark.parametrize(
    "statuses",
    [(), (JobStatus.FAILED,), (JobStatus.COMPLETED, JobStatus.FAILED)],
    ids=lambda statuses: "+".join(statuses) or "all",
)
async def test_a_page_of_jobs_reads_a_few_blocks_however_many_the_user_has(
    database: Database, user: str, page: str, statuses: tuple[JobStatus, ...]
) -> None:
    after = Place(now() - timedelta(days=1), "job-1") if page == "later" else None
    views = SqlJobViews(database)
    ((statement, parameters),) = await statements_of(
        database, lambda: views.of_user(user, 21, after, frozenset(statuses))
    )
    plan = (await plan_of(database, statement, "ANALYZE, BUFFERS, FORMAT JSON", parameters))["Plan"]
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] <= 60
    index = (
        "ix_translation_jobs_user_id_status_created_at_id" if statuses else "ix_translation_jobs_user_id_created_at_id"
    )
    assert {step["Index Name"] for step in steps(plan) if "Index Name" in step} == {index}
    assert max(step["Actual Rows"] for step in steps(plan)) <= 42


async def reads_a_few_blocks(database: Database, statement: str, parameters: Any = ()) -> None:
    """Counted in blocks of 8 KB, which do not depend on the machine; and it sorts nothing."""
    plan = (await plan_of(database, statement, "ANALYZE, BUFFERS, FORMAT JSON", parameters))["Plan"]
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] <= 60
    assert not [step for step in steps(plan) if "Sort" in step["Node Type"]]


@pytest.mark.parametrize(
    ("work", "index"),
    [
        (lambda jobs: jobs.claim(60), "ix_translation_jobs_waiting"),
        (lambda jobs: jobs.requeue_expired(3), "ix_translation_jobs_leased"),
        (lambda jobs: jobs.claim_spent(3, 60), "ix_translation_jobs_leased"),
    ],
    ids=["claim", "requeue", "claim spent"],
)
async def test_what_workers_ask_uses_the_index_of_open_jobs(
    database: Database, work: Callable[[SqlJobRepository], Awaitable[object]], index: str
) -> None:
    """Undone again, as the other tests read the same rows."""
    (statement, parameters) = (await statements_of(database, lambda: work(SqlJobRepository(database))))[-1]
    plan = (await plan_of(database, statement, parameters=parameters))["Plan"]
    assert index in {step.get("Index Name") for step in steps(plan)}
    assert not [step for step in steps(plan) if step["Node Type"] == "Seq Scan"]


async def test_a_claim_reads_a_few_blocks_however_many_jobs_have_ended(database: Database) -> None:
    (statement, parameters) = (await statements_of(database, lambda: SqlJobRepository(database).claim(60)))[-1]
    await reads_a_few_blocks(database, statement, parameters)


async def test_finding_a_position_reads_a_few_blocks_however_many_jobs_have_ended(database: Database) -> None:
    """Those that wait, and the results of the last ones; the line here has 100 jobs, and 100 are being done."""
    views = SqlJobViews(database)
    for work in (lambda: views.ahead_of("job-50000", 999), views.pace):
        ((statement, parameters),) = await statements_of(database, work)
        plan = (await plan_of(database, statement, "ANALYZE, BUFFERS, FORMAT JSON", parameters))["Plan"]
        assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] <= 200


async def test_a_new_job_finds_its_turn_without_reading_the_others(database: Database) -> None:
    seen = await statements_of(database, lambda: SqlJobRepository(database).add(job("new", "user-1"), 1_000))
    for statement, parameters in seen:
        plan = (await plan_of(database, statement, parameters=parameters))["Plan"]
        assert not [step for step in steps(plan) if step["Node Type"] == "Seq Scan"], statement


class Undone(Exception):
    """Ends a transaction without keeping what it did."""


async def statements_of(database: Database, work: Callable[[], Awaitable[object]]) -> list[tuple[str, Any]]:
    """What `work` asks the database, with its parameters; what it did is undone."""
    seen: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        seen.append((statement, parameters))

    def undo(_connection: Any) -> None:
        raise Undone

    engine = database._writer.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    event.listen(engine, "commit", undo)
    try:
        with suppress(Undone):
            await work()
    finally:
        event.remove(engine, "before_cursor_execute", note)
        event.remove(engine, "commit", undo)
    return seen


async def test_no_query_of_the_repositories_reads_a_whole_table(database: Database) -> None:
    for query in every_read(database):
        seen = await statements_of(database, query)
        assert seen
        for statement, parameters in seen:
            plan = (await plan_of(database, statement, parameters=parameters))["Plan"]
            assert not [step for step in steps(plan) if step["Node Type"] == "Seq Scan"], statement


async def test_a_look_for_due_callbacks_reads_none_that_are_not_due(database: Database) -> None:
    ((statement, parameters),) = await statements_of(database, lambda: SqlCallbackOutbox(database).claim(30))
    plan = (await plan_of(database, statement, parameters=parameters))["Plan"]
    (search,) = [step for step in steps(plan) if step.get("Index Name") == "ix_callbacks_waiting"]
    assert "next_attempt_at" in search["Index Cond"]


def every_read(database: Database) -> list[Callable[[], Awaitable[object]]]:
    """And the deletions of what is old, which find nothing here."""
    jobs, views, profiles = SqlJobRepository(database), SqlJobViews(database), SqlProfileRepository(database)
    usage, log = SqlUsageRepository(database), SqlAuditLog(database)
    callbacks = SqlCallbackOutbox(database)
    missing = "nothing"
    keys, claim = SqlIdempotencyStore(database, 60), Claim("user-1", missing, "f")
    return [
        lambda: database.read(text("SELECT 1 FROM users WHERE id = 'user-1'")),
        jobs.counts,
        lambda: jobs.renew({missing: 1}, 60),
        lambda: jobs.request_cancel(missing),
        lambda: jobs.ended_before(1e9),
        views.pace,
        lambda: views.ahead_of("job-50000", 999),
        lambda: views.of_user("busy", 21, None, frozenset({JobStatus.PENDING, JobStatus.PROCESSING})),
        lambda: jobs.delete(missing),
        lambda: profiles.of_user(missing),
        lambda: usage.by_day("user-1", 30),
        lambda: keys.renew(claim),
        lambda: keys.release(claim),
        keys.sweep,
        lambda: SqlRevocations(database).of(["user:user-1", missing]),
        lambda: log.about("user-1", 51),
        lambda: log.about("user-1", 51, Place(now(), "5")),
        lambda: log.forget_older_than(1e9),
        lambda: callbacks.claim(30, ["busy.example"]),
        lambda: callbacks.waiting_since(60, 1000),
    ]
