"""Whether a text may pass: what moderators find in it, and what the operator wants done then.

Nothing here ever holds a word of a text: a verdict says of which kind something was, and not what.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol, Self


class Policy(StrEnum):
    OFF = "off"  # nothing is looked at
    FLAG = "flag"  # the answer says what was found
    BLOCK = "block"  # the request fails


class OnFailure(StrEnum):
    """What becomes of a text that a moderator could not look at."""

    REFUSE = "refuse"  # the request fails, and may be sent again
    ALLOW = "allow"  # it passes, and `degraded` says so


class ReviewStage(StrEnum):
    """Which text it is."""

    TRANSCRIPT = "transcript"  # what a recording says
    TRANSLATION = "translation"
    TEXT = "text"  # what a caller gave to be spoken


class Severity(StrEnum):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


_RANKS = {severity: rank for rank, severity in enumerate(Severity)}


def worst(severities: list[Severity]) -> Severity | None:
    return max(severities, key=_RANKS.__getitem__, default=None)


@dataclass(frozen=True, slots=True)
class Passage:
    """A text to look at, in the pieces that it comes in.

    language    a code of the service, or one of its variants, such as `zh-Hant`
    request_id  of the job or the request, for whoever looks at it elsewhere
    """

    texts: tuple[str, ...]
    language: str
    stage: ReviewStage
    request_id: str
    user_id: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one moderator says. Nothing was found where `categories` is empty.

    `unreviewed`: why it did not look at the passage; None: it did.
    """

    categories: tuple[str, ...] = ()
    severity: Severity | None = None
    unreviewed: str | None = None

    @property
    def flagged(self) -> bool:
        return bool(self.categories)


CLEAN = Verdict()


class Moderator(Protocol):
    @property
    def name(self) -> str:
        """As settings and answers call it."""

    async def review(self, passage: Passage) -> Verdict:
        """Raises Unavailable when it cannot tell now."""

    def notices(self) -> tuple[str, ...]:
        """What an operator should know: what it cannot look at, and whether it is away."""


@dataclass(frozen=True, slots=True)
class StageReview:
    """What all moderators say of one text. `reviewed_by`: those that looked at it."""

    categories: tuple[str, ...] = ()
    severity: Severity | None = None
    reviewed_by: tuple[str, ...] = ()

    @property
    def flagged(self) -> bool | None:
        """None when nobody looked at it."""
        return bool(self.categories) if self.reviewed_by else None


@dataclass(frozen=True, slots=True)
class ModerationReport:
    """What an answer says about moderation. `engines`: the moderators in use, in order."""

    policy: Policy
    engines: tuple[str, ...]
    stages: dict[ReviewStage, StageReview] = field(default_factory=dict)

    @property
    def categories(self) -> tuple[str, ...]:
        """Of all stages, each once."""
        return tuple(dict.fromkeys(name for stage in self.stages.values() for name in stage.categories))

    @property
    def flagged(self) -> bool | None:
        """None when something was not looked at, and nothing was found in the rest."""
        if self.categories:
            return True
        return None if any(stage.flagged is None for stage in self.stages.values()) else False

    @classmethod
    def of_json(cls, value: dict[str, Any]) -> Self:
        """What `asdict` told, through JSON."""
        stages = {
            ReviewStage(stage): StageReview(
                tuple(found["categories"]),
                found["severity"] and Severity(found["severity"]),
                tuple(found["reviewed_by"]),
            )
            for stage, found in value["stages"].items()
        }
        return cls(Policy(value["policy"]), tuple(value["engines"]), stages)
