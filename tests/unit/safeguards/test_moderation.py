"""Policies: what becomes of a text in which something was found, and of one that nobody could look at."""

import asyncio
import json
import logging
from dataclasses import dataclass, field, replace

import pytest

from src.adapters.database.mapping import result_from_json, result_to_json
from src.domain.audio import AudioFormat
from src.domain.errors import ContentBlocked, EngineUnavailable
from src.domain.jobs import JobStatus
from src.domain.moderation import (
    CLEAN,
    ModerationReport,
    Moderator,
    OnFailure,
    Passage,
    Policy,
    ReviewStage,
    Severity,
    StageReview,
    Verdict,
)
from src.domain.speech import Quality
from src.services.accounts.audit import Audit
from src.services.safeguards.moderation import Moderation
from src.services.saying import CloneRequest, RecordedSpeech
from tests.fakes.assembly import WANTED, Bench
from tests.fakes.fake_stores import MemoryAuditLog
from tests.fakes.fakes import FakeTranscriber, Gate

TRAIN = "train"
"""A word of what the fake transcriber hears; `niart` is its translation."""
THREAT = Verdict(("threat",), Severity.HIGH)


@dataclass
class WordModerator:
    """Finds one word. `error`: what it raises instead; `unreviewed`: what it says instead."""

    word: str = TRAIN
    name: str = "fake"
    error: Exception | None = None
    unreviewed: str | None = None
    verdict: Verdict = field(default_factory=lambda: Verdict(("profanity",), Severity.MEDIUM))
    asked: list[Passage] = field(default_factory=list)

    async def review(self, passage: Passage) -> Verdict:
        self.asked.append(passage)
        if self.error is not None:
            raise self.error
        if self.unreviewed is not None:
            return Verdict(unreviewed=self.unreviewed)
        return self.verdict if any(self.word in text for text in passage.texts) else CLEAN

    def notices(self) -> tuple[str, ...]:
        return (f"moderation: {self.name}",)


def moderation(
    policy: Policy,
    *moderators: Moderator,
    on_failure: OnFailure = OnFailure.REFUSE,
    log: MemoryAuditLog | None = None,
) -> Moderation:
    return Moderation(policy, moderators, on_failure, Audit(log, 1e9) if log else None)


async def run(bench: Bench) -> str:
    """The id of a job that has ended."""
    job = await bench.jobs.submit("ann", WANTED, b"bytes")
    await bench.run_next()
    return job.id


async def test_off_asks_nobody_and_says_nothing() -> None:
    moderator = WordModerator()
    bench = Bench(moderation=moderation(Policy.OFF, moderator))
    job = await bench.rows.get(await run(bench))
    assert job.result is not None
    assert job.result.moderation is None
    assert moderator.asked == []


async def test_flag_says_what_was_found_in_which_text_and_answers() -> None:
    log, moderator = MemoryAuditLog(), WordModerator("niart")
    bench = Bench(moderation=moderation(Policy.FLAG, moderator, log=log))
    job = await bench.rows.get(await run(bench))
    assert job.status is JobStatus.COMPLETED
    assert job.result is not None
    report = job.result.moderation
    assert report is not None
    assert report.stages == {
        ReviewStage.TRANSCRIPT: StageReview((), None, ("fake",)),
        ReviewStage.TRANSLATION: StageReview(("profanity",), Severity.MEDIUM, ("fake",)),
    }
    assert (report.flagged, report.categories, report.engines) == (True, ("profanity",), ("fake",))
    assert [passage.language for passage in moderator.asked] == ["en", "es"]
    (event,) = log.events
    assert (event.user_id, event.action, event.subject) == ("ann", "moderation.flag", f"job:{job.id}")
    assert event.details == {
        "stage": "translation",
        "categories": "profanity",
        "engines": "fake",
        "severity": "medium",
    }
    stored = json.loads(json.dumps(result_to_json(job.result)))
    assert result_from_json(stored) == job.result
    del stored["moderation"]  # as earlier releases stored it
    assert result_from_json(stored) == replace(job.result, moderation=None)


async def test_a_blocked_transcript_is_translated_by_nobody_and_nothing_of_it_is_kept() -> None:
    log = MemoryAuditLog()
    bench = Bench(moderation=moderation(Policy.BLOCK, WordModerator(), log=log))
    job = await bench.rows.get(await run(bench))
    assert job.error is not None
    assert (job.error.code, job.error.retryable) == ("content_blocked", False)
    assert "transcript" in job.error.detail
    assert "profanity" in job.error.detail
    assert TRAIN not in repr((job, log.events))
    assert (bench.translator.calls, bench.voice.requests) == (0, [])
    assert bench.storage.files == {}
    assert bench.cache.values == {}
    assert [event.outcome for event in bench.rows.usage] == ["content_blocked"]
    assert [(event.action, event.details["stage"]) for event in log.events] == [("moderation.block", "transcript")]


async def test_a_blocked_translation_is_neither_spoken_nor_kept() -> None:
    bench = Bench(moderation=moderation(Policy.BLOCK, WordModerator("niart")))
    job = await bench.rows.get(await run(bench))
    assert job.error is not None
    assert job.error.code == "content_blocked"
    assert "translation" in job.error.detail
    assert (bench.translator.calls, bench.voice.requests) == (1, [])
    assert bench.storage.files == {}
    assert bench.cache.values == {}


async def test_a_voice_that_was_learned_before_the_block_is_forgotten() -> None:
    gate = Gate()
    bench = Bench(transcriber=FakeTranscriber(gate=gate), moderation=moderation(Policy.BLOCK, WordModerator()))
    running = asyncio.create_task(run(bench))
    while not bench.cache.values:  # it is learned while the message is transcribed
        await asyncio.sleep(0.002)
    gate.opened.set()
    await running
    assert bench.cache.values == {}


async def test_what_passes_is_kept_for_the_next_time() -> None:
    bench = Bench(moderation=moderation(Policy.BLOCK, WordModerator("nothing of it")))
    for _ in range(2):
        job = await bench.rows.get(await run(bench))
        assert job.result is not None
        assert job.result.moderation is not None
        assert job.result.moderation.flagged is False
    assert bench.translator.calls == 1


async def test_what_was_kept_before_is_looked_at_again() -> None:
    bench = Bench()
    await run(bench)
    strict = Bench(moderation=moderation(Policy.BLOCK, WordModerator("niart")), cache=bench.cache)
    job = await strict.rows.get(await run(strict))
    assert job.error is not None
    assert job.error.code == "content_blocked"
    assert strict.translator.calls == 0


async def test_a_text_in_its_own_language_is_looked_at_as_what_will_be_spoken_too() -> None:
    moderator = WordModerator()
    bench = Bench(moderation=moderation(Policy.FLAG, moderator))
    await bench.jobs.submit("ann", replace(WANTED, target_language="en"), b"bytes")
    await bench.run_next()
    assert [passage.stage for passage in moderator.asked] == [ReviewStage.TRANSCRIPT, ReviewStage.TRANSLATION]


async def test_under_flag_all_are_asked_and_under_block_none_after_the_first_that_finds_something() -> None:
    first, second = WordModerator(), WordModerator(name="second", verdict=THREAT)
    review = moderation(Policy.FLAG, first, second).review("ann", "job", "1")
    await review.check(ReviewStage.TEXT, ("a train",), "en")
    report = review.report
    assert report is not None
    assert report.stages[ReviewStage.TEXT] == StageReview(("profanity", "threat"), Severity.HIGH, ("fake", "second"))
    strict = moderation(Policy.BLOCK, first, second).review("ann", "job", "1")
    with pytest.raises(ContentBlocked):
        await strict.check(ReviewStage.TEXT, ("a train",), "en")
    assert (len(first.asked), len(second.asked)) == (2, 1)


async def test_a_failure_under_refuse_fails_the_job_and_may_be_tried_again() -> None:
    broken = WordModerator(error=EngineUnavailable("away, with a secret", retry_after_seconds=7))
    bench = Bench(moderation=moderation(Policy.BLOCK, broken))
    job = await bench.rows.get(await run(bench))
    assert job.error is not None
    assert (job.error.code, job.error.retryable, job.error.retry_after_seconds) == ("engine_unavailable", True, 7)
    assert "secret" not in job.error.detail
    assert bench.translator.calls == 0


@pytest.mark.parametrize("policy", [Policy.FLAG, Policy.BLOCK])
async def test_a_failure_under_allow_passes_and_is_not_taken_for_clean(policy: Policy) -> None:
    broken = WordModerator(error=EngineUnavailable("away"))
    bench = Bench(moderation=moderation(policy, broken, on_failure=OnFailure.ALLOW))
    job = await bench.rows.get(await run(bench))
    assert job.result is not None
    assert job.result.degraded == (
        "The transcript was not reviewed: fake did not answer.",
        "The translation was not reviewed: fake did not answer.",
    )
    report = job.result.moderation
    assert report is not None
    assert report.flagged is None
    assert [stage.flagged for stage in report.stages.values()] == [None, None]
    assert [stage.reviewed_by for stage in report.stages.values()] == [(), ()]


async def test_what_one_cannot_look_at_the_next_one_does_and_it_is_said() -> None:
    blind, seeing = WordModerator(name="blind", unreviewed="no word list for 'hu'"), WordModerator(name="seeing")
    review = moderation(Policy.FLAG, blind, seeing).review("ann", "job", "1")
    await review.check(ReviewStage.TRANSCRIPT, ("a train",), "hu")
    assert review.degraded == ("The transcript was not reviewed: no word list for 'hu'.",)
    assert review.report is not None
    assert review.report.stages[ReviewStage.TRANSCRIPT].reviewed_by == ("seeing",)
    assert review.report.flagged is True


async def test_transcribing_is_moderated() -> None:
    recorded = RecordedSpeech(b"bytes", AudioFormat.WAV)
    bench = Bench(moderation=moderation(Policy.FLAG, WordModerator()))
    heard = await bench.on_demand.transcribe("ann", recorded, "en", Quality.FAST)
    assert heard.moderation is not None
    assert set(heard.moderation.stages) == {ReviewStage.TRANSCRIPT}
    assert heard.moderation.flagged is True
    strict = Bench(moderation=moderation(Policy.BLOCK, WordModerator()))
    with pytest.raises(ContentBlocked, match="transcript"):
        await strict.on_demand.transcribe("ann", recorded, "en", Quality.FAST)
    assert [event.outcome for event in strict.usage.events] == ["content_blocked"]


async def test_a_text_to_be_spoken_is_looked_at_before_anything_else_is_done() -> None:
    request = CloneRequest("El train.", "es", RecordedSpeech(b"bytes", AudioFormat.WAV), Quality.FAST)
    strict = Bench(moderation=moderation(Policy.BLOCK, WordModerator()))
    with pytest.raises(ContentBlocked, match="text"):
        await strict.on_demand.clone("ann", request)
    assert (strict.voice.conditioned, strict.storage.files) == (0, {})
    assert [event.outcome for event in strict.usage.events] == ["content_blocked"]
    bench = Bench(moderation=moderation(Policy.FLAG, WordModerator()))
    service = bench.on_demand
    spoken = await service.clone("ann", request)
    assert spoken.moderation is not None
    assert spoken.moderation.stages[ReviewStage.TEXT].categories == ("profanity",)
    assert await service.spoken_before(spoken.facts()) == spoken  # as a repeated Idempotency-Key gets it
    assert TRAIN not in spoken.facts()


@pytest.mark.parametrize("policy", [Policy.FLAG, Policy.BLOCK])
async def test_the_log_has_no_words(policy: Policy, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    bench = Bench(moderation=moderation(policy, WordModerator(), log=MemoryAuditLog()))
    await run(bench)
    assert f"moderation.{policy}" in caplog.text
    assert TRAIN not in caplog.text


def test_a_report_without_stages_is_clean_and_one_with_an_unseen_stage_is_not() -> None:
    seen, unseen = StageReview(reviewed_by=("fake",)), StageReview()
    assert ModerationReport(Policy.FLAG, ("fake",), {ReviewStage.TRANSCRIPT: seen}).flagged is False
    mixed = {ReviewStage.TRANSCRIPT: seen, ReviewStage.TRANSLATION: unseen}
    assert ModerationReport(Policy.FLAG, ("fake",), mixed).flagged is None


def test_an_operator_is_told_what_the_moderators_say() -> None:
    assert moderation(Policy.FLAG, WordModerator()).notices() == ("moderation: fake",)
    assert Moderation.off().notices() == ()
