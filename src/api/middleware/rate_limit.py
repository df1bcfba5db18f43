"""Limits that say where the caller stands: requests a minute, counted in a moving window, audio of a day, and requests
in work at a time.
"""

import ipaddress
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from src.api.error_handlers import problem
from src.domain.accounts import Quota, Slots
from src.domain.errors import RateLimited
from src.domain.ports import RateCounter

KeyOf = Callable[[Scope], str | None]
"""Whom a request counts for; None: it does not count."""

QuotaOf = Callable[[Scope, str], Awaitable[Quota]]
"""Where the caller with this key stands, after the request was counted where it counts by itself."""


@dataclass(frozen=True, slots=True)
class Limit:
    """`policy`: its name in the headers. `refusal`: what a caller above it is told. `unit`: None counts requests."""

    policy: str
    quota_of: QuotaOf
    refusal: Callable[[Quota], str]
    unit: str | None = None


def per_minute(counter: RateCounter, policy: str, most: int) -> Limit:
    async def hit(_: Scope, key: str) -> Quota:
        return await counter.hit(policy, most, key)

    return Limit(
        policy,
        hit,
        lambda quota: f"You may make {quota.limit} such requests a minute. Try again in {quota.reset_seconds} s.",
    )


def audio_of_a_day(quota_of: QuotaOf) -> Limit:
    """Refuses requests that bring audio of a user who has none left, before their bodies are read."""
    return Limit(
        "audio",
        quota_of,
        lambda quota: f"Today's {quota.limit} s of audio are used up. Try again after midnight UTC.",
        unit="audio-seconds",
    )


def _tell(quota: Quota, limit: Limit, headers: MutableHeaders) -> None:
    """RateLimit and RateLimit-Policy are lists (draft-ietf-httpapi-ratelimit-headers-10) that take one more item.

    Of X-RateLimit-* there is one: the innermost limit's on requests, which answers first. Its Reset is in Unix seconds.
    """
    counted = "" if limit.unit is None else f';qu="{limit.unit}"'
    headers.append("RateLimit-Policy", f'"{limit.policy}";q={quota.limit};w={quota.window_seconds}{counted}')
    headers.append("RateLimit", f'"{limit.policy}";r={quota.remaining};t={quota.reset_seconds}')
    if limit.unit is None:
        headers.setdefault("X-RateLimit-Limit", str(quota.limit))
        headers.setdefault("X-RateLimit-Remaining", str(quota.remaining))
        headers.setdefault("X-RateLimit-Reset", str(int(time.time()) + quota.reset_seconds))


class LimitMiddleware:
    """One limit. Answers 429 above it, and tells every counted caller where it stands."""

    def __init__(self, app: ASGIApp, limit: Limit, key_of: KeyOf) -> None:
        self.app = app
        self._limit = limit
        self._key_of = key_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        key = self._key_of(scope) if scope["type"] in ("http", "websocket") else None
        if key is None:
            await self.app(scope, receive, send)
            return
        limit = self._limit
        quota = await limit.quota_of(scope, key)

        async def send_with_quota(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                _tell(quota, limit, MutableHeaders(scope=message))
            await send(message)

        app = self.app
        if not quota.allowed:
            refused = RateLimited(limit.refusal(quota), retry_after_seconds=quota.reset_seconds)
            app = problem(refused).response(scope)
        await app(scope, receive, send_with_quota)


def user_of(is_counted: Callable[[str], bool]) -> KeyOf:
    """The user, for POST requests to such paths. Needs the identity of AuthMiddleware."""

    def key_of(scope: Scope) -> str | None:
        if scope.get("method") != "POST" or not is_counted(scope["path"]):
            return None
        return str(scope["state"]["identity"].user_id)

    return key_of


def client_of(trusted_proxies: Iterable[str], is_exempt: Callable[[str], bool]) -> KeyOf:
    """The caller's address; of an IPv6 address its /64, which one customer has whole.

    X-Forwarded-For is believed only as far as it was written by `trusted_proxies` (addresses or networks): read from
    its end, the first address that is not one of them is the caller's. Raises ValueError for what is not an address.
    """
    trusted = [ipaddress.ip_network(item) for item in trusted_proxies]

    def key_of(scope: Scope) -> str | None:
        if is_exempt(scope["path"]):
            return None
        hops = [hop.strip() for line in Headers(scope=scope).getlist("x-forwarded-for") for hop in line.split(",")]
        peer = scope["client"][0] if scope.get("client") else "unknown"
        for hop in [*hops, peer][::-1]:
            address = address_of(hop)
            if address is None:
                break
            peer = hop
            if not any(address in network for network in trusted):
                break
        return bucket(peer)

    return key_of


def address_of(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """None: it is none."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def bucket(text: str) -> str:
    """What an address is counted as: of an IPv6 address its /64."""
    address = address_of(text)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address.packed, 64), strict=False))
    return str(address or text)


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
