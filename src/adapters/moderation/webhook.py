"""A moderation service of the operator's, over HTTP. Requests are signed as https://www.standardwebhooks.com has it.

    POST {"type": "moderation.review", "timestamp": …, "data": {texts, language, stage, request_id, user}}
    200  {"flagged": true, "categories": ["threat"], "severity": "high"}

`severity` may be left out, and `categories` be empty. Whatever else comes back counts as no answer: a verdict that
cannot be read is none.
"""

import hashlib
import hmac
import json
import math
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Self
from uuid import uuid4

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from src.adapters.callbacks.http_sender import signed_headers
from src.adapters.translators.remote import (
    Breaker,
    BreakerState,
    Budget,
    ProviderFailed,
    RemoteCalls,
    RequestRefused,
    http_client,
    httpx_errors,
)
from src.domain.errors import EngineUnavailable
from src.domain.moderation import CLEAN, Passage, Severity, Verdict
from src.utils.retry_after import retry_after_seconds

BUDGET = Budget(total_seconds=5.0)
"""For one text. A message has two of them, while its caller waits."""
_NO_CATEGORY = "unspecified"
_LONGEST_ANSWER = 16 * 1024
"""Bytes."""


class Answer(BaseModel):
    """What the service must say. A category is a label and no sentence, so that it cannot repeat what was said."""

    model_config = ConfigDict(strict=True, extra="forbid")

    flagged: bool
    categories: Annotated[list[Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_./-]{0,63}$")]], Field(max_length=32)]
    severity: Annotated[Severity, Field(strict=False)] = Severity.MEDIUM

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.categories and not self.flagged:
            raise ValueError("categories of what is not flagged")
        return self


class ModerationWebhook:
    """Implements Moderator. `keys` sign; `user_key` makes the name under which the service knows a user, None: it is
    told nothing about users.
    """

    name = "webhook"

    def __init__(
        self,
        url: str,
        keys: Sequence[bytes],
        user_key: bytes | None,
        budget: Budget = BUDGET,
        breaker: Breaker | None = None,
    ) -> None:
        self._keys = tuple(keys)
        self._user_key = user_key
        self._breaker = breaker or Breaker("the moderation webhook")
        self._calls = RemoteCalls("the moderation webhook", budget, self._breaker, unavailable=EngineUnavailable)
        self._url = url
        self._client = http_client("", budget)

    def notices(self) -> tuple[str, ...]:
        """Whether it is left alone now, because it failed."""
        if self._breaker.state is BreakerState.CLOSED:
            return ()
        return ("moderation: the webhook failed several times and is left alone for a while",)

    async def review(self, passage: Passage) -> Verdict:
        """Raises EngineUnavailable."""
        message_id, body = f"msg_{uuid4().hex}", self._body(passage)
        try:
            answer = await self._calls.run(partial(self._ask, message_id, body), self._calls.deadline())
        except RequestRefused as refusal:
            raise EngineUnavailable(f"The moderation webhook declined ({refusal}).") from None
        if not answer.flagged:
            return CLEAN
        return Verdict(tuple(dict.fromkeys(answer.categories)) or (_NO_CATEGORY,), answer.severity)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    def _body(self, passage: Passage) -> bytes:
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        data = {
            "texts": passage.texts,
            "language": passage.language,
            "stage": passage.stage.value,
            "request_id": passage.request_id,
            "user": self._pseudonym(passage.user_id),
        }
        message = {"type": "moderation.review", "timestamp": at, "data": data}
        return json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode(errors="replace")

    def _pseudonym(self, user_id: str) -> str | None:
        if self._user_key is None:
            return None
        return hmac.digest(self._user_key, user_id.encode(), hashlib.sha256).hex()

    async def _ask(self, message_id: str, body: bytes) -> Answer:
        headers = {
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
            **signed_headers(message_id, body, self._keys, math.floor(time.time())),
        }
        with httpx_errors():
            async with self._client.stream("POST", self._url, content=body, headers=headers) as response:
                _check(response)
                return _read(await _bounded(response))


def _check(response: httpx.Response) -> None:
    """Nothing for a 200. Raises ProviderFailed, or RequestRefused for what it would decline again."""
    status = response.status_code
    if status == 200:
        return
    if status == 429 or status >= 500:
        wait = retry_after_seconds(response.headers.get("Retry-After"))
        raise ProviderFailed(f"status {status}", retryable=True, retry_after_seconds=wait)
    if status == 413:  # this text is too long for it, which says nothing about the next one
        raise RequestRefused(status)
    raise ProviderFailed(f"status {status}", retryable=False)


async def _bounded(response: httpx.Response) -> bytes:
    if "Content-Encoding" in response.headers:
        raise ProviderFailed("its answer is compressed, which was not asked for", retryable=False)
    body = b""
    async for part in response.aiter_raw():
        body += part
        if len(body) > _LONGEST_ANSWER:
            raise ProviderFailed(f"its answer is longer than {_LONGEST_ANSWER} bytes", retryable=False)
    return body


def _read(body: bytes) -> Answer:
    try:
        return Answer.model_validate_json(body)
    except ValidationError:  # its message quotes the answer
        raise ProviderFailed("its answer is no verdict", retryable=False) from None
