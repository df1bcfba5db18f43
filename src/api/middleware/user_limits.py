"""What one user may have in work at a time."""

from contextlib import AsyncExitStack

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from src.api.error_handlers import problem
from src.api.middleware.rate_limit import KeyOf
from src.domain.accounts import Slots
from src.domain.errors import RateLimited

_RETRY_AFTER_SECONDS = 2.0
_POLICY = "concurrent"


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
                        policy = f'"{_POLICY}";q={self._most};qu="concurrent-requests"'
                        MutableHeaders(scope=message).append("RateLimit-Policy", policy)
                await send(message)

            app = self.app if taken else problem(self._refusal()).response(scope)
            await app(scope, receive, send_and_leave)

    def _refusal(self) -> RateLimited:
        detail = f"You have {self._most} requests in work. Wait until one of them is answered."
        return RateLimited(detail, retry_after_seconds=_RETRY_AFTER_SECONDS)
