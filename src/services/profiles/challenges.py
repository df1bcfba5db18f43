"""Sentences that a speaker is asked to say, so that a recording of before is no answer."""

import math
import secrets
import tomllib
from dataclasses import KW_ONLY, dataclass, field
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from src.domain.consent import Challenge, ChallengeRepository
from src.domain.errors import UnsupportedLanguage
from src.domain.jobs import now
from src.domain.languages import LANGUAGES, UNSPACED
from src.domain.ports import Transcriber
from src.services.deployment.languages import HEARING_HINT

_WORDS = Path(__file__).with_name("challenge_sentences.toml")


@dataclass(frozen=True, slots=True)
class Grammar:
    """What sentences of a language are made of: see the comment in the file of words.

    `space` stands between the parts.
    """

    sentence: str
    who: tuple[str, ...]
    does: tuple[str, ...]
    when: tuple[str, ...]
    where: tuple[str, ...]
    space: str

    @property
    def count(self) -> int:
        """Of the sentences that it can make."""
        return math.prod((math.perm(len(self.who), 2), math.perm(len(self.does), 2), len(self.when), len(self.where)))

    def make(self) -> str:
        """One of them, by the system's cryptographic randomness."""
        one, other = _two(self.who)
        doing, doing_else = _two(self.does)
        clauses = (
            self._clause(one, doing, secrets.choice(self.when)),
            self._clause(other, doing_else, secrets.choice(self.where)),
        )
        sentence = self.sentence.format(*clauses)
        return sentence[0].upper() + sentence[1:]

    def _clause(self, who: str, does: str, circumstance: str) -> str:
        pattern = does if "{}" in does else f"{does}{self.space}{{}}"
        return f"{who}{self.space}{pattern.format(circumstance)}"


def load_grammars() -> dict[str, Grammar]:
    """By language."""
    parsed = tomllib.loads(_WORDS.read_text(encoding="utf-8"))
    return {
        language: Grammar(
            words["sentence"],
            _phrases(words["who"]),
            _phrases(words["does"]),
            _phrases(words["when"]),
            _phrases(words["where"]),
            space="" if language in UNSPACED else " ",
        )
        for language, words in parsed.items()
    }


def _phrases(listed: str) -> tuple[str, ...]:
    return tuple(phrase.strip() for phrase in listed.split("|"))


def _two(choices: tuple[str, ...]) -> tuple[str, str]:
    """Different ones, in any order."""
    one = secrets.choice(choices)
    return one, secrets.choice([other for other in choices if other != one])


LIFETIME_SECONDS = 300.0
"""For fetching a sentence, reading it out and sending it."""
MOST_PER_USER = 5
"""In that time, answered ones counted."""


@dataclass(eq=False)
class Challenges:
    """Each is for one user and one answer, within `lifetime_seconds`; a user gets `most_per_user` in that time.

    The bound is also one on trying: who has a recording of an older sentence cannot ask until that one comes again.
    """

    challenges: ChallengeRepository
    transcriber: Transcriber
    _: KW_ONLY
    lifetime_seconds: float = LIFETIME_SECONDS
    most_per_user: int = MOST_PER_USER
    _grammars: dict[str, Grammar] = field(default_factory=load_grammars, init=False)

    async def issue(self, user_id: str, language: str | None) -> Challenge:
        """`language` None: the first that the recogniser hears, in the service's order.

        Raises UnsupportedLanguage, RateLimited, EngineUnavailable while nobody knows what can be heard.
        """
        language = self._supported(language)
        expires_at = now() + timedelta(seconds=self.lifetime_seconds)
        challenge = Challenge(uuid4().hex, user_id, language, self._grammars[language].make(), expires_at)
        await self.challenges.add(challenge, self.most_per_user)
        return challenge

    async def take(self, challenge_id: str, user_id: str) -> Challenge:
        """For one answer, right or wrong. Raises NotFound."""
        return await self.challenges.take(challenge_id, user_id)

    def _supported(self, wanted: str | None) -> str:
        hears = self.transcriber.languages
        known = [language for language in LANGUAGES if language in hears and language in self._grammars]
        if wanted is None and known:
            return known[0]
        if wanted is None or wanted not in known:
            raise UnsupportedLanguage(
                f"Challenges are spoken in what the recogniser {self.transcriber.name} hears: "
                f"{', '.join(known) or 'nothing'}. {HEARING_HINT}"
            )
        return wanted
