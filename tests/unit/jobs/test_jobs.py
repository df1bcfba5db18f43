"""A job's life, over fakes: accepted once, done once, never left half-way."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from src.domain.errors import IdempotencyConflict, IdempotencyMismatch, Overloaded, TranslationUnavailable
from src.domain.jobs import Job, JobStatus, Stage
from src.domain.repositories import Claim
from src.domain.speech import Formality, Wording
from tests.fakes.assembly import WANTED, Bench
from tests.fakes.fakes import FakeTranslator, FakeVoice, Gate


async def _submit(bench: Bench) -> Job:
    return await bench.jobs.submit("ann", WANTED, b"bytes")


async def _done(bench: Bench) -> Job:
    """A job, when it has ended."""
    job = await _submit(bench)
    await bench.run_next()
    return await bench.jobs.wait(job.id, 1)


async def _held() -> tuple[Bench, Gate, Job, asyncio.Task[None]]:
    """A job that is at its voice, which is held, and what does it."""
    gate = Gate()
    bench = Bench(voice=FakeVoice(gate=gate))
    job = await _submit(bench)
    running = asyncio.create_task(bench.run_next())
    while not gate.inside:
        await asyncio.sleep(0)
    return bench, gate, job, running


async def test_a_job_goes_from_pending_over_its_stages_to_completed() -> None:
    bench = Bench()
    job = await _submit(bench)
    assert bench.rows.rows[job.id].status == JobStatus.PENDING
    await bench.run_next()
    done = await bench.jobs.wait(job.id, 1)
    assert done.status == JobStatus.COMPLETED
    assert done.stage is None
    assert bench.rows.stages == list(Stage)
    assert bench.queue.ids == [job.id]


@pytest.mark.parametrize("watched", [True, False])
async def test_steps_that_are_done_before_a_caller_can_watch_are_kept_for_it(watched: bool) -> None:
    bench = Bench()
    job = await bench.jobs.submit("ann", WANTED, b"bytes", watched=watched)
    await bench.run_next()
    first = await bench.jobs.trails.read(await bench.jobs.get(job.id, "ann"), 0)
    assert (first is not None) == watched


async def test_the_input_is_deleted_when_the_job_has_ended_and_the_use_is_counted() -> None:
    bench = Bench()
    job = await _submit(bench)
    await bench.run_next()
    assert set(bench.storage.files) == {f"results/{job.id}/1.wav"}
    (event,) = bench.rows.usage
    assert (event.user_id, event.operation, event.outcome, event.seconds_in) == ("ann", "translate", "completed", 1.5)


async def test_an_error_ends_in_the_row_with_its_code() -> None:
    bench = Bench(translator=FakeTranslator(error=TranslationUnavailable("no answer")))
    done = await _done(bench)
    assert done.status == JobStatus.FAILED
    assert done.error is not None
    assert (done.error.code, done.error.retryable) == ("translation_unavailable", True)
    assert bench.rows.usage[0].outcome == "translation_unavailable"


async def test_a_job_knows_when_it_is_worth_sending_again() -> None:
    error = TranslationUnavailable("no answer", retry_after_seconds=30.0)
    bench = Bench(translator=FakeTranslator(error=error))
    done = await _done(bench)
    waits = [done.retry_after_seconds(done.updated_at + timedelta(seconds=passed)) for passed in (0, 10, 60)]
    assert waits == [30.0, 20.0, 0.0]
    assert (await _submit(bench)).retry_after_seconds() is None


async def test_a_job_that_runs_again_keeps_its_wording() -> None:
    bench = Bench()
    wording = Wording(formality=Formality.MORE, glossary_id="g1", context="Two friends meet.")
    job = await bench.jobs.submit("ann", replace(WANTED, wording=wording), b"bytes")
    await bench.runner.claim()
    bench.rows.expired.add(job.id)
    assert await bench.upkeep.recover() == 1
    await bench.run_next()
    done = await bench.jobs.wait(job.id, 1)
    assert done.result is not None
    assert len(done.result.degraded) == 3  # the fake uses none of the three, and says so


async def test_a_defect_ends_in_the_row_without_its_words(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    job = await _submit(bench)
    del bench.storage.files[job.input_key]
    bench.storage.files[job.input_key] = b""
    bench.pipeline.run = None  # type: ignore[method-assign,assignment]
    await bench.run_next()
    done = await bench.jobs.wait(job.id, 1)
    assert done.error is not None
    assert done.error.code == "internal_error"
    assert "TypeError" in caplog.text
    assert "callable" not in caplog.text + done.error.detail


async def test_a_full_queue_keeps_nothing() -> None:
    bench = Bench(most_waiting=1)
    await _submit(bench)
    with pytest.raises(Overloaded):
        await _submit(bench)
    assert len(bench.rows.rows) == 1
    assert len(bench.storage.files) == 1


async def test_a_job_beyond_its_time_fails_with_deadline_exceeded() -> None:
    gate = Gate()
    bench = Bench(voice=FakeVoice(gate=gate), timeout_seconds=1.0)
    done = await _done(bench)
    assert done.error is not None
    assert done.error.code == "deadline_exceeded"
    assert gate.cancelled == gate.entered > 0


async def test_waiting_ends_with_the_job_or_with_patience() -> None:
    bench, gate, job, running = await _held()
    assert (await bench.jobs.wait(job.id, 0.01)).status == JobStatus.PROCESSING
    waiting = asyncio.create_task(bench.jobs.wait(job.id, 5))
    await asyncio.sleep(0)
    gate.opened.set()
    assert (await waiting).status == JobStatus.COMPLETED
    await running


async def test_cancelling_reaches_the_engine_and_frees_the_caller() -> None:
    bench, gate, job, running = await _held()
    await bench.jobs.cancel(job.id)
    await asyncio.wait_for(running, 60)
    done = await bench.jobs.wait(job.id, 1)
    assert gate.cancelled == gate.entered > 0
    assert done.error is not None
    assert done.error.code == "cancelled"


async def test_deleting_a_running_job_leaves_nothing() -> None:
    bench, _, job, running = await _held()
    await bench.delete_job(job.id, "ann")
    await asyncio.wait_for(running, 60)
    assert bench.rows.rows == {}
    assert bench.storage.files == {}


async def test_cancelling_a_job_that_waits_ends_it_there() -> None:
    bench = Bench()
    job = await _submit(bench)
    await bench.jobs.cancel(job.id)
    done = await bench.jobs.get(job.id, "ann")
    assert done.error is not None
    assert done.error.code == "cancelled"
    assert bench.storage.files == {}
    assert await bench.runner.claim() is None


async def test_a_cancelled_job_whose_worker_died_is_not_begun_again() -> None:
    bench = Bench()
    job = await _submit(bench)
    await bench.runner.claim()
    await bench.rows.request_cancel(job.id)
    bench.rows.expired.add(job.id)
    await bench.upkeep.recover()
    await bench.run_next()
    done = await bench.jobs.get(job.id, "ann")
    assert done.error is not None
    assert done.error.code == "cancelled"
    assert bench.voice.requests == []


async def test_a_worker_that_loses_its_lease_stops_and_leaves_the_job_to_the_next() -> None:
    bench, gate, job, first = await _held()
    bench.rows.expired.add(job.id)
    await bench.upkeep.recover()
    taken_over = await bench.runner.claim()
    bench.leases.lost[job.id]()
    await asyncio.wait_for(first, 60)
    assert gate.cancelled == gate.entered > 0
    assert bench.rows.rows[job.id] == taken_over
    assert bench.rows.usage == []


async def test_what_a_worker_with_an_old_fence_made_is_dropped() -> None:
    bench, gate, job, first = await _held()
    bench.rows.rows[job.id] = replace(bench.rows.rows[job.id], status=JobStatus.PENDING)
    second = asyncio.create_task(bench.run_next())
    while gate.inside < 2:
        await asyncio.sleep(0)
    gate.opened.set()
    await asyncio.gather(first, second)
    done = await bench.jobs.wait(job.id, 1)
    assert done.result is not None
    assert set(bench.storage.files) == {done.result.audio_key} == {f"results/{job.id}/2.wav"}
    assert len(bench.rows.usage) == 1


async def test_a_finished_job_waits_for_a_database_that_is_away() -> None:
    bench = Bench()
    bench.rows.away = 1
    job = await _submit(bench)
    await bench.run_next()
    assert (await bench.jobs.get(job.id, "ann")).status == JobStatus.COMPLETED


async def test_shutdown_puts_a_running_job_back_without_counting_the_attempt() -> None:
    bench, _, job, running = await _held()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    row = bench.rows.rows[job.id]
    assert (row.status, row.attempts) == (JobStatus.PENDING, 0)
    assert job.input_key in bench.storage.files


async def test_the_job_of_a_dead_worker_is_run_again() -> None:
    bench = Bench()
    job = await _submit(bench)
    await bench.runner.claim()
    assert await bench.upkeep.recover() == 0
    bench.rows.expired.add(job.id)
    assert await bench.upkeep.recover() == 1
    await bench.run_next()
    done = await bench.jobs.get(job.id, "ann")
    assert (done.status, done.attempts) == (JobStatus.COMPLETED, 2)


async def test_a_job_that_ended_its_worker_three_times_is_dead() -> None:
    bench = Bench()
    job = await _submit(bench)
    bench.rows.expired.add(job.id)
    for _ in range(3):
        assert await bench.rows.claim(10) is not None
        await bench.upkeep.recover()
    done = await bench.jobs.get(job.id, "ann")
    assert done.error is not None
    assert (done.status, done.error.code, done.error.retryable) == (JobStatus.FAILED, "job_dead", False)
    assert "3 times" in done.error.detail
    assert await bench.runner.claim() is None
    assert bench.storage.files == {}


async def test_of_jobs_at_their_last_attempt_one_is_done_at_a_time() -> None:
    """Any of them may be the one that kills its workers."""
    gate = Gate()
    bench = Bench(voice=FakeVoice(gate=gate))
    first, second = await _submit(bench), await _submit(bench)
    bench.rows.expired.update({first.id, second.id})
    for _ in range(2):  # attempts of both, which their worker did not survive
        await bench.runner.claim()
        await bench.runner.claim()
        await bench.upkeep.recover()
    new = await _submit(bench)
    running = asyncio.create_task(bench.run_next())
    while not gate.inside:
        await asyncio.sleep(0)
    beside = await bench.runner.claim()
    assert beside is not None
    assert beside.id == new.id
    assert await bench.runner.claim() is None
    gate.opened.set()
    await running
    after = await bench.runner.claim()
    assert after is not None
    assert (after.id, after.attempts) == (second.id, 3)


async def test_one_idempotency_key_makes_one_job() -> None:
    bench = Bench()
    first = await bench.jobs.submit_once("ann", "key", "same", WANTED, b"bytes")
    second = await bench.jobs.submit_once("ann", "key", "same", WANTED, b"bytes")
    other = await bench.jobs.submit_once("bob", "key", "same", WANTED, b"bytes")
    assert first.id == second.id != other.id
    with pytest.raises(IdempotencyMismatch):
        await bench.jobs.submit_once("ann", "key", "other body", WANTED, b"other")


async def test_a_job_whose_caller_could_not_be_told_is_not_made_twice() -> None:
    bench = Bench()
    first = await bench.jobs.submit_once("ann", "key", "same", WANTED, b"bytes")
    bench.idempotency.claims.clear()  # as when the database went away before it could keep the key
    again = await bench.jobs.submit_once("ann", "key", "same", WANTED, b"bytes")
    assert again == first
    assert len(bench.rows.rows) == 1


async def test_a_key_whose_request_was_refused_can_be_used_again() -> None:
    bench = Bench(most_waiting=1)
    waiting = await _submit(bench)
    with pytest.raises(Overloaded):
        await bench.jobs.submit_once("ann", "key", "same", WANTED, b"bytes")
    await bench.delete_job(waiting.id, "ann")
    assert await bench.jobs.submit_once("ann", "key", "same", WANTED, b"bytes")


async def test_a_key_in_flight_is_a_conflict() -> None:
    bench = Bench()
    await bench.idempotency.claim(Claim("ann", "key", "same"))
    with pytest.raises(IdempotencyConflict):
        await bench.jobs.submit_once("ann", "key", "same", WANTED, b"bytes")


async def test_the_sweep_erases_ended_jobs_only() -> None:
    bench = Bench()
    _, waiting = await _submit(bench), await _submit(bench)
    await bench.run_next()
    assert await bench.upkeep.sweep(1e-9, 1e-9) == 1
    assert set(bench.rows.rows) == {waiting.id}
    assert set(bench.storage.files) == {waiting.input_key}


async def test_deleting_a_profiles_jobs_leaves_the_others() -> None:
    bench = Bench()
    profile_id = await bench.new_profile()
    await bench.jobs.submit("ann", replace(WANTED, voice_profile_id=profile_id), b"bytes")
    other = await _submit(bench)
    await bench.run_next()
    await bench.delete_profile(profile_id, "ann")
    assert set(bench.rows.rows) == {other.id}


async def test_a_job_that_says_a_text_counts_as_clone() -> None:
    bench = Bench()
    await bench.jobs.submit("ann", replace(WANTED, text="Hola."), b"audio")
    await bench.run_next()
    (event,) = bench.rows.usage
    assert (event.operation, event.outcome, event.characters, event.seconds_in) == ("clone", "completed", 5, 0.0)
