"""What answers say about moderation. Neither they nor anything else repeats the words that were found."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from src.domain.moderation import ReviewStage, Severity

Flagged = Annotated[bool | None, Field(description="Whether something was found; null where nobody looked.")]
Categories = Annotated[list[str], Field(description="Of which kind it is, such as `profanity`.", examples=[[]])]


class ModeratedStage(BaseModel):
    flagged: Flagged
    categories: Categories
    severity: Annotated[Severity | None, Field(description="Of the worst that was found.")]
    reviewed_by: Annotated[list[str], Field(description="Those of `engines` that looked at it.")]


class Moderation(BaseModel):
    """Under the policy `block` nothing is answered in which something was found: that is 422 `content_blocked`."""

    policy: Literal["flag", "block"]
    flagged: Flagged
    categories: Categories
    stages: Annotated[
        dict[ReviewStage, ModeratedStage],
        Field(description="By text: `transcript` and `translation`, or the `text` that was to be spoken."),
    ]
    engines: Annotated[list[str], Field(description="Who looks at texts here, in order.")]


Moderated = Annotated[Moderation | None, Field(description="Null where this service does not moderate.")]
