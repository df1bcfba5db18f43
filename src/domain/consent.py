"""The speaker's agreement to a voice profile, and the challenge by which a speaker shows to be there."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Protocol
from uuid import uuid4


def _now() -> datetime:
    return datetime.now(UTC)


class ConsentMethod(StrEnum):
    """What the service has seen of the agreement."""

    DECLARED = "declared"  # the caller says that it was given
    SPOKEN_CHALLENGE = "spoken_challenge"  # besides, the voice itself said a sentence that was made a moment before


@dataclass(frozen=True, slots=True)
class Consent:
    """A yes to one voice, by the user to whom the profile belongs. It is never changed: a new yes is a new record.

    statement    the sentence that the speaker agreed to
    recorded_at  when, as the caller says
    sent_by      the caller: the user, or a service on the user's behalf; None: nobody knows any more
    references   SHA-256, in hexadecimal, of each recording of the voice as it was sent, the main one first
    received_at  when, by this service's clock
    """

    statement: str
    recorded_at: datetime
    sent_by: str | None = None
    method: ConsentMethod = ConsentMethod.DECLARED
    references: tuple[str, ...] = ()
    received_at: datetime = field(default_factory=_now)
    id: str = field(default_factory=lambda: uuid4().hex)

    @property
    def verified_at(self) -> datetime | None:
        """When the speaker was heard to be the one whose voice it is; None: not by this consent."""
        return self.received_at if self.method is ConsentMethod.SPOKEN_CHALLENGE else None


@dataclass(frozen=True, slots=True)
class Challenge:
    """A sentence that a user is to say, once, until `expires_at`."""

    id: str
    user_id: str
    language: str
    sentence: str
    expires_at: datetime


class ChallengeRepository(Protocol):
    async def add(self, challenge: Challenge, most_per_user: int) -> None:
        """Forget those that have expired, and keep this one.

        Raises RateLimited when so many of its user's have not expired, whether they were answered or not.
        """

    async def take(self, challenge_id: str, user_id: str) -> Challenge:
        """The challenge, which nobody gets a second time. Raises NotFound: no such one is there for this user to be
        answered now.
        """
