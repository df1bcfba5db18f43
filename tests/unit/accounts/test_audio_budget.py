"""The day's audio: what counts, when it begins again, and what is not counted twice."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from src.domain.accounts import DECODED, audio_counted, seconds_to_midnight
from src.domain.audio import AudioFormat
from src.domain.errors import NoSpeechDetected, RateLimited
from src.domain.identity import current_user
from src.domain.jobs import UsageEvent
from src.services.accounts.audio_budget import AudioBudget, BudgetedDecoder
from tests.fakes.fakes import FakeDecoder

SECONDS = 1.5  # of every recording that FakeDecoder decodes


@dataclass
class MemoryLedger:
    events: list[UsageEvent] = field(default_factory=list)

    async def spend(self, event: UsageEvent, most_seconds: float) -> bool:
        if await self.spent(event.user_id, event.at) + event.seconds_in > most_seconds:
            return False
        self.events.append(event)
        return True

    async def spent(self, user_id: str, at: datetime) -> float:
        return sum(each.seconds_in for each in self.events if each.user_id == user_id)


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


def decoder(ledger: MemoryLedger, per_day: int) -> BudgetedDecoder:
    return BudgetedDecoder(FakeDecoder(), AudioBudget(ledger, per_day))


async def test_decoded_seconds_count_for_the_user_of_the_job(ledger: MemoryLedger) -> None:
    budgeted = decoder(ledger, 4)
    current_user.set("ann")
    for data in (b"one", b"two"):
        speech = await budgeted.decode(data, AudioFormat.WAV)
        assert speech.source_duration_seconds == SECONDS
    with pytest.raises(RateLimited, match="2 s of audio, more than is left of today's 4 s") as refused:
        await budgeted.decode(b"three", AudioFormat.WAV)
    assert 1 <= (refused.value.retry_after_seconds or 0) <= 86_400
    current_user.set("ben")
    await budgeted.decode(b"three", AudioFormat.WAV)
    assert [(each.user_id, each.operation, each.seconds_in) for each in ledger.events] == [
        ("ann", DECODED, SECONDS),
        ("ann", DECODED, SECONDS),
        ("ben", DECODED, SECONDS),
    ]


async def test_what_cannot_be_decoded_does_not_count(ledger: MemoryLedger) -> None:
    current_user.set("ann")
    with pytest.raises(NoSpeechDetected):
        await decoder(ledger, 4).decode(b"silence", AudioFormat.WAV)
    assert ledger.events == []


async def test_audio_that_was_counted_before_does_not_count_again(ledger: MemoryLedger) -> None:
    current_user.set("ann")
    audio_counted.set(True)
    await decoder(ledger, 1).decode(b"again", AudioFormat.WAV)
    assert ledger.events == []


async def test_the_quota_says_how_much_of_the_day_is_left(ledger: MemoryLedger) -> None:
    budget = AudioBudget(ledger, 2)
    assert (await budget.quota("ann")).remaining == 2
    await budget.spend("ann", 0.5)
    quota = await budget.quota("ann")
    assert (quota.allowed, quota.limit, quota.remaining, quota.window_seconds) == (True, 2, 1, 86_400)
    await budget.spend("ann", 1.5)
    quota = await budget.quota("ann")
    assert (quota.allowed, quota.remaining) == (False, 0)


@pytest.mark.parametrize(
    ("at", "seconds"),
    [
        (datetime(2026, 11, 21, tzinfo=UTC), 86_400),
        (datetime(2026, 11, 21, 23, 59, 59, tzinfo=UTC), 1),
        (datetime(2026, 11, 21, 23, 59, 59, 999_999, tzinfo=UTC), 1),
        (datetime(2026, 12, 31, 12, 0, 0, 1, tzinfo=UTC), 43_200),
    ],
)
def test_seconds_to_midnight(at: datetime, seconds: int) -> None:
    assert seconds_to_midnight(at) == seconds
