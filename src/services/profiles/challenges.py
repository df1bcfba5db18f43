"""Sentences that a speaker is asked to say, so that a recording of before is no answer."""

from datetime import timedelta
from uuid import uuid4

from src.domain.consent import Challenge, ChallengeRepository
from src.domain.errors import UnsupportedLanguage
from src.domain.jobs import now
from src.domain.languages import LANGUAGES
from src.domain.ports import Transcriber
from src.services.languages import HEARING_HINT
from src.services.profiles.challenge_sentences import load_grammars

LIFETIME_SECONDS = 300.0
"""For fetching a sentence, reading it out and sending it."""
MOST_PER_USER = 5
"""In that time, answered ones counted."""


class Challenges:
    """Each is for one user and one answer, within `lifetime_seconds`; a user gets `most_per_user` in that time.

    The bound is also one on trying: who has a recording of an older sentence cannot ask until that one comes again.
    """

    def __init__(
        self,
        challenges: ChallengeRepository,
        transcriber: Transcriber,
        *,
        lifetime_seconds: float = LIFETIME_SECONDS,
        most_per_user: int = MOST_PER_USER,
    ) -> None:
        self._challenges = challenges
        self._transcriber = transcriber
        self._lifetime_seconds = lifetime_seconds
        self._most_per_user = most_per_user
        self._grammars = load_grammars()

    async def issue(self, user_id: str, language: str | None) -> Challenge:
        """`language` None: the first that the recogniser hears, in the service's order.

        Raises UnsupportedLanguage, RateLimited, EngineUnavailable while nobody knows what can be heard.
        """
        language = self._supported(language)
        expires_at = now() + timedelta(seconds=self._lifetime_seconds)
        challenge = Challenge(uuid4().hex, user_id, language, self._grammars[language].make(), expires_at)
        await self._challenges.add(challenge, self._most_per_user)
        return challenge

    async def take(self, challenge_id: str, user_id: str) -> Challenge:
        """For one answer, right or wrong. Raises NotFound."""
        return await self._challenges.take(challenge_id, user_id)

    def _supported(self, wanted: str | None) -> str:
        hears = self._transcriber.languages
        known = [language for language in LANGUAGES if language in hears and language in self._grammars]
        if wanted is None and known:
            return known[0]
        if wanted is None or wanted not in known:
            raise UnsupportedLanguage(
                f"Challenges are spoken in what the recogniser {self._transcriber.name} hears: "
                f"{', '.join(known) or 'nothing'}. {HEARING_HINT}"
            )
        return wanted
