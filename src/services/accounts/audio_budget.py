"""How many seconds of audio a user may have decoded on a day (UTC), whatever it is for.

The usage rows are the truth, so the budget holds over processes and restarts. A recording counts once it was really
decoded, for as long as it turned out to be; one that would exceed the budget is refused, and does not count.
"""

from src.domain.accounts import DAY_SECONDS, DECODED, AudioLedger, Quota, audio_counted, seconds_to_midnight
from src.domain.audio import AudioFormat
from src.domain.errors import RateLimited
from src.domain.identity import current_user
from src.domain.jobs import UsageEvent, now
from src.domain.ports import AudioDecoder
from src.domain.speech import DecodedSpeech


class AudioBudget:
    """`seconds_per_day` for each user, 1 or more."""

    def __init__(self, ledger: AudioLedger, seconds_per_day: int) -> None:
        self._ledger = ledger
        self._per_day = seconds_per_day

    async def quota(self, user_id: str) -> Quota:
        """In seconds. Raises Overloaded, EngineUnavailable."""
        at = now()
        left = max(0.0, self._per_day - await self._ledger.spent(user_id, at))
        return Quota(left > 0, self._per_day, int(left), seconds_to_midnight(at), DAY_SECONDS)

    async def spend(self, user_id: str, seconds: float) -> None:
        """Raises RateLimited, Overloaded, EngineUnavailable."""
        event = UsageEvent(user_id, DECODED, "completed", seconds_in=seconds)
        if not await self._ledger.spend(event, self._per_day):
            raise RateLimited(
                f"This recording has {seconds:.0f} s of audio, more than is left of today's {self._per_day} s. "
                "Send a shorter one, or try again after midnight UTC.",
                retry_after_seconds=seconds_to_midnight(event.at),
            )


class BudgetedDecoder:
    """Implements AudioDecoder: what it decodes for a user counts."""

    def __init__(self, decoder: AudioDecoder, budget: AudioBudget) -> None:
        self._decoder = decoder
        self._budget = budget

    async def decode(self, data: bytes, declared: AudioFormat) -> DecodedSpeech:
        """Raises RateLimited, and what the decoder raises."""
        speech = await self._decoder.decode(data, declared)
        user_id = current_user.get()
        if user_id and not audio_counted.get():
            await self._budget.spend(user_id, speech.source_duration_seconds)
        return speech
