"""The issuer's public keys, fetched from its JSON Web Key Set and fetched anew as they change.

They are fetched at the start, every `ttl_seconds`, and when a token names a key that is not among them: the issuer may
have a new one. Anybody can make up such tokens, so that comes at most once in `refetch_seconds`. While the issuer does
not answer, the last keys are believed for `stale_seconds` more.
"""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import KW_ONLY, dataclass, field
from urllib.parse import urlsplit

import httpx

from src.domain.errors import EngineUnavailable
from src.utils.token_keys import TokenKey, keys_of_set
from src.utils.tracing import where

logger = logging.getLogger(__name__)

_MAX_BYTES = 256 * 1024
_MAX_KEYS = 100
_CONNECT_SECONDS = 2.0
_RETRY_SECONDS = 15.0
"""After a fetch that failed, when the keys need not be fetched sooner."""


class FetchFailed(Exception):
    """The set did not come, or is none; the message says why, without anything that was received."""


@dataclass(eq=False)
class JwksKeys:
    """A KeySource, between the enter and the exit of `running`.

    `ttl_seconds`: a key that the issuer withdrew is believed no longer. `timeout_seconds`: for a whole fetch.
    """

    algorithms = frozenset({"RS256", "ES256"})

    url: str
    _: KW_ONLY
    ttl_seconds: float = 300.0
    stale_seconds: float = 4 * 3600.0
    refetch_seconds: float = 10.0
    timeout_seconds: float = 5.0
    clock: Callable[[], float] = time.monotonic
    _client: httpx.AsyncClient | None = field(default=None, init=False)
    _fetching: asyncio.Task[None] | None = field(default=None, init=False)
    _keys: dict[str, TokenKey] = field(default_factory=dict, init=False)
    _fetched_at: float = field(default=float("-inf"), init=False)
    _tried_at: float = field(default=float("-inf"), init=False)
    _failure: str | None = field(default="not fetched yet", init=False)

    @property
    def _host(self) -> str | None:
        return urlsplit(self.url).hostname

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The issuer need not be there at the start, nor stay."""
        # follows no redirects: they might leave the address that the operator named
        timeout = httpx.Timeout(self.timeout_seconds, connect=_CONNECT_SECONDS)
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        async with httpx.AsyncClient(timeout=timeout, headers=headers, verify=httpx.create_ssl_context()) as client:
            self._client = client
            await self._refresh()
            keeper = asyncio.create_task(self._keep_fresh())
            try:
                yield
            finally:
                for task in (keeper, self._fetching):
                    if task is not None:
                        task.cancel()
                        with contextlib.suppress(asyncio.CancelledError):
                            await task

    async def key_for(self, kid: object) -> TokenKey | None:
        if not isinstance(kid, str):
            return None
        if (key := self._believed().get(kid)) is not None:
            return key
        if self._may_fetch():
            await self._refresh()
        key = self._believed().get(kid)
        if key is None and self._failure is not None:
            wait = max(1.0, self._tried_at + self.refetch_seconds - self.clock())
            raise EngineUnavailable(
                "The token cannot be checked: its issuer does not answer.", retry_after_seconds=wait
            )
        return key

    def notices(self) -> tuple[str, ...]:
        """What callers with tokens should know now."""
        if self._failure is not None:
            then = "the last ones are believed" if self._believed() else "no token can be checked"
            return (f"the token issuer's keys cannot be fetched ({self._failure}): {then}",)
        return () if self._keys else ("the token issuer has no key that can be used: every token is refused",)

    async def check(self) -> None:
        """Raises EngineUnavailable when no token can be checked."""
        if self._failure is not None and not self._believed():
            raise EngineUnavailable(f"the token issuer's keys cannot be fetched: {self._failure}")

    def _believed(self) -> dict[str, TokenKey]:
        age = self.clock() - self._fetched_at
        return self._keys if age <= self.ttl_seconds + self.stale_seconds else {}

    def _may_fetch(self) -> bool:
        under_way = self._fetching is not None and not self._fetching.done()
        return under_way or self.clock() - self._tried_at >= self.refetch_seconds

    async def _keep_fresh(self) -> None:
        while True:
            pause = self.ttl_seconds if self._failure is None else min(self.ttl_seconds, _RETRY_SECONDS)
            await asyncio.sleep(pause)
            await self._refresh()

    async def _refresh(self) -> None:
        """One fetch at a time, which ends although those who wait for it leave."""
        if self._fetching is None or self._fetching.done():
            self._tried_at = self.clock()
            self._fetching = asyncio.create_task(self._fetch())
        await asyncio.shield(self._fetching)

    async def _fetch(self) -> None:
        try:
            keys, refused = keys_of_set(await self._document(), _MAX_KEYS)
        except (httpx.HTTPError, TimeoutError) as error:
            self._failed(type(error).__name__)
        except (FetchFailed, ValueError) as error:
            self._failed(str(error))
        except Exception as error:  # noqa: BLE001 - a defect must not end the task that tries again
            logger.error("unexpected error while fetching the token issuer's keys\n%s", where(error))
            self._failed(type(error).__name__)
        else:
            self._succeeded(keys, refused)

    async def _document(self) -> object:
        assert self._client is not None  # noqa: S101 - `running` made it
        body = bytearray()
        async with asyncio.timeout(self.timeout_seconds), self._client.stream("GET", self.url) as answer:
            if answer.status_code != 200:
                raise FetchFailed(f"status {answer.status_code}")
            if answer.headers.get("content-encoding", "identity") != "identity":
                raise FetchFailed("it is compressed, although that was not asked for")
            async for chunk in answer.aiter_raw():
                body += chunk
                if len(body) > _MAX_BYTES:
                    raise FetchFailed(f"it has more than {_MAX_BYTES} bytes")
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise FetchFailed("it is not JSON") from None

    def _failed(self, reason: str) -> None:
        if reason != self._failure:
            logger.warning("the keys of the token issuer %s cannot be fetched: %s", self._host, reason)
        self._failure = reason

    def _succeeded(self, keys: dict[str, TokenKey], refused: list[str]) -> None:
        if self._failure is not None or keys.keys() != self._keys.keys():
            logger.info("the token issuer %s has %d keys that can be used", self._host, len(keys))
            for reason in refused:
                logger.warning("of the token issuer %s not used: %s", self._host, reason)
        self._keys, self._fetched_at, self._failure = keys, self.clock(), None
