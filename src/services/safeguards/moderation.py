"""What people say is looked at before it is translated, and again before it is spoken, as the operator's policy says.

The moderators are asked in order. Under the policy `block` the first that finds something ends the request, and nobody
else is shown the text; under `flag` all are asked.
"""

import logging
from dataclasses import dataclass

from src.domain.errors import ContentBlocked, EngineUnavailable, Unavailable
from src.domain.moderation import (
    ModerationReport,
    Moderator,
    OnFailure,
    Passage,
    Policy,
    ReviewStage,
    StageReview,
    Verdict,
    worst,
)
from src.domain.speech import Transcript, Translation
from src.services.accounts.audit import Audit

logger = logging.getLogger(__name__)

_RETRY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Moderation:
    """`moderators` in the order in which they are asked; none of them is asked while `policy` is off."""

    policy: Policy
    moderators: tuple[Moderator, ...]
    on_failure: OnFailure
    audit: Audit | None

    @classmethod
    def off(cls) -> "Moderation":
        return cls(Policy.OFF, (), OnFailure.REFUSE, None)

    def review(self, user_id: str, operation: str, request_id: str) -> "Review":
        """Looks at the texts of one request. `operation` and `request_id` name it in the audit log: `job:7f3a`."""
        return Review(self, user_id, operation, request_id)

    def notices(self) -> tuple[str, ...]:
        """What an operator should know."""
        return tuple(notice for moderator in self.moderators for notice in moderator.notices())


class Review:
    """The texts of one request. `degraded`: a line for each look that could not be had."""

    def __init__(self, moderation: Moderation, user_id: str, operation: str, request_id: str) -> None:
        self._moderation = moderation
        self._user_id = user_id
        self._operation = operation
        self._request_id = request_id
        self._stages: dict[ReviewStage, StageReview] = {}
        self.degraded: tuple[str, ...] = ()

    @property
    def report(self) -> ModerationReport | None:
        """None where the policy is off."""
        if self._moderation.policy is Policy.OFF:
            return None
        names = tuple(moderator.name for moderator in self._moderation.moderators)
        return ModerationReport(self._moderation.policy, names, dict(self._stages))

    async def transcript(self, transcript: Transcript) -> None:
        """As `check`."""
        await self.check(ReviewStage.TRANSCRIPT, transcript.texts, transcript.language)

    async def translation(self, translation: Translation) -> None:
        """As `check`."""
        language = translation.target_variant or translation.route[-1]
        await self.check(ReviewStage.TRANSLATION, translation.texts, language)

    async def check(self, stage: ReviewStage, texts: tuple[str, ...], language: str) -> None:
        """Look at a text. Raises ContentBlocked when it may not pass, EngineUnavailable when nobody can tell and the
        operator wants it refused then.
        """
        if self._moderation.policy is Policy.OFF:
            return
        found = await self._ask_all(Passage(texts, language, stage, self._request_id, self._user_id))
        before = self._stages.get(stage)  # of the pieces before
        self._stages[stage] = found if before is None else _both(before, found)
        if not found.flagged:
            return
        blocked = self._moderation.policy is Policy.BLOCK
        await self._record("moderation.block" if blocked else "moderation.flag", stage, found)
        if blocked:
            raise ContentBlocked(
                f"This service does not take what the {stage} says ({', '.join(found.categories)}). "
                "Sent again, it would be refused again."
            )

    def _note(self, sentence: str) -> None:
        self.degraded = tuple(dict.fromkeys((*self.degraded, sentence)))

    async def _ask_all(self, passage: Passage) -> StageReview:
        verdicts: dict[str, Verdict] = {}
        for moderator in self._moderation.moderators:
            verdict = await self._ask(moderator, passage)
            if verdict.unreviewed is not None:
                self._note(f"The {passage.stage} was not reviewed: {verdict.unreviewed}.")
                continue
            verdicts[moderator.name] = verdict
            if verdict.flagged and self._moderation.policy is Policy.BLOCK:
                break
        severities = [verdict.severity for verdict in verdicts.values() if verdict.severity is not None]
        categories = dict.fromkeys(name for verdict in verdicts.values() for name in verdict.categories)
        return StageReview(tuple(categories), worst(severities), tuple(verdicts))

    async def _ask(self, moderator: Moderator, passage: Passage) -> Verdict:
        try:
            return await moderator.review(passage)
        except Unavailable as error:
            logger.warning("moderation: %s did not answer: %s", moderator.name, error.code)
            if self._moderation.on_failure is OnFailure.REFUSE:
                raise EngineUnavailable(
                    f"The {passage.stage} could not be moderated, and does not pass without that. Try again.",
                    retry_after_seconds=error.retry_after_seconds or _RETRY_SECONDS,
                ) from None
            return Verdict(unreviewed=f"{moderator.name} did not answer")

    async def _record(self, action: str, stage: ReviewStage, found: StageReview) -> None:
        categories = ",".join(found.categories)
        logger.info("%s: %s of %s %s: %s", action, stage, self._operation, self._request_id, categories)
        if self._moderation.audit is not None:
            details = {"stage": stage.value, "categories": categories, "engines": ",".join(found.reviewed_by)}
            if found.severity is not None:
                details["severity"] = found.severity.value
            await self._moderation.audit.record(
                self._user_id, action, f"{self._operation}:{self._request_id}", **details
            )


def _both(one: StageReview, other: StageReview) -> StageReview:
    return StageReview(
        tuple(dict.fromkeys((*one.categories, *other.categories))),
        worst([each.severity for each in (one, other) if each.severity is not None]),
        tuple(dict.fromkeys((*one.reviewed_by, *other.reviewed_by))),
    )
