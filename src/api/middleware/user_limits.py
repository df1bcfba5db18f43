"""What one user may have in work at a time, and have decoded on a day."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from src.api.error_handlers import problem
from src.api.middleware.rate_limit import KeyOf, tell
from src.domain.errors import RateLimited
from src.domain.rates import Slots, Standing

AudioStanding = Callable[[Scope, str], Awaitable[Standing]]
"""Where a user stands with the seconds of audio of the day."""

_RETRY_AFTER_SECONDS = 2.0
_CONCURRENT, _AUDIO = "concurrent", "audio"


class ConcurrencyMiddleware:
    """At most so many requests of a user in work at a time, from their heads to the start of their answers: a caller
    that reads slowly has no request in work.
    """

    def __init__(self, app: ASGIApp, slots: Slots, most: int, key_of: KeyOf) -> None:
        self.app = app
        self._slots = slots
        self._most = most
        self._key_of = key_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        key = self._key_of(scope) if scope["type"] == "http" else None
        if key is None:
            await self.app(scope, receive, send)
            return
        async with AsyncExitStack() as held:
            taken = await held.enter_async_context(self._slots.held(key, self._most))

            async def send_and_leave(message: Message) -> None:
                if message["type"] == "http.response.start":
                    await held.aclose()
                    if not taken:
                        policy = f'"{_CONCURRENT}";q={self._most};qu="concurrent-requests"'
                        MutableHeaders(scope=message).append("RateLimit-Policy", policy)
                await send(message)

            app = self.app if taken else problem(self._refusal()).response(scope)
            await app(scope, receive, send_and_leave)

    def _refusal(self) -> RateLimited:
        detail = f"You have {self._most} requests in work. Wait until one of them is answered."
        return RateLimited(detail, retry_after_seconds=_RETRY_AFTER_SECONDS)


class AudioBudgetMiddleware:
    """Refuses requests that bring audio of a user who has none left for the day, before their bodies are read."""

    def __init__(self, app: ASGIApp, standing_of: AudioStanding, key_of: KeyOf) -> None:
        self.app = app
        self._standing_of = standing_of
        self._key_of = key_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        key = self._key_of(scope) if scope["type"] == "http" else None
        if key is None:
            await self.app(scope, receive, send)
            return
        standing = await self._standing_of(scope, key)

        async def send_with_standing(message: Message) -> None:
            if message["type"] == "http.response.start":
                tell(standing, _AUDIO, MutableHeaders(scope=message), unit="audio-seconds")
            await send(message)

        app = self.app if standing.allowed else problem(_spent(standing)).response(scope)
        await app(scope, receive, send_with_standing)


def _spent(standing: Standing) -> RateLimited:
    detail = f"Today's {standing.limit} s of audio are used up. Try again after midnight UTC."
    return RateLimited(detail, retry_after_seconds=standing.reset_seconds)
